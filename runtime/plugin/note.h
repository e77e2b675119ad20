/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_NOTE_H
#define PLUGIN_NOTE_H

/*
 * The plugin's note, read from the bytes of its file without running any of
 * them: `ATOM-PLUGIN\002abi=1.0 needs=0 name=shout version=1.0.0\003`, in the
 * section .atom_plugin or, where sections were stripped, anywhere.  What the
 * note rules out is refused with a sentence that a person can act on.  Pure;
 * the bytes are a stranger's.  [any]
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#define NOTE_NAME_MAX	 63
#define NOTE_VERSION_MAX 63

struct note {
	uint16_t abi_major;
	uint16_t abi_minor;
	uint16_t needs_minor;
	char name[NOTE_NAME_MAX + 1];
	char version[NOTE_VERSION_MAX + 1];
};

/* Finds and reads the note in a whole file.  ATOM_EINVAL with why it is no
 * plugin for this machine (the message goes behind "FILE: "). */
atom_status note_read(const void *bytes, size_t length, struct note *note_r,
		      struct atom_error *err);

/* May this daemon load it? */
atom_status note_check(const struct note *note, struct atom_error *err);

/* Versions as people order them: dotted numbers, a pre-release ("-rc1") before
 * its release, build words ("+deb1") without weight.  <0, 0, >0. */
int version_compare(const char *a, const char *b);

/* [a-z0-9_-]{1,63}, what a plugin and a component may be called. */
int plugin_name_legal(const char *name);

#endif
