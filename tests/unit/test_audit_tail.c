/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a log that was not written on: torn by a crash, which is sound, or
 * changed, which is not. And sealed lines, whose unsealer lies.
 */
#include "file_sink_fixture.h"
#include "segment_forge.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "audit/verify.h"
#include "core/memory.h"
#include "failing_openssl.h"

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

static struct verify_result result;
static struct verify_unsealer unsealer = { .open = audit_unseal };
static struct atom_error err;

static void begin(void)
{
	audit_load();
	audit_begin();
}

static void finish(void)
{
	verify_result_fini(&result);
	audit_end();
}

TestSuite(audit_tail, .init = begin, .fini = finish, .timeout = 240);

/* A signed head, of 17 records. */
static void fill(void)
{
	audit_fill(17);
	audit_now_ms += 1000;
	OK(audit_checkpoint());
}

static atom_status look(void)
{
	struct verify_request request = { .path = audit_path,
					  .unsealer = &unsealer };

	verify_result_fini(&result);
	err = (struct atom_error)ATOM_ERROR_INIT;
	return verify_log(&request, &result, &err);
}

static void expect(enum verify_verdict verdict, const char *word)
{
	cr_assert_eq(look(), ATOM_OK, "%s", err.message);
	cr_assert_eq(result.verdict, verdict, "%s in %s: %s",
		     verify_verdict_name(result.verdict), result.file,
		     result.reason);
	cr_assert_not_null(strstr(result.reason, word), "\"%s\" lacks \"%s\"",
			   result.reason, word);
}

/* --- tails -------------------------------------------------------------------------- */

#define ONLY FORGE_SEGMENT(1)
#define HEX64                              \
	"0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef"

/* The last byte of the file, a line's end, is another one. */
static void spoil_end(const char *file)
{
	size_t length;
	char *text = audit_file(file, &length);

	cr_assert_eq(text[length - 1], '\n');
	text[length - 1] = '!';
	audit_put_file(file, text, length);
	free(text);
}

Test(audit_tail, a_line_whose_end_alone_is_wrong_was_not_torn)
{
	OK(audit_open());
	fill();
	audit_close();
	forge_keep();
	spoil_end(ONLY); /* of a signed head */
	expect(VERIFY_TAMPERED, "a line behind record 17");
	forge_restore();
	forge_append(ONLY, "S " HEX64 "\n", 3 + 64);
	forge_digests(ONLY);
	expect(VERIFY_SOUND, "");
	spoil_end(ONLY); /* of a mark */
	expect(VERIFY_TAMPERED, "a line behind record 17");
}

Test(audit_tail, a_record_without_its_end_is_whole_by_its_hash)
{
	OK(audit_open());
	audit_fill(3);
	audit_close();
	forge_keep();
	spoil_end(ONLY);
	expect(VERIFY_TAMPERED, "a line behind record 2");
	/* One that could not be looked at is not passed over in silence. */
	for (unsigned int n = 1, failed = 1; failed; n++) {
		failing_openssl_begin(n);
		cr_assert(look() != ATOM_OK ||
			  result.verdict == VERIFY_TAMPERED ||
			  result.torn_bytes > 0);
		failed = failing_openssl_end();
	}
	forge_restore();
	forge_append(ONLY, "R 4 " HEX64 " {}!", 4 + 64 + 4);
	expect(VERIFY_SOUND, "");
	cr_assert_eq(result.torn_bytes, 4 + 64 + 4);
	forge_restore();
	forge_append(ONLY, "R 9 " HEX64 " {}!", 4 + 64 + 4);
	expect(VERIFY_SOUND, "");
	/* The first one of a log without a key: what its hash follows from is
	 * not known. */
	forge_restore();
	forge_edit(&(struct forge_edit){ ONLY, "R 3 ", 0, 0, "-" });
	forge_edit(&(struct forge_edit){ ONLY, "R 2 ", 0, 0, "-" });
	forge_edit(&(struct forge_edit){ ONLY, "S ", 0, 0, "-" });
	spoil_end(ONLY);
	expect(VERIFY_SOUND, "");
	cr_assert_eq(result.records, 0);
}

Test(audit_tail, a_sealed_line_without_its_end_is_whole_if_it_opens)
{
	audit_options.encrypt = 1;
	OK(audit_open());
	audit_fill(3);
	audit_close();
	forge_keep();
	spoil_end(ONLY);
	expect(VERIFY_TAMPERED, "a line behind record");
	forge_restore();
	forge_append(ONLY, "E 4 1 AAAA!", 11);
	expect(VERIFY_SOUND, "");
	cr_assert_eq(result.torn_bytes, 11);
}

/* What stands behind the last line: a crash's, or somebody's. */
Test(audit_tail, a_tail_is_torn_by_its_end_or_by_lost_pages)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t length;
		size_t zeros; /* in front of them */
		bool page;    /* and as many as fill a sector */
		bool torn;
	} rows[] = {
		{ "no end", "X", 1, 0, false, true },
		{ "a line", "X\n", 2, 0, false, false },
		{ "zeros at the end", "", 0, 16, false, true },
		{ "a few zeros and a line", "X\n", 2, 15, false, false },
		{ "zeros and a line", "X\n", 2, 16, false, false },
		{ "a sector and a line", "X\n", 2, 16, true, true },
		{ "a sector and a mark", "\nS " HEX64 "\n", 68, 16, true,
		  false },
		{ "half a mark", "X\nS ab", 6, 0, false, false },
		{ "a mark without an end", "X\nS " HEX64, 68, 0, false, false },
		{ "a mark and more", "\nS " HEX64 "x\n", 69, 16, true, true },
		{ "a mark with a NUL", "\nS ab\0" HEX64 "\n", 71, 16, true,
		  true },
		{ "no mark", "\nS xb" HEX64 "\n", 70, 16, true, true },
	};
	size_t length, zeros;
	char *text;

	OK(audit_open());
	fill();
	audit_close();
	forge_keep();
	free(audit_file(ONLY, &length));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		zeros = rows[i].zeros;
		if (rows[i].page)
			zeros += 512 - (length + zeros) % 512;
		text = calloc(1, zeros + 1);
		forge_restore();
		forge_append(ONLY, text, zeros);
		forge_append(ONLY, rows[i].bytes, rows[i].length);
		free(text);
		cr_assert_eq(look(), ATOM_OK);
		cr_assert_eq(result.verdict,
			     rows[i].torn ? VERIFY_SOUND : VERIFY_TAMPERED,
			     "%s: %s", rows[i].what, result.reason);
		cr_assert_eq(result.torn_bytes,
			     rows[i].torn ? zeros + rows[i].length : 0);
	}
}

/* --- an unsealer that lies ------------------------------------------------------------ */

static enum lie {
	TEXT,
	NO_END,
	FEWER,
	MORE,
	CHANGED,
	NO_MEMORY,
	NO_MEMORY_LATER, /* for the frame of record 4 */
	REFUSED,
	REFUSED_WITH_REASON,
} lie;

static atom_status lie_about(void *argument, const struct atom_span *identity,
			     const struct atom_span *sealed, char *out,
			     size_t *length_r, struct atom_error *why)
{
	const char more[] = "R 9 " HEX64 " {}\n";
	atom_status status =
		audit_unseal(argument, identity, sealed, out, length_r, why);
	char *last;

	if (lie == NO_MEMORY_LATER)
		return status == ATOM_OK ? status : ATOM_ENOMEM;
	if (status != ATOM_OK)
		return status;
	switch (lie) {
	case TEXT:
		memcpy(out, "R one\n", *length_r = 6);
		break;
	case NO_END:
		--*length_r;
		break;
	case FEWER:
		last = memrchr(out, '\n', *length_r - 1);
		*length_r = last != NULL ? (size_t)(last + 1 - out) : 0;
		break;
	case MORE:
		memcpy(out, more, *length_r = sizeof(more) - 1);
		break;
	case CHANGED:
		out[*length_r - 3] ^= 1;
		break;
	case NO_MEMORY:
		return ATOM_ENOMEM;
	case REFUSED:
		return ATOM_EDATALOSS;
	default:
		return atom_fail(why, ATOM_EDATALOSS, "for a reason");
	}
	return ATOM_OK;
}

Test(audit_tail, what_was_sealed_is_what_the_line_names)
{
	static const struct {
		enum lie lie;
		const char *word;
	} rows[] = {
		{ TEXT, "something else than the records it names" },
		{ NO_END, "something else than the records it names" },
		{ MORE, "something else than the records it names" },
		{ FEWER, "fewer records than it names" },
		{ CHANGED, "and the hash that stands with it" },
		{ REFUSED, "does not open" },
		{ REFUSED_WITH_REASON, "does not open: for a reason" },
	};

	audit_options.encrypt = 1;
	OK(audit_open());
	audit_fill(3);
	audit_close();
	unsealer.open = lie_about;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lie = rows[i].lie;
		expect(VERIFY_TAMPERED, rows[i].word);
	}
	lie = NO_MEMORY;
	cr_assert_eq(look(), ATOM_ENOMEM);
	/* What could not be opened for that is not taken for torn. */
	forge_append(ONLY, "E 4 1 AAAA!", 11);
	lie = NO_MEMORY_LATER;
	expect(VERIFY_TAMPERED, "a line behind record 3");
}
