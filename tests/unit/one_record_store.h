/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_ONE_RECORD_STORE_H
#define TESTS_UNIT_ONE_RECORD_STORE_H

/*
 * A store in memory that holds one record, the last one written, for tests of
 * those who use state and do not test it.  Its `self` is NULL.
 */

#include <atomd/store.h>

extern const struct atom_store_ops one_record_store;

/* Key of the record; "" = none. */
extern char one_record_key[128];

#endif
