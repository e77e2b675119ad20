/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An audit sink without a daemon: what the tests of the remote sinks drive.
 * The component is loaded and configured by the daemon's own registry and
 * served by its host services.  Commands come one a line on standard input,
 * words divided by tabs; answers go one JSON document a line to standard
 * output.
 *
 *	scan DIR                    loads the plugins there
 *	create NAME JSON            audit/NAME with these options
 *	write FIRST COUNT [BYTES]   records FIRST, FIRST + 1 ... of that size
 *	record SEQUENCE JSON [TYPE] one record with that text
 *	sync
 *	checkpoint SEQUENCE NOTE    "\n" in NOTE stands for a new line
 *	last
 *	destroy
 *	metrics                     the text of /metrics
 *
 * Every answer has `status` (0: ATOM_OK) and, on failure, `error` and
 * `retry_after_ms`.  A record's hash is the SHA-256 of its text.  As
 * `--probe FD` it is the probe's child.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include <atomd/audit.h>

#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "keyring/keyring.h"
#include "plugin/host.h"
#include "plugin/host_seal.h"
#include "plugin/registry.h"

#define WORDS_MAX	6
#define LINE_LENGTH_MAX (32 * 1024 * 1024)

static struct configured *configured;
static const struct atom_audit_ops *ops;
static void *self;

static void say(json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(value);
}

static json_t *answer_of(atom_status status, const struct atom_error *error)
{
	if (status == ATOM_OK)
		return json_pack("{s:i}", "status", 0);
	return json_pack("{s:i,s:s,s:i}", "status", (int)status, "error",
			 error->message, "retry_after_ms",
			 (int)error->retry_after_ms);
}

static atom_status create(const char *name, const char *json,
			  struct atom_error *error)
{
	struct buffer faults = BUFFER_INIT(64 * 1024);
	const struct component *component = NULL;
	struct setting *group = NULL;
	json_t *options = NULL;
	atom_status status =
		registry_component("audit", name, &component, error);

	if (status == ATOM_OK)
		status = json_decode(json, strlen(json), &options, error);
	if (status == ATOM_OK)
		status = setting_of_json(options, "options", &group, error);
	if (status == ATOM_OK) {
		struct configured_spec spec = { .component = component,
						.group = group,
						.agent = "" };

		status = configured_new(&spec, &configured, &faults, error);
	}
	if (faults.length > 0)
		status = atom_fail(error, ATOM_EINVAL, "%s", faults.bytes);
	if (status == ATOM_OK) {
		ops = (const struct atom_audit_ops *)(const void *)
			      component->ops;
		self = configured_self(configured);
	}
	setting_free(&group);
	if (options != NULL)
		json_decref(options);
	buffer_fini(&faults);
	return status;
}

static void fill(struct atom_audit_record *record, uint64_t sequence,
		 const char *json, const char *type)
{
	unsigned int size = 32;

	*record = (struct atom_audit_record){
		.struct_size = sizeof(*record),
		.severity = ATOM_LOG_INFO,
		.sequence = sequence,
		.time_ms = 1700000000000 + (int64_t)sequence,
		.category = "security_events",
		.event_type = type,
		.json = { json, strlen(json) },
	};
	(void)EVP_Digest(json, strlen(json), record->hash, &size, EVP_sha256(),
			 NULL);
}

static char *text_of(uint64_t sequence, size_t bytes)
{
	char head[160];
	size_t length = (size_t)snprintf(
		head, sizeof(head),
		"{\"category\":\"security_events\",\"event_type\":\"test.event\","
		"\"sequence\":%" PRIu64 ",\"user\":\"alice\",\"zz\":\"",
		sequence);
	size_t fill_length = bytes > length + 2 ? bytes - length - 2 : 0;
	char *text = mem_alloc(length + fill_length + 3);

	if (text == NULL)
		return NULL;
	memcpy(text, head, length);
	memset(text + length, 'x', fill_length);
	memcpy(text + length + fill_length, "\"}", 3);
	return text;
}

static atom_status write_many(uint64_t first, size_t count, size_t bytes,
			      struct atom_error *error)
{
	struct atom_audit_record *records = mem_array(count, sizeof(*records));
	atom_status status = ATOM_ENOMEM;
	size_t made = 0;

	if (records == NULL)
		return ATOM_ENOMEM;
	for (; made < count; made++) {
		char *text = text_of(first + made, bytes);

		if (text == NULL)
			goto out;
		fill(&records[made], first + made, text, "test.event");
	}
	status = ops->write(self, records, count, sizeof(*records), error);
out:
	while (made-- > 0)
		mem_free((char *)(uintptr_t)records[made].json.bytes);
	mem_free(records);
	return status;
}

static atom_status checkpoint(uint64_t sequence, char *note,
			      struct atom_error *error)
{
	uint8_t range[2 * 32];
	struct atom_audit_checkpoint head = {
		.struct_size = sizeof(head),
		.range_count = 2,
		.sequence = sequence,
		.time_ms = 1700000000000 + (int64_t)sequence,
		.range = range,
		.verifier = "atomd-audit/test+00000000+AQ==",
	};
	char *to = note;

	for (const char *from = note; *from != '\0'; from++)
		if (from[0] == '\\' && from[1] == 'n') {
			*to++ = '\n';
			from++;
		} else {
			*to++ = *from;
		}
	*to = '\0';
	memset(range, 7, sizeof(range));
	head.note = (struct atom_span){ note, strlen(note) };
	return ops->checkpoint(self, &head, error);
}

static json_t *last(void)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct atom_audit_position position = { .struct_size =
							sizeof(position) };
	atom_status status = ATOM_ENOTSUP;
	json_t *answer;

	if (ops->last != NULL)
		status = ops->last(self, &position, &error);
	answer = answer_of(status, &error);
	(void)json_object_set_new(answer, "sequence",
				  json_integer((json_int_t)position.sequence));
	(void)json_object_set_new(
		answer, "checkpoint",
		json_integer((json_int_t)position.checkpoint));
	(void)json_object_set_new(answer, "range_count",
				  json_integer(position.range_count));
	(void)json_object_set_new(answer, "range_byte",
				  json_integer(position.range[1][31]));
	(void)json_object_set_new(answer, "hash_byte",
				  json_integer(position.hash[0]));
	return answer;
}

static json_t *obey(char **words, size_t count)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct atom_audit_record record;
	atom_status status = ATOM_EINVAL;
	uint64_t number = count > 1 ? strtoull(words[1], NULL, 10) : 0;

	if (strcmp(words[0], "scan") == 0 && count > 1) {
		const char *directories[] = { words[1], NULL };

		status = registry_scan(directories, &error);
	} else if (strcmp(words[0], "create") == 0 && count > 2) {
		status = create(words[1], words[2], &error);
	} else if (strcmp(words[0], "metrics") == 0) {
		struct buffer text = BUFFER_INIT(1024 * 1024);
		json_t *answer = NULL;

		if (metric_render(&text, METRIC_TEXT) == ATOM_OK)
			answer = json_pack("{s:i,s:s%}", "status", 0, "text",
					   text.bytes, text.length);
		buffer_fini(&text);
		return answer;
	} else if (configured == NULL) {
		(void)atom_fail(&error, status, "no such command, or no sink");
	} else if (strcmp(words[0], "write") == 0 && count > 2) {
		status = write_many(number, strtoul(words[2], NULL, 10),
				    count > 3 ? strtoul(words[3], NULL, 10) : 0,
				    &error);
	} else if (strcmp(words[0], "record") == 0 && count > 2) {
		fill(&record, number, words[2],
		     count > 3 ? words[3] : "test.event");
		status = ops->write(self, &record, 1, sizeof(record), &error);
	} else if (strcmp(words[0], "sync") == 0) {
		status = ops->sync(self, &error);
	} else if (strcmp(words[0], "checkpoint") == 0 && count > 2) {
		status = checkpoint(number, words[2], &error);
	} else if (strcmp(words[0], "last") == 0) {
		return last();
	} else if (strcmp(words[0], "destroy") == 0) {
		configured_free(&configured);
		status = ATOM_OK;
	}
	return answer_of(status, &error);
}

/* Where a test wants one: the keyring at $ATOMD_TEST_KEYRING, made when it is
 * not there. */
static bool open_keyring(struct keyring **keyring_r, struct atom_error *error)
{
	static const uint8_t kek[KEYRING_KEY_BYTES] = { 1, 2, 3 };
	const char *path = getenv("ATOMD_TEST_KEYRING");
	atom_status status;

	if (path == NULL)
		return true;
	status = keyring_open(path, "", kek, NULL, keyring_r, error);
	if (status == ATOM_ENOENT)
		status = keyring_create(path, kek, true, keyring_r, error);
	if (status == ATOM_OK)
		host_seal_use(*keyring_r);
	return status == ATOM_OK;
}

int main(int argc, char **argv)
{
	struct keyring *keyring = NULL;
	struct atom_error error = ATOM_ERROR_INIT;
	char *line;

	if (argc == 3 && strcmp(argv[1], "--probe") == 0)
		return plugin_probe_main((int)strtol(argv[2], NULL, 10));
	(void)signal(SIGPIPE, SIG_DFL);
	line = mem_alloc(LINE_LENGTH_MAX);
	if (line == NULL || metric_init(0) != ATOM_OK ||
	    host_register_basic() != ATOM_OK ||
	    registry_init(NULL, false, &error) != ATOM_OK ||
	    !open_keyring(&keyring, &error)) {
		(void)fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	while (fgets(line, LINE_LENGTH_MAX, stdin) != NULL) {
		char *words[WORDS_MAX] = { NULL }, *rest = line;
		size_t count = 0;

		line[strcspn(line, "\n")] = '\0';
		while (rest != NULL && count < WORDS_MAX)
			words[count++] = strsep(&rest, "\t");
		say(obey(words, count));
	}
	configured_free(&configured);
	host_seal_use(NULL);
	keyring_free(&keyring);
	registry_fini();
	metric_fini();
	log_fini();
	mem_free(line);
	return 0;
}
