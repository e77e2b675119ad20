/* SPDX-License-Identifier: Apache-2.0 */
#include "segment_forge.h"

#include <dirent.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/tree.h"
#include "core/text.h"
#include "file_sink_fixture.h"

#define FILES_MAX 64
#define DIGITS	  ((size_t)64)

#define MUST(condition)                                                      \
	do {                                                                 \
		if (!(condition)) {                                          \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, \
				#condition);                                 \
			abort();                                             \
		}                                                            \
	} while (0)

/* --- files ------------------------------------------------------------------ */

static struct {
	char name[64];
	char *bytes;
	size_t length;
} kept[FILES_MAX];
static size_t kept_count;

static void path_of(char out[256], const char *name)
{
	(void)snprintf(out, 256, "%.100s/%.64s", audit_path, name);
}

static void clear_folder(void)
{
	DIR *names = opendir(audit_path);
	struct dirent *entry;
	char path[256];

	MUST(names != NULL);
	while ((entry = readdir(names)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		path_of(path, entry->d_name);
		MUST(remove(path) == 0);
	}
	(void)closedir(names);
}

void forge_keep(void)
{
	DIR *names = opendir(audit_path);
	struct dirent *entry;

	MUST(names != NULL);
	while (kept_count > 0)
		free(kept[--kept_count].bytes);
	while ((entry = readdir(names)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		MUST(kept_count < FILES_MAX);
		(void)snprintf(kept[kept_count].name,
			       sizeof(kept[kept_count].name), "%.60s",
			       entry->d_name);
		kept[kept_count].bytes =
			audit_file(entry->d_name, &kept[kept_count].length);
		kept_count++;
	}
	(void)closedir(names);
}

void forge_restore(void)
{
	clear_folder();
	for (size_t i = 0; i < kept_count; i++)
		audit_put_file(kept[i].name, kept[i].bytes, kept[i].length);
}

void forge_append(const char *file, const char *bytes, size_t length)
{
	size_t before;
	char *text = audit_file(file, &before);
	char *out = malloc(before + length);

	MUST(text != NULL && out != NULL);
	memcpy(out, text, before);
	memcpy(out + before, bytes, length);
	audit_put_file(file, out, before + length);
	free(out);
	free(text);
}

void forge_remove(const char *file)
{
	char path[256];

	path_of(path, file);
	MUST(unlink(path) == 0);
}

void forge_folder(const char *file)
{
	char path[256];

	path_of(path, file);
	MUST(unlink(path) == 0 && mkdir(path, 0700) == 0);
}

/* --- words ------------------------------------------------------------------ */

static char *find_line(char *text, const char *prefix, size_t nth)
{
	size_t length = strlen(prefix);

	for (char *at = text; at != NULL && *at != '\0';) {
		if (strncmp(at, prefix, length) == 0 && nth-- == 0)
			return at;
		at = strchr(at, '\n');
		at = at != NULL ? at + 1 : NULL;
	}
	return NULL;
}

/* Where word n of the line begins and ends.  A note's words are one: behind
 * its range, up to the digest or the line's end. */
static void find_word(char *line, size_t n, char **begin_r, char **end_r)
{
	static const struct {
		const char *line;
		size_t note;
		bool digest;
	} notes[] = { { "C ", 3, true },
		      { "T ", 10, true },
		      { "checkpoint ", 3, false } };
	char *stop = strchr(line, '\n');
	char *begin = line;

	MUST(stop != NULL);
	for (size_t i = 0; i < n; i++) {
		begin = memchr(begin, ' ', (size_t)(stop - begin));
		MUST(begin != NULL);
		begin++;
	}
	*begin_r = begin;
	*end_r = memchr(begin, ' ', (size_t)(stop - begin));
	if (*end_r == NULL)
		*end_r = stop;
	for (size_t i = 0; i < 3; i++)
		if (strncmp(line, notes[i].line, strlen(notes[i].line)) == 0 &&
		    n == notes[i].note)
			*end_r = notes[i].digest ? stop - DIGITS - 1 : stop;
}

static void splice(const char *file, char *text, size_t length,
		   const char *begin, const char *end, const char *to,
		   size_t to_length)
{
	size_t before = (size_t)(begin - text);
	size_t behind = length - (size_t)(end - text);
	char *out = malloc(before + to_length + behind + 1);

	MUST(out != NULL);
	memcpy(out, text, before);
	memcpy(out + before, to, to_length);
	memcpy(out + before + to_length, end, behind);
	audit_put_file(file, out, before + to_length + behind);
	free(out);
}

void forge_edit(const struct forge_edit *edit)
{
	size_t length;
	char *text = audit_file(edit->file, &length);
	char *line, *begin, *end, *other, *other_end;

	MUST(text != NULL);
	line = find_line(text, edit->line, edit->nth);
	MUST(line != NULL);
	find_word(line, edit->word, &begin, &end);
	if (edit->to[0] == '~') {
		*begin = *begin == 'a' ? 'b' : 'a';
		audit_put_file(edit->file, text, length);
	} else if (edit->to[0] == '+') {
		splice(edit->file, text, length, line, line, "\n", 1);
	} else if (strcmp(edit->to, "-") == 0 && edit->word == 0) {
		splice(edit->file, text, length, line, strchr(line, '\n') + 1,
		       "", 0);
	} else if (edit->to[0] == '!') {
		splice(edit->file, text, length, begin, strchr(line, '\n'), "-",
		       1);
	} else if (edit->to[0] == '^') {
		other = find_line(text, edit->line, edit->nth - 1);
		MUST(other != NULL);
		find_word(other, edit->word, &other, &other_end);
		splice(edit->file, text, length, begin, end, other,
		       (size_t)(other_end - other));
	} else {
		splice(edit->file, text, length, begin, end, edit->to,
		       strlen(edit->to));
	}
	free(text);
}

/* --- what needs no key -------------------------------------------------------- */

static void update(EVP_MD_CTX *context, const char *bytes, size_t length)
{
	MUST(EVP_DigestUpdate(context, bytes, length) == 1);
}

static void digest_now(const EVP_MD_CTX *context, char out[DIGITS + 1])
{
	EVP_MD_CTX *now = EVP_MD_CTX_new();
	uint8_t hash[32];

	MUST(EVP_MD_CTX_copy_ex(now, context) == 1 &&
	     EVP_DigestFinal_ex(now, hash, NULL) == 1);
	EVP_MD_CTX_free(now);
	text_to_hex(hash, sizeof(hash), out);
}

static bool has_digest(const char *line, size_t length)
{
	return length > DIGITS &&
	       (strncmp(line, "S ", 2) == 0 || strncmp(line, "C ", 2) == 0 ||
		strncmp(line, "T ", 2) == 0 || strncmp(line, "end ", 4) == 0);
}

/* Makes the digests of the text right; what it is at the end. */
static void redigest(char *text, size_t length, char out[DIGITS + 1])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	char *end = text + length;

	MUST(EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
	for (char *line = text; line < end;) {
		char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t size;
		char digits[DIGITS + 1];
		uint64_t sequence;

		if (stop == NULL)
			stop = end;
		size = (size_t)(stop - line);
		if (has_digest(line, size)) {
			update(context, line, size - DIGITS);
			digest_now(context, digits);
			memcpy(stop - DIGITS, digits, DIGITS);
			update(context, digits, DIGITS);
			update(context, "\n", 1);
		} else if (sscanf(line, "R %" SCNu64 " ", &sequence) == 1 &&
			   sequence > 1) {
			char *json = strchr(strchr(line + 2, ' ') + 1, ' ') + 1;

			update(context, line, (size_t)(json - line));
		} else {
			update(context, line, size);
			update(context, "\n", 1);
		}
		line = stop + 1;
	}
	digest_now(context, out);
	EVP_MD_CTX_free(context);
}

void forge_digests(const char *file)
{
	char digest[DIGITS + 1];
	size_t length;
	char *text = audit_file(file, &length);

	MUST(text != NULL);
	redigest(text, length, digest);
	audit_put_file(file, text, length);
	free(text);
}

void forge_log(void)
{
	char file[64], digest[DIGITS + 1], bytes[32];
	bool linked = false;
	size_t length = 0;

	for (unsigned int number = 1; number < 100; number++) {
		char *text;

		(void)snprintf(file, sizeof(file), "segment-%08u.log", number);
		text = audit_file(file, &length);
		if (text == NULL)
			continue;
		free(text);
		if (linked) {
			forge_edit(&(struct forge_edit){ file, "previous ", 0,
							 2, bytes });
			forge_edit(&(struct forge_edit){ file, "previous ", 0,
							 3, digest });
		}
		text = audit_file(file, &length);
		redigest(text, length, digest);
		audit_put_file(file, text, length);
		(void)snprintf(bytes, sizeof(bytes), "%zu", length);
		linked = true;
		free(text);
	}
}

static void read_hex(const char *text, uint8_t out[32])
{
	for (size_t i = 0; i < 32; i++)
		MUST(sscanf(text + 2 * i, "%2hhx", &out[i]) == 1);
}

static void rechain(const char *file, uint64_t from)
{
	size_t length;
	char *text = audit_file(file, &length);
	uint8_t hash[CHAIN_HASH], leaf[TREE_HASH];
	uint64_t sequence;
	char *word, *end, *line;

	MUST(text != NULL);
	find_word(find_line(text, "before ", 0), 2, &word, &end);
	read_hex(word, hash);
	for (size_t i = 0; (line = find_line(text, "R ", i)) != NULL; i++) {
		char *json, *stop = strchr(line, '\n');
		char digits[DIGITS + 1];

		MUST(sscanf(line, "R %" SCNu64, &sequence) == 1);
		find_word(line, 2, &word, &json);
		json++;
		if (sequence == from)
			stop[-2] ^= 1; /* within the last value's quotes */
		MUST(tree_leaf(json, (size_t)(stop - json), leaf) &&
		     chain_step(hash, leaf));
		text_to_hex(hash, sizeof(hash), digits);
		memcpy(word, digits, DIGITS);
	}
	audit_put_file(file, text, length);
	free(text);
}

void forge_record(const char *file, uint64_t sequence)
{
	rechain(file, sequence);
}

void forge_chain(const char *file)
{
	rechain(file, 0);
}
