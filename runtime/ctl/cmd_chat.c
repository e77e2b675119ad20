/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation: a prompt, an answer as it comes, a prompt.
 *
 * The session lives in the daemon; here is only its name. Ctrl-C while the
 * agent answers takes that one answer back (the daemon then forgets the
 * question too: a session is committed only with a whole answer); at the
 * prompt it drops the line that is being typed. Ctrl-D or /quit ends.
 */
#include "config.h"

#include "answer.h"
#include "commands.h"
#include "interrupt.h"
#include "nearest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SESSION_MAX 32

enum chat_line {
	CHAT_TEXT,
	CHAT_DROPPED, /* Ctrl-C at the prompt */
	CHAT_END,
	CHAT_TOO_LONG,
};

struct chat {
	struct ctl *ctl;
	int interrupts;
	bool ending;	   /* SIGTERM */
	struct text typed; /* read and not yet taken */
	struct text line;
	char made[SESSION_MAX];
	const char *session;
	bool told_of_memory;
};

static bool chat_new_session(struct chat *chat)
{
	uint64_t random;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return false;
	snprintf(chat->made, sizeof(chat->made), "chat-%016llx",
		 (unsigned long long)random);
	chat->session = chat->made;
	chat->told_of_memory = false;
	return true;
}

static void say(const char *words)
{
	fprintf(stderr, "%s\n", words);
}

static void prompt(const struct chat *chat)
{
	if (!chat->ctl->terminal.in || !chat->ctl->terminal.out)
		return;
	fputs(chat->ctl->terminal.colour ? "\033[1myou>\033[0m " : "you> ",
	      stdout);
	fflush(stdout);
}

/* Moves the first typed line, if there is a whole one, into `line`. */
static bool take_line(struct chat *chat, bool at_end)
{
	struct text *typed = &chat->typed;
	if (typed->length == 0)
		return false;
	char *end = memchr(typed->bytes, '\n', typed->length);
	if (!end && !at_end)
		return false;
	size_t length = end ? (size_t)(end - typed->bytes) : typed->length;
	size_t taken = end ? length + 1 : length;
	text_clear(&chat->line);
	text_append(&chat->line, typed->bytes, length);
	typed->length -= taken;
	memmove(typed->bytes, typed->bytes + taken, typed->length);
	return true;
}

static enum chat_line read_line(struct chat *chat)
{
	for (;;) {
		if (take_line(chat, false))
			return CHAT_TEXT;
		struct pollfd waits[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = chat->interrupts, .events = POLLIN },
		};
		if (poll(waits, 2, -1) < 0 && errno != EINTR)
			return CHAT_END;
		if (waits[1].revents) {
			int number = interrupt_take(chat->interrupts);
			chat->ending = number == SIGTERM;
			text_clear(&chat->typed);
			return chat->ending ? CHAT_END : CHAT_DROPPED;
		}
		if (!waits[0].revents)
			continue;
		char piece[4096];
		ssize_t length = read(STDIN_FILENO, piece, sizeof(piece));
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return take_line(chat, true) ? CHAT_TEXT : CHAT_END;
		if (!text_append(&chat->typed, piece, (size_t)length))
			return CHAT_TOO_LONG;
	}
}

/* A line that begins with a slash. True: the conversation ends. */
static bool obey(struct chat *chat, const char *word)
{
	static const char *const known[] = { "/quit", "/new", "/help" };
	if (!strcmp(word, "/quit"))
		return true;
	if (!strcmp(word, "/new")) {
		if (chat_new_session(chat))
			fprintf(stderr, "new session %s\n", chat->session);
		else
			say("no random bytes for a new session's name");
		return false;
	}
	if (!strcmp(word, "/help")) {
		say("/new   forget what was said, begin a new session\n"
		    "/quit  end (Ctrl-D too)\n"
		    "//...  say a line that begins with a slash\n"
		    "Ctrl-C while the agent answers takes the answer back.");
		return false;
	}
	struct nearest nearest = { 0 };
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		nearest_offer(&nearest, word, known[i]);
	fprintf(stderr, "no such word here; %s%s%s\n",
		nearest.word ? "did you mean " : "/help lists them",
		nearest.word ? nearest.word : "", nearest.word ? "?" : "");
	return false;
}

static void tell_of_memory(struct chat *chat, const json_t *end)
{
	const json_t *session = json_object_get(end, "session_id");
	if (chat->told_of_memory || json_is_string(session))
		return;
	chat->told_of_memory = true;
	say("(this agent keeps no memory: each message stands alone)");
}

/* One question and its answer. An error of the agent is told and the
 * conversation goes on; what no further question can mend ends it. */
static int ask(struct chat *chat, const char *input, size_t length)
{
	struct ctl *ctl = chat->ctl;
	json_t *end = NULL;
	bool interrupted = false;
	const struct answer_call call = {
		.agent = ctl->words[0],
		.input = input,
		.input_length = length,
		.session = chat->session,
	};
	client_set_wakes(ctl->client, chat->interrupts, -1);
	int code = answer_stream(ctl, &call, &end, &interrupted);
	if (interrupted) {
		chat->ending = interrupt_take(chat->interrupts) == SIGTERM;
		say("(cancelled)");
		code = CTL_DONE;
	} else if (code == CTL_DONE) {
		tell_of_memory(chat, end);
	} else if (ctl->terminal.in &&
		   (code == CTL_FAILED || code == CTL_USAGE)) {
		fputs("atomctl: ", stderr);
		terminal_write(stderr, text_string(&ctl->message),
			       ctl->message.length, false);
		fputc('\n', stderr);
		text_clear(&ctl->message);
		code = CTL_DONE;
	}
	json_decref(end);
	return code;
}

static int converse(struct chat *chat)
{
	int code = CTL_DONE;
	while (code == CTL_DONE && !chat->ending) {
		prompt(chat);
		enum chat_line kind = read_line(chat);
		if (kind == CHAT_END) {
			if (chat->ctl->terminal.in)
				putchar('\n');
			break;
		}
		if (kind == CHAT_TOO_LONG)
			return ctl_fail(chat->ctl, CTL_FAILED,
					"a line holds more than the %u bytes "
					"that one call takes",
					ANSWER_INPUT_MAX);
		if (kind == CHAT_DROPPED) {
			say("\n(Ctrl-D or /quit ends)");
			continue;
		}
		const char *line = text_string(&chat->line);
		size_t length = chat->line.length;
		if (length == 0)
			continue;
		if (line[0] == '/' && line[1] != '/') {
			if (obey(chat, line))
				break;
			continue;
		}
		size_t skip = line[0] == '/' ? 1 : 0;
		code = ask(chat, line + skip, length - skip);
	}
	return code;
}

int cmd_chat(struct ctl *ctl)
{
	struct chat chat = {
		.ctl = ctl,
		.typed = TEXT_INIT(ANSWER_INPUT_MAX),
		.line = TEXT_INIT(ANSWER_INPUT_MAX),
		.session = ctl_option(ctl, OPTION_SESSION),
	};
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_fail(ctl, CTL_USAGE,
				"a chat is no single JSON document; use "
				"'atomctl invoke --json --session ID'");
	if (!chat.session && !chat_new_session(&chat))
		return ctl_fail(ctl, CTL_FAILED, "no random bytes: %s",
				strerror(errno));
	chat.interrupts = interrupt_open(false);
	if (chat.interrupts < 0)
		return ctl_fail(ctl, CTL_FAILED, "signalfd: %s",
				strerror(errno));
	if (ctl->terminal.in)
		fprintf(stderr, "session %s; /help, /quit\n", chat.session);
	int code = converse(&chat);
	client_set_wakes(ctl->client, -1, -1);
	close(chat.interrupts);
	text_fini(&chat.typed);
	text_fini(&chat.line);
	return code;
}
