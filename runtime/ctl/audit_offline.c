/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "audit_offline.h"

#include "audit/folder.h"
#include "audit/note.h"
#include "keyring/kek.h"
#include "keyring/keyring.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

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

/* --- the folder ----------------------------------------------------------- */

#define FOLDER_MAX 4096

static bool is_named(const struct ctl *ctl)
{
	const char *url = getenv("ATOMD_URL");
	return ctl_has(ctl, OPTION_URL) || (url && *url);
}

/* "file", or "file#2" of a second one. */
static bool is_file_sink(const json_t *sink)
{
	const char *name = member_string(sink, "name");
	const char *path = member_string(sink, "path");
	return name && !strncmp(name, "file", 4) &&
	       (!name[4] || name[4] == '#') && path && *path;
}

static int take_from(struct ctl *ctl, const json_t *audit,
		     struct audit_place *place)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const json_t *sink, *found = NULL;
	size_t index;
	json_array_foreach(json_object_get(audit, "sinks"), index, sink)
	{
		if (!found && is_file_sink(sink))
			found = sink;
	}
	if (!found)
		return ctl_fail(ctl, CTL_FAILED,
				"%s keeps no audit log in a folder; name one "
				"that another did: DIR",
				client_endpoint(ctl->client));
	if (!text_append_string(&place->folder, member_string(found, "path")))
		return ctl_fail(ctl, CTL_FAILED,
				"the folder's path is too "
				"long");
	if (place->has_key)
		return CTL_DONE;
	const char *verifier = member_string(audit, "verifier");
	if (note_verifier_parse(verifier ? verifier : "", &place->key, &err) !=
	    ATOM_OK)
		return ctl_fail(ctl, CTL_FAILED, "the daemon's verifier: %s",
				err.message);
	place->has_key = true;
	return CTL_DONE;
}

static int ask_daemon(struct ctl *ctl, struct audit_place *place)
{
	json_t *status = NULL;
	int code = ctl_get(ctl, "/admin/v1/status", &status);
	if (code == CTL_DONE) {
		code = take_from(ctl, json_object_get(status, "audit"), place);
		json_decref(status);
	} else if (!is_named(ctl)) {
		text_clear(&ctl->message);
		code = text_append_string(&place->folder,
					  ATOMD_STATE_DIR "/audit")
			       ? CTL_DONE
			       : ctl_fail_memory(ctl);
	}
	return code;
}

int audit_place_find(struct ctl *ctl, size_t index, struct audit_place *place_r)
{
	int code;
	*place_r = (struct audit_place){ .folder = TEXT_INIT(FOLDER_MAX) };
	code = audit_public_key(ctl, &place_r->key, &place_r->has_key);
	if (code != CTL_DONE)
		return code;
	if (ctl->word_count <= index)
		return ask_daemon(ctl, place_r);
	if (!text_append_string(&place_r->folder, ctl->words[index]))
		return ctl_fail(ctl, CTL_USAGE, "too long a path of a folder");
	return CTL_DONE;
}

void audit_place_fini(struct audit_place *place)
{
	text_fini(&place->folder);
}

/* --- sealed records ------------------------------------------------------- */

static atom_status open_sealed(void *argument, const struct atom_span *identity,
			       const struct atom_span *sealed, char *out,
			       size_t *length_r, struct atom_error *err)
{
	char purpose[KEYRING_PURPOSE_MAX];
	keyring_purpose("audit/file", "", purpose);
	return keyring_unseal(argument, purpose, identity, sealed, out,
			      length_r, err);
}

/* The key beside the keyring, where none is named. */
static bool key_path(const struct ctl *ctl, const char *keyring,
		     struct text *path)
{
	const char *named = ctl_option(ctl, OPTION_KEYRING_KEY);
	const char *slash = strrchr(keyring, '/');
	if (named)
		return text_append_string(path, named);
	return (!slash ||
		text_append(path, keyring, (size_t)(slash + 1 - keyring))) &&
	       text_append_string(path, KEK_FILE);
}

int audit_keyring(struct ctl *ctl, struct keyring **keyring_r,
		  struct verify_unsealer *unsealer_r)
{
	const char *file = ctl_option(ctl, OPTION_KEYRING);
	struct atom_error err = ATOM_ERROR_INIT;
	struct text path = TEXT_INIT(4096);
	uint8_t kek[KEYRING_KEY_BYTES];
	int code = CTL_DONE;
	*keyring_r = NULL;
	if (!file)
		return CTL_DONE;
	if (!key_path(ctl, file, &path))
		code = ctl_fail(ctl, CTL_USAGE, "--keyring: too long a path");
	else if (kek_read_file(text_string(&path), kek, &err) != ATOM_OK)
		code = ctl_fail(ctl, CTL_FAILED, "--keyring-key: %s",
				err.message);
	else if (keyring_open_file(file, kek, keyring_r, &err) != ATOM_OK)
		code = ctl_fail(ctl, CTL_FAILED, "--keyring: %s", err.message);
	OPENSSL_cleanse(kek, sizeof(kek));
	text_fini(&path);
	*unsealer_r = (struct verify_unsealer){ .argument = *keyring_r,
						.open = open_sealed };
	return code;
}
