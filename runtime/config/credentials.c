/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who is believed beside our own keys: issuers of tokens, and clients with a
 * certificate.
 */

#include <string.h>
#include <strings.h>

#include "config/config_priv.h"
#include "config/value.h"
#include "core/text.h"

#define ISSUERS_MAX	 32
#define ROWS_MAX	 1000
#define CERTIFICATES_MAX 1000

static const char https[] = "https://";
static const char http[] = "http://";

static bool begins(const char *text, const char *with)
{
	return strncasecmp(text, with, strlen(with)) == 0;
}

static const char *keep_path(struct config_holder *holder, const char *path,
			     struct keys_reading *r)
{
	const char *kept = config_keep_path(holder, path);

	if (kept == NULL)
		r->no_memory = true;
	return kept != NULL ? kept : "";
}

/* --- tokens --------------------------------------------------------------- */

static void read_jwks(struct config_holder *holder, struct config_jwt *jwt,
		      struct keys_reading *r)
{
	const struct setting *at = setting_member(jwt->setting, "jwks");
	bool is_url = begins(jwt->jwks, https) || begins(jwt->jwks, http);

	if (*jwt->jwks == '\0')
		config_complain(
			r->errors, at != NULL ? at : jwt->setting,
			"`jwks` is missing: the file or https URL of the issuer's keys");
	else if (!is_url && strstr(jwt->jwks, "://") != NULL)
		config_complain(r->errors, at,
				"`jwks` is a file or begins with https://");
	else if (begins(jwt->jwks, http) && !text_is_loopback_url(jwt->jwks))
		config_complain(
			r->errors, at,
			"`jwks` over plain http is taken from localhost, 127.0.0.1 or [::1] only: anybody on the way could put in keys of their own; use https://");
	else if (!is_url)
		jwt->jwks = keep_path(holder, jwt->jwks, r);
	if (*jwt->ca_file == '\0')
		return;
	if (!begins(jwt->jwks, https))
		config_complain(
			r->errors, setting_member(jwt->setting, "ca_file"),
			"`ca_file` is for a `jwks` that begins with https://");
	jwt->ca_file = keep_path(holder, jwt->ca_file, r);
}

static void read_jwt_roles(struct config_holder *holder, struct config_jwt *jwt,
			   struct keys_reading *r)
{
	const struct setting *list = jwt->role_list;
	struct config_jwt_role *roles;

	if (list == NULL || list->member_count == 0) {
		config_complain(
			r->errors, list != NULL ? list : jwt->setting,
			"`roles` is empty: no token of this issuer would be let in");
		return;
	}
	if (list->member_count > ROWS_MAX) {
		config_complain(r->errors, list, "more than %d roles",
				ROWS_MAX);
		return;
	}
	roles = config_keep(holder, list->member_count, sizeof(*roles));
	if (roles == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->member_count; i++) {
		keys_read(&jwt_role_keys, list->members[i], &roles[i], r);
		if (*roles[i].role != '\0')
			config_check_role(&holder->config, roles[i].role,
					  list->members[i], "role", r);
	}
	jwt->roles = roles;
	jwt->role_count = list->member_count;
}

static void check_issuer(const struct config *config,
			 const struct config_jwt *jwt, struct keys_reading *r)
{
	const struct setting *at = setting_member(jwt->setting, "issuer");

	for (size_t i = 0; i < config->jwt_count; i++)
		if (strcmp(config->jwt[i].issuer, jwt->issuer) == 0)
			config_complain(
				r->errors, at,
				"this issuer is declared at %s:%d already",
				config->jwt[i].setting->file,
				config->jwt[i].setting->line);
	if (*jwt->audience == '\0')
		config_complain(
			r->errors, jwt->setting,
			"`audience` is missing: without it a token made for another service would be let in");
	if (*jwt->role_claim == '\0')
		config_complain(r->errors,
				setting_member(jwt->setting, "role_claim"),
				"`role_claim` is empty");
}

static void read_jwt(struct config_holder *holder, struct keys_reading *r)
{
	const struct setting *list = holder->jwt_list;
	struct config_jwt *jwt;

	if (list == NULL)
		return;
	if (list->member_count > ISSUERS_MAX) {
		config_complain(r->errors, list, "more than %d issuers",
				ISSUERS_MAX);
		return;
	}
	jwt = config_keep(holder, list->member_count, sizeof(*jwt));
	if (jwt == NULL) {
		r->no_memory = true;
		return;
	}
	holder->config.jwt = jwt;
	for (size_t i = 0; i < list->member_count; i++) {
		struct config_jwt *one = &jwt[holder->config.jwt_count];

		keys_read(&jwt_keys, list->members[i], one, r);
		one->setting = list->members[i];
		if (*one->issuer == '\0') {
			/* Off; what it says is checked all the same. */
			for (size_t k = 0; one->role_list != NULL &&
					   k < one->role_list->member_count;
			     k++)
				keys_read(&jwt_role_keys,
					  one->role_list->members[k], NULL, r);
			continue;
		}
		check_issuer(&holder->config, one, r);
		read_jwks(holder, one, r);
		read_jwt_roles(holder, one, r);
		holder->config.jwt_count++;
	}
}

/* --- certificates ----------------------------------------------------------- */

static void check_certificate(const struct config_holder *holder,
			      const struct config_client_certificate *c,
			      struct keys_reading *r)
{
	int names = (*c->subject != '\0') + (*c->uri != '\0') +
		    (*c->dns != '\0') + (*c->email != '\0');

	if (names != 1)
		config_complain(
			r->errors, c->setting,
			"a client certificate is told by exactly one of `subject`, `uri`, `dns` and `email`, found %d",
			names);
	if (strchr(c->dns, '*') != NULL)
		config_complain(r->errors, setting_member(c->setting, "dns"),
				"`dns` is one name, without wildcards");
	if (*c->role != '\0')
		config_check_role(&holder->config, c->role, c->setting, "role",
				  r);
}

static void read_certificates(struct config_holder *holder,
			      struct keys_reading *r)
{
	const struct setting *list = holder->certificate_list;
	struct config_client_certificate *certificates;

	if (list == NULL)
		return;
	if (list->member_count > CERTIFICATES_MAX) {
		config_complain(r->errors, list,
				"more than %d client certificates",
				CERTIFICATES_MAX);
		return;
	}
	certificates =
		config_keep(holder, list->member_count, sizeof(*certificates));
	if (certificates == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->member_count; i++) {
		keys_read(&client_certificate_keys, list->members[i],
			  &certificates[i], r);
		certificates[i].setting = list->members[i];
		check_certificate(holder, &certificates[i], r);
	}
	holder->config.client_certificates = certificates;
	holder->config.client_certificate_count = list->member_count;
}

void config_read_credentials(struct config_holder *holder,
			     struct keys_reading *r)
{
	read_jwt(holder, r);
	read_certificates(holder, r);
}
