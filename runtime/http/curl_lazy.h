/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CURL_LAZY_H
#define HTTP_CURL_LAZY_H

/*
 * libcurl, loaded when it is first needed.
 *
 * It brings some thirty libraries along: 4 MiB and 8 ms for each process
 * that is linked with it, and a daemon starts one for each plugin that it
 * probes, while agents that are processes need none of it.  So the functions
 * of <curl/curl.h> that we use are defined by us and call those of the
 * library, which curl_global_init() opens; nobody else need know.
 *
 * Before curl_global_init() has said CURLE_OK none of them may be called but
 * curl_easy_init() and curl_multi_init(), which return NULL.  [any]
 */

/* Why curl_global_init() failed, for people; "" when it did not. */
const char *curl_lazy_reason(void);

#endif
