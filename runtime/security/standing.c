/* SPDX-License-Identifier: Apache-2.0 */
#include "security/standing.h"

#include <string.h>

#include "core/os.h"
#include "security/keys_priv.h"

bool standing_holds(const char *principal)
{
	static const char kind[] = "key:";
	const struct key *key;

	if (strncmp(principal, kind, sizeof(kind) - 1) != 0)
		return true;
	key = key_find(principal + sizeof(kind) - 1);
	return key != NULL && key_in_force(key, os.realtime_ms());
}
