/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_QSBR_H
#define CORE_QSBR_H

/*
 * Quiescent-state based reclamation (McKenney and Slingwine, "Read-Copy
 * Update", 1998): a serving loop reads published pointers without any lock
 * or counter; what control has replaced is freed once every loop has passed a
 * quiet point since.
 *
 * A loop's quiet point is just before its poll.  It cannot be "offline"
 * around the poll itself, because libuv calls back from inside it; instead an
 * idle loop that something waits for is woken once, passes its quiet point
 * and sleeps again, so it holds nothing back either.
 *
 * Only serving loops read under this protection, and only within one
 * callback: what a call needs for longer it references (refcount).
 */

#include <atomd/plugin.h>

/* [control] Call `release(object)` on the control thread once no loop can
 * hold `object` any more, never before this returns.  The loops' quiet points
 * count from the end of control's current callback: by then it must be
 * unpublished.  Never fails: without memory for the note it waits for the
 * quiet points itself and releases at once, so that what `release` frees must
 * be unpublished already. */
void qsbr_retire(void (*release)(void *object), void *object);

/* Free what is due and wake the loops that the rest waits for; called by the
 * control loop each iteration.  Returns how many wait still. [control] */
size_t qsbr_collect(void);

/* --- the loops' own duties ----------------------------------------------- */

/* `loops` of them, all offline; `wake` makes one pass its quiet point. */
void qsbr_init(unsigned int loops, void (*wake)(unsigned int loop_index));
/* [control] Before the loop's thread starts. */
void qsbr_online(unsigned int loop_index);
/* [loop] Before each poll. */
void qsbr_quiet(unsigned int loop_index);
/* [loop] At the thread's end. */
void qsbr_offline(unsigned int loop_index);

#endif
