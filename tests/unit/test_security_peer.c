/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process at the other end of an admin socket may administer the daemon:
 * one of ours never, a stranger's only by its user or its groups, and what
 * cannot be looked at is not taken for a stranger's.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"
#include "security/peer.h"

#define STRANGER 77777 /* the pid of a peer */
#define USER	 65533
#define GROUP	 65532

static struct http_listener listener;
static struct http_socket end = { .listener = &listener };
static struct http_connection connection = { .socket = &end };
static struct http_request request = { .connection = &connection };
static struct http_peer *peer = &connection.peer;
static struct atom_error err;

/* --- /proc of the stranger ---------------------------------------------------- */

static int parent;	   /* of the stranger */
static const char *groups; /* of its status; NULL: it has none */
static int stat_error, status_error, read_error;
static int alive = -1;	    /* the other end of what stands for its pidfd */
static bool ends_meanwhile; /* when its groups are read */

static int text_file(const char *text)
{
	int fd = memfd_create("proc", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int fake_open(const char *path, int flags, mode_t mode)
{
	static char text[16384];
	bool is_stat = strstr(path, "/stat") + 5 == path + strlen(path);

	(void)flags;
	(void)mode;
	errno = is_stat ? stat_error : status_error;
	if (errno != 0)
		return -1;
	if (is_stat)
		(void)snprintf(text, sizeof(text),
			       "%d (x) S %d 1 1 0 0 0 0 0 0 0 1 1 0 0 0 0 0 0 "
			       "0 0 1 0",
			       STRANGER, parent);
	else
		(void)snprintf(text, sizeof(text), "Name:\tx\n%s%sUmask:\t1\n",
			       groups != NULL ? groups : "",
			       groups != NULL ? "\n" : "");
	if (!is_stat && ends_meanwhile)
		cr_assert_eq(close(alive), 0);
	return text_file(text);
}

static ssize_t (*real_read)(int fd, void *bytes, size_t length);

static ssize_t fake_read(int fd, void *bytes, size_t length)
{
	ssize_t got = real_read(fd, bytes, length);

	if (read_error != 0 && memmem(bytes, (size_t)got, "Name:", 5)) {
		errno = read_error;
		return -1;
	}
	return got;
}

/* A pidfd is readable once its process is gone, as a pipe is. */
static int start_process(void)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	alive = fds[1];
	return fds[0];
}

static void begin(void)
{
	/* Nobody in particular, or whoever is root passes for the daemon. */
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	listener.admin = true;
	*peer = (struct http_peer){
		.known = true,
		.pid = STRANGER,
		.uid = USER,
		.gid = GROUP,
		.pidfd = start_process(),
	};
	real_read = os.read;
	os.open = fake_open;
	os.read = fake_read;
	parent = 1;
	groups = "Groups:\t";
}

static void finish(void)
{
	(void)close(peer->pidfd);
	cr_assert_eq(seteuid(getuid()), 0);
}

TestSuite(peer, .init = begin, .fini = finish);

/* --- the groups of the configuration -------------------------------------------- */

/* Listeners of these groups; NULL: one that is no admin's. */
static atom_status apply(const char *const *names, size_t count)
{
	struct config_listener listeners[20] = { { .admin_group = "" } };
	const struct config config = { .listeners = listeners,
				       .listener_count = count };
	struct peer_groups read;
	atom_status status;

	for (size_t i = 0; i < count; i++) {
		listeners[i].admin = names[i] != NULL;
		listeners[i].admin_group =
			names[i] != NULL ? names[i] : "no-such-group";
	}
	status = peer_groups_read(&config, &read, &err);
	if (status == ATOM_OK)
		peer_groups_apply(&read);
	return status;
}

static const char *group_name(gid_t *gid_r)
{
	struct group *group = getgrgid(0);

	cr_assert_not_null(group);
	*gid_r = group->gr_gid;
	return group->gr_name;
}

Test(peer, groups_are_those_of_this_machine_and_sixteen_at_most)
{
	gid_t gid;
	const char *name = group_name(&gid);
	const char *const some[] = { NULL, "", name, NULL };
	const char *const wrong[] = { name, "no-such-group" };
	const char *many[17];

	cr_assert_eq(apply(some, 4), ATOM_OK);
	cr_assert_eq(apply(wrong, 2), ATOM_EINVAL);
	cr_assert_not_null(strstr(err.message, "'no-such-group'"));
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = name;
	cr_assert_eq(apply(many, 16), ATOM_OK);
	cr_assert_eq(apply(many, 17), ATOM_ELIMIT);
}

/* --- who ------------------------------------------------------------------------ */

static void expect(atom_status status, const char *what)
{
	err = (struct atom_error)ATOM_ERROR_INIT;
	cr_assert_eq(peer_is_admin(&request, &err), status, "%s: %s", what,
		     err.message);
	if (status == ATOM_EUNAVAILABLE)
		cr_assert_gt(err.retry_after_ms, 0);
}

Test(peer, a_user_is_the_daemon_s_or_root)
{
	cr_assert_eq(apply(NULL, 0), ATOM_OK);
	expect(ATOM_ENOENT, "a stranger");
	peer->uid = 0;
	expect(ATOM_OK, "root");
	peer->uid = geteuid();
	expect(ATOM_OK, "the daemon's user");
	listener.admin = false;
	expect(ATOM_ENOENT, "on another listener");
	listener.admin = true;
	peer->known = false;
	expect(ATOM_ENOENT, "over TCP");
}

Test(peer, a_group_is_the_first_or_any_other)
{
	static const struct {
		const char *groups;
		atom_status status;
	} rows[] = {
		{ "Groups:\t0 ", ATOM_OK },
		{ "Groups:\t12 0 ", ATOM_OK },
		{ "Groups:\t12 13 ", ATOM_ENOENT },
		{ "Groups:\t12 ", ATOM_ENOENT },
		{ "Groups:\t", ATOM_ENOENT },
		/* The next line's number is none of its. */
		{ "Groups:\t\n0", ATOM_ENOENT },
		{ "Groups:\tx", ATOM_ENOENT },
		{ "xGroups:\t0", ATOM_ENOENT },
		{ NULL, ATOM_ENOENT },
	};
	gid_t gid;
	const char *name = group_name(&gid);

	cr_assert_eq(apply(&name, 1), ATOM_OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		groups = rows[i].groups;
		expect(rows[i].status, groups);
	}
	peer->gid = gid;
	expect(ATOM_OK, "its own group");
	/* What stands for no group in the list is nobody's. */
	peer->gid = (gid_t)-1;
	expect(ATOM_ENOENT, "no group");
	groups = "Groups:\t4294967295 ";
	expect(ATOM_ENOENT, "no group");
}

Test(peer, the_beginning_of_a_number_is_no_group)
{
	static char long_list[9000];
	const struct group *group = getgrgid(1);
	const char *name;
	size_t length;

	cr_assert_not_null(group);
	name = group->gr_name;
	cr_assert_eq(apply(&name, 1), ATOM_OK);
	/* Whatever is read of it at most, it ends with a 1 of some 11. */
	length = (size_t)snprintf(long_list, sizeof(long_list), "Groups:\t");
	while (length + 4 < sizeof(long_list))
		length += (size_t)snprintf(long_list + length,
					   sizeof(long_list) - length, "11 ");
	for (int shift = 0; shift < 3; shift++) {
		groups = long_list;
		expect(ATOM_ENOENT, "more groups than are read");
		memmove(long_list + 10, long_list + 9, sizeof(long_list) - 11);
		long_list[9] = '2';
	}
	groups = "Groups:\t11 1 ";
	expect(ATOM_OK, "its own");
}

Test(peer, groups_of_a_refused_configuration_are_not_in_force)
{
	const char *names[] = { group_name(&peer->gid), "no-such-group" };

	cr_assert_eq(apply(NULL, 0), ATOM_OK);
	cr_assert_eq(apply(names, 2), ATOM_EINVAL);
	expect(ATOM_ENOENT, "as before: nobody's");
	cr_assert_eq(apply(names, 1), ATOM_OK);
	names[0] = names[1];
	cr_assert_eq(apply(names, 1), ATOM_EINVAL);
	expect(ATOM_OK, "as before: its own group");
}

Test(peer, who_was_one_stays_one_as_long_as_the_group_does)
{
	gid_t gid;
	const char *name = group_name(&gid);

	groups = "Groups:\t0 ";
	cr_assert_eq(apply(&name, 1), ATOM_OK);
	expect(ATOM_OK, "of the group");
	cr_assert(peer_stays_admin(&request));
	status_error = EMFILE;
	cr_assert(peer_stays_admin(&request), "nobody could look");
	status_error = 0;
	cr_assert_eq(apply(NULL, 0), ATOM_OK);
	cr_assert_not(peer_stays_admin(&request), "no group any more");
	/* These need none. */
	peer->uid = 0;
	cr_assert(peer_stays_admin(&request));
	peer->uid = geteuid();
	cr_assert(peer_stays_admin(&request));
}

Test(peer, what_the_daemon_started_never_is)
{
	cr_assert_eq(apply(NULL, 0), ATOM_OK);
	peer->uid = 0;
	parent = getpid();
	expect(ATOM_EINVAL, "a child");
	cr_assert_not_null(strstr(err.message, "the daemon started"));
}

Test(peer, who_is_gone_is_nobody)
{
	const char *name = group_name(&peer->gid);

	/* While its groups are read; another may have its number by then. */
	cr_assert_eq(apply(&name, 1), ATOM_OK);
	peer->gid = GROUP;
	groups = "Groups:\t0 ";
	expect(ATOM_OK, "still there");
	ends_meanwhile = true;
	expect(ATOM_EINVAL, "gone meanwhile");
	cr_assert_not_null(strstr(err.message, "is gone"));
	ends_meanwhile = false;
	expect(ATOM_EINVAL, "gone before");
	(void)close(peer->pidfd);
	peer->pidfd = -1;
	peer->pidfd_error = ESRCH;
	expect(ATOM_EINVAL, "gone when it was asked for");
}

Test(peer, a_daemon_that_is_short_of_what_it_takes_to_look_says_so)
{
	static const int shortages[] = { EMFILE, ENFILE, ENOMEM };
	gid_t gid;
	const char *name = group_name(&gid);

	cr_assert_eq(apply(&name, 1), ATOM_OK);
	for (size_t i = 0; i < ARRAY_SIZE(shortages); i++) {
		stat_error = shortages[i];
		expect(ATOM_EUNAVAILABLE, "its ancestors");
		stat_error = 0;
		status_error = shortages[i];
		expect(ATOM_EUNAVAILABLE, "its groups");
		status_error = 0;
		read_error = shortages[i];
		expect(ATOM_EUNAVAILABLE, "its groups' text");
		read_error = 0;
	}
	/* Whose is it that has no file there any more? */
	stat_error = ENOENT;
	expect(ATOM_EINVAL, "no ancestors");
	stat_error = 0;
	status_error = ENOENT;
	expect(ATOM_ENOENT, "no groups");
	status_error = 0;
	(void)close(peer->pidfd);
	peer->pidfd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(shortages); i++) {
		peer->pidfd_error = shortages[i];
		expect(ATOM_EUNAVAILABLE, "itself");
	}
}
