/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_NOTHING_H
#define BENCH_NOTHING_H

#include <atomd/backend.h>

/* What the plugin's `invoke` is; linked into the program, too. */
atom_status nothing_invoke(void *self, void *unit, atom_call call,
			   struct atom_error *err);

#endif
