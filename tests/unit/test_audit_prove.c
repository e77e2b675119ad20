/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs that a record is in the log; and `atomctl audit` on folders, as a
 * user runs it.
 */
#include "file_sink_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "audit/prove.h"

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

static const struct verify_unsealer unsealer = { .open = audit_unseal };

static void begin(void)
{
	audit_load();
	audit_begin();
	audit_options.segment_size = 8192;
}

TestSuite(audit_prove, .init = begin, .fini = audit_end, .timeout = 120);

static uint64_t pruned;

static void make_log(void)
{
	OK(audit_open());
	for (size_t i = 0; i < 14; i++) {
		audit_fill(11 + i);
		OK(audit_checkpoint());
	}
	OK(audit_ops->prune(audit_sink, 70, &pruned, &audit_err));
	cr_assert_gt(pruned, 0);
	audit_fill(9);
	audit_close();
}

static void expect_all_proved(void)
{
	struct record_proof proof;
	struct note_head head;
	uint64_t last = audit_log.sequence - 9;

	for (uint64_t i = pruned + 1; i <= last; i++) {
		OK(prove_record(audit_path, i, &unsealer, &proof, &audit_err));
		OK(prove_check(&proof, &audit_log.signer.verifier, &head,
			       &audit_err));
		cr_assert_geq(head.size, i);
		cr_assert_lt(head.size, i + 25);
		record_proof_fini(&proof);
	}
	cr_assert_eq(
		prove_record(audit_path, pruned, &unsealer, &proof, &audit_err),
		ATOM_ENOENT);
	cr_assert(strstr(audit_err.message, "pruned"), "%s", audit_err.message);
	cr_assert_eq(prove_record(audit_path, last + 1, &unsealer, &proof,
				  &audit_err),
		     ATOM_ENOENT);
	cr_assert(strstr(audit_err.message, "no signed head"), "%s",
		  audit_err.message);
	cr_assert_eq(prove_record(audit_path, last + 10, &unsealer, &proof,
				  &audit_err),
		     ATOM_ENOENT);
	cr_assert(strstr(audit_err.message, "the last one is"), "%s",
		  audit_err.message);
}

Test(audit_prove, each_record_that_is_kept_is_proved)
{
	make_log();
	expect_all_proved();
}

Test(audit_prove, sealed_records_are_proved_with_the_keyring)
{
	struct record_proof proof;

	audit_options.encrypt = 1;
	make_log();
	expect_all_proved();
	cr_assert_eq(
		prove_record(audit_path, pruned + 1, NULL, &proof, &audit_err),
		ATOM_ENOTSUP);
}

Test(audit_prove, a_changed_proof_proves_nothing)
{
	struct record_proof proof;
	struct note_head head;
	const struct note_verifier *key = &audit_log.signer.verifier;

	make_log();
	OK(prove_record(audit_path, 100, NULL, &proof, &audit_err));
	for (size_t i = 0; i < proof.record.length; i++) {
		proof.record.bytes[i] ^= 2;
		cr_assert_eq(prove_check(&proof, key, &head, &audit_err),
			     ATOM_EDATALOSS);
		proof.record.bytes[i] ^= 2;
	}
	for (size_t i = 0; i < proof.note_length; i++) {
		proof.note[i] ^= 1;
		cr_assert_eq(prove_check(&proof, key, &head, &audit_err),
			     ATOM_EDATALOSS, "%zu", i);
		proof.note[i] ^= 1;
	}
	cr_assert_gt(proof.path.count, 3);
	for (uint32_t i = 0; i < proof.path.count; i++) {
		proof.path.hashes[i][7] ^= 1;
		cr_assert_eq(prove_check(&proof, key, &head, &audit_err),
			     ATOM_EDATALOSS);
		proof.path.hashes[i][7] ^= 1;
	}
	proof.sequence++;
	cr_assert_eq(prove_check(&proof, key, &head, &audit_err),
		     ATOM_EDATALOSS);
	proof.sequence--;
	OK(prove_check(&proof, key, &head, &audit_err));
	record_proof_fini(&proof);
}

/* --- the tool ------------------------------------------------------------- */

static char output[16384];

/* Runs atomctl with these words, which may name $LOG and $TEST; its exit
 * code.  `output` has what it printed, errors too. */
static int atomctl(const char *words)
{
	const char *tool = getenv("ATOMCTL");
	char line[1024];
	FILE *pipe;
	size_t length;
	int status;

	cr_assert_eq(setenv("LOG", audit_path, 1), 0);
	cr_assert_eq(setenv("TEST", audit_folder, 1), 0);
	(void)snprintf(line, sizeof(line), "%s %s 2>&1",
		       tool ? tool : "./atomctl", words);
	pipe = popen(line, "r");
	cr_assert(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	status = pclose(pipe);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *verdict(void)
{
	static char word[32];
	json_t *document = json_loads(output, JSON_DISABLE_EOF_CHECK, NULL);
	const char *text =
		json_string_value(json_object_get(document, "verdict"));

	cr_assert(text, "%s", output);
	(void)snprintf(word, sizeof(word), "%s", text);
	json_decref(document);
	return word;
}

Test(audit_prove, atomctl_verifies_a_folder)
{
	size_t length;
	char *text;

	make_log();
	cr_assert_eq(atomctl("audit verify $LOG"), 0, "%s", output);
	cr_assert_eq(strncmp(output, "sound: ", 7), 0, "%s", output);
	cr_assert_eq(atomctl("--json audit verify $LOG"), 0, "%s", output);
	cr_assert_str_eq(verdict(), "sound");
	cr_assert_eq(atomctl("audit verify $LOG --public-key "
			     "$LOG/verifier.pub --checkpoints $LOG/head"),
		     0, "%s", output);
	cr_assert(strstr(output, "1 signed heads kept outside agree"), "%s",
		  output);
	text = audit_file("verifier.pub", &length);
	text[20] ^= 1;
	audit_put_file("../other.pub", text, length);
	free(text);
	cr_assert_eq(atomctl("audit verify $LOG --public-key $TEST/other.pub"),
		     1);
	text = audit_file("segment-00000003.log", &length);
	strstr(text, "\nR ")[100] ^= 1;
	audit_put_file("segment-00000003.log", text, length);
	free(text);
	cr_assert_eq(atomctl("audit verify $LOG"), 1);
	cr_assert(strstr(output, "the log is tampered, first bad record "),
		  "%s", output);
	cr_assert(strstr(output, "segment-00000003.log, byte "), "%s", output);
	cr_assert_eq(atomctl("audit verify $LOG --json"), 1);
	cr_assert_str_eq(verdict(), "tampered");
	cr_assert_eq(atomctl("audit verify $LOG/none"), 1);
	cr_assert_eq(atomctl("audit verify a b"), 2);
}

Test(audit_prove, atomctl_proves_and_checks)
{
	make_log();
	cr_assert_eq(atomctl("audit prove 100 $LOG >$TEST/proof"), 0, "%s",
		     output);
	cr_assert_eq(atomctl("audit prove --check $TEST/proof"), 0, "%s",
		     output);
	cr_assert(strstr(output, "record 100 is in log 00112233445566aa"), "%s",
		  output);
	cr_assert(strstr(output, "--public-key"), "%s", output);
	cr_assert_eq(atomctl("audit prove --check $TEST/proof --public-key "
			     "\"$(cat $LOG/verifier.pub)\""),
		     0, "%s", output);
	cr_assert_null(strstr(output, "--public-key"), "%s", output);
	cr_assert_eq(system("sed -i s/security_events/security_event5/ "
			    "$TEST/proof"),
		     0);
	cr_assert_eq(atomctl("audit prove --check $TEST/proof"), 1);
	cr_assert(strstr(output, "proves nothing"), "%s", output);
	cr_assert_eq(atomctl("audit prove 1 $LOG"), 1);
	cr_assert_eq(atomctl("audit prove 0 $LOG"), 2);
	cr_assert_eq(atomctl("audit prove"), 2);
	cr_assert_eq(atomctl("audit prune"), 2);
}
