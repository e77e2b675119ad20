/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as an API key: what is taken has the documented form and its own
 * id and check, no text that differs from it in one character is taken too,
 * and with the right check the form alone decides.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "security/secret.h"

#define SECRET_AT (sizeof(SECRET_PREFIX) - 1 + SECRET_ID_LENGTH + 1)
#define CHECK_AT  (SECRET_TEXT_LENGTH - SECRET_CHECK)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool is_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z');
}

/* The form, said a second time and in another way. */
static bool has_form(const char *text)
{
	if (strlen(text) != SECRET_TEXT_LENGTH ||
	    memcmp(text, SECRET_PREFIX, sizeof(SECRET_PREFIX) - 1) != 0)
		return false;
	for (size_t i = sizeof(SECRET_PREFIX) - 1; i < SECRET_TEXT_LENGTH; i++)
		if (i + 1 == SECRET_AT ? text[i] != '_' : !is_digit(text[i]))
			return false;
	return true;
}

static void check_taken(char *text)
{
	char id[SECRET_ID_LENGTH + 1];
	char other[SECRET_ID_LENGTH + 1];

	if (!secret_parse(text, id))
		return;
	if (!has_form(text) || strlen(id) != SECRET_ID_LENGTH ||
	    memcmp(id, text + sizeof(SECRET_PREFIX) - 1, SECRET_ID_LENGTH) != 0)
		abort();
	for (size_t i = 0; i < SECRET_TEXT_LENGTH; i++) {
		char right = text[i];

		text[i] = right == 'a' ? 'b' : 'a';
		if (secret_parse(text, other))
			abort();
		text[i] = right;
	}
}

/* The same text with the check that belongs to it. */
static void check_form(char *text)
{
	char id[SECRET_ID_LENGTH + 1];

	if (strlen(text) != SECRET_TEXT_LENGTH)
		return;
	secret_check(text, CHECK_AT, text + CHECK_AT);
	if (secret_parse(text, id) != has_form(text))
		abort();
	check_taken(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* As long as it is, so that a sanitizer sees a byte too far. */
	char *text = calloc(1, size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, bytes, size);
	check_taken(text);
	check_form(text);
	free(text);
	return 0;
}
