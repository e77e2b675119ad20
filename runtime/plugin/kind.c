/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What each kind asks of a component.  A new kind is a row and a check here.
 */

#include "plugin/kind.h"

#include <string.h>

#include <atomd/audit.h>
#include <atomd/backend.h>
#include <atomd/deployment.h>
#include <atomd/draft/judge.h>
#include <atomd/monitor.h>
#include <atomd/scaling.h>
#include <atomd/store.h>

#include "core/memory.h"
#include "plugin/registry.h"

/* Size of `type` when `member` was its last one. */
#define SIZE_UP_TO(type, member) \
	(offsetof(type, member) + sizeof(((type *)0)->member))

#define MUST_HAVE(ops, function)                                    \
	do {                                                        \
		if ((ops)->function == NULL)                        \
			return atom_fail(err, ATOM_EINVAL,          \
					 "its function `" #function \
					 "` is missing");           \
	} while (0)

static atom_status backend_check(const struct atom_ops *head,
				 struct atom_error *err)
{
	const struct atom_backend_ops *ops =
		(const struct atom_backend_ops *)(const void *)head;
	uint32_t style =
		ops->flags & (ATOM_BACKEND_SHARED | ATOM_BACKEND_BLOCKING);

	if (style == (ATOM_BACKEND_SHARED | ATOM_BACKEND_BLOCKING))
		return atom_fail(err, ATOM_EINVAL,
				 "it sets both ATOM_BACKEND_SHARED and "
				 "ATOM_BACKEND_BLOCKING; choose one");
	MUST_HAVE(ops, invoke);
	if (style == 0) {
		MUST_HAVE(ops, instance_start);
		MUST_HAVE(ops, instance_stop);
	}
	return ATOM_OK;
}

static atom_status scaling_check(const struct atom_ops *head,
				 struct atom_error *err)
{
	const struct atom_scaling_ops *ops =
		(const struct atom_scaling_ops *)(const void *)head;

	MUST_HAVE(ops, evaluate);
	return ATOM_OK;
}

static atom_status deployment_check(const struct atom_ops *head,
				    struct atom_error *err)
{
	const struct atom_deployment_ops *ops =
		(const struct atom_deployment_ops *)(const void *)head;

	MUST_HAVE(ops, advance);
	return ATOM_OK;
}

static atom_status judge_check(const struct atom_ops *head,
			       struct atom_error *err)
{
	const struct atom_judge_ops *ops =
		(const struct atom_judge_ops *)(const void *)head;

	MUST_HAVE(ops, judge);
	return ATOM_OK;
}

static atom_status monitor_check(const struct atom_ops *head,
				 struct atom_error *err)
{
	const struct atom_monitor_ops *ops =
		(const struct atom_monitor_ops *)(const void *)head;

	if (ops->event == NULL && ops->metrics == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "it has neither `event` nor `metrics`: "
				 "it would never be told anything");
	return ATOM_OK;
}

static atom_status audit_check(const struct atom_ops *head,
			       struct atom_error *err)
{
	const struct atom_audit_ops *ops =
		(const struct atom_audit_ops *)(const void *)head;

	MUST_HAVE(ops, write);
	MUST_HAVE(ops, sync);
	return ATOM_OK;
}

static atom_status store_check(const struct atom_ops *head,
			       struct atom_error *err)
{
	const struct atom_store_ops *ops =
		(const struct atom_store_ops *)(const void *)head;

	MUST_HAVE(ops, commit);
	MUST_HAVE(ops, get);
	MUST_HAVE(ops, scan);
	MUST_HAVE(ops, append);
	MUST_HAVE(ops, read_log);
	MUST_HAVE(ops, trim_log);
	MUST_HAVE(ops, check);
	MUST_HAVE(ops, backup);
	MUST_HAVE(ops, buckets);
	return ATOM_OK;
}

static const struct kind kinds[] = {
	{ ATOM_KIND_BACKEND, "backend",
	  SIZE_UP_TO(struct atom_backend_ops, resume), backend_check },
	{ ATOM_KIND_SCALING, "scaling",
	  SIZE_UP_TO(struct atom_scaling_ops, evaluate), scaling_check },
	{ ATOM_KIND_MONITOR, "monitor",
	  SIZE_UP_TO(struct atom_monitor_ops, metrics), monitor_check },
	{ ATOM_KIND_AUDIT, "audit", SIZE_UP_TO(struct atom_audit_ops, prune),
	  audit_check },
	{ ATOM_KIND_DEPLOYMENT, "deployment",
	  SIZE_UP_TO(struct atom_deployment_ops, advance), deployment_check },
	{ ATOM_KIND_JUDGE, "judge", SIZE_UP_TO(struct atom_judge_ops, judge),
	  judge_check },
	{ ATOM_KIND_STORE, "store", SIZE_UP_TO(struct atom_store_ops, buckets),
	  store_check },
};

const struct kind *kind_at(size_t i)
{
	return i < ARRAY_SIZE(kinds) ? &kinds[i] : NULL;
}

const struct kind *kind_of_id(const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].id, id) == 0)
			return &kinds[i];
	return NULL;
}

const struct kind *kind_of_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].word, word) == 0)
			return &kinds[i];
	return NULL;
}

const char *kind_word_of(const char *id)
{
	const struct kind *kind = kind_of_id(id);

	return kind != NULL ? kind->word : NULL;
}

const char *kind_id_of(const char *word)
{
	const struct kind *kind = kind_of_word(word);

	return kind != NULL ? kind->id : NULL;
}

atom_status kind_check_ops(const struct kind *kind, const struct atom_ops *ops,
			   struct atom_error *err)
{
	if (ops == NULL)
		return atom_fail(err, ATOM_EINVAL, "it has no functions");
	if (ops->struct_size < kind->ops_size_least)
		return atom_fail(err, ATOM_EINVAL,
				 "its table of functions has %u bytes, "
				 "a %s has at least %zu",
				 (unsigned int)ops->struct_size, kind->word,
				 kind->ops_size_least);
	MUST_HAVE(ops, create);
	MUST_HAVE(ops, destroy);
	return kind->check(ops, err);
}
