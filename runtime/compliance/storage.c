/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "compliance/check.h"
#include "compliance/probe.h"
#include "core/memory.h"
#include "core/text.h"
#include "plugin/options.h"
#include "plugin/registry.h"
#include "security/secret.h"
#include "state/state.h"

/* What lies on the disk: the files are read, byte by byte, for what must not
 * stand in them. */

#define SEARCH_MAX ((int64_t)1 << 30)
#define BUCKET	   "compliance"

static bool search(struct inspection *i, const char *word,
		   struct probe_search *search, struct finding *f)
{
	const char *const words[] = { word, NULL };
	struct atom_error err = ATOM_ERROR_INIT;

	*search = (struct probe_search){ .words = words,
					 .bytes_max = SEARCH_MAX };
	if (probe_files(i->config->state_directory, search, &err) == ATOM_OK)
		return true;
	find(f, CHECK_ERROR, "%.400s", err.message);
	return false;
}

static void judge_search(const struct probe_search *search, const char *what,
			 struct finding *f)
{
	find_evidence(f, "looked for %s in %llu files, %lld bytes", what,
		      (unsigned long long)search->files,
		      (long long)search->bytes);
	if (search->found[0] != '\0')
		find(f, CHECK_FAIL, "%s stands in %s", what, search->found);
	else if (search->cut)
		find(f, CHECK_ERROR,
		     "only the first %lld bytes of the state folder were "
		     "searched",
		     (long long)search->bytes);
	else if (search->files == 0)
		find(f, CHECK_ERROR, "the state folder holds no file");
	else
		find(f, CHECK_PASS, "%s stands in no file of the state folder",
		     what);
}

void check_key_storage(struct inspection *i, struct finding *f)
{
	/* The secret part alone: the id may stand there. */
	const char *secret = strrchr(i->key, '_');
	struct probe_search s;

	if (secret != NULL && search(i, secret + 1, &s, f))
		judge_search(&s, "the secret of a key made in this run", f);
}

void check_data_encryption(struct inspection *i, struct finding *f)
{
	struct probe_search s;

	if (search(i, i->canary, &s, f))
		judge_search(&s, "a canary planted in a stored record", f);
}

/* --- modes ----------------------------------------------------------------------- */

struct modes {
	struct finding *finding;
	unsigned int looked;
	unsigned int open;
};

static int look_at_mode(void *argument, const char *path, unsigned int mode)
{
	struct modes *modes = argument;

	if (S_ISLNK(mode) || S_ISSOCK(mode))
		return 0;
	modes->looked++;
	if ((mode & 077) == 0)
		return 0;
	modes->open++;
	find_evidence(modes->finding, "%.200s has mode %04o", path,
		      mode & 07777);
	return 0;
}

void check_file_modes(struct inspection *i, struct finding *f)
{
	struct modes modes = { .finding = f };
	struct atom_error err = ATOM_ERROR_INIT;
	struct stat info;

	if (probe_walk(i->config->state_directory, look_at_mode, &modes,
		       &err) != ATOM_OK) {
		find(f, CHECK_ERROR, "%.400s", err.message);
		return;
	}
	if (i->config->path[0] != '\0') {
		modes.looked++;
		if (stat(i->config->path, &info) != 0) {
			find(f, CHECK_ERROR, "%.300s: %s", i->config->path,
			     strerror(errno));
			return;
		}
		if ((info.st_mode & 022) != 0) {
			modes.open++;
			find_evidence(f, "%.200s may be written by others",
				      i->config->path);
		}
	}
	if (modes.open == 0)
		find_evidence(f, "%u files and folders looked at",
			      modes.looked);
	find(f, modes.open == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u files and folders are open to others", modes.open,
	     modes.looked);
}

/* --- the store ------------------------------------------------------------------- */

void check_state_durable(struct inspection *i, struct finding *f)
{
	struct state_transaction *t = state_transaction_new();
	struct state_record *record = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_ENOMEM;
	bool same = false;

	if (t != NULL)
		status = state_transaction_put(t, BUCKET, state_text("probe"),
					       state_text(i->key_id), STATE_ANY,
					       &err);
	if (status == ATOM_OK)
		status = state_commit_now(t, &err);
	state_transaction_free(&t);
	if (status == ATOM_OK)
		status = state_get_now(BUCKET, state_text("probe"), &record,
				       &err);
	if (status == ATOM_OK)
		same = record->value.length == strlen(i->key_id) &&
		       memcmp(record->value.bytes, i->key_id,
			      record->value.length) == 0;
	mem_free(record);
	if (status == ATOM_OK && same)
		find_evidence(f, "a record was committed and read back as it "
				 "was written");
	if (status != ATOM_OK)
		find(f, CHECK_FAIL, "%.400s", err.message);
	else
		find(f, same ? CHECK_PASS : CHECK_FAIL,
		     same ? "the store commits and reads back"
			  : "the store read back something else");
}

/* --- secrets of the configuration -------------------------------------------------- */

static void look_at_secrets(const struct config_agent *agent,
			    unsigned int *looked, unsigned int *literal,
			    struct finding *f)
{
	const struct component *component;
	struct atom_error err = ATOM_ERROR_INIT;
	const char **names;

	if (registry_component("backend", agent->backend, &component, &err) !=
	    ATOM_OK)
		return;
	names = options_secret_names(component->declared);
	for (size_t n = 0; names != NULL && names[n] != NULL; n++) {
		const struct setting *setting =
			setting_member(agent->backend_options, names[n]);

		if (setting == NULL || setting->type != SETTING_STRING ||
		    setting->raw[0] == '\0')
			continue;
		(*looked)++;
		if (strstr(setting->raw, "${") != NULL)
			continue;
		(*literal)++;
		find_evidence(f, "%s:%d: agent %s, `%s` stands in the file",
			      setting->file, setting->line, agent->name,
			      names[n]);
	}
	mem_free(names);
}

void check_secrets_by_reference(struct inspection *i, struct finding *f)
{
	unsigned int looked = 0, literal = 0;

	for (size_t n = 0; n < i->config->agent_count; n++)
		look_at_secrets(&i->config->agents[n], &looked, &literal, f);
	if (looked == 0) {
		find(f, CHECK_NOT_APPLICABLE,
		     "no agent's option holds a secret");
		return;
	}
	if (literal == 0)
		find_evidence(f, "%u secret options looked at", looked);
	find(f, literal == 0 ? CHECK_PASS : CHECK_FAIL,
	     "%u of %u secrets stand in the configuration itself", literal,
	     looked);
}
