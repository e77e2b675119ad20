/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_WORKFLOW_PRIV_H
#define AGENT_WORKFLOW_PRIV_H

/* A workflow as workflow.c runs it and workflow_steps.c fills it. [control] */

#include "agent/rollouts_priv.h"
#include "agent/workflow.h"
#include "audit/audit.h"

enum workflow_state {
	WORKFLOW_RUNNING,
	WORKFLOW_SUCCESS,
	WORKFLOW_PARTIAL,
	WORKFLOW_SKIPPED
};

enum workflow_step_state {
	STEP_PENDING,
	STEP_RUNNING,
	STEP_SUCCESS,
	STEP_FAILED,
	STEP_SKIPPED
};

#define WORKFLOW_STEPS 5
#define RESULT_MAX     240

/* What a step says of itself each time it is asked. */
enum workflow_verdict {
	STEP_GOES_ON,
	STEP_IS_DONE,
	STEP_FAILS
};

struct workflow_step {
	int32_t state; /* enum workflow_step_state */
	int64_t duration_ms;
	char result[RESULT_MAX];
	json_t *evidence; /* list of sentences, or NULL */
};

/* A question that is put once in a step, and answered later. */
enum workflow_slot {
	SLOT_PREVIEW,
	SLOT_AUDIT,
	SLOT_COMPLIANCE,
	SLOTS
};

struct workflow_answer {
	bool put;
	bool there;
	atom_status status;
	char message[RESULT_MAX];
	int64_t duration_ms; /* of a preview; so are */
	int64_t tokens;
	int64_t output_bytes;
};

struct workflow {
	int32_t refs;
	struct live *live; /* NULL: it has ended */
	int32_t state;	   /* enum workflow_state */
	int32_t step;	   /* the one that is on; WORKFLOW_STEPS: none */
	uint32_t turn;	   /* of steps begun: older answers do not count */
	int64_t looked_ns; /* 0: not in this step yet */
	struct workflow_step steps[WORKFLOW_STEPS];
	struct workflow_answer answers[SLOTS];
	void *preview;	/* under way; NULL: none is */
	uint64_t event; /* that the monitors shall hear; 0: none yet */
};

/* Put and not answered yet: it holds the workflow. */
struct workflow_question {
	struct workflow *workflow;
	uint32_t turn;
	int32_t slot;
	struct audit_waiter waiter;
};

/* NULL: no memory.  The slot is `put`. */
struct workflow_question *workflow_ask(struct workflow *w,
				       enum workflow_slot slot);
/* Where the answer belongs, or NULL: nobody wants it any more.  After it,
 * workflow_answered(), in either case, which frees the question. */
struct workflow_answer *workflow_place(struct workflow_question *question);
void workflow_answered(struct workflow_question *question);

/* The result of the step that is on. */
ATOM_PRINTF(2, 3)
void workflow_say(struct workflow *w, const char *format, ...);
ATOM_PRINTF(2, 3)
void workflow_evidence(struct workflow *w, const char *format, ...);
/* The longest that a step may take. */
int64_t workflow_timeout_ms(const struct workflow *w);
/* Does the environment demand compliance, and of which checks? */
enum config_compliance workflow_demand(const struct workflow *w);

extern const struct workflow_outside *workflow_outside;

struct workflow_kind {
	const char *name;
	enum workflow_verdict (*look)(struct workflow *w);
};
extern const struct workflow_kind workflow_kinds[WORKFLOW_STEPS];

/* workflow_ready.c */
enum workflow_verdict workflow_readiness(struct workflow *w);

#endif
