/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCESS_JSON_PRIV_H
#define PROCESS_JSON_PRIV_H

/*
 * Shared by json.c, which checks a text, and json_text.c, which reads a sound
 * one: escapes of UTF-16 units.
 */

#include "json.h"

/* The number of the four hexadecimal digits at `at`, or -1. */
int32_t json_escape_unit(const char *at, const char *end);
bool json_is_high(int32_t unit);
bool json_is_low(int32_t unit);
/* Of the escape whose digits are at `at`: is a low half right behind it? */
bool json_pair_follows(const char *at, const char *end);

#endif
