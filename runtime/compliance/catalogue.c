/* SPDX-License-Identifier: Apache-2.0 */
#include "compliance/check.h"

#include "core/memory.h"

/*
 * The catalogue.  What is expected is said in our own words; the controls it
 * serves are named by their numbers: SOC 2's trust services criteria (2017,
 * points of focus of 2022), ISO/IEC 27001:2022 Annex A, and the EU's AI Act,
 * Regulation (EU) 2024/1689.
 */

#define SOC(control) "soc2:" control " "
#define ISO(control) "iso27001:" control " "
#define AIA(article) "eu-ai-act:" article " "

/* A row that no daemon can answer. */
#define ORGANISATION(id_, title_, expected_, mappings_)            \
	{                                                          \
		.id = (id_), .title = (title_), .severity = "low", \
		.expected = (expected_), .mappings = mappings_,    \
		.phase = PHASE_NEVER                               \
	}

const struct check checks[] = {
	/* --- access --- */
	{ "access_control", "Nothing is served without a principal", "critical",
	  "every route that is not public answers 401 without a credential",
	  SOC("CC6.1") ISO("A.5.15") ISO("A.8.3") AIA("15(5)"), PHASE_WITH_KEY,
	  check_access_control },
	{ "anonymous_access", "No role for callers without a credential",
	  "high", "security.anonymous_role is empty", SOC("CC6.1") ISO("A.8.5"),
	  PHASE_CONTROL, check_anonymous },
	{ "least_privilege", "Callers cannot administer", "critical",
	  "every route of operators answers 403 to a key of role caller",
	  SOC("CC6.3") ISO("A.5.18") ISO("A.8.2"), PHASE_WITH_KEY,
	  check_least_privilege },
	{ "key_use", "A new key works", "medium",
	  "a key made in this run is answered 200", SOC("CC6.2") ISO("A.5.16"),
	  PHASE_WITH_KEY, check_key_in_use },
	{ "key_guess", "A key with one wrong character does not", "critical",
	  "it is answered 401", SOC("CC6.1") ISO("A.5.17") ISO("A.8.5"),
	  PHASE_WITH_KEY, check_wrong_key },
	{ "key_revocation", "A revoked key is refused at once", "critical",
	  "it is answered 401 after its revocation",
	  SOC("CC6.2") SOC("CC6.3") ISO("A.5.18"), PHASE_REVOKED,
	  check_key_revoked },
	{ "key_expiry", "Keys end", "medium", "every active key has an end",
	  SOC("CC6.2") ISO("A.5.17") ISO("A.5.18"), PHASE_CONTROL,
	  check_key_expiry },
	{ "bootstrap_key", "No standing administrator's key", "medium",
	  "security.bootstrap_admin_key is empty once keys exist",
	  SOC("CC6.1") ISO("A.8.2"), PHASE_CONTROL, check_bootstrap_key },
	{ "request_bounds", "Outsized requests are refused", "high",
	  "a head of 64 KiB is answered 431, a body of 1 TiB 413",
	  SOC("CC6.6") SOC("A1.1") ISO("A.8.6") AIA("15(5)"), PHASE_WITH_KEY,
	  check_request_bounds },

	{ "lockout", "Addresses that guess are locked out", "high",
	  "wrong credentials in the name of an address lock it out",
	  SOC("CC6.1") SOC("CC6.6") ISO("A.8.5"), PHASE_CONTROL,
	  check_lockout },
	{ "rate_limits", "Callers are limited", "medium",
	  "security.rate_limits sets a limit of keys or agents",
	  SOC("A1.1") SOC("CC6.6") ISO("A.8.6"), PHASE_CONTROL,
	  check_rate_limits },

	/* --- the record --- */
	{ "audit_logging", "What happens is recorded", "critical",
	  "a record made in this run is durable and read back",
	  SOC("CC7.2") ISO("A.8.15") AIA("12(1)"), PHASE_CONTROL,
	  check_audit_logging },
	{ "audit_integrity", "The record cannot be changed unseen", "critical",
	  "every record of the log fits its chain, its tree and its signed "
	  "heads",
	  SOC("CC7.2") SOC("PI1.5") ISO("A.8.15") ISO("A.5.33") AIA("12(2)"),
	  PHASE_REVOKED, check_audit_integrity },
	{ "audit_outside_copy", "A copy of the record is kept elsewhere",
	  "medium", "a sink of records on another machine is configured",
	  SOC("CC7.2") ISO("A.8.15") ISO("A.5.28"), PHASE_CONTROL,
	  check_audit_outside },
	{ "audit_retention", "The record is kept for six months", "medium",
	  "the required sink forgets nothing, or nothing younger than 183 "
	  "days",
	  SOC("CC7.3") ISO("A.5.33") AIA("19(1)") AIA("26(6)"), PHASE_CONTROL,
	  check_audit_retention },

	/* --- on the wire --- */
	{ "tls_listeners", "The network is reached by TLS only", "critical",
	  "every listener that other machines reach completes a handshake",
	  SOC("CC6.7") ISO("A.8.20") ISO("A.8.24"), PHASE_WITH_KEY,
	  check_tls_listeners },
	{ "tls_versions", "Old versions of TLS are refused", "high",
	  "handshakes of TLS 1.0 and 1.1 fail, one of TLS 1.3 succeeds",
	  SOC("CC6.7") ISO("A.8.24"), PHASE_WITH_KEY, check_tls_versions },
	{ "tls_certificate", "Certificates are strong and not about to end",
	  "high", "21 days are left, and the key has 112 bits of security",
	  SOC("CC6.7") ISO("A.8.24"), PHASE_WITH_KEY, check_tls_certificate },
	{ "upstream_tls", "Models are reached by verified TLS", "high",
	  "every base_url is https with verification, or this machine",
	  SOC("CC6.7") ISO("A.8.20") ISO("A.8.24"), PHASE_CONTROL,
	  check_upstream_tls },

	/* --- on the disk --- */
	{ "data_encryption", "Records are encrypted at rest", "critical",
	  "a canary planted in a record stands in no file",
	  SOC("CC6.1") SOC("C1.1") ISO("A.8.24") ISO("A.8.12"), PHASE_WITH_KEY,
	  check_data_encryption },
	{ "key_storage", "Keys are not stored", "critical",
	  "the secret of a key made in this run stands in no file",
	  SOC("CC6.1") ISO("A.5.17"), PHASE_WITH_KEY, check_key_storage },
	{ "file_modes", "The daemon's files are its own", "high",
	  "no file of the state folder is open to group or others, and the "
	  "configuration cannot be written by them",
	  SOC("CC6.1") ISO("A.8.3"), PHASE_WITH_KEY, check_file_modes },
	{ "state_durability", "The store keeps what it is given", "high",
	  "a record committed in this run is read back",
	  SOC("A1.2") SOC("PI1.5") ISO("A.5.33"), PHASE_WITH_KEY,
	  check_state_durable },
	{ "secrets_by_reference", "Secrets are not in the configuration",
	  "high", "every secret option is a ${env:} or ${file:} reference",
	  SOC("CC6.1") ISO("A.5.17") ISO("A.8.9"), PHASE_CONTROL,
	  check_secrets_by_reference },

	/* --- the process --- */
	{ "privileges", "The daemon has no privileges", "high",
	  "not root, no capability but to bind low ports, no_new_privs",
	  SOC("CC6.3") ISO("A.8.2") ISO("A.8.18"), PHASE_WITH_KEY,
	  check_privileges },
	{ "core_dumps", "No core dump holds its secrets", "medium",
	  "not dumpable, and a core limit of 0", SOC("CC6.1") ISO("A.8.12"),
	  PHASE_WITH_KEY, check_core_dumps },
	{ "worker_isolation", "Workers get nothing of the daemon", "high",
	  "no_new_privs, and of the daemon's environment only what is listed",
	  SOC("CC6.1") ISO("A.8.3") AIA("15(5)"), PHASE_WITH_KEY,
	  check_worker_isolation },
	{ "plugin_files", "Plugins cannot be replaced by others", "high",
	  "files and folders belong to root or the daemon's user, not "
	  "writable by others",
	  SOC("CC6.8") SOC("CC8.1") ISO("A.8.19"), PHASE_CONTROL,
	  check_plugin_files },
	{ "clock_sync", "The clock is right", "medium",
	  "the kernel says that it is synchronised",
	  SOC("CC7.2") ISO("A.8.17") AIA("12(2)"), PHASE_WITH_KEY,
	  check_clock },
	{ "log_redaction", "Secrets are masked in the log", "high",
	  "a planted secret shows as ***", SOC("C1.1") ISO("A.8.12"),
	  PHASE_CONTROL, check_log_redaction },
	{ "resource_bounds", "Instances, memory and tokens are bounded",
	  "medium", "max_agents, memory_limit and token_limit are set",
	  SOC("A1.1") ISO("A.8.6") AIA("15(4)"), PHASE_CONTROL,
	  check_resource_bounds },
	{ "components", "Every component works", "medium",
	  "each says ok in `atomctl status`",
	  SOC("CC7.1") ISO("A.8.16") AIA("15(1)"), PHASE_CONTROL,
	  check_components },

	/* --- not a daemon's to know --- */
	ORGANISATION("access_review", "Access rights are reviewed",
		     "keys and roles are gone through at planned intervals",
		     SOC("CC6.2") ISO("A.5.18")),
	ORGANISATION("incident_response", "Incidents are handled",
		     "there is a plan, and alerts reach a person",
		     SOC("CC7.3") SOC("CC7.4") ISO("A.5.24") ISO("A.5.26")),
	ORGANISATION("backup_restore", "Backups are restored for practice",
		     "the state folder is backed up, and a restore was tried",
		     SOC("A1.2") SOC("A1.3") ISO("A.8.13")),
	ORGANISATION("human_oversight", "People can step in",
		     "somebody is named who may stop an agent",
		     AIA("14") AIA("26(2)")),
	ORGANISATION("risk_management", "Risks of each agent are known",
		     "the use of each agent was judged before it was served",
		     SOC("CC3.2") ISO("A.5.7") AIA("9")),
};

const size_t check_count = ARRAY_SIZE(checks);
