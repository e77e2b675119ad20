/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMPLIANCE_CHECK_H
#define COMPLIANCE_CHECK_H

/*
 * What checks are made of: a row of the catalogue, what a run knows, and the
 * finding that a check leaves.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "audit/audit.h"
#include "compliance/compliance.h"
#include "core/loop.h"
#include "security/keys.h"

enum check_status {
	CHECK_PASS,
	CHECK_FAIL,
	CHECK_ERROR,	      /* it could not be found out */
	CHECK_NOT_APPLICABLE, /* there is nothing here that it asks about */
	CHECK_NOT_CHECKED /* a matter of the organisation, not of a daemon */
};

/* When and where a check runs. */
enum check_phase {
	PHASE_WITH_KEY, /* [pool] the probe key is in force */
	PHASE_REVOKED,	/* [pool] it has been revoked */
	PHASE_CONTROL,	/* [control] after both */
	PHASE_NEVER	/* not checked */
};

struct finding {
	enum check_status status;
	char actual[512];
	json_t *evidence; /* list of sentences */
};

struct inspection {
	struct message message;
	struct work work;
	struct config *config;
	char **addresses; /* NULL-ended */
	struct compliance_route *routes;
	size_t route_count;

	/* The key of this run, and the word that is planted in its record. */
	char key[KEY_TEXT_MAX];
	char key_id[32];
	char canary[48];
	int64_t revoked_ns; /* when its revocation was stored */

	enum check_phase phase;
	struct finding *findings; /* in the catalogue's order */
	json_t *accepted;	  /* id -> record */
	/* What was found of the record that this run makes. */
	struct audit_search search;
	atom_status searched;
	int64_t began_ms; /* Unix time */
	bool revoked;
	struct waiter *waiters;
};

struct check {
	const char *id;
	const char *title;
	const char *severity; /* "critical" "high" "medium" "low" */
	const char *expected;
	/* Words "framework:control", space between: SOC 2's trust services
	 * criteria, ISO/IEC 27001:2022 Annex A, Regulation (EU) 2024/1689. */
	const char *mappings;
	enum check_phase phase;
	void (*run)(struct inspection *inspection, struct finding *finding);
};

extern const struct check checks[];
extern const size_t check_count;

const char *check_status_name(enum check_status status);

/* The finding's status and its `actual`. */
ATOM_PRINTF(3, 4)
void find(struct finding *finding, enum check_status status, const char *format,
	  ...);
/* One more sentence of evidence; the first 50 are kept. */
ATOM_PRINTF(2, 3)
void find_evidence(struct finding *finding, const char *format, ...);

/* --- access.c ------------------------------------------------------------ */
void check_access_control(struct inspection *i, struct finding *f);
void check_least_privilege(struct inspection *i, struct finding *f);
void check_key_in_use(struct inspection *i, struct finding *f);
void check_key_revoked(struct inspection *i, struct finding *f);
void check_wrong_key(struct inspection *i, struct finding *f);
void check_anonymous(struct inspection *i, struct finding *f);
void check_key_expiry(struct inspection *i, struct finding *f);
void check_bootstrap_key(struct inspection *i, struct finding *f);
void check_request_bounds(struct inspection *i, struct finding *f);

/* --- transport.c --------------------------------------------------------- */
void check_tls_listeners(struct inspection *i, struct finding *f);
void check_tls_versions(struct inspection *i, struct finding *f);
void check_tls_certificate(struct inspection *i, struct finding *f);
void check_upstream_tls(struct inspection *i, struct finding *f);

/* --- storage.c ----------------------------------------------------------- */
void check_key_storage(struct inspection *i, struct finding *f);
void check_data_encryption(struct inspection *i, struct finding *f);
void check_file_modes(struct inspection *i, struct finding *f);
void check_state_durable(struct inspection *i, struct finding *f);
void check_secrets_by_reference(struct inspection *i, struct finding *f);

/* --- process.c ----------------------------------------------------------- */
void check_privileges(struct inspection *i, struct finding *f);
void check_core_dumps(struct inspection *i, struct finding *f);
void check_worker_isolation(struct inspection *i, struct finding *f);
void check_clock(struct inspection *i, struct finding *f);
void check_log_redaction(struct inspection *i, struct finding *f);
void check_plugin_files(struct inspection *i, struct finding *f);
void check_resource_bounds(struct inspection *i, struct finding *f);
void check_components(struct inspection *i, struct finding *f);

/* --- audit.c ------------------------------------------------------------- */
void check_audit_logging(struct inspection *i, struct finding *f);
void check_audit_integrity(struct inspection *i, struct finding *f);
void check_audit_outside(struct inspection *i, struct finding *f);
void check_audit_retention(struct inspection *i, struct finding *f);
void check_lockout(struct inspection *i, struct finding *f);
void check_rate_limits(struct inspection *i, struct finding *f);

#endif
