/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/analyst/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/analyst/report.h"

bool memory_init(struct memory *memory, size_t most)
{
	memory->messages = json_array();
	memory->most = most;
	return memory->messages != NULL;
}

void memory_fini(struct memory *memory)
{
	json_decref(memory->messages);
	memory->messages = NULL;
}

/* RFC 3629: length of the sequence, 0 = none. */
static size_t sequence(const unsigned char *at, size_t left)
{
	size_t length = *at < 0x80   ? 1
			: *at < 0xc2 ? 0
			: *at < 0xe0 ? 2
			: *at < 0xf0 ? 3
			: *at < 0xf5 ? 4
				     : 0;

	if (*at == 0 || length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

size_t utf8_prefix(const char *text, size_t length)
{
	size_t at = 0, step = 1;

	for (; at < length && step > 0; at += step)
		step = sequence((const unsigned char *)text + at, length - at);
	return at;
}

bool memory_add(struct memory *memory, const char *text, size_t length)
{
	if (length > MEMORY_TEXT_MAX)
		length = MEMORY_TEXT_MAX;
	length = utf8_prefix(text, length);
	if (memory->most == 0 || length == 0)
		return true;
	if (json_array_append_new(memory->messages,
				  json_stringn(text, length)) != 0)
		return false;
	while (json_array_size(memory->messages) > memory->most)
		(void)json_array_remove(memory->messages, 0);
	return true;
}

json_t *memory_told(const struct memory *memory)
{
	json_t *told = json_array();
	size_t total = 0;

	for (size_t i = json_array_size(memory->messages); i > 0; i--) {
		json_t *one = json_array_get(memory->messages, i - 1);

		total += json_string_length(one);
		if (total > MEMORY_TOLD_MAX)
			break;
		if (json_array_insert(told, 0, one) != 0) {
			json_decref(told);
			return NULL;
		}
	}
	return told;
}

char *memory_save(const struct memory *memory)
{
	return report_text(memory->messages);
}

bool memory_restore(struct memory *memory, const char *text, size_t length)
{
	json_t *read = json_loadb(text, length, 0, NULL);
	bool whole = json_is_array(read);

	for (size_t i = 0; i < json_array_size(read); i++) {
		const json_t *one = json_array_get(read, i);

		if (!json_is_string(one) ||
		    !memory_add(memory, json_string_value(one),
				json_string_length(one)))
			whole = false;
	}
	json_decref(read);
	return whole;
}

void budget_init(struct budget *budget, double per_hour, int64_t now_ms)
{
	*budget = (struct budget){ per_hour, per_hour, now_ms };
}

bool budget_take(struct budget *budget, double tokens, int64_t now_ms)
{
	double passed = (double)(now_ms - budget->at_ms) / 3600000;

	if (passed > 0)
		budget->left = fmin(budget->per_hour,
				    budget->left + passed * budget->per_hour);
	budget->at_ms = now_ms;
	if (tokens > budget->left)
		return false;
	budget->left -= tokens;
	return true;
}

void budget_settle(struct budget *budget, double taken, double used)
{
	budget->left += taken - fmax(0, fmin(used, 4 * taken));
}
