/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"

#include "disk.h"
#include "line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_STEP ((size_t)256 * 1024)

void scan_init(struct scan *scan, int fd, off_t offset, off_t end)
{
	*scan = (struct scan){ .fd = fd, .offset = offset, .end = end };
}

void scan_fini(struct scan *scan)
{
	free(scan->window);
	scan->window = NULL;
}

/* Moves what is left to the front and reads behind it; bytes read, 0 at the
 * end, -1 with errno. */
static ssize_t refill(struct scan *scan)
{
	size_t left = scan->filled - scan->start;
	off_t at = scan->offset + (off_t)left;
	size_t want = SCAN_STEP;
	ssize_t got;

	if (at >= scan->end)
		return 0;
	if ((off_t)want > scan->end - at)
		want = (size_t)(scan->end - at);
	if (scan->capacity < left + want) {
		size_t capacity = 2 * (left + SCAN_STEP);
		char *window = malloc(capacity);

		if (window == NULL) {
			errno = ENOMEM;
			return -1;
		}
		if (scan->window != NULL)
			memcpy(window, scan->window + scan->start, left);
		free(scan->window);
		scan->window = window;
		scan->capacity = capacity;
	} else if (scan->window != NULL) {
		memmove(scan->window, scan->window + scan->start, left);
	}
	scan->start = 0;
	scan->filled = left;
	got = audit_disk.read(scan->fd, scan->window + left, want, at);
	if (got > 0)
		scan->filled += (size_t)got;
	return got;
}

enum scan_result scan_next(struct scan *scan, struct atom_span *line_r,
			   off_t *offset_r)
{
	size_t seen = 0;

	*offset_r = scan->offset;
	for (;;) {
		size_t left = scan->filled - scan->start;
		char *begin = scan->window ? scan->window + scan->start : NULL;
		char *end = begin != NULL && left > seen
				    ? memchr(begin + seen, '\n', left - seen)
				    : NULL;
		ssize_t got;

		if (end != NULL) {
			line_r->bytes = begin;
			line_r->length = (size_t)(end - begin);
			scan->start += line_r->length + 1;
			scan->offset += (off_t)line_r->length + 1;
			return SCAN_LINE;
		}
		seen = left;
		got = left < LINE_MAX ? refill(scan) : 0;
		if (got < 0)
			return SCAN_FAILED;
		if (got == 0)
			return seen > 0 ? SCAN_PARTIAL : SCAN_END;
	}
}
