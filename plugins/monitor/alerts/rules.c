/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/rules.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

struct reader {
	struct rules *rules;
	const char *path;
	yaml_document_t document;
	struct atom_error *err;
};

/* --- YAML nodes ----------------------------------------------------------------- */

static atom_status fail(struct reader *r, const yaml_node_t *node,
			const char *expected)
{
	return atom_fail(r->err, ATOM_EINVAL, "%s:%zu: expected %s", r->path,
			 node != NULL ? node->start_mark.line + 1 : 1,
			 expected);
}

static atom_status no_memory(struct reader *r)
{
	return atom_fail(r->err, ATOM_ENOMEM,
			 "%s: out of memory, or too many rules", r->path);
}

/* An error of a part, with the place before it. */
static atom_status fail_in(struct reader *r, const yaml_node_t *node,
			   atom_status status, const char *why)
{
	return atom_fail(r->err, status, "%s:%zu: %s", r->path,
			 node->start_mark.line + 1, why);
}

static yaml_node_t *node_of(struct reader *r, int index)
{
	return yaml_document_get_node(&r->document, index);
}

static atom_status text_of(struct reader *r, const yaml_node_t *node,
			   const char **text_r)
{
	const yaml_char_t *bytes;

	if (node == NULL || node->type != YAML_SCALAR_NODE)
		return fail(r, node, "a text");
	bytes = node->data.scalar.value;
	if (memchr(bytes, '\0', node->data.scalar.length) != NULL)
		return fail(r, node, "a text without NUL");
	*text_r = arena_text(&r->rules->arena, (const char *)bytes,
			     node->data.scalar.length);
	return *text_r != NULL ? ATOM_OK : no_memory(r);
}

/* Calls `take` for each pair of a mapping; a key stands once. */
static atom_status each_key(
	struct reader *r, const yaml_node_t *node, const char *expected,
	atom_status (*take)(struct reader *r, const char *key,
			    const yaml_node_t *key_node,
			    const yaml_node_t *value, void *argument),
	void *argument)
{
	atom_status status = ATOM_OK;

	if (node == NULL || node->type != YAML_MAPPING_NODE)
		return fail(r, node, expected);
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top && status == ATOM_OK; pair++) {
		const yaml_node_t *key_node = node_of(r, pair->key);
		const char *key = "";

		status = text_of(r, key_node, &key);
		for (yaml_node_pair_t *before = node->data.mapping.pairs.start;
		     status == ATOM_OK && before < pair; before++)
			if (strcmp((const char *)node_of(r, before->key)
					   ->data.scalar.value,
				   key) == 0)
				status = fail(r, key_node, "each key once");
		if (status == ATOM_OK)
			status = take(r, key, key_node, node_of(r, pair->value),
				      argument);
	}
	return status;
}

static atom_status each_item(struct reader *r, const yaml_node_t *node,
			     const char *expected,
			     atom_status (*take)(struct reader *r,
						 const yaml_node_t *item,
						 void *argument),
			     void *argument)
{
	atom_status status = ATOM_OK;

	if (node == NULL || node->type != YAML_SEQUENCE_NODE)
		return fail(r, node, expected);
	for (yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top && status == ATOM_OK; item++)
		status = take(r, node_of(r, *item), argument);
	return status;
}

static atom_status take_duration(struct reader *r, const yaml_node_t *node,
				 int64_t *ms_r)
{
	const char *text = "";
	atom_status status = text_of(r, node, &text);

	if (status == ATOM_OK && strcmp(text, "0") != 0 &&
	    !expr_duration(text, strlen(text), ms_r))
		status = fail(r, node, "a duration like 30s or 1h30m");
	return status;
}

/* --- labels and annotations -------------------------------------------------------- */

struct pairs {
	struct label *items;
	size_t count;
	bool are_labels;
};

static atom_status take_pair(struct reader *r, const char *key,
			     const yaml_node_t *key_node,
			     const yaml_node_t *value, void *argument)
{
	struct pairs *pairs = argument;
	struct atom_error why = ATOM_ERROR_INIT;
	const char *text = NULL;
	atom_status status = text_of(r, value, &text);

	if (status != ATOM_OK)
		return status;
	if (*key == '\0' || (*key >= '0' && *key <= '9') ||
	    strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789_") != strlen(key))
		return fail(r, key_node, "a name of letters, digits and _");
	if (pairs->are_labels &&
	    (strcmp(key, LABEL_NAME) == 0 || strcmp(key, "alertname") == 0))
		return fail(r, key_node, "a label that is not set already");
	status = template_check(text, &why);
	if (status != ATOM_OK)
		return fail_in(r, value, status, why.message);
	pairs->items[pairs->count++] = (struct label){ key, text };
	return ATOM_OK;
}

static atom_status take_pairs(struct reader *r, const yaml_node_t *node,
			      bool are_labels, const struct label **items_r,
			      size_t *count_r)
{
	struct pairs pairs = { .are_labels = are_labels };
	size_t most = 0;
	atom_status status;

	if (node != NULL && node->type == YAML_MAPPING_NODE)
		most = (size_t)(node->data.mapping.pairs.top -
				node->data.mapping.pairs.start);
	pairs.items =
		arena_array(&r->rules->arena, most + 1, sizeof(*pairs.items));
	if (pairs.items == NULL)
		return no_memory(r);
	status = each_key(r, node, "a mapping of names to texts", take_pair,
			  &pairs);
	*items_r = pairs.items;
	*count_r = pairs.count;
	return status;
}

/* --- rules ------------------------------------------------------------------------------ */

static atom_status take_expr(struct reader *r, const yaml_node_t *node,
			     struct rule *rule)
{
	struct atom_error why = ATOM_ERROR_INIT;
	const char *text = NULL;
	atom_status status = text_of(r, node, &text);

	if (status != ATOM_OK)
		return status;
	status = expr_parse(&r->rules->arena, text, &rule->expr, &why);
	return status == ATOM_OK ? status
				 : fail_in(r, node, status, why.message);
}

static atom_status take_rule_key(struct reader *r, const char *key,
				 const yaml_node_t *key_node,
				 const yaml_node_t *value, void *argument)
{
	struct rule *rule = argument;

	if (strcmp(key, "alert") == 0)
		return text_of(r, value, &rule->name);
	if (strcmp(key, "expr") == 0)
		return take_expr(r, value, rule);
	if (strcmp(key, "for") == 0)
		return take_duration(r, value, &rule->for_ms);
	if (strcmp(key, "keep_firing_for") == 0)
		return take_duration(r, value, &rule->keep_ms);
	if (strcmp(key, "labels") == 0)
		return take_pairs(r, value, true, &rule->labels,
				  &rule->label_count);
	if (strcmp(key, "annotations") == 0)
		return take_pairs(r, value, false, &rule->annotations,
				  &rule->annotation_count);
	if (strcmp(key, "record") == 0)
		return fail(r, key_node,
			    "an `alert`; recording rules are not for the "
			    "daemon, it keeps no series of theirs");
	return fail(r, key_node,
		    "one of alert, expr, for, keep_firing_for, labels, "
		    "annotations");
}

static atom_status take_rule(struct reader *r, const yaml_node_t *node,
			     void *argument)
{
	struct rules *rules = r->rules;
	struct rule *rule = &rules->items[rules->count];
	char place[512], nth[16];
	unsigned before = 1;
	atom_status status;

	if (rules->count == RULES_MAX)
		return fail(r, node, "at most 1,000 rules");
	*rule = *(const struct rule *)argument;
	status = each_key(r, node, "a rule: a mapping", take_rule_key, rule);
	if (status != ATOM_OK)
		return status;
	if (rule->name == NULL || *rule->name == '\0')
		return fail(r, node, "the key `alert` with a name");
	if (rule->expr == NULL)
		return fail(r, node, "the key `expr`");
	(void)snprintf(place, sizeof(place), "%s:%zu", r->path,
		       node->start_mark.line + 1);
	rule->place = arena_text(&rules->arena, place, strlen(place));
	for (size_t i = 0; i < rules->count; i++)
		before += strcmp(rules->items[i].group, rule->group) == 0 &&
			  strcmp(rules->items[i].name, rule->name) == 0;
	(void)snprintf(nth, sizeof(nth), "%u", before);
	rule->nth = arena_text(&rules->arena, nth, strlen(nth));
	if (rule->place == NULL || rule->nth == NULL)
		return no_memory(r);
	rules->count++;
	return ATOM_OK;
}

/* --- groups ------------------------------------------------------------------------------ */

struct group {
	struct rule rule; /* what its rules begin with */
	const yaml_node_t *rules;
};

static atom_status take_group_key(struct reader *r, const char *key,
				  const yaml_node_t *key_node,
				  const yaml_node_t *value, void *argument)
{
	struct group *group = argument;

	if (strcmp(key, "name") == 0)
		return text_of(r, value, &group->rule.group);
	if (strcmp(key, "interval") == 0)
		return take_duration(r, value, &group->rule.interval_ms);
	if (strcmp(key, "rules") == 0) {
		group->rules = value;
		return ATOM_OK;
	}
	return fail(r, key_node, "one of name, interval, rules");
}

static atom_status take_group(struct reader *r, const yaml_node_t *node,
			      void *argument)
{
	struct group group = { 0 };
	size_t *first = argument;
	atom_status status =
		each_key(r, node, "a group: a mapping", take_group_key, &group);

	if (status != ATOM_OK)
		return status;
	if (group.rule.group == NULL || *group.rule.group == '\0')
		return fail(r, node, "the key `name`");
	for (size_t i = *first; i < r->rules->count; i++)
		if (strcmp(r->rules->items[i].group, group.rule.group) == 0)
			return fail(r, node, "each name of a group once");
	if (group.rules == NULL)
		return ATOM_OK;
	return each_item(r, group.rules, "a list of rules", take_rule,
			 &group.rule);
}

static atom_status take_file_key(struct reader *r, const char *key,
				 const yaml_node_t *key_node,
				 const yaml_node_t *value, void *argument)
{
	if (strcmp(key, "groups") != 0)
		return fail(r, key_node, "the key `groups` and no other");
	return each_item(r, value, "a list of groups", take_group, argument);
}

/* --- files ---------------------------------------------------------------------------- */

static atom_status read_document(struct reader *r, size_t *first)
{
	const yaml_node_t *root = yaml_document_get_root_node(&r->document);

	if (root == NULL)
		return ATOM_OK;
	return each_key(r, root, "a mapping with the key `groups`",
			take_file_key, first);
}

atom_status rules_add(struct rules *rules, const char *path, const char *text,
		      size_t length, struct atom_error *err)
{
	struct reader r = { .rules = rules, .path = path, .err = err };
	size_t first = rules->count;
	yaml_parser_t parser;
	atom_status status;

	if (length > RULES_FILE_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "%s: %zu bytes; a rule file has at most %d",
				 path, length, RULES_FILE_MAX);
	if (rules->items == NULL)
		rules->items = arena_array(&rules->arena, RULES_MAX + 1,
					   sizeof(*rules->items));
	if (rules->items == NULL || yaml_parser_initialize(&parser) == 0)
		return no_memory(&r);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text,
				     length);
	if (yaml_parser_load(&parser, &r.document) == 0) {
		status = atom_fail(err, ATOM_EINVAL, "%s:%zu: %s", path,
				   parser.problem_mark.line + 1,
				   parser.problem != NULL ? parser.problem
							  : "no YAML");
	} else {
		status = read_document(&r, &first);
		yaml_document_delete(&r.document);
	}
	yaml_parser_delete(&parser);
	return status;
}

void rules_fini(struct rules *rules)
{
	arena_fini(&rules->arena);
	rules->items = NULL;
	rules->count = 0;
}

double rule_threshold(const struct rule *rule)
{
	const struct expr *expr = rule->expr;

	while (expr->kind == EXPR_BINARY && expr->op == OP_AND)
		expr = expr->left;
	if (expr->kind == EXPR_BINARY && expr->op >= OP_EQUAL &&
	    expr->op <= OP_LESS_EQUAL && expr->right->kind == EXPR_NUMBER)
		return expr->right->number;
	return 0;
}
