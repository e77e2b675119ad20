/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RUBRIC_H
#define GATEWAY_RUBRIC_H

/*
 * What a grader is asked about one answer, or about two, and how its own
 * answer is read.
 *
 * What was asked and answered is data of strangers, who may write for the
 * grader's eyes.  It stands as JSON strings, so that it holds no line and no
 * quotation mark of its own, between two marks that are drawn for each question
 * and that nobody could have known when the text was written (Hines et al.,
 * "Defending Against Indirect Prompt Injection Attacks With Spotlighting",
 * 2024); what the grader is to do stands before and after it.  This makes it
 * hard to steer a score, not impossible.
 *
 * Nothing here says which revision has answered.  Two answers are A and B; who
 * asks does so once in each order, for a model has a liking for a place (Zheng
 * et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", NeurIPS
 * 2023; Wang et al., "Large Language Models are not Fair Evaluators", ACL
 * 2024).
 *
 * Pure, but for the mark. [any]
 */

#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"

/* Room for a question: three texts of GRADED_TEXT_MAX, a byte escaped being
 * six, criteria, and the frame. */
#define RUBRIC_MAX	((size_t)512 * 1024)
#define RUBRIC_MARK_MAX 33
/* What a grader's answer may take. */
#define RUBRIC_ANSWER_TOKENS 400

struct rubric_text {
	const char *bytes;
	size_t length;
	bool cut; /* there was more of it */
};

/* Random, hexadecimal. */
void rubric_mark(char mark_r[RUBRIC_MARK_MAX]);

/* The last GRADED_TEXT_MAX bytes of what was asked, for the question stands at
 * its end; the first ones of an answer.  Whole characters. */
struct rubric_text rubric_tail(const char *bytes, size_t length);
struct rubric_text rubric_head(const char *bytes, size_t length, bool cut);

/* Appended; `criteria` "" are the built-in ones.  ATOM_ENOMEM. */
atom_status rubric_one(struct buffer *out, const char *criteria,
		       const char *mark, const struct rubric_text *asked,
		       const struct rubric_text *answer);
atom_status rubric_pair(struct buffer *out, const char *criteria,
			const char *mark, const struct rubric_text *asked,
			const struct rubric_text *a,
			const struct rubric_text *b);

/* One JSON object with "score", a number from 0 to 1, beside which "reason" may
 * stand, and nothing else, before it or behind it. */
bool rubric_read_one(const char *text, size_t length, double *score_r);
/* The same with "a" and "b". */
bool rubric_read_pair(const char *text, size_t length, double *a_r,
		      double *b_r);

#endif
