/* SPDX-License-Identifier: Apache-2.0 */
#include "security/certificate.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/table.h"
#include "core/text.h"
#include "http/server.h"
#include "security/jwk.h"
#include "security/role.h"

#define KINDS	   (HTTP_NAME_EMAIL + 1)
#define HASH_SHOWN 24 /* bytes of a long name's hash */

struct rule {
	const struct config_client_certificate *config;
	char *text; /* what the tables find it by */
	char name[PRINCIPAL_NAME_MAX];
};

struct certificate_rules {
	struct table by_kind[KINDS];
	size_t count;
	struct rule rules[];
};

/* --- making them -------------------------------------------------------------- */

static const char *text_of(const struct config_client_certificate *config,
			   enum http_name_kind *kind_r)
{
	const struct {
		const char *text;
		enum http_name_kind kind;
	} names[] = {
		{ config->subject, HTTP_NAME_SUBJECT },
		{ config->uri, HTTP_NAME_URI },
		{ config->dns, HTTP_NAME_DNS },
		{ config->email, HTTP_NAME_EMAIL },
	};
	size_t i = 0;

	/* The configuration was checked: one of them is set. */
	while (i + 1 < ARRAY_SIZE(names) && *names[i].text == '\0')
		i++;
	*kind_r = names[i].kind;
	return names[i].text;
}

/* "cert:dn:CN=ops,O=Example"; a hash stands for what is too long. */
static bool set_name(struct rule *rule, enum http_name_kind kind)
{
	static const char *const words[KINDS] = {
		[HTTP_NAME_SUBJECT] = "dn",
		[HTTP_NAME_URI] = "uri",
		[HTTP_NAME_DNS] = "dns",
		[HTTP_NAME_EMAIL] = "email",
	};
	char hex[2 * HASH_SHOWN + 1];
	uint8_t hash[32];

	if (*rule->text != '#' &&
	    snprintf(rule->name, sizeof(rule->name), "cert:%s:%s", words[kind],
		     rule->text) < (int)sizeof(rule->name))
		return true;
	if (!jwk_sha256(rule->text, strlen(rule->text), hash))
		return false;
	text_to_hex(hash, HASH_SHOWN, hex);
	(void)snprintf(rule->name, sizeof(rule->name), "cert:%s:#%s",
		       words[kind], hex);
	return true;
}

static atom_status add_rule(struct certificate_rules *rules,
			    const struct config_client_certificate *config)
{
	struct rule *rule = &rules->rules[rules->count];
	enum http_name_kind kind;
	const char *text = text_of(config, &kind);
	struct table *table = &rules->by_kind[kind];

	rule->config = config;
	rule->text = mem_strdup(text);
	if (rule->text == NULL)
		return ATOM_ENOMEM;
	rules->count++;
	for (char *p = rule->text; kind == HTTP_NAME_DNS && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	if (!set_name(rule, kind))
		return ATOM_ENOMEM;
	/* Of two rows of one name the first counts. */
	if (table_get_text(table, rule->text) != NULL)
		return ATOM_OK;
	return table_set(table, rule->text, strlen(rule->text), rule, NULL);
}

atom_status certificate_rules_new(const struct config *config,
				  struct certificate_rules **rules_r,
				  struct atom_error *err)
{
	size_t count = config->client_certificate_count;
	struct certificate_rules *rules =
		mem_zalloc(sizeof(*rules) + count * sizeof(rules->rules[0]));
	atom_status status = rules != NULL ? ATOM_OK : ATOM_ENOMEM;

	for (size_t i = 0; i < count && status == ATOM_OK; i++)
		status = add_rule(rules, &config->client_certificates[i]);
	if (status == ATOM_OK) {
		*rules_r = rules;
		return ATOM_OK;
	}
	certificate_rules_free(&rules);
	return atom_fail(err, status, "no memory for client certificates");
}

void certificate_rules_free(struct certificate_rules **rules)
{
	struct certificate_rules *r = TAKE(*rules);

	if (r == NULL)
		return;
	for (size_t i = 0; i < KINDS; i++)
		table_fini(&r->by_kind[i]);
	for (size_t i = 0; i < r->count; i++)
		mem_free(r->rules[i].text);
	mem_free(r);
}

/* --- asking them ----------------------------------------------------------------- */

bool certificate_principal(const struct certificate_rules *rules,
			   const struct http_certificate *certificate,
			   struct principal *p)
{
	const struct rule *first = NULL;

	for (size_t i = 0; i < certificate->count; i++) {
		const struct http_certificate_name *name =
			&certificate->names[i];
		const struct rule *found =
			table_get_text(&rules->by_kind[name->kind], name->text);

		if (found != NULL && (first == NULL || found < first))
			first = found;
	}
	if (first == NULL)
		return false;
	memset(p, 0, sizeof(*p));
	memcpy(p->name, first->name, sizeof(p->name));
	(void)snprintf(p->role, sizeof(p->role), "%s", first->config->role);
	p->permissions = role_permissions(first->config->role);
	p->agents = first->config->agents;
	p->limited = p->agents[0] != NULL;
	return true;
}

bool certificate_rules_give(const struct certificate_rules *rules,
			    uint32_t permissions)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];
		const struct config_client_certificate *row = rule->config;
		enum http_name_kind kind;
		bool counts;

		(void)text_of(row, &kind);
		/* Of two rows of one name the second never does. */
		counts = table_get_text(&rules->by_kind[kind], rule->text) ==
			 rule;
		if (counts && row->agents[0] == NULL &&
		    (role_permissions(row->role) & permissions) == permissions)
			return true;
	}
	return false;
}
