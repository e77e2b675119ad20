/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EFFORT_H
#define EFFORT_H

/*
 * How often something is tried at random: as often as asked, or an eighth of
 * it where ATOMD_TEST_SHORT is set, as it is for programs with sanitizers,
 * which need ten times as long for what the plain ones have tried in full.
 */

#include <stdlib.h>

static inline int effort(int times)
{
	return getenv("ATOMD_TEST_SHORT") != NULL ? (times + 7) / 8 : times;
}

#endif
