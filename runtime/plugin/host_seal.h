/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOST_SEAL_H
#define PLUGIN_HOST_SEAL_H

/*
 * The service atom.seal/1 (atomd/host.h): components seal their bytes by the
 * daemon's keyring, each under a key of its own (keyring_purpose()).
 */

struct keyring;

/* [control] The keyring of the daemon; NULL: none (yet, or any more), and the
 * service answers ATOM_EUNAVAILABLE.  It outlives every component. */
void host_seal_use(struct keyring *keyring);

#endif
