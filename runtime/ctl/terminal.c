/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void terminal_init(struct terminal *terminal)
{
	*terminal = (struct terminal){
		.in = isatty(STDIN_FILENO),
		.out = isatty(STDOUT_FILENO),
		.error = isatty(STDERR_FILENO),
	};
	/* https://no-color.org: set and not empty means no. */
	const char *no_colour = getenv("NO_COLOR");
	terminal->colour = terminal->out && !(no_colour && *no_colour);
}

void terminal_write(FILE *out, const char *bytes, size_t length, bool raw)
{
	if (raw) {
		fwrite(bytes, 1, length, out);
		return;
	}
	size_t start = 0;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		unsigned char next =
			i + 1 < length ? (unsigned char)bytes[i + 1] : 0;
		size_t drop = 0;
		if ((byte < 0x20 && byte != '\n' && byte != '\t') ||
		    byte == 0x7f)
			drop = 1;
		else if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
			drop = 2; /* C1, such as the one-character CSI */
		else if (byte == 0xc2 && i + 1 < length &&
			 (next < 0x80 || next >= 0xc0))
			drop = 1; /* half of one, were the next dropped */
		if (!drop)
			continue;
		fwrite(bytes + start, 1, i - start, out);
		start = i + drop;
		i = start - 1;
	}
	fwrite(bytes + start, 1, length - start, out);
}

void terminal_progress(struct terminal *terminal, const char *words,
		       unsigned elapsed_s)
{
	if (!terminal->error)
		return;
	fprintf(stderr, "\r\033[K%s (%u s)", words, elapsed_s);
	fflush(stderr);
	terminal->progress_shown = true;
}

void terminal_progress_end(struct terminal *terminal)
{
	if (!terminal->progress_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	terminal->progress_shown = false;
}

bool terminal_keys_on(struct terminal *terminal)
{
	if (!terminal->in || !terminal->out ||
	    tcgetattr(STDIN_FILENO, &terminal->saved))
		return false;
	struct termios keys = terminal->saved;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	keys.c_cc[VSUSP] = _POSIX_VDISABLE;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys))
		return false;
	fputs("\033[?1049h\033[?25l", stdout);
	terminal->keys_on = true;
	return true;
}

void terminal_keys_off(struct terminal *terminal)
{
	if (!terminal->keys_on)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->saved);
	terminal->keys_on = false;
}

void terminal_size(int *columns_r, int *rows_r)
{
	struct winsize size = { 0 };
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col ||
	    !size.ws_row) {
		size.ws_col = 80;
		size.ws_row = 24;
	}
	*columns_r = size.ws_col;
	*rows_r = size.ws_row;
}
