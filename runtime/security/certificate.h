/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_CERTIFICATE_H
#define SECURITY_CERTIFICATE_H

/*
 * Which role has the client behind a certificate?  TLS has verified it
 * against the listener's authorities (http/server.h); here its names are held
 * against `security.client_certificates`.
 *
 * A name is the row's to the letter, never a part of it and never a pattern:
 * the whole subject as RFC 4514 writes it, or one URI, DNS name (without
 * regard to case) or mail address of the alternative names.  Of several rows
 * that fit the first counts.  A certificate that no row names is nobody.
 *
 * Immutable once made; part of the policy that loops read.
 */

#include <atomd/plugin.h>

#include "config/config.h"
#include "security/principal.h"

struct certificate_rules;
struct http_certificate;

/* Keeps pointers into the configuration. [control] */
atom_status certificate_rules_new(const struct config *config,
				  struct certificate_rules **rules_r,
				  struct atom_error *err);
void certificate_rules_free(struct certificate_rules **rules);
/* False when no row fits. [any] */
bool certificate_principal(const struct certificate_rules *rules,
			   const struct http_certificate *certificate,
			   struct principal *principal_r);

/* Is there a row whose role has all of these, for every agent? [control] */
bool certificate_rules_give(const struct certificate_rules *rules,
			    uint32_t permissions);

#endif
