/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "answer.h"
#include "commands.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int read_stdin(struct ctl *ctl, struct text *input)
{
	char piece[65536];
	if (ctl->terminal.in)
		fputs("Type the text; Ctrl-D on an empty line ends it.\n",
		      stderr);
	for (;;) {
		ssize_t length = read(STDIN_FILENO, piece, sizeof(piece));
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return ctl_fail(ctl, CTL_FAILED,
					"cannot read stdin: %s",
					strerror(errno));
		if (length == 0)
			return CTL_DONE;
		if (!text_append(input, piece, (size_t)length))
			return ctl_fail(ctl, CTL_FAILED,
					"stdin holds more than the %u bytes "
					"that one call takes",
					ANSWER_INPUT_MAX);
	}
}

int cmd_invoke(struct ctl *ctl)
{
	const char *text = ctl->word_count > 1 ? ctl->words[1] : "-";
	struct text input = TEXT_INIT(ANSWER_INPUT_MAX);
	json_t *answer = NULL;
	int code = CTL_DONE;
	bool interrupted = false;

	if (!strcmp(text, "-"))
		code = read_stdin(ctl, &input);
	else if (!text_append_string(&input, text))
		code = ctl_fail(ctl, CTL_USAGE, "the text is too long");
	if (code != CTL_DONE)
		goto out;

	const struct answer_call call = {
		.agent = ctl->words[0],
		.input = text_string(&input),
		.input_length = input.length,
		.session = ctl_option(ctl, OPTION_SESSION),
	};
	if (ctl_has(ctl, OPTION_JSON)) {
		code = answer_whole(ctl, &call, &answer);
		if (code == CTL_DONE)
			code = ctl_print_json(ctl, answer);
	} else {
		code = answer_stream(ctl, &call, &answer, &interrupted);
		if (code == CTL_DONE)
			answer_print_usage(ctl, answer);
	}
out:
	json_decref(answer);
	text_fini(&input);
	return code;
}
