/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the end of a call becomes a caller's error: statuses, codes, what is
 * passed on and what is withheld.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <atomd/backend.h>
#include <jansson.h>

#include "gateway/api_error.h"

static struct api_error of(atom_status status, const char *code,
			   int32_t http_status, int32_t retry_after_ms,
			   int32_t cancelled)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct api_error e;

	atom_fail(&error, status, "what was said: sk-secret");
	(void)snprintf(error.code, sizeof(error.code), "%s", code);
	error.http_status = http_status;
	error.retry_after_ms = retry_after_ms;
	api_error_of_call(&e, status, &error, cancelled);
	return e;
}

Test(gateway_error, the_hosts_own_words_have_their_status)
{
	static const struct {
		atom_status status;
		const char *code;
		int http;
	} cases[] = {
		{ ATOM_EBUSY, "queue_full", 429 },
		{ ATOM_EUNAVAILABLE, "no_instances", 503 },
		{ ATOM_EUNAVAILABLE, "shutting_down", 503 },
		{ ATOM_ETIMEOUT, "timeout", 504 },
		{ ATOM_ENOMEM, "backend_error", 502 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct api_error e =
			of(cases[i].status, cases[i].code, 0, 0, 0);

		cr_assert_eq(e.status, cases[i].http, "%s", cases[i].code);
		cr_assert_str_eq(e.code, cases[i].code);
	}
}

Test(gateway_error, a_backends_status_decides_where_it_says_no_word_of_ours)
{
	static const struct {
		atom_status status;
		const char *said;
		int http;
		const char *code;
	} cases[] = {
		{ ATOM_EINVAL, "", 400, "invalid_request" },
		{ ATOM_EINVAL, "invalid_input", 400, "invalid_request" },
		{ ATOM_EINVAL, "context_overflow", 400,
		  "context_length_exceeded" },
		{ ATOM_ETIMEOUT, "", 504, "timeout" },
		{ ATOM_EQUOTA, "rate_limited", 429, "backend_rate_limited" },
		{ ATOM_ELIMIT, "too_large", 413, "too_large" },
		{ ATOM_ELIMIT, "", 502, "backend_error" },
		{ ATOM_EIO, "provider", 502, "backend_error" },
		{ ATOM_EUNAVAILABLE, "worker_lost", 502, "backend_error" },
		{ ATOM_ECANCELED, "cancelled", 502, "backend_error" },
		/* A worker must not speak for our door. */
		{ ATOM_EIO, "invalid_api_key", 502, "backend_error" },
		{ ATOM_EIO, "permission_denied", 502, "backend_error" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct api_error e =
			of(cases[i].status, cases[i].said, 0, 0, 0);

		cr_assert_eq(e.status, cases[i].http, "%d %s", cases[i].status,
			     cases[i].said);
		cr_assert_str_eq(e.code, cases[i].code);
	}
}

Test(gateway_error, a_provider_keeps_its_word_about_the_request)
{
	static const int statuses[] = { 400, 404, 413, 422 };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct api_error e =
			of(ATOM_EINVAL, "their_word", statuses[i], 0, 0);

		cr_assert_eq(e.status, statuses[i]);
		cr_assert_str_eq(e.code, "their_word");
		cr_assert_not_null(strstr(e.message, "what was said"));
	}
}

Test(gateway_error, where_a_provider_has_no_word_the_status_has_one)
{
	static const struct {
		int status;
		const char *code;
	} cases[] = {
		{ 400, "invalid_request" },
		{ 404, "not_found" },
		{ 413, "too_large" },
		{ 422, "invalid_request" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct api_error e = of(ATOM_EINVAL, "", cases[i].status, 0, 0);

		cr_assert_eq(e.status, cases[i].status);
		cr_assert_str_eq(e.code, cases[i].code);
	}
}

Test(gateway_error, a_providers_word_about_its_key_is_withheld)
{
	static const int statuses[] = { 401, 403 };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct api_error e =
			of(ATOM_EPERM, "invalid_api_key", statuses[i], 0, 0);

		cr_assert_eq(e.status, 502);
		cr_assert_str_eq(e.code, "backend_auth");
		cr_assert_null(strstr(e.message, "sk-secret"));
	}
}

Test(gateway_error, other_answers_of_a_provider_are_502)
{
	static const int statuses[] = { 301, 402, 409, 418, 500, 502, 503 };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct api_error e = of(ATOM_EIO, "x", statuses[i], 0, 0);

		cr_assert_eq(e.status, 502, "%d", statuses[i]);
		cr_assert_str_eq(e.code, "backend_error");
	}
}

Test(gateway_error, a_limit_says_when_to_come_back)
{
	cr_assert_eq(of(ATOM_EQUOTA, "", 429, 7000, 0).retry_after_ms, 7000);
	cr_assert_str_eq(of(ATOM_EQUOTA, "", 429, 7000, 0).code,
			 "backend_rate_limited");
	cr_assert_gt(of(ATOM_EQUOTA, "", 429, 0, 0).retry_after_ms, 0);
	cr_assert_gt(of(ATOM_EBUSY, "queue_full", 0, 0, 0).retry_after_ms, 0);
	cr_assert_eq(of(ATOM_EIO, "", 0, 0, 0).retry_after_ms, 0);
}

Test(gateway_error, a_stop_of_the_daemon_is_no_fault_of_the_agent)
{
	struct api_error e = of(ATOM_ECANCELED, "", 0, 0, ATOM_CANCEL_SHUTDOWN);

	cr_assert_eq(e.status, 503);
	cr_assert_str_eq(e.code, "shutting_down");
}

Test(gateway_error, no_reason_is_still_an_answer)
{
	struct api_error e;

	api_error_of_call(&e, ATOM_EIO, NULL, 0);
	cr_assert_eq(e.status, 502);
	cr_assert_gt(strlen(e.message), 0);
}

Test(gateway_error, it_looks_like_openais)
{
	struct buffer out = BUFFER_INIT(65536);
	struct api_error e;
	const char *message, *type, *code, *param;
	json_t *document;

	api_error_set(&e, "invalid_request", "messages", "a \"%s\"\n", "b");
	cr_assert_eq(e.status, 400);
	cr_assert_eq(api_error_append(&e, NULL, &out), ATOM_OK);
	document = json_loadb(out.bytes, out.length, 0, NULL);
	cr_assert_eq(json_unpack(document, "{s:{s:s,s:s,s:s,s:s!}!}", "error",
				 "message", &message, "type", &type, "code",
				 &code, "param", &param),
		     0, "%s", out.bytes);
	cr_assert_str_eq(message, "a \"b\"\n");
	cr_assert_str_eq(type, "invalid_request_error");
	cr_assert_str_eq(code, "invalid_request");
	cr_assert_str_eq(param, "messages");
	json_decref(document);
	buffer_fini(&out);
}
