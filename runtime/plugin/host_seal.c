/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/host_seal.h"

#include <stdatomic.h>

#include "keyring/keyring.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"

static struct keyring *_Atomic used;

void host_seal_use(struct keyring *keyring)
{
	atomic_store(&used, keyring);
}

static struct keyring *keyring_for(const struct atom_host *host,
				   char purpose_r[KEYRING_PURPOSE_MAX],
				   struct atom_error *err)
{
	struct keyring *keyring =
		atomic_load_explicit(&used, memory_order_acquire);

	if (keyring == NULL)
		(void)atom_fail(err, ATOM_EUNAVAILABLE,
				"there is no keyring at this time: the daemon "
				"starts or stops, or could not open it");
	else
		keyring_purpose(host_component_name(host), host_agent(host),
				purpose_r);
	return keyring;
}

static atom_status seal(const struct atom_host *host,
			const struct atom_span *identity,
			const struct atom_span *plain, char *out,
			size_t *length_r, struct atom_error *err)
{
	char purpose[KEYRING_PURPOSE_MAX];
	struct keyring *keyring = keyring_for(host, purpose, err);
	atom_status status;

	if (keyring == NULL)
		return ATOM_EUNAVAILABLE;
	status = keyring_note_component(keyring, err);
	if (status != ATOM_OK)
		return status;
	return keyring_seal(keyring, purpose, identity, plain, out, length_r,
			    err);
}

static atom_status open_sealed(const struct atom_host *host,
			       const struct atom_span *identity,
			       const struct atom_span *sealed, char *out,
			       size_t *length_r, struct atom_error *err)
{
	char purpose[KEYRING_PURPOSE_MAX];
	struct keyring *keyring = keyring_for(host, purpose, err);

	if (keyring == NULL)
		return ATOM_EUNAVAILABLE;
	return keyring_unseal(keyring, purpose, identity, sealed, out, length_r,
			      err);
}

const struct atom_seal host_seal_service = {
	.struct_size = sizeof(struct atom_seal),
	.seal = seal,
	.open = open_sealed,
};
