/* SPDX-License-Identifier: Apache-2.0 */
#include "openai.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/*
 * Any server that speaks OpenAI's chat completions.  Shared style: a unit of
 * capacity is a slot, and a call runs on the loop that has it.
 */

const char *const token_fields[] = { "max_tokens", "max_completion_tokens",
				     NULL };

static const struct atom_option openai_options[] = {
	ATOM_OPTION_STRING(struct openai_options, base_url, NULL, ATOM_REQUIRED,
			   "where the API begins: https://host/v1"),
	ATOM_OPTION_STRING(struct openai_options, model, "", 0,
			   "the provider's model; empty: as the caller says"),
	ATOM_OPTION_SECRET(struct openai_options, api_key, 0,
			   "sent as Authorization: Bearer; empty: not sent"),
	ATOM_OPTION_CHOICE(struct openai_options, token_field, "max_tokens",
			   token_fields, 0,
			   "member that limits the answer when the caller "
			   "states none"),
	ATOM_OPTION_STRING(struct openai_options, organization, "", 0,
			   "sent as OpenAI-Organization"),
	ATOM_OPTION_STRING(struct openai_options, proxy, "", 0,
			   "http://, https://, socks5h:// or socks4a:// proxy "
			   "with its port; the environment is not read"),
	ATOM_OPTION_STRING(struct openai_options, ca_file, "", 0,
			   "PEM file of certificate authorities instead of "
			   "the system's"),
	ATOM_OPTION_MAP(struct openai_options, headers, 0, OPTION_FIELDS_MAX, 0,
			"more header fields of each request"),
	ATOM_OPTION_BOOL(struct openai_options, verify_tls, "true", 0,
			 "check the server's certificate"),
};

/* --- header fields ------------------------------------------------------------ */

static int is_ours(const char *name)
{
	static const char *const ours[] = {
		"Host",	      "Content-Length", "Transfer-Encoding",
		"Connection", "Expect",		"Content-Type",
		"Accept",     "Upgrade",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return 1;
	return 0;
}

static int is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				      "!#$%&'*+-.^_`|~";

	return name[0] != '\0' && name[strspn(name, allowed)] == '\0';
}

static int is_printable(const char *value)
{
	for (; *value != '\0'; value++)
		if (((unsigned char)*value < ' ' && *value != '\t') ||
		    *value == 127)
			return 0;
	return 1;
}

static int is_configured(const struct openai_options *options, const char *name)
{
	for (size_t i = 0; i < options->headers.count; i++)
		if (strcasecmp(options->headers.items[i].key, name) == 0)
			return 1;
	return 0;
}

/* Values stay out of the errors: they may be keys. */
static atom_status add_field(struct openai *o, const char *name,
			     const char *prefix, const char *value,
			     struct atom_error *err)
{
	size_t size = strlen(name) + strlen(prefix) + strlen(value) + 3;
	char *field;

	if (!is_printable(value))
		return atom_fail(err, ATOM_EINVAL,
				 "openai: the value for the header field %s "
				 "holds control characters",
				 name);
	field = malloc(size);
	if (field == NULL)
		return atom_fail(err, ATOM_ENOMEM, "openai: no memory");
	(void)snprintf(field, size, "%s: %s%s", name, prefix, value);
	o->fields[o->field_count++] = field;
	return ATOM_OK;
}

static atom_status make_fields(struct openai *o, struct atom_error *err)
{
	const struct openai_options *options = o->options;
	atom_status status;

	status = add_field(o, "Content-Type", "", "application/json", err);
	if (status == ATOM_OK && options->api_key[0] != '\0' &&
	    !is_configured(options, "Authorization"))
		status = add_field(o, "Authorization", "Bearer ",
				   options->api_key, err);
	if (status == ATOM_OK && options->organization[0] != '\0' &&
	    !is_configured(options, "OpenAI-Organization"))
		status = add_field(o, "OpenAI-Organization", "",
				   options->organization, err);
	for (size_t i = 0; status == ATOM_OK && i < options->headers.count;
	     i++) {
		const struct atom_map_entry *entry = &options->headers.items[i];

		if (!is_name(entry->key) || is_ours(entry->key))
			return atom_fail(err, ATOM_EINVAL,
					 "openai: headers: \"%.64s\" is no "
					 "name of a header field, or one that "
					 "this backend sets itself",
					 entry->key);
		status = add_field(o, entry->key, "", entry->value, err);
	}
	return status;
}

/* --- the URL -------------------------------------------------------------------- */

/* base_url, with the path of chat completions before its query. */
static char *make_url(const char *base)
{
	static const char path[] = "/chat/completions";
	size_t length = strcspn(base, "?");
	const char *query = base + length;
	size_t size = strlen(base) + sizeof(path);
	char *url = malloc(size);

	if (url == NULL)
		return NULL;
	while (length > 0 && base[length - 1] == '/')
		length--;
	if (length >= sizeof(path) - 1 &&
	    strncmp(base + length - (sizeof(path) - 1), path,
		    sizeof(path) - 1) == 0)
		length -= sizeof(path) - 1;
	(void)snprintf(url, size, "%.*s%s%s", (int)length, base, path, query);
	return url;
}

static atom_status check_url(const char *base, struct atom_error *err)
{
	const char *host = NULL;
	size_t length;

	if (strncasecmp(base, "http://", 7) == 0)
		host = base + 7;
	else if (strncasecmp(base, "https://", 8) == 0)
		host = base + 8;
	if (host == NULL || strlen(base) > 4096 || !is_printable(base) ||
	    strpbrk(base, " #\t") != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "openai: base_url is http://HOST[:PORT]/PATH "
				 "or https://..., usually ending in /v1");
	length = strcspn(host, "/?");
	if (length == 0 || memchr(host, '@', length) != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "openai: base_url names a host, and no user; "
				 "a key belongs into api_key");
	return ATOM_OK;
}

/* Relative to the configuration's folder. */
static atom_status make_ca_file(struct openai *o, struct atom_error *err)
{
	const char *path = o->options->ca_file;
	size_t size = strlen(o->host->directory) + strlen(path) + 2;

	if (path[0] == '\0')
		return ATOM_OK;
	o->ca_file = malloc(size);
	if (o->ca_file == NULL)
		return atom_fail(err, ATOM_ENOMEM, "openai: no memory");
	if (path[0] == '/')
		(void)snprintf(o->ca_file, size, "%s", path);
	else
		(void)snprintf(o->ca_file, size, "%s/%s", o->host->directory,
			       path);
	if (access(o->ca_file, R_OK) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "openai: ca_file %.300s cannot be read",
				 o->ca_file);
	return ATOM_OK;
}

/* --- life ------------------------------------------------------------------------- */

static void openai_destroy(void *self)
{
	struct openai *o = self;

	for (size_t i = 0; i < o->field_count; i++) {
		if (o->secret != NULL)
			o->secret->wipe(o->fields[i], strlen(o->fields[i]));
		free(o->fields[i]);
	}
	free(o->url);
	free(o->model);
	free(o->ca_file);
	free(o);
}

static atom_status find_services(struct openai *o, struct atom_error *err)
{
	o->backend = atom_service(o->host, ATOM_BACKEND_HOST);
	o->http = atom_service(o->host, ATOM_HTTP);
	o->timer = atom_service(o->host, ATOM_TIMER);
	o->clock = atom_service(o->host, ATOM_CLOCK);
	o->secret = atom_service(o->host, ATOM_SECRET);
	if (o->backend == NULL || o->http == NULL || o->timer == NULL ||
	    o->clock == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "openai: this host lacks " ATOM_BACKEND_HOST
				 ", " ATOM_HTTP ", " ATOM_TIMER
				 " or " ATOM_CLOCK);
	return ATOM_OK;
}

static atom_status openai_create(const struct atom_host *host,
				 const void *options, void **self_r,
				 struct atom_error *err)
{
	struct openai *o = calloc(1, sizeof(*o));
	atom_status status;

	if (o == NULL)
		return atom_fail(err, ATOM_ENOMEM, "openai: no memory");
	o->host = host;
	o->options = options;
	status = find_services(o, err);
	if (status == ATOM_OK)
		status = check_url(o->options->base_url, err);
	if (status == ATOM_OK)
		status = make_fields(o, err);
	if (status == ATOM_OK)
		status = make_ca_file(o, err);
	if (status != ATOM_OK)
		goto out;
	o->url = make_url(o->options->base_url);
	if (o->options->model[0] != '\0')
		o->model = json_quote(o->options->model);
	if (o->url == NULL ||
	    (o->options->model[0] != '\0' && o->model == NULL))
		status = atom_fail(err, ATOM_ENOMEM, "openai: no memory");
out:
	if (status != ATOM_OK)
		openai_destroy(o);
	else
		*self_r = o;
	return status;
}

static atom_status openai_invoke(void *self, void *unit, atom_call call,
				 struct atom_error *err)
{
	(void)unit;
	return call_begin(self, call, err);
}

static void openai_cancel(void *self, void *unit, atom_call call, int32_t why)
{
	(void)self;
	(void)unit;
	(void)why;
	call_cancel(call);
}

static void openai_resume(void *self, void *unit, atom_call call)
{
	(void)self;
	(void)unit;
	call_resume(call);
}

static const struct atom_backend_ops openai_ops = {
	.struct_size = sizeof(openai_ops),
	.flags = ATOM_BACKEND_SHARED,
	.create = openai_create,
	.destroy = openai_destroy,
	.invoke = openai_invoke,
	.cancel = openai_cancel,
	.resume = openai_resume,
};

ATOM_PLUGIN("openai", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_BACKEND, "openai",
			   "any server that speaks OpenAI's chat completions",
			   &openai_ops, openai_options, struct openai_options));
