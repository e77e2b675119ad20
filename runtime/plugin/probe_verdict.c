/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a probe's child has told, in its answer or by its end.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "core/json.h"
#include "core/memory.h"
#include "plugin/probe_priv.h"

#define SAID_SHOWN  160
#define REFUSAL_MAX 1024

char *probe_refusal(const char *format, ...)
{
	char text[REFUSAL_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return mem_strdup(text);
}

/* The last stage that the child wrote, in words. */
static const char *stage_words(const struct buffer *answer)
{
	static const struct {
		const char *name;
		const char *words;
	} stages[] = {
		{ "load", "while it was being loaded" },
		{ "check", "while its tables were read" },
		{ "init", "in its init()" },
		{ "fini", "in its fini()" },
		{ "end", "after its fini()" },
	};
	const char *words = "before it was loaded";
	const char *line = answer->bytes;

	while (line != NULL && *line == '@') {
		const char *end = strchr(line, '\n');
		size_t length;

		if (end == NULL)
			break;
		length = (size_t)(end - line) - 1;
		for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
			if (strlen(stages[i].name) == length &&
			    strncmp(line + 1, stages[i].name, length) == 0)
				words = stages[i].words;
		line = end + 1;
	}
	return words;
}

/* The JSON document behind the stages, or NULL. */
static const char *document(const struct buffer *answer)
{
	const char *at = answer->bytes;

	while (at != NULL && *at == '@') {
		at = strchr(at, '\n');
		if (at != NULL)
			at++;
	}
	return at != NULL && *at == '{' ? at : NULL;
}

/* "; it said: ..." with the last line that the child printed. */
static void last_words(const struct buffer *said, char *out, size_t out_size)
{
	char line[SAID_SHOWN + 1];
	size_t end = said->length, begin, length = 0;

	out[0] = '\0';
	while (end > 0 && (unsigned char)said->bytes[end - 1] <= ' ')
		end--;
	begin = end;
	while (begin > 0 && said->bytes[begin - 1] != '\n')
		begin--;
	while (begin < end && length < SAID_SHOWN) {
		unsigned char c = (unsigned char)said->bytes[begin++];

		line[length++] = c >= ' ' && c < 0x7f ? (char)c : '?';
	}
	line[length] = '\0';
	if (length > 0)
		(void)snprintf(out, out_size, "; it said: %s", line);
}

static bool is_text(const json_t *object, const char *name)
{
	return json_is_string(json_object_get(object, name));
}

static bool rows_are(const json_t *answer, const char *list, const char *a,
		     const char *b, const char *c)
{
	const json_t *rows = json_object_get(answer, list), *row;
	size_t i;

	if (!json_is_array(rows))
		return false;
	json_array_foreach(rows, i, row) if (!is_text(row, a) ||
					     !is_text(row, b) ||
					     !is_text(row, c)) return false;
	return true;
}

/* A plugin that writes the answer itself must not confuse the daemon. */
bool probe_answer_shaped(const json_t *answer)
{
	const json_t *components = json_object_get(answer, "components");
	const json_t *row;
	size_t i;

	if (!is_text(answer, "name") || !is_text(answer, "version") ||
	    !is_text(answer, "license") || !is_text(answer, "abi") ||
	    !rows_are(answer, "components", "kind", "name", "summary") ||
	    !rows_are(answer, "refused", "kind", "name", "why") ||
	    !json_is_array(json_object_get(answer, "notices")))
		return false;
	json_array_foreach(components, i, row) if (
		!json_is_array(json_object_get(row, "options"))) return false;
	return true;
}

static void judge_answer(struct probe_child *child)
{
	const char *text = document(&child->answer);
	struct atom_error error = ATOM_ERROR_INIT;
	struct probe_result *result = child->result;
	json_t *answer = NULL;

	if (child->answer.failed) {
		result->refusal = probe_refusal(PROBE_TOO_MUCH);
	} else if (text == NULL || json_decode(text, strlen(text), &answer,
					       &error) != ATOM_OK) {
		result->refusal = probe_refusal("ended the probe %s",
						stage_words(&child->answer));
	} else if (is_text(answer, "error")) {
		result->refusal =
			probe_refusal("%s", json_text(answer, "error", ""));
	} else if (!probe_answer_shaped(answer)) {
		result->refusal =
			probe_refusal("gave the probe an answer that is none");
	} else {
		result->answer = TAKE(answer);
	}
	if (answer != NULL)
		json_decref(answer);
}

void probe_judge(struct probe_child *child, int status)
{
	char words[SAID_SHOWN + 32];

	last_words(&child->said, words, sizeof(words));
	if (child->timed_out) {
		child->result->refusal =
			probe_refusal("did not end %s within %d s%s",
				      stage_words(&child->answer),
				      PROBE_DEADLINE_MS / 1000, words);
	} else if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));

		child->result->refusal = probe_refusal(
			"crashed %s (SIG%s)%s", stage_words(&child->answer),
			name != NULL ? name : "?", words);
	} else if (WEXITSTATUS(status) != 0) {
		child->result->refusal =
			probe_refusal("ended the probe %s with status %d%s",
				      stage_words(&child->answer),
				      WEXITSTATUS(status), words);
	} else {
		judge_answer(child);
	}
}
