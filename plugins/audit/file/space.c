/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How a disk fills up, in stages that are told before they hurt:
 *
 *	normal -> low       less than low_space is left: a warning
 *	       -> reserve   a write found no room: the reserve is removed, which
 *	                    makes room for the records of that end
 *	       -> full      not even that: nothing is recorded
 *
 * and back to normal, the reserve made anew, when there is room again.
 */

#include "sink_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Zeros, and written as such: a sparse file would reserve nothing. */
#define RESERVE_BYTES ((size_t)1024 * 1024)

static void set(const struct sink *sink, uint32_t series, double value)
{
	if (sink->has_series)
		sink->metric->update(sink->host, series, value);
}

static bool declare(struct sink *sink, int32_t type, const char *name,
		    const char *help, const char *unit, uint32_t *series_r)
{
	static const char *const labels[] = { "path", NULL };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = type,
		.name = name,
		.help = help,
		.unit = unit,
		.label_names = labels,
	};
	const char *values[] = { sink->path };
	uint32_t family;

	return sink->metric->declare(sink->host, &spec, &family, NULL) ==
		       ATOM_OK &&
	       sink->metric->series(sink->host, family, values, series_r,
				    NULL) == ATOM_OK;
}

void space_begin(struct sink *sink)
{
	sink->has_series =
		sink->metric != NULL &&
		declare(sink, ATOM_METRIC_GAUGE, "atomd_audit_file_free_bytes",
			"Room left on the disk of the audit log.", "bytes",
			&sink->free_series) &&
		declare(sink, ATOM_METRIC_GAUGE, "atomd_audit_file_disk_stage",
			"0 enough room, 1 low, 2 the reserve is in use, 3 "
			"nothing can be written.",
			"", &sink->stage_series) &&
		declare(sink, ATOM_METRIC_COUNTER,
			"atomd_audit_file_failed_segments_total",
			"Segments given up after a failed write or sync.", "",
			&sink->failed_series);
}

static void enter(struct sink *sink, enum space_stage stage, uint64_t room)
{
	static const struct {
		int32_t level;
		const char *event, *message;
	} rows[] = {
		[SPACE_NORMAL] = { ATOM_LOG_INFO, "audit_disk_normal",
				   "there is room again" },
		[SPACE_LOW] = { ATOM_LOG_WARN, "audit_disk_low",
				"the disk is filling up; make room, or set "
				"retention or keep_size" },
		[SPACE_RESERVE] = { ATOM_LOG_ERROR, "audit_disk_reserve",
				    "the disk is full; the reserve is given "
				    "up for the last records: make room now" },
		[SPACE_FULL] = { ATOM_LOG_ERROR, "audit_disk_full",
				 "the disk is full and nothing can be "
				 "recorded" },
	};

	set(sink, sink->stage_series, stage);
	if (stage == sink->stage)
		return;
	sink->stage = stage;
	sink_log(sink, rows[stage].level, rows[stage].event,
		 "%s: %s (%llu MiB free)", sink->path, rows[stage].message,
		 (unsigned long long)(room >> 20));
}

static void make_reserve(struct sink *sink)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct text zeros = { 0 };
	char *room = text_room(&zeros, RESERVE_BYTES);
	struct stat st;
	int fd = audit_disk.open(sink->folder, RESERVE_NAME, O_RDONLY, 0);

	if (fd >= 0) {
		sink->has_reserve = audit_disk.stat(fd, &st) == 0 &&
				    st.st_size == (off_t)RESERVE_BYTES;
		(void)audit_disk.close(fd);
	}
	if (room != NULL && !sink->has_reserve) {
		memset(room, 0, RESERVE_BYTES);
		sink->has_reserve =
			folder_replace(sink, RESERVE_NAME, room, RESERVE_BYTES,
				       NULL, &err) == ATOM_OK;
	}
	text_fini(&zeros);
}

void space_check(struct sink *sink)
{
	uint64_t low = (uint64_t)sink->options->low_space;
	uint64_t room;

	if (audit_disk.space(sink->folder, &room) != 0)
		return;
	set(sink, sink->free_series, (double)room);
	/* With nothing that says `low` the reserve alone decides. */
	if (!sink->has_reserve && room >= low + 4 * RESERVE_BYTES)
		make_reserve(sink);
	if (!sink->has_reserve && sink->stage >= SPACE_RESERVE)
		enter(sink, SPACE_RESERVE, room);
	else
		enter(sink, room < low ? SPACE_LOW : SPACE_NORMAL, room);
}

void space_failed(struct sink *sink, int why)
{
	if (why != ENOSPC && why != EDQUOT)
		return;
	if (sink->has_reserve &&
	    audit_disk.unlink(sink->folder, RESERVE_NAME) == 0) {
		sink->has_reserve = false;
		enter(sink, SPACE_RESERVE, 0);
		return;
	}
	enter(sink, SPACE_FULL, 0);
}

void space_segment_failed(struct sink *sink)
{
	set(sink, sink->failed_series, 1);
}
