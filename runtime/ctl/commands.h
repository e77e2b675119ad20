/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands: what there is, how it is used, what comes later.
 */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct ctl;

struct command {
	const char *word;
	const char *subword;  /* NULL: none */
	const char *synopsis; /* behind the words */
	const char *summary;  /* one line, in the list */
	const char *help;     /* paragraphs, may be NULL */
	/* enum option_id, ended by OPTION_COUNT, besides those that all have;
	 * NULL: none */
	const unsigned char *options;
	size_t words_min; /* words behind the command */
	size_t words_max;
	int (*run)(struct ctl *ctl);
};

/* All of them (command_table.c). */
extern const struct command command_table[];
extern const size_t command_count;

/* May that option stand with that command? */
bool command_knows(const struct command *command, int id);

/* The command that the words begin with; a subword wins over a bare word.
 * `*taken_r`: how many words it took. NULL: none, see `commands_explain`. */
const struct command *commands_find(const char *const *words, size_t count,
				    size_t *taken_r);

/* Is it the first of two words of a command? */
bool commands_is_group(const char *word);

#define COMMANDS_EXPLAIN_MAX 512

/* Why `commands_find` found none: of a later version, nearest word, or the
 * subwords that there are. */
void commands_explain(const char *const *words, size_t count,
		      char out[COMMANDS_EXPLAIN_MAX]);

/* Why this command does not take that option: of a later version, of another
 * command, or mistyped. `option` is as typed, dashes too. */
void commands_explain_option(const struct command *command, const char *option,
			     char out[COMMANDS_EXPLAIN_MAX]);

/* `agents export NAME` as it is typed, without the program's name. */
void commands_print_usage(const struct command *command, FILE *out);

/* Help of one command; of the whole program for NULL; of all commands with
 * this first word for a word that stands alone nowhere. */
void commands_print_help(const struct command *command, FILE *out);
void commands_print_group(const char *word, FILE *out);

int cmd_status(struct ctl *ctl);
int cmd_agents(struct ctl *ctl);
int cmd_agents_export(struct ctl *ctl);
int cmd_invoke(struct ctl *ctl);
int cmd_chat(struct ctl *ctl);
int cmd_logs(struct ctl *ctl);
int cmd_audit_tail(struct ctl *ctl);
int cmd_audit_search(struct ctl *ctl);
int cmd_top(struct ctl *ctl);
int cmd_scale(struct ctl *ctl);
int cmd_scaling_events(struct ctl *ctl);
int cmd_alerts(struct ctl *ctl);
int cmd_alerts_silence(struct ctl *ctl);
int cmd_restart(struct ctl *ctl);
int cmd_deploy(struct ctl *ctl);
int cmd_agents_delete(struct ctl *ctl);
int cmd_undo(struct ctl *ctl);
int cmd_revisions(struct ctl *ctl);
int cmd_freeze(struct ctl *ctl);
int cmd_rollout_status(struct ctl *ctl);
int cmd_rollout_promote(struct ctl *ctl);
int cmd_rollout_abort(struct ctl *ctl);
int cmd_rollout_pause(struct ctl *ctl);
int cmd_rollout_resume(struct ctl *ctl);
int cmd_rollout_retry(struct ctl *ctl);
int cmd_plugins(struct ctl *ctl);
int cmd_plugin_info(struct ctl *ctl);
int cmd_reload(struct ctl *ctl);
int cmd_compliance(struct ctl *ctl);
int cmd_keys_create(struct ctl *ctl);
int cmd_keys_list(struct ctl *ctl);
int cmd_keys_rotate(struct ctl *ctl);
int cmd_keys_revoke(struct ctl *ctl);
int cmd_audit_verify(struct ctl *ctl);
int cmd_audit_prove(struct ctl *ctl);
int cmd_audit_prune(struct ctl *ctl);
int cmd_keyring_status(struct ctl *ctl);
int cmd_keyring_rotate(struct ctl *ctl);
int cmd_keyring_rewrap(struct ctl *ctl);
int cmd_simulate_rollout(struct ctl *ctl);
int cmd_simulate_scaling(struct ctl *ctl);

#endif
