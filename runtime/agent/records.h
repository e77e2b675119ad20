/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_RECORDS_H
#define AGENT_RECORDS_H

/*
 * Revisions as they are kept: what an agent's settings were, from when on,
 * by whom and why.  A record is written once, before anything is done with
 * it, and never changed; it goes when newer ones push it out
 * (`revision_history`).
 *
 * In the store, bucket "revisions", key "NAME/0000000003", JSON:
 *
 *	{"revision":3, "hash": SHA-256 of the canonical text, "time":...,
 *	 "origin":"file"|"api"|"undo", "who":"key:...", "why":"...",
 *	 "before":2 (0: the first), "undone_to":1 (of an undo),
 *	 "folder": where relative ${file:} paths of the text begin,
 *	 "difference":[{"key","from","to"}], "text": libconfig}
 *
 * The text is what was written: its references are not resolved, so what
 * ${file:} and ${env:} stand for is not in it.  The difference shows no value
 * of an option that is declared secret.
 *
 * All of it [control], but for record_*, which are pure. [any]
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "state/state.h"

#define RECORDS_BUCKET "revisions"
#define RECORD_KEY_MAX 80
#define RECORD_WHY_MAX 1000 /* bytes of a reason */

enum record_origin {
	RECORD_FILE,
	RECORD_API,
	RECORD_UNDO
};

/* Who changes an agent, and why; lent. */
struct record_change {
	enum record_origin origin;
	const char *who;   /* the principal's name; "" of the file */
	const char *why;   /* "" = not said */
	int64_t undone_to; /* of an undo: whose text it is; else 0 */
	bool replay;	   /* recorded inputs come before its first weight */
};

/* "NAME/0000000003" */
void record_key(const char *agent, int64_t number, char out[RECORD_KEY_MAX]);
/* SHA-256 of the whole canonical text of an agent's group, `scaling` too, as
 * 64 hexadecimal digits. */
atom_status record_hash(const struct setting *setting, char hex_r[65]);
/* A record of `setting`, an agent's group; `before` is the group of the
 * revision before it, `before_number`; NULL: there is none, and no difference.
 * The record is the receiver's. */
atom_status record_make(const struct setting *setting, const char *folder,
			int64_t number, const struct record_change *change,
			int64_t time_ms, const struct setting *before,
			int64_t before_number, json_t **record_r,
			struct atom_error *err);
/* A stored value as a record.  ATOM_EDATALOSS, with what to do, when it does
 * not open or is no record `number` of `agent`. */
atom_status record_decode(const char *agent, int64_t number,
			  const struct state_record *stored, json_t **record_r,
			  struct atom_error *err);
/* The record's text as settings, references unresolved; checked against its
 * hash: ATOM_EDATALOSS when it is not what was kept. */
atom_status record_setting(const char *agent, const json_t *record,
			   struct setting **setting_r, struct atom_error *err);
/* The same as a checked configuration that holds this one agent, its
 * references resolved now.  ATOM_EINVAL: it was right once, and is not any
 * more (a variable or a file is gone); the error's first lines say why. */
atom_status record_config(const char *agent, const json_t *record,
			  const struct config *defaults,
			  struct config **holder_r, struct atom_error *err);
/* Names of options that are secret in an agent's group by its backend; for
 * setting_print.  False: its backend is not here, so nobody knows which.
 * *names_r: mem_free() it. */
bool record_secret_names(const struct setting *setting, const char ***names_r);

/* A kept revision as a checked configuration, on the spot: for the start, and
 * for what resumes there.  Errors as above; ATOM_ENOENT: it is not kept. */
atom_status records_config_now(const char *agent, int64_t number,
			       const struct config *defaults,
			       struct config **holder_r,
			       struct atom_error *err);

#endif
