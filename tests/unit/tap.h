/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

/*
 * For tests with threads, which Criterion cannot run under ThreadSanitizer:
 * plain functions, run one after the other in one process, that print TAP.
 * A failed CHECK ends the process: what its threads would do next is unknown.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition)                                                    \
	do {                                                                \
		if (!(condition)) {                                         \
			printf("Bail out! %s:%d: %s\n", __FILE__, __LINE__, \
			       #condition);                                 \
			(void)fflush(stdout);                               \
			_exit(1);                                           \
		}                                                           \
	} while (0)

struct tap_test {
	const char *name;
	void (*run)(void);
};

#define TAP_TEST(function)          \
	{                           \
#function, function \
	}

static inline int tap_main(const struct tap_test *tests, int count)
{
	const char *factor = getenv("ATOMD_TEST_FACTOR");

	/* Something that never comes must not be waited for for ever. */
	(void)alarm(300 *
		    (factor != NULL ? (unsigned)strtoul(factor, NULL, 10) : 1));
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		tests[i].run();
		printf("ok %d - %s\n", i + 1, tests[i].name);
		(void)fflush(stdout);
	}
	return 0;
}

#endif
