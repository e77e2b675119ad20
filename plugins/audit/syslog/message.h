/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_MESSAGE_H
#define AUDIT_SYSLOG_MESSAGE_H

/*
 * One message of RFC 5424:
 *
 *	<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD-ID ...] MSG
 *
 * MSG is the record's canonical JSON, or a checkpoint's note as a JSON string.
 * It begins with the byte order mark that RFC 5424 6.4 asks for only when it
 * is not plain ASCII: an ASCII text is right either way, and a mark in front
 * of it would only break the receiver's JSON parser.  What is not UTF-8 has
 * none.  Control bytes of MSG become \u00XX, which inside JSON means the
 * same; the host's records have none.
 *
 * A message of more than `size_max` bytes loses the end of its MSG, between
 * two characters; the structured data then says how long it was.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#define MESSAGE_HOSTNAME_MAX 255 /* characters, RFC 5424 6 */
#define MESSAGE_APP_NAME_MAX 48
#define MESSAGE_PROCID_MAX   128
#define MESSAGE_MSGID_MAX    32
#define MESSAGE_SD_NAME_MAX  32

/* The head alone never needs more; `size_max` is at least this. */
#define MESSAGE_HEAD_MAX 1024

/* What all messages of a sink have in common. */
struct message_origin {
	int32_t facility; /* 0 to 23 */
	bool mark;	  /* the byte order mark, where it belongs */
	size_t size_max;  /* bytes of one message */
	char hostname[MESSAGE_HOSTNAME_MAX + 1];
	char app_name[MESSAGE_APP_NAME_MAX + 1];
	char procid[MESSAGE_PROCID_MAX + 1];
	char sd_id[MESSAGE_SD_NAME_MAX + 1];
};

struct message {
	int32_t severity; /* ATOM_LOG_* */
	int64_t time_ms;
	uint64_t sequence;
	const uint8_t *hash;  /* 32 bytes */
	const char *msgid;    /* of any bytes */
	const char *category; /* NULL: none */
	struct atom_span text;
};

/* Copies `text` as a field of the head: at most `length_max` characters, what
 * is not printable ASCII as '_', "-" when nothing is there.  `field` has room
 * for length_max + 1. */
void message_field(char *field, size_t length_max, const char *text);

/* Is it an SD-NAME of RFC 5424: 1 to 32 printable characters without
 * '=', ' ', ']' and '"'? */
bool message_is_sd_name(const char *text);

/* `out` has room for origin->size_max bytes; returns how many were written,
 * no NUL.  *cut_r: the end of MSG is missing. */
size_t message_format(const struct message_origin *origin,
		      const struct message *message, char *out, bool *cut_r);

#endif
