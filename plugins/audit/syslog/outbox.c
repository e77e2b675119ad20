/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/outbox.h"

#include <stdlib.h>
#include <string.h>

void outbox_init(struct outbox *outbox, size_t limit)
{
	*outbox = (struct outbox){ .limit = limit };
}

static void remove_first(struct outbox *outbox)
{
	struct frame *frame = outbox->first;

	outbox->first = frame->next;
	if (outbox->unsent == frame)
		outbox->unsent = frame->next;
	if (outbox->last == frame)
		outbox->last = NULL;
	outbox->bytes -= frame->length;
	outbox->count--;
	free(frame);
}

void outbox_fini(struct outbox *outbox)
{
	while (outbox->first != NULL)
		remove_first(outbox);
}

bool outbox_has_room(const struct outbox *outbox, size_t length)
{
	return outbox->bytes == 0 || (outbox->bytes < outbox->limit &&
				      length <= outbox->limit - outbox->bytes);
}

bool outbox_append(struct outbox *outbox, const char *prefix,
		   size_t prefix_length, const char *bytes, size_t length)
{
	struct frame *frame = malloc(sizeof(*frame) + prefix_length + length);

	if (frame == NULL)
		return false;
	*frame = (struct frame){ .length = prefix_length + length };
	memcpy(frame->bytes, prefix, prefix_length);
	memcpy(frame->bytes + prefix_length, bytes, length);
	if (outbox->last != NULL)
		outbox->last->next = frame;
	else
		outbox->first = frame;
	outbox->last = frame;
	if (outbox->unsent == NULL)
		outbox->unsent = frame;
	outbox->bytes += frame->length;
	outbox->count++;
	return true;
}

void outbox_sent(struct outbox *outbox, uint64_t mark)
{
	outbox->unsent->mark = mark;
	outbox->unsent = outbox->unsent->next;
}

size_t outbox_confirm(struct outbox *outbox, uint64_t mark)
{
	size_t confirmed = 0;

	while (outbox->first != NULL && outbox->first != outbox->unsent &&
	       outbox->first->mark <= mark) {
		remove_first(outbox);
		confirmed++;
	}
	return confirmed;
}

void outbox_rewind(struct outbox *outbox)
{
	outbox->unsent = outbox->first;
}
