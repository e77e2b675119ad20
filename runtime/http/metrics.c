/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server counts.  Calls are counted by the gateway, with agent and
 * code; here is what never gets that far, and the bytes.
 */
#include "core/memory.h"
#include "http/server_priv.h"

struct http_metrics http_metrics;

static atom_status labelled(const char *name, const char *help,
			    const char *label, uint32_t *family_r,
			    struct atom_error *err)
{
	const char *const labels[] = { label, NULL };
	struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = name,
		.help = help,
		.unit = "",
		.label_names = labels,
	};

	return metric_declare(&spec, family_r, err);
}

static metric_id counter(const char *name, const char *help)
{
	return metric_single(ATOM_METRIC_COUNTER, name, help);
}

static metric_id series(uint32_t family, const char *value)
{
	const char *const values[] = { value, NULL };

	return metric_series(family, values);
}

atom_status http_metrics_init(struct atom_error *err)
{
	static const char *const reasons[REFUSED_COUNT] = {
		[REFUSED_BAD_REQUEST] = "bad_request",
		[REFUSED_TOO_LARGE] = "too_large",
		[REFUSED_NOT_IMPLEMENTED] = "not_implemented",
		[REFUSED_TIMEOUT] = "timeout",
		[REFUSED_CONNECTIONS] = "too_many_connections",
		[REFUSED_DESCRIPTORS] = "no_descriptors",
		[REFUSED_PROXY] = "proxy_protocol",
	};
	static const char *const phases[PHASE_COUNT] = {
		[PHASE_HANDSHAKE] = "tls_handshake",
		[PHASE_HEAD] = "head",
		[PHASE_BODY] = "body",
		[PHASE_IDLE] = "idle",
		[PHASE_WRITE] = "write",
	};
	struct http_metrics *m = &http_metrics;
	uint32_t refused, timeouts;
	atom_status status;

	status = labelled("atomd_http_refused_total",
			  "Requests and connections that the HTTP server "
			  "refused by itself.",
			  "reason", &refused, err);
	if (status != ATOM_OK)
		return status;
	status = labelled("atomd_http_timeouts_total",
			  "Connections that ran out of time, by what they "
			  "were waiting for.",
			  "phase", &timeouts, err);
	if (status != ATOM_OK)
		return status;
	for (int i = 0; i < REFUSED_COUNT; i++)
		m->refused[i] = series(refused, reasons[i]);
	for (int i = 0; i < PHASE_COUNT; i++)
		m->timeouts[i] = phases[i] ? series(timeouts, phases[i]) : 0;
	m->accepted = counter("atomd_http_connections_total",
			      "Connections accepted.");
	m->requests = counter("atomd_http_requests_total",
			      "Requests whose head was read.");
	m->received_bytes = counter("atomd_http_received_bytes_total",
				    "Bytes received from clients.");
	m->sent_bytes = counter("atomd_http_sent_bytes_total",
				"Bytes sent to clients.");
	m->handshake_failures = counter("atomd_http_tls_failures_total",
					"TLS handshakes that failed.");
	m->gone = counter("atomd_http_clients_gone_total",
			  "Clients that left before their answer's end.");
	return ATOM_OK;
}
