/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/dashboard.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/admission.h"
#include "gateway/handlers.h"
#include "gateway/reply.h"

#define FILE_MAX     ((size_t)1024 * 1024)
#define READ_AT_ONCE ((size_t)16 * 1024)
#define PATH_BYTES   4096
/* Of the SHA-256 in an ETag, with the quotes around its hexadecimal form. */
#define TAG_BYTES 16
#define TAG_MAX	  (2 * TAG_BYTES + 3)

/* Nothing but our own files, no script or style within the page, no frame. */
#define POLICY                                                         \
	"default-src 'none'; script-src 'self'; style-src 'self'; "    \
	"connect-src 'self'; img-src 'self'; frame-ancestors 'none'; " \
	"base-uri 'none'; form-action 'self'"

#define HTML   "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE  "text/css; charset=utf-8"
#define IMAGE  "image/svg+xml"

/* The first one is `/`.  Those of the charts' library stand where configure has
 * found it, and bear another name there. */
static struct file {
	const char *name;
	const char *type;
	const char *of_charts;
	struct buffer bytes;
	char tag[TAG_MAX];
} files[] = {
	{ .name = "index.html", .type = HTML },
	{ .name = "style.css", .type = STYLE },
	{ .name = "icon.svg", .type = IMAGE },
	{ .name = "app.js", .type = SCRIPT },
	{ .name = "api.js", .type = SCRIPT },
	{ .name = "live.js", .type = SCRIPT },
	{ .name = "dom.js", .type = SCRIPT },
	{ .name = "format.js", .type = SCRIPT },
	{ .name = "chart.js", .type = SCRIPT },
	{ .name = "overview.js", .type = SCRIPT },
	{ .name = "agent.js", .type = SCRIPT },
	{ .name = "rollout.js", .type = SCRIPT },
	{ .name = "alerts.js", .type = SCRIPT },
	{ .name = "audit.js", .type = SCRIPT },
	{ .name = "plugins.js", .type = SCRIPT },
	{ .name = "compliance.js", .type = SCRIPT },
	{ .name = "try.js", .type = SCRIPT },
	{ .name = "dygraph.js", .type = SCRIPT, .of_charts = "dygraph.min.js" },
};

static const char missing_html[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, "
	"initial-scale=1\">\n<title>atomd</title>\n<style>\n"
	":root { color-scheme: light dark; }\n"
	"body { font: 1rem/1.6 system-ui, sans-serif; max-width: 36rem; "
	"margin: 15vh auto; padding: 0 1rem; }\n"
	"</style></head><body>\n<main>\n<h1>atomd</h1>\n"
	"<p>Agents are served here. The dashboard's files are not where this "
	"daemon looks for them; its log names the folder (event "
	"<code>dashboard_missing</code>).</p>\n<ul>\n"
	"<li><a href=\"/docs\">The API, for people</a></li>\n"
	"<li><a href=\"/openapi.json\">The API, for programs</a></li>\n"
	"<li><a href=\"/healthz\">Is it alive?</a> "
	"<a href=\"/readyz\">Is it ready?</a></li>\n"
	"</ul>\n</main></body></html>\n";

static const char no_charts[] =
	"/* Configured without dygraphs: charts are shown as tables. */\n";

static struct buffer missing_page = BUFFER_INIT(sizeof(missing_html));

/* --- reading [control] ------------------------------------------------------- */

static const char *folder(void)
{
	const char *given = getenv("ATOMD_DASHBOARD_DIR");

	return given != NULL && given[0] != '\0' ? given : ATOMD_DASHBOARD_DIR;
}

static void tag(struct file *file)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	file->tag[0] = '\0';
	if (EVP_Digest(file->bytes.bytes, file->bytes.length, hash, NULL,
		       EVP_sha256(), NULL) != 1)
		return;
	file->tag[0] = '"';
	text_to_hex(hash, TAG_BYTES, file->tag + 1);
	(void)snprintf(file->tag + 1 + 2 * TAG_BYTES, 2, "\"");
}

static atom_status read_all(int fd, struct buffer *out)
{
	ssize_t got;

	do {
		if (buffer_reserve(out, READ_AT_ONCE) != ATOM_OK)
			return out->length + READ_AT_ONCE > out->max
				       ? ATOM_ELIMIT
				       : ATOM_ENOMEM;
		got = os.read(fd, out->bytes + out->length, READ_AT_ONCE);
		if (got > 0)
			out->length += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	return got < 0 ? ATOM_EIO : ATOM_OK;
}

static atom_status read_file(const char *path, struct buffer *out)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	atom_status status;

	if (fd < 0)
		return ATOM_EIO;
	errno = 0;
	status = read_all(fd, out);
	(void)os.close(fd);
	return status;
}

static atom_status load(struct file *file, struct atom_error *err)
{
	char path[PATH_BYTES];
	atom_status status;

	buffer_init(&file->bytes, FILE_MAX);
	/* A page that asks for the library in vain would tell its console. */
	if (file->of_charts != NULL && ATOMD_DYGRAPHS_DIR[0] == '\0')
		return buffer_append_text(&file->bytes, no_charts);
	(void)snprintf(path, sizeof(path), "%s/%s",
		       file->of_charts != NULL ? ATOMD_DYGRAPHS_DIR : folder(),
		       file->of_charts != NULL ? file->of_charts : file->name);
	status = read_file(path, &file->bytes);
	if (status == ATOM_ENOMEM)
		return atom_fail(err, status, "no memory for %s", path);
	if (status == ATOM_OK) {
		tag(file);
		return ATOM_OK;
	}
	(void)atom_fail(err, status, "%s: %s", path,
			status == ATOM_ELIMIT ? "larger than 1 MiB"
					      : strerror(errno));
	buffer_fini(&file->bytes);
	return file->of_charts != NULL
		       ? buffer_append_text(&file->bytes, no_charts)
		       : status;
}

/* Without one of its own files the page would be half there: none is served
 * then. */
static void give_up(const char *why)
{
	log_line(ATOM_LOG_WARN, "dashboard_missing",
		 "the dashboard is not served, a file of it cannot be read; "
		 "`make install` puts them there, and ATOMD_DASHBOARD_DIR "
		 "names another folder",
		 LOG_TEXT("why", why));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		buffer_fini(&files[i].bytes);
}

atom_status dashboard_init(struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;

	dashboard_fini();
	for (size_t i = 0; i < ARRAY_SIZE(files) && status == ATOM_OK; i++)
		status = load(&files[i], &why);
	if (status != ATOM_OK && status != ATOM_ENOMEM)
		give_up(why.message);
	if (status != ATOM_ENOMEM)
		status = buffer_append_text(&missing_page, missing_html);
	if (status != ATOM_OK)
		return atom_fail(err, status, "no memory for the dashboard");
	return ATOM_OK;
}

void dashboard_fini(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		buffer_fini(&files[i].bytes);
	buffer_fini(&missing_page);
}

/* --- answering [loop] -------------------------------------------------------- */

/* Has the client this very text?  Weak tags compare as strong ones here, and
 * a list is looked through (RFC 9110, section 13.1.2). */
static bool has_it(struct http_request *request, const struct file *file)
{
	const char *known = http_field(request, "if-none-match");

	return known != NULL && file->tag[0] != '\0' &&
	       (strcmp(known, "*") == 0 || strstr(known, file->tag) != NULL);
}

static void answer(struct http_request *request, const struct file *file)
{
	(void)http_add_field(request, "Content-Security-Policy", POLICY);
	(void)http_add_field(request, "X-Content-Type-Options", "nosniff");
	(void)http_add_field(request, "Referrer-Policy", "no-referrer");
	(void)http_add_field(request, "Cross-Origin-Resource-Policy",
			     "same-origin");
	/* Asked for again each time, and not sent again: modules of two
	 * versions never meet. */
	(void)http_add_field(request, "Cache-Control", "no-cache");
	if (file->tag[0] != '\0')
		(void)http_add_field(request, "ETag", file->tag);
	if (has_it(request, file)) {
		http_answer(request, 304, NULL, "", 0);
		http_request_release(request);
		return;
	}
	reply_buffer(request, 200, file->type, &file->bytes);
}

void handle_front(struct http_request *request,
		  const struct admission *admission)
{
	(void)admission;
	if (files[0].bytes.length > 0)
		answer(request, &files[0]);
	else
		reply_html(request, &missing_page);
}

void handle_dashboard(struct http_request *request,
		      const struct admission *admission)
{
	const char *name = admission->params.at[0];
	size_t length = admission->params.length[0];
	struct api_error e;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i].bytes.length > 0 &&
		    strlen(files[i].name) == length &&
		    memcmp(files[i].name, name, length) == 0) {
			answer(request, &files[i]);
			return;
		}
	api_error_set(&e, "not_found", NULL, "the dashboard has no file '%.*s'",
		      length < 64 ? (int)length : 64, name);
	reply_error(request, &e);
}
