/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FAILING_OPENSSL_H
#define TESTS_UNIT_FAILING_OPENSSL_H

/*
 * A library that has no seam: the program's own functions of OpenSSL's names
 * stand before it, and let the n-th call fail, once, as OpenSSL does without
 * memory or without an algorithm.  Those that the runtime asks for digests,
 * keys and signatures are counted together.  Walked as failing_memory.h is:
 *
 *	for (unsigned int n = 1; ; n++) {
 *		failing_openssl_begin(n);
 *		sound = call();
 *		if (!failing_openssl_end())
 *			break;
 *		... nothing may have passed for sound ...
 *	}
 */

#include <stdbool.h>

void failing_openssl_begin(unsigned int nth);
/* Did one fail? */
bool failing_openssl_end(void);

#endif
