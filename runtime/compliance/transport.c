/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "compliance/check.h"
#include "compliance/probe.h"
#include "core/os.h"
#include "core/text.h"

/* What stands between the daemon and the network: handshakes made in this
 * run, and where the agents' upstreams are. */

#define DAY_MS		((int64_t)24 * 3600 * 1000)
#define EXPIRY_DAYS_MIN 21
/* NIST SP 800-57: 112 bits of security, RSA of 2,048 and up. */
#define SECURITY_BITS_MIN 112

/* The next listener on TCP from *at on, with what came of a handshake; NULL
 * behind the last. */
static const char *next_on_tcp(const struct inspection *i, size_t *at,
			       struct probe_handshake *h)
{
	while (i->addresses[*at] != NULL) {
		const char *address = i->addresses[(*at)++];

		if (probe_is_unix(address))
			continue;
		probe_tls(address, TLS1_2_VERSION, 0, h);
		return address;
	}
	return NULL;
}

void check_tls_listeners(struct inspection *i, struct finding *f)
{
	unsigned int listeners = 0, plain = 0;
	struct probe_handshake h;
	const char *address;
	size_t at = 0;

	while ((address = next_on_tcp(i, &at, &h)) != NULL) {
		listeners++;
		if (h.done) {
			find_evidence(f, "%s: %s, %s", address, h.version,
				      h.cipher);
		} else if (!h.reached) {
			find(f, CHECK_ERROR, "%s", h.refusal);
			return;
		} else if (probe_is_loopback(address)) {
			find_evidence(f, "%s: plain, this machine only",
				      address);
		} else {
			plain++;
			find_evidence(f, "%s: no handshake (%s)", address,
				      h.refusal);
		}
	}
	if (listeners == 0)
		find(f, CHECK_NOT_APPLICABLE, "no TCP listener");
	else
		find(f, plain == 0 ? CHECK_PASS : CHECK_FAIL,
		     "%u of %u listeners are plain and reachable from other "
		     "machines",
		     plain, listeners);
}

void check_tls_versions(struct inspection *i, struct finding *f)
{
	static const struct {
		int version;
		const char *name;
		bool old;
	} versions[] = {
		{ TLS1_VERSION, "TLS 1.0", true },
		{ TLS1_1_VERSION, "TLS 1.1", true },
		{ TLS1_2_VERSION, "TLS 1.2", false },
		{ TLS1_3_VERSION, "TLS 1.3", false },
	};
	unsigned int listeners = 0, old = 0;
	bool modern = true;
	struct probe_handshake any;
	const char *address;
	size_t at = 0;

	while ((address = next_on_tcp(i, &at, &any)) != NULL) {
		if (!any.done)
			continue;
		listeners++;
		for (size_t v = 0; v < sizeof(versions) / sizeof(versions[0]);
		     v++) {
			struct probe_handshake h;

			probe_tls(address, versions[v].version,
				  versions[v].version, &h);
			find_evidence(f, "%s, only %s offered: %s%s", address,
				      versions[v].name,
				      h.done ? "accepted, " : "refused, ",
				      h.done ? h.cipher : h.refusal);
			if (versions[v].old && h.done)
				old++;
			else if (versions[v].version == TLS1_3_VERSION)
				modern = modern && h.done;
		}
	}
	if (listeners == 0)
		find(f, CHECK_NOT_APPLICABLE, "no listener speaks TLS");
	else
		find(f, old == 0 && modern ? CHECK_PASS : CHECK_FAIL,
		     "%u handshakes of TLS 1.0 or 1.1 succeeded; TLS 1.3 is "
		     "%s",
		     old, modern ? "spoken" : "not spoken everywhere");
}

void check_tls_certificate(struct inspection *i, struct finding *f)
{
	int64_t now = os.realtime_ms();
	unsigned int listeners = 0, bad = 0;
	char end[TEXT_TIME_MAX];
	struct probe_handshake h;
	const char *address;
	size_t at = 0;

	while ((address = next_on_tcp(i, &at, &h)) != NULL) {
		if (!h.done)
			continue;
		listeners++;
		text_of_time(h.not_after_ms, end);
		find_evidence(f,
			      "%s: ends %s, in %lld days; key of %d bits of "
			      "security",
			      address, end,
			      (long long)((h.not_after_ms - now) / DAY_MS),
			      h.key_bits);
		if (h.not_after_ms - now < EXPIRY_DAYS_MIN * DAY_MS ||
		    h.key_bits < SECURITY_BITS_MIN)
			bad++;
	}
	if (listeners == 0)
		find(f, CHECK_NOT_APPLICABLE, "no listener speaks TLS");
	else
		find(f, bad == 0 ? CHECK_PASS : CHECK_FAIL,
		     "%u of %u certificates end within %d days or have a weak "
		     "key",
		     bad, listeners, EXPIRY_DAYS_MIN);
}

/* --- upstreams ------------------------------------------------------------------- */

void check_upstream_tls(struct inspection *i, struct finding *f)
{
	unsigned int upstreams = 0, plain = 0;

	for (size_t n = 0; n < i->config->agent_count; n++) {
		const struct config_agent *agent = &i->config->agents[n];
		const struct setting *url =
			setting_member(agent->backend_options, "base_url");
		const struct setting *verify =
			setting_member(agent->backend_options, "verify_tls");
		bool unverified = verify != NULL &&
				  verify->type == SETTING_BOOL &&
				  verify->integer == 0;

		if (url == NULL || url->type != SETTING_STRING)
			continue;
		upstreams++;
		if (text_is_loopback_url(url->text) ||
		    (strncmp(url->text, "https://", 8) == 0 && !unverified))
			continue;
		plain++;
		find_evidence(f, "agent %s: %s", agent->name,
			      unverified ? "verify_tls = false"
					 : "base_url is not https");
	}
	if (upstreams == 0) {
		find(f, CHECK_NOT_APPLICABLE, "no agent has an upstream");
		return;
	}
	if (plain == 0)
		find_evidence(f, "%u agents with a base_url looked at",
			      upstreams);
	find(f, plain == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u upstreams are reached without verified TLS", plain,
	     upstreams);
}
