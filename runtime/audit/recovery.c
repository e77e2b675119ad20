/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Taking the log up at start.  Three witnesses must agree: the required sink
 * (records, last signed head, range), the key, and the head signed last as
 * the state folder remembers it.
 *
 *	key  sink has records   remembered head
 *	no   no                 (ignored)         a new log
 *	no   yes                                  refused: the key is lost
 *	yes  no                 of records        refused: the records are lost
 *	yes  no                 none              the log goes on from nothing
 *	yes  yes                                  signed range, then the tail
 *						  after it, record by record;
 *						  it must pass through the
 *						  remembered head
 *
 * A sink that cannot be read begins a new log at each start: there is nothing
 * to check that it could be taken up by.
 */

#include <string.h>

#include "audit/audit_priv.h"
#include "core/log.h"

bool log_step(struct audit_log *log, struct atom_audit_record *record)
{
	uint8_t hash[CHAIN_HASH], leaf[TREE_HASH];

	memcpy(hash, log->hash, sizeof(hash));
	/* The tree last: it stays as it is when it cannot take the leaf. */
	if (!tree_leaf(record->json.bytes, record->json.length, leaf) ||
	    !chain_step(hash, leaf) || !tree_append(&log->range, leaf))
		return false;
	memcpy(log->hash, hash, sizeof(hash));
	memcpy(record->hash, hash, sizeof(hash));
	log->sequence++;
	return true;
}

#define NEW_LOG                                                                 \
	"to begin a new log move the sink's records, audit.key and audit.head " \
	"of the state folder away, and keep them"

struct tail {
	struct audit_log *log;
	struct note_head head; /* remembered; size 0 = none */
	bool has_hash;	       /* log->hash is known */
	struct atom_error *err;
	atom_status status;
};

static atom_status check_head(const struct tail *t)
{
	uint8_t root[TREE_HASH];

	if (t->head.size != t->log->sequence || t->head.size == 0)
		return ATOM_OK;
	if (!tree_root(&t->log->range, root))
		return atom_fail(t->err, ATOM_ENOMEM, "no memory");
	if (memcmp(root, t->head.root, sizeof(root)) != 0 ||
	    (t->has_hash &&
	     memcmp(t->log->hash, t->head.chain, sizeof(t->head.chain)) != 0))
		return atom_fail(
			t->err, ATOM_EDATALOSS,
			"the records up to %llu are not those that audit.head has signed: the log was changed; " NEW_LOG,
			(unsigned long long)t->head.size);
	return ATOM_OK;
}

static int32_t see(void *argument, const struct atom_audit_record *record)
{
	struct tail *t = argument;
	struct atom_audit_record copy = { .json = record->json };

	if (record->sequence != t->log->sequence + 1) {
		t->status = atom_fail(
			t->err, ATOM_EDATALOSS,
			"record %llu is missing: found %llu; " NEW_LOG,
			(unsigned long long)t->log->sequence + 1,
			(unsigned long long)record->sequence);
		return 1;
	}
	if (!log_step(t->log, &copy)) {
		t->status = atom_fail(t->err, ATOM_ENOMEM, "no memory");
		return 1;
	}
	/* The first one's hash is taken as given when nothing says what was
	 * before it: a pruned log whose sink keeps no note. */
	if (!t->has_hash)
		memcpy(t->log->hash, record->hash, sizeof(t->log->hash));
	else if (memcmp(copy.hash, record->hash, sizeof(copy.hash)) != 0)
		t->status = atom_fail(
			t->err, ATOM_EDATALOSS,
			"the hash of record %llu does not fit the records before it; " NEW_LOG,
			(unsigned long long)record->sequence);
	t->has_hash = true;
	if (t->status == ATOM_OK)
		t->status = check_head(t);
	return t->status != ATOM_OK;
}

/* Range and hash at the sink's last signed head. */
static atom_status take_range(struct tail *t,
			      const struct atom_audit_position *p)
{
	struct audit_log *log = t->log;
	struct note_head head;
	uint8_t root[TREE_HASH];
	atom_status status;

	if (!tree_range_load(&log->range, p->checkpoint, p->range[0],
			     p->range_count))
		return atom_fail(
			t->err, ATOM_EDATALOSS,
			"the sink's range of %u hashes does not fit its head of %llu records; " NEW_LOG,
			p->range_count, (unsigned long long)p->checkpoint);
	log->sequence = p->checkpoint;
	if (p->checkpoint == 0) {
		t->has_hash = chain_genesis(log->signer.log_id, log->hash);
		return t->has_hash
			       ? ATOM_OK
			       : atom_fail(t->err, ATOM_ENOMEM, "no memory");
	}
	if (p->note.length == 0)
		return check_head(t);
	status = note_verify(p->note.bytes, p->note.length,
			     &log->signer.verifier, &head, t->err);
	if (status != ATOM_OK)
		return status;
	if (!tree_root(&log->range, root))
		return atom_fail(t->err, ATOM_ENOMEM, "no memory");
	if (head.size != p->checkpoint ||
	    memcmp(head.root, root, sizeof(root)) != 0)
		return atom_fail(
			t->err, ATOM_EDATALOSS,
			"the sink's range is not the one of its signed head of %llu records; " NEW_LOG,
			(unsigned long long)head.size);
	memcpy(log->hash, head.chain, sizeof(log->hash));
	t->has_hash = true;
	return check_head(t);
}

static atom_status take_tail(struct tail *t,
			     const struct atom_audit_position *p,
			     const struct atom_audit_ops *ops, void *self)
{
	const uint64_t after = p->checkpoint;
	atom_status status = take_range(t, p);

	if (status == ATOM_OK && p->sequence > after) {
		status = ops->read(self, after, p->sequence - after, see, t,
				   t->err);
		if (t->status != ATOM_OK)
			status = t->status;
	}
	if (status != ATOM_OK)
		return status;
	if (t->log->sequence != p->sequence)
		return atom_fail(
			t->err, ATOM_EDATALOSS,
			"the sink says that it has records up to %llu, and gives them up to %llu; " NEW_LOG,
			(unsigned long long)p->sequence,
			(unsigned long long)t->log->sequence);
	t->log->signed_sequence = after;
	/* Its hash is then the one that the log begins with. */
	if (p->sequence == 0)
		return ATOM_OK;
	if (t->has_hash && memcmp(t->log->hash, p->hash, sizeof(p->hash)) != 0)
		return atom_fail(
			t->err, ATOM_EDATALOSS,
			"the hash of the last record, %llu, does not fit the records before it; " NEW_LOG,
			(unsigned long long)p->sequence);
	memcpy(t->log->hash, p->hash, sizeof(p->hash));
	return ATOM_OK;
}

static atom_status begin_new(struct audit_log *log, struct atom_error *err)
{
	atom_status status = key_file_make(log->directory, &log->signer, err);

	if (status != ATOM_OK)
		return status;
	head_file_remove(log->directory);
	log->sequence = log->signed_sequence = 0;
	log->range.size = 0;
	if (!chain_genesis(log->signer.log_id, log->hash))
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	log_line(ATOM_LOG_INFO, "audit_log_new", "a new audit log begins",
		 LOG_TEXT("log_id", log->signer.log_id));
	return ATOM_OK;
}

static atom_status remembered(struct tail *t)
{
	char note[NOTE_READ_MAX + 1];
	struct atom_error why = ATOM_ERROR_INIT;
	size_t length;
	atom_status status =
		head_file_read(t->log->directory, note, &length, t->err);

	if (status != ATOM_OK || length == 0)
		return status;
	status = note_verify(note, length, &t->log->signer.verifier, &t->head,
			     &why);
	if (status == ATOM_EINVAL) {
		/* A crash of the machine may have torn it: it is not synced. */
		log_line(ATOM_LOG_WARN, "audit_head_unreadable", why.message);
		return ATOM_OK;
	}
	if (status != ATOM_OK)
		return atom_fail(t->err, status, "audit.head: %s", why.message);
	return ATOM_OK;
}

atom_status recovery_run(struct audit_log *log,
			 const struct atom_audit_ops *ops, void *self,
			 struct atom_error *err)
{
	struct atom_audit_position p = { .struct_size = sizeof(p) };
	struct tail t = { .log = log, .err = err };
	atom_status status;

	if (!ATOM_HAS(ops, read) || ops->last == NULL || ops->read == NULL)
		return begin_new(log, err);
	status = ops->last(self, &p, err);
	if (status != ATOM_OK)
		return status;
	status = key_file_read(log->directory, &log->signer, err);
	if (status == ATOM_ENOENT && p.sequence == 0)
		return begin_new(log, err);
	if (status == ATOM_ENOENT)
		return atom_fail(
			err, ATOM_EDATALOSS,
			"the sink has %llu records, but the key of their log, audit.key in %s, is not there: restore it, or move the sink's records away to begin a new log",
			(unsigned long long)p.sequence, log->directory);
	if (status == ATOM_OK)
		status = remembered(&t);
	if (status != ATOM_OK)
		return status;
	if (t.head.size > p.sequence)
		return atom_fail(
			err, ATOM_EDATALOSS,
			"the log had %llu records when audit.head was signed, the sink has %llu: records are lost; restore them; " NEW_LOG,
			(unsigned long long)t.head.size,
			(unsigned long long)p.sequence);
	return take_tail(&t, &p, ops, self);
}
