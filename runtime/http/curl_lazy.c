/* SPDX-License-Identifier: Apache-2.0 */
#include "http/curl_lazy.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include <curl/curl.h>

/* The name has not changed since 2006. */
#define LIBRARY "libcurl.so.4"
/* 7.88, as `configure` asks of the headers. */
#define OLDEST 0x075800u

/* The headers' own macros check the types of options and end in functions of
 * the same names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define FUNCTIONS(X)           \
	X(easy_cleanup)        \
	X(easy_getinfo)        \
	X(easy_header)         \
	X(easy_init)           \
	X(easy_pause)          \
	X(easy_reset)          \
	X(easy_setopt)         \
	X(easy_strerror)       \
	X(free)                \
	X(global_cleanup)      \
	X(global_init)         \
	X(multi_add_handle)    \
	X(multi_assign)        \
	X(multi_cleanup)       \
	X(multi_info_read)     \
	X(multi_init)          \
	X(multi_perform)       \
	X(multi_poll)          \
	X(multi_remove_handle) \
	X(multi_setopt)        \
	X(multi_socket_action) \
	X(slist_append)        \
	X(slist_free_all)      \
	X(url)                 \
	X(url_cleanup)         \
	X(url_get)             \
	X(url_set)             \
	X(version_info)

#define MEMBER(name) __typeof__(curl_##name) *name;

static struct {
	FUNCTIONS(MEMBER)
} real;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char reason[256];

static void fail(const char *what)
{
	(void)snprintf(reason, sizeof(reason),
		       "%s could not be used: %s; install it (Debian: "
		       "libcurl4)",
		       LIBRARY, what);
}

static void load(void)
{
#define PLACE(name) { "curl_" #name, (void **)(void *)&real.name },
	static const struct {
		const char *name;
		void **place;
	} places[] = { FUNCTIONS(PLACE) };
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *missing = NULL;

	if (library == NULL) {
		fail(dlerror());
		return;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*places[i].place = dlsym(library, places[i].name);
		if (*places[i].place == NULL)
			missing = places[i].name;
	}
	if (missing != NULL ||
	    real.version_info(CURLVERSION_NOW)->version_num < OLDEST)
		fail("it is older than 7.88");
}

const char *curl_lazy_reason(void)
{
	return reason;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the
 * header's names are its own. */
CURLcode curl_global_init(long flags)
{
	if (pthread_once(&once, load) != 0 || reason[0] != '\0')
		return CURLE_FAILED_INIT;
	return real.global_init(flags);
}

void curl_global_cleanup(void)
{
	if (real.global_cleanup != NULL)
		real.global_cleanup();
}

/* --- with one argument of a type that the option says ------------------------ */

/* Calls `function` with the argument that stands behind `option`. */
#define PASS_ON(result, function, handle, option)                           \
	do {                                                                \
		va_list arguments;                                          \
		va_start(arguments, option);                                \
		if ((option) < CURLOPTTYPE_OBJECTPOINT)                     \
			(result) = function(handle, option,                 \
					    va_arg(arguments, long));       \
		else if ((option) >= CURLOPTTYPE_OFF_T &&                   \
			 (option) < CURLOPTTYPE_BLOB)                       \
			(result) = function(handle, option,                 \
					    va_arg(arguments, curl_off_t)); \
		else                                                        \
			(result) = function(handle, option,                 \
					    va_arg(arguments, void *));     \
		va_end(arguments);                                          \
	} while (0)

CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
	CURLcode code;

	PASS_ON(code, real.easy_setopt, easy, option);
	return code;
}

CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
	CURLMcode code;

	PASS_ON(code, real.multi_setopt, multi, option);
	return code;
}

/* Always a place for the answer. */
CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
	va_list arguments;
	CURLcode code;

	va_start(arguments, info);
	code = real.easy_getinfo(easy, info, va_arg(arguments, void *));
	va_end(arguments);
	return code;
}

/* --- as they are; what was never made may be ended ------------------------------ */

CURL *curl_easy_init(void)
{
	return real.easy_init != NULL ? real.easy_init() : NULL;
}

CURLM *curl_multi_init(void)
{
	return real.multi_init != NULL ? real.multi_init() : NULL;
}

void curl_easy_cleanup(CURL *easy)
{
	if (easy != NULL)
		real.easy_cleanup(easy);
}

CURLHcode curl_easy_header(CURL *easy, const char *name, size_t index,
			   unsigned int origin, int request,
			   struct curl_header **header)
{
	return real.easy_header(easy, name, index, origin, request, header);
}

CURLcode curl_easy_pause(CURL *easy, int bitmask)
{
	return real.easy_pause(easy, bitmask);
}

void curl_easy_reset(CURL *easy)
{
	real.easy_reset(easy);
}

const char *curl_easy_strerror(CURLcode code)
{
	return real.easy_strerror(code);
}

void curl_free(void *memory)
{
	real.free(memory);
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
	return real.multi_add_handle(multi, easy);
}

CURLMcode curl_multi_assign(CURLM *multi, curl_socket_t fd, void *argument)
{
	return real.multi_assign(multi, fd, argument);
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
	return multi != NULL ? real.multi_cleanup(multi) : CURLM_BAD_HANDLE;
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *left)
{
	return real.multi_info_read(multi, left);
}

CURLMcode curl_multi_perform(CURLM *multi, int *running)
{
	return real.multi_perform(multi, running);
}

CURLMcode curl_multi_poll(CURLM *multi, struct curl_waitfd fds[],
			  unsigned int count, int timeout_ms, int *ready)
{
	return real.multi_poll(multi, fds, count, timeout_ms, ready);
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
	return real.multi_remove_handle(multi, easy);
}

CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events,
				   int *running)
{
	return real.multi_socket_action(multi, fd, events, running);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
	return real.slist_append(list, text);
}

void curl_slist_free_all(struct curl_slist *list)
{
	if (list != NULL)
		real.slist_free_all(list);
}

void curl_url_cleanup(CURLU *url)
{
	if (url != NULL)
		real.url_cleanup(url);
}

CURLU *curl_url(void)
{
	return real.url();
}

CURLUcode curl_url_get(CURLU *url, CURLUPart part, char **text,
		       unsigned int flags)
{
	return real.url_get(url, part, text, flags);
}

CURLUcode curl_url_set(CURLU *url, CURLUPart part, const char *text,
		       unsigned int flags)
{
	return real.url_set(url, part, text, flags);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
