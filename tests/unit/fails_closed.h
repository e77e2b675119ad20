/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FAILS_CLOSED_H
#define TESTS_UNIT_FAILS_CLOSED_H

/*
 * What must never pass for sound because something below it failed.
 * `failing` is failing_memory or failing_openssl: without a failure `sound` is
 * true, and with each single one, from the first to the last, false.
 */

#include <criterion/criterion.h>

#define FAILS_CLOSED(failing, sound)                                 \
	do {                                                         \
		for (unsigned int n_ = 1;; n_++) {                   \
			bool sound_;                                 \
                                                                     \
			failing##_begin(n_);                         \
			sound_ = (sound);                            \
			if (!failing##_end()) {                      \
				cr_assert(sound_, "nothing failed"); \
				cr_assert_gt(n_, 1, "none is used"); \
				break;                               \
			}                                            \
			cr_assert_not(sound_, "failure %u", n_);     \
		}                                                    \
	} while (0)

#endif
