/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "audit_offline.h"

#include "audit/folder.h"
#include "audit/note.h"

#include <stdio.h>
#include <string.h>

const char *audit_folder(const struct ctl *ctl, size_t index)
{
	return ctl->word_count > index ? ctl->words[index]
				       : ATOMD_STATE_DIR "/audit";
}

static int read_key_file(struct ctl *ctl, const char *path,
			 char line[NOTE_VERIFIER_MAX])
{
	FILE *file = fopen(path, "re");
	size_t length;
	if (!file)
		return ctl_fail(ctl, CTL_FAILED,
				"--public-key: cannot open %s: %m", path);
	length = fread(line, 1, NOTE_VERIFIER_MAX - 1, file);
	fclose(file);
	line[length] = '\0';
	return CTL_DONE;
}

int audit_public_key(struct ctl *ctl, struct note_verifier *key_r,
		     bool *given_r)
{
	const char *value = ctl_option(ctl, OPTION_PUBLIC_KEY);
	struct atom_error err = ATOM_ERROR_INIT;
	char line[NOTE_VERIFIER_MAX];
	*given_r = value != NULL;
	if (!value)
		return CTL_DONE;
	if (note_verifier_parse(value, key_r, &err) == ATOM_OK)
		return CTL_DONE;
	int code = read_key_file(ctl, value, line);
	if (code != CTL_DONE)
		return code;
	if (note_verifier_parse(line, key_r, &err) != ATOM_OK)
		return ctl_fail(ctl, CTL_FAILED, "--public-key %s: %s", value,
				err.message);
	return CTL_DONE;
}
