/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes of monitors, over restarts: what is forgotten with notes_fini() is
 * recalled from the store.
 */
#include "state_fixture.h"

#include <jansson.h>

#include "core/log.h"
#include "monitor/notes.h"

#define BUCKET "annotations"

static void add(const char *alert, const char *text)
{
	notes_add("monitor/test",
		  &(const struct atom_annotation){
			  .struct_size = sizeof(struct atom_annotation),
			  .agent = "a",
			  .alert = alert,
			  .text = text,
			  .prompt_hash = "sha256:00",
		  });
}

static void add_numbers(unsigned int from, unsigned int to)
{
	char text[16];

	for (unsigned int i = from; i <= to; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		add("", text);
	}
}

static void restart(void)
{
	notes_fini();
	notes_recall();
}

/* The index-th, newest first; "" = none. */
static const char *text_of(size_t index)
{
	static char text[64];
	json_t *list = notes_describe("", NOTES_MAX);
	const char *found = json_string_value(
		json_object_get(json_array_get(list, index), "text"));

	(void)snprintf(text, sizeof(text), "%s", found != NULL ? found : "");
	json_decref(list);
	return text;
}

static size_t count_notes(void)
{
	json_t *list = notes_describe("", NOTES_MAX);
	size_t count = json_array_size(list);

	json_decref(list);
	return count;
}

static int32_t count_record(void *argument, const struct state_record *record)
{
	(void)record;
	++*(size_t *)argument;
	return 0;
}

static size_t count_records(void)
{
	size_t count = 0;

	CHECK(state_scan_now(BUCKET, state_text(""), count_record, &count,
			     &err) == ATOM_OK);
	return count;
}

static void keep(const char *key, const char *value)
{
	CHECK(state_write_behind(BUCKET, state_text(key), state_text(value),
				 &err) == ATOM_OK);
}

/* --- the log ----------------------------------------------------------------- */

static FILE *logged;

static void begin_log(void)
{
	logged = tmpfile();
	CHECK(logged);
	log_set_descriptor(fileno(logged));
}

static size_t count_lines(const char *event)
{
	char line[8192], wanted[64];
	size_t count = 0;

	(void)snprintf(wanted, sizeof(wanted), "\"event\":\"%s\"", event);
	rewind(logged);
	while (fgets(line, sizeof(line), logged))
		count += strstr(line, wanted) != NULL;
	(void)fseek(logged, 0, SEEK_END);
	return count;
}

/* --- cases ------------------------------------------------------------------- */

static void a_note_is_whole_after_a_restart(void)
{
	json_t *before, *after;

	add("too_slow", "a \"line\"\nand \xe2\x82\xac");
	before = notes_newest("too_slow", "a", 0);
	CHECK(before);
	restart();
	after = notes_newest("too_slow", "a", 0);
	CHECK(after && json_equal(before, after));
	json_decref(before);
	json_decref(after);
	notes_fini();
}

static void the_newest_are_kept_in_memory_and_in_the_store(void)
{
	add_numbers(1, NOTES_MAX + 7);
	CHECK(count_records() == NOTES_MAX);
	restart();
	CHECK(count_notes() == NOTES_MAX);
	CHECK(strcmp(text_of(0), "207") == 0);
	CHECK(strcmp(text_of(NOTES_MAX - 1), "8") == 0);
	/* Numbers go on behind those of before. */
	add_numbers(NOTES_MAX + 8, NOTES_MAX + 8);
	CHECK(count_records() == NOTES_MAX);
	restart();
	CHECK(strcmp(text_of(0), "208") == 0);
	CHECK(strcmp(text_of(1), "207") == 0);
	CHECK(strcmp(text_of(NOTES_MAX - 1), "9") == 0);
	notes_fini();
}

/* As where a crash came between a new one and the end of the oldest. */
static void more_than_are_kept_are_ended_at_the_start(void)
{
	add_numbers(1, NOTES_MAX);
	keep("00000000000000ff", "{\"time\":\"2026-01-02T03:04:05.000Z\","
				 "\"monitor\":\"m\",\"text\":\"last\"}");
	CHECK(count_records() == NOTES_MAX + 1);
	restart();
	CHECK(count_notes() == NOTES_MAX);
	CHECK(strcmp(text_of(0), "last") == 0);
	CHECK(strcmp(text_of(NOTES_MAX - 1), "2") == 0);
	CHECK(count_records() == NOTES_MAX);
	notes_fini();
}

static void what_is_no_note_is_told_once_and_left_out(void)
{
	begin_log();
	add("", "good");
	keep("0000000000000002", "");
	keep("0000000000000003", "{]");
	keep("0000000000000004", "[1]");
	keep("0000000000000005", "{\"time\":\"yesterday\",\"monitor\":\"m\","
				 "\"text\":\"x\"}");
	keep("0000000000000006", "{\"time\":\"2026-01-02T03:04:05.000Z\","
				 "\"monitor\":\"m\",\"text\":7}");
	keep("0000000000000007", "{\"time\":\"2026-01-02T03:04:05.000Z\","
				 "\"monitor\":\"m\",\"text\":\"plain\"}");
	keep("an old one", "x");
	keep("000000000000000F", "x");
	keep("ffffffffffffffff", "x");
	keep("0000000000000000", "x");
	restart();
	CHECK(count_lines("annotations_not_read") == 1);
	CHECK(count_notes() == 2);
	CHECK(strcmp(text_of(0), "plain") == 0);
	CHECK(strcmp(text_of(1), "good") == 0);
	/* They take part in what is kept at most, and new ones stay. */
	add_numbers(1, 2);
	restart();
	CHECK(count_notes() == 4);
	CHECK(strcmp(text_of(0), "2") == 0);
	notes_fini();
}

static void a_text_of_the_store_is_cleaned_as_one_of_a_monitor(void)
{
	keep("0000000000000001", "{\"time\":\"2026-01-02T03:04:05.000Z\","
				 "\"monitor\":\"m\",\"agent\":\"a\\u0007\","
				 "\"text\":\"a\\u001b[31m\"}");
	restart();
	CHECK(strcmp(text_of(0), "a [31m") == 0);
	notes_fini();
}

static void a_store_that_takes_no_more_is_told_once_and_again_when_it_does(void)
{
	const size_t size = 256 * 1024; /* less than the notes are */
	char *big = calloc(1, size + 1), key[16];
	struct commit c;

	CHECK(big);
	memset(big, 'x', size);
	begin_log();
	set(&store.fail, true);
	(void)commit(&c, "k", "v", STATE_ANY);
	wait_health(true);
	for (size_t i = 0;; i++) {
		(void)snprintf(key, sizeof(key), "%zu", i);
		if (state_write_behind("b", state_text(key),
				       (struct atom_span){ big, size },
				       &err) != ATOM_OK)
			break;
	}
	big[ATOM_ANNOTATION_MAX] = '\0';
	for (int i = 0; i < NOTES_MAX; i++)
		add("", big);
	CHECK(count_lines("annotations_not_kept") == 1);
	CHECK(count_lines("annotations_kept") == 0);
	CHECK(count_notes() == NOTES_MAX);
	set(&store.fail, false);
	wait_health(false);
	CHECK(count_records() <= NOTES_MAX);
	add_numbers(1, 2);
	CHECK(count_lines("annotations_kept") == 1);
	restart();
	CHECK(strcmp(text_of(0), "2") == 0);
	free(big);
	notes_fini();
}

static const struct one_case cases[] = {
	CASE(a_note_is_whole_after_a_restart),
	CASE(the_newest_are_kept_in_memory_and_in_the_store),
	CASE(more_than_are_kept_are_ended_at_the_start),
	CASE(what_is_no_note_is_told_once_and_left_out),
	CASE(a_text_of_the_store_is_cleaned_as_one_of_a_monitor),
	CASE(a_store_that_takes_no_more_is_told_once_and_again_when_it_does),
};

int main(void)
{
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
