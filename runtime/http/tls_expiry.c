/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the certificates of the listeners expire: a metric to alert on, a log
 * line 21, 7 and 1 days before, once each, and the component `tls` of the
 * status.  The earliest end of a chain counts, for it ends the whole.
 */
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/text.h"
#include "http/server_priv.h"
#include "http/tls_priv.h"

#define DAY_MS	 86400000LL
#define DEGRADED 7 /* days */

/* Days before the end at which it is said; the last is the end itself. */
static const int stages[] = { 21, 7, 1, 0 };

static uint32_t family;

atom_status http_expiry_init(struct atom_error *err)
{
	static const char *const labels[] = { "listener", NULL };
	static const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_GAUGE,
		.name = "atomd_tls_certificate_expiry_timestamp_seconds",
		.help = "When a listener's certificate, or the one of its "
			"chain that ends first, expires.",
		.unit = "",
		.label_names = labels,
	};

	return metric_declare(&spec, &family, err);
}

static int64_t end_of(const X509 *certificate)
{
	struct tm end;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
		return INT64_MAX;
	return (int64_t)timegm(&end) * 1000;
}

static int64_t earliest_end(SSL_CTX *tls)
{
	const X509 *own = SSL_CTX_get0_certificate(tls);
	STACK_OF(X509) *chain = NULL;
	int64_t end = own ? end_of(own) : INT64_MAX;

	(void)SSL_CTX_get0_chain_certs(tls, &chain);
	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t other = end_of(sk_X509_value(chain, i));

		end = other < end ? other : end;
	}
	return end;
}

/* How many stages have been reached. */
static int stage_of(int64_t left_ms)
{
	int stage = 0;

	while (stage < (int)ARRAY_SIZE(stages) &&
	       left_ms <= stages[stage] * DAY_MS)
		stage++;
	return stage;
}

static void sentence(const struct http_listener *l, int64_t left_ms, char *out,
		     size_t size)
{
	char when[TEXT_TIME_MAX];

	text_of_time(l->expires_ms, when);
	(void)snprintf(out, size, "the certificate of %s %s at %s", l->name,
		       left_ms > 0 ? "expires" : "has expired", when);
}

static void look_at(struct http_listener *l)
{
	int64_t left_ms = l->expires_ms - os.realtime_ms();
	int stage = stage_of(left_ms);
	char text[HTTP_ADDRESS_MAX + 96];

	if (stage > l->expiry_stage) {
		sentence(l, left_ms, text, sizeof(text));
		log_line(left_ms > 0 ? ATOM_LOG_WARN : ATOM_LOG_ERROR,
			 "certificate_expires", text,
			 LOG_TEXT("listener", l->name),
			 LOG_NUMBER("days_left",
				    left_ms > 0 ? left_ms / DAY_MS : 0));
	}
	l->expiry_stage = stage;
}

void http_expiry_renewed(struct http_listener *l)
{
	const char *const labels[] = { l->name, NULL };

	l->expires_ms = earliest_end(l->tls);
	l->expiry_stage = 0;
	metric_set(metric_series(family, labels), (double)l->expires_ms / 1000);
}

void http_expiry_forget(const struct http_listener *l)
{
	const char *const labels[] = { l->name, NULL };

	metric_remove(family, labels);
}

void http_expiry_check(struct http_server *server)
{
	const struct http_listener *first = NULL;
	char text[ATOM_ERROR_MESSAGE_MAX] = "";
	int64_t left_ms;

	for (struct http_listener *l = server->listeners; l; l = l->next) {
		if (l->retired || !l->tls)
			continue;
		look_at(l);
		if (!first || l->expires_ms < first->expires_ms)
			first = l;
	}
	if (!first && !server->tls_told)
		return;
	server->tls_told = true;
	left_ms = first ? first->expires_ms - os.realtime_ms() : INT64_MAX;
	if (server->tls_reload_failed)
		(void)snprintf(text, sizeof(text), "%s",
			       server->tls_reload_error.message);
	else if (first && first->expiry_stage > 0)
		sentence(first, left_ms, text, sizeof(text));
	health_report("tls",
		      server->tls_reload_failed || left_ms <= DEGRADED * DAY_MS
			      ? HEALTH_DEGRADED
			      : HEALTH_OK,
		      false, text[0] ? text : NULL);
}
