/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on purpose, in a daemon that knows nothing of it: loaded before libc
 * (LD_PRELOAD), it counts each allocation and each system call that can fail,
 * of the daemon and of the libraries in it, and makes the wanted one fail.
 *
 * A fault point is known by its place: the function and the stack of callers
 * as offsets in their modules, so that a place is the same in each run,
 * whatever threads do at the same time and wherever modules were loaded.  The
 * n-th call from the wanted place fails.
 *
 * Whoever gives the faults shares the file TORTURE_CONTROL with the daemon
 * (struct control), arms it when the daemon shall be counted, and reads there
 * what was met.  The first process that opens it owns it; children that
 * inherit the environment find it taken and are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <unwind.h>

/* The order is that of FUNCTIONS in control.py. */
enum function {
	F_MALLOC,
	F_CALLOC,
	F_REALLOC,
	F_MEMALIGN, /* memory */
	F_WRITE,
	F_PWRITE,
	F_WRITEV,
	F_SENDMSG,
	F_SEND,
	F_FSYNC,
	F_FDATASYNC,
	F_READ,
	F_PREAD,
	F_RECV,
	F_RECVMSG,
	F_OPEN,
	F_FSTAT,
	F_RENAME,
	F_UNLINK,
	F_MKDIR,
	F_FTRUNCATE,
	F_SOCKET,
	F_SOCKETPAIR,
	F_PIPE,
	F_EVENTFD,
	F_ACCEPT,
	F_BIND,
	F_LISTEN,
	F_CONNECT,
	F_EPOLL_CREATE,
	F_EPOLL_CTL,
	F_EPOLL_WAIT,
	F_FORK,
	F_SPAWN,
	F_THREAD,
	F_MMAP
};

enum sort {
	SORT_NONE,
	SORT_FILE,
	SORT_SOCKET,
	SORT_PIPE,
	SORT_OTHER
};

#define SHORT  (-1) /* half of the bytes, instead of an error */
#define PLACES 16384
#define FRAMES 24

struct place {
	uint64_t hash;
	uint32_t function, sort, count, first;
};

/* Members' offsets stand in control.py as well. */
struct control {
	_Atomic uint32_t armed, owner, fired, lock;
	_Atomic uint64_t count;
	uint64_t target;	/* a place's hash; 0: places are learnt */
	_Atomic uint64_t until; /* so many calls from it, and one fails */
	int32_t error;
	uint32_t burst; /* so many allocations fail after it as well */
	uint32_t depth; /* frames that tell places apart */
	uint32_t places;
	char where[2040], crash[2000];
	struct place place[PLACES];
};
_Static_assert(offsetof(struct control, where) == 56 &&
		       offsetof(struct control, place) == 4096,
	       "control.py knows them");

static struct control *control;
static _Atomic uint32_t failing; /* how many more of a burst */
static __thread int inside __attribute__((tls_model("initial-exec")));

struct frames {
	uintptr_t address[FRAMES + 4];
	int count;
};

static _Unwind_Reason_Code take_frame(struct _Unwind_Context *context,
				      void *closure)
{
	struct frames *frames = closure;

	if (frames->count == FRAMES + 4)
		return _URC_END_OF_STACK;
	frames->address[frames->count++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

static uint64_t mix(uint64_t hash, uint64_t more)
{
	return (hash ^ more) * 0x100000001b3u + (hash >> 29);
}

/* The callers of the function that stands in libc's place; this file's own
 * frames are passed over. */
static uint64_t hash_of(const struct frames *frames, enum function function)
{
	struct dl_find_object self, found;
	uint64_t hash = mix(0xcbf29ce484222325u, (uint64_t)function + 1);
	uint32_t taken = 0;
	int i;

	_dl_find_object((void *)(uintptr_t)hash_of, &self);
	for (i = 0; i < frames->count && taken < control->depth; i++) {
		void *address = (void *)(frames->address[i] - 1);

		if (frames->address[i] == 0 ||
		    _dl_find_object(address, &found) != 0)
			continue;
		if (found.dlfo_link_map == self.dlfo_link_map)
			continue;
		hash = mix(hash,
			   frames->address[i] - found.dlfo_link_map->l_addr);
		hash = mix(hash, (uintptr_t)found.dlfo_map_end -
					 (uintptr_t)found.dlfo_map_start);
		taken++;
	}
	return hash | 1;
}

static void describe(const struct frames *frames, char *at, size_t left)
{
	struct dl_find_object self, found;
	int i, n;

	_dl_find_object((void *)(uintptr_t)hash_of, &self);
	for (i = 0; i < frames->count; i++) {
		void *address = (void *)(frames->address[i] - 1);

		if (frames->address[i] == 0 ||
		    _dl_find_object(address, &found) != 0 ||
		    found.dlfo_link_map == self.dlfo_link_map)
			continue;
		n = snprintf(at, left, "%s+0x%lx\n",
			     found.dlfo_link_map->l_name,
			     (unsigned long)((uintptr_t)address -
					     found.dlfo_link_map->l_addr));
		if (n < 0 || (size_t)n >= left)
			return;
		at += n;
		left -= (size_t)n;
	}
}

static enum sort sort_of(int fd)
{
	struct stat is;

	if (fd < 0 || fstatat(fd, "", &is, AT_EMPTY_PATH) != 0)
		return SORT_NONE;
	return S_ISREG(is.st_mode)    ? SORT_FILE
	       : S_ISSOCK(is.st_mode) ? SORT_SOCKET
	       : S_ISFIFO(is.st_mode) ? SORT_PIPE
				      : SORT_OTHER;
}

static void note(uint64_t hash, enum function function, int fd, uint64_t n)
{
	size_t i = hash % PLACES;
	uint32_t free_ = 0;

	while (!atomic_compare_exchange_weak(&control->lock, &free_, 1))
		free_ = 0;
	while (control->place[i].hash != 0 && control->place[i].hash != hash)
		i = (i + 1) % PLACES;
	if (control->place[i].hash == 0 && control->places < PLACES / 2) {
		control->place[i] = (struct place){
			.hash = hash,
			.function = function,
			.sort = sort_of(fd),
			.first = (uint32_t)n,
		};
		control->places++;
	}
	control->place[i].count++;
	atomic_store(&control->lock, 0);
}

/* Whether this call shall fail; then its error is *error_r. */
static int fails(enum function function, int fd, int *error_r)
{
	struct frames frames = { .count = 0 };
	int saved = errno;
	uint64_t n, hash;
	uint32_t first = 0, left;
	int wanted;

	if (control == NULL || inside || !control->armed)
		return 0;
	inside = 1;
	/* What is left of another fault's burst is over. */
	left = function <= F_MEMALIGN && control->fired == 2
		       ? atomic_load(&failing)
		       : 0;
	while (left > 0 &&
	       !atomic_compare_exchange_weak(&failing, &left, left - 1))
		;
	if (left > 0) {
		*error_r = control->error;
		inside = 0;
		return 1;
	}
	n = atomic_fetch_add(&control->count, 1) + 1;
	_Unwind_Backtrace(take_frame, &frames);
	hash = hash_of(&frames, function);
	wanted = hash == control->target &&
		 atomic_fetch_sub(&control->until, 1) == 1;
	if (control->target == 0)
		note(hash, function, fd, n);
	wanted = wanted &&
		 atomic_compare_exchange_strong(&control->fired, &first, 1);
	if (wanted) {
		describe(&frames, control->where, sizeof(control->where));
		*error_r = control->error;
		atomic_store(&failing, control->burst);
		atomic_store(&control->fired, 2);
	}
	inside = 0;
	errno = saved;
	return wanted;
}

static void leave_child_alone(void)
{
	control = NULL;
}

/* Says where it crashed; returning, it crashes for good. */
static void crashed(int number)
{
	struct frames frames = { .count = 0 };

	if (control != NULL) {
		inside = 1;
		_Unwind_Backtrace(take_frame, &frames);
		describe(&frames, control->crash, sizeof(control->crash));
	}
	if (number == SIGABRT)
		return;
	raise(number);
}

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("TORTURE_CONTROL");
	const struct sigaction crash = {
		.sa_handler = crashed,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct control *found;
	uint32_t nobody = 0;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	close(fd);
	if (found == MAP_FAILED)
		return;
	if (!atomic_compare_exchange_strong(&found->owner, &nobody,
					    (uint32_t)getpid())) {
		munmap(found, sizeof(*found));
		return;
	}
	pthread_atfork(NULL, NULL, leave_child_alone);
	control = found;
	sigaction(SIGABRT, &crash, NULL);
	sigaction(SIGSEGV, &crash, NULL);
	sigaction(SIGBUS, &crash, NULL);
}

/* --- in libc's place --------------------------------------------------- */

/* dlsym may allocate before malloc is found: from here, never given back. */
static char early[65536];
static _Atomic size_t early_used;

static void *early_alloc(size_t size)
{
	size_t at = atomic_fetch_add(&early_used, (size + 31) / 16 * 16);

	return at + size > sizeof(early) ? NULL : early + at;
}

static int is_early(const void *old)
{
	return (const char *)old >= early &&
	       (const char *)old < early + sizeof(early);
}

#define NEXT(name)                     \
	static __typeof__(&name) next; \
	if (next == NULL)              \
	next = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

/* `call` unless it shall fail; then `failed`, with errno. */
#define OR_FAIL(function, fd, name, failed, call) \
	do {                                      \
		int why;                          \
		NEXT(name);                       \
		if (fails(function, fd, &why)) {  \
			errno = why;              \
			return failed;            \
		}                                 \
		return next call;                 \
	} while (0)

/* As above, of a function that may do `half` of its work as well. */
#define OR_SHORT(function, fd, name, call, half)  \
	do {                                      \
		int why;                          \
		NEXT(name);                       \
		if (fails(function, fd, &why)) {  \
			if (why == SHORT)         \
				return next half; \
			errno = why;              \
			return -1;                \
		}                                 \
		return next call;                 \
	} while (0)

#define HALF(n) ((n) > 1 ? (n) / 2 : (n))

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
static int finding;

static void *next_malloc(size_t size)
{
	static void *(*next)(size_t);

	if (next == NULL) {
		if (finding)
			return early_alloc(size);
		finding = 1;
		next = (void *(*)(size_t))(uintptr_t)dlsym(RTLD_NEXT, "malloc");
		finding = 0;
	}
	return next(size);
}

void *malloc(size_t size)
{
	int why;

	if (fails(F_MALLOC, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	return next_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	static void *(*next)(size_t, size_t);
	int why;

	if (next == NULL) {
		if (finding)
			return early_alloc(count * size);
		finding = 1;
		next = (void *(*)(size_t, size_t))(uintptr_t)dlsym(RTLD_NEXT,
								   "calloc");
		finding = 0;
	}
	if (fails(F_CALLOC, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	return next(count, size);
}

void *realloc(void *old, size_t size)
{
	static void *(*next)(void *, size_t);
	int why;

	if (next == NULL)
		next = (void *(*)(void *, size_t))(uintptr_t)dlsym(RTLD_NEXT,
								   "realloc");
	if (fails(F_REALLOC, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	if (is_early(old)) {
		void *made = next_malloc(size);
		size_t known = (size_t)(early + sizeof(early) - (char *)old);

		if (made != NULL)
			memcpy(made, old, size < known ? size : known);
		return made;
	}
	return next(old, size);
}

void free(void *old)
{
	static void (*next)(void *);

	if (is_early(old) || old == NULL)
		return;
	if (next == NULL)
		next = (void (*)(void *))(uintptr_t)dlsym(RTLD_NEXT, "free");
	next(old);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
	int why;
	NEXT(posix_memalign);

	if (fails(F_MEMALIGN, -1, &why))
		return ENOMEM;
	return next(result, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	OR_FAIL(F_MEMALIGN, -1, aligned_alloc, NULL, (alignment, size));
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	OR_SHORT(F_WRITE, fd, write, (fd, bytes, length),
		 (fd, bytes, HALF(length)));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
	OR_SHORT(F_PWRITE, fd, pwrite, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
	OR_SHORT(F_PWRITE, fd, pwrite64, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

static ssize_t write_first(int fd, const struct iovec *part)
{
	return write(fd, part->iov_base, HALF(part->iov_len));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	int why;
	NEXT(writev);

	if (fails(F_WRITEV, fd, &why)) {
		if (why == SHORT)
			return write_first(fd, parts);
		errno = why;
		return -1;
	}
	return next(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	int why;
	NEXT(sendmsg);

	if (fails(F_SENDMSG, fd, &why)) {
		struct msghdr less = *message;
		struct iovec part;

		if (why != SHORT || message->msg_iovlen == 0) {
			errno = why == SHORT ? EINTR : why;
			return -1;
		}
		part = message->msg_iov[0];
		part.iov_len = HALF(part.iov_len);
		less.msg_iov = &part;
		less.msg_iovlen = 1;
		return next(fd, &less, flags);
	}
	return next(fd, message, flags);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
	OR_SHORT(F_SEND, fd, send, (fd, bytes, length, flags),
		 (fd, bytes, HALF(length), flags));
}

ssize_t read(int fd, void *bytes, size_t length)
{
	OR_SHORT(F_READ, fd, read, (fd, bytes, length),
		 (fd, bytes, HALF(length)));
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at)
{
	OR_SHORT(F_PREAD, fd, pread, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at)
{
	OR_SHORT(F_PREAD, fd, pread64, (fd, bytes, length, at),
		 (fd, bytes, HALF(length), at));
}

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
	OR_SHORT(F_RECV, fd, recv, (fd, bytes, length, flags),
		 (fd, bytes, HALF(length), flags));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	OR_FAIL(F_RECVMSG, fd, recvmsg, -1, (fd, message, flags));
}

int fsync(int fd)
{
	OR_FAIL(F_FSYNC, fd, fsync, -1, (fd));
}

int fdatasync(int fd)
{
	OR_FAIL(F_FDATASYNC, fd, fdatasync, -1, (fd));
}

static mode_t mode_of(int flags, va_list more)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	OR_FAIL(F_OPEN, -1, open, -1, (path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	OR_FAIL(F_OPEN, -1, open64, -1, (path, flags, mode));
}

int openat(int folder, const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	OR_FAIL(F_OPEN, -1, openat, -1, (folder, path, flags, mode));
}

FILE *fopen(const char *path, const char *mode)
{
	OR_FAIL(F_OPEN, -1, fopen, NULL, (path, mode));
}

int fstat(int fd, struct stat *result)
{
	OR_FAIL(F_FSTAT, fd, fstat, -1, (fd, result));
}

int rename(const char *from, const char *to)
{
	OR_FAIL(F_RENAME, -1, rename, -1, (from, to));
}

int unlink(const char *path)
{
	OR_FAIL(F_UNLINK, -1, unlink, -1, (path));
}

int mkdir(const char *path, mode_t mode)
{
	OR_FAIL(F_MKDIR, -1, mkdir, -1, (path, mode));
}

int ftruncate(int fd, off_t length)
{
	OR_FAIL(F_FTRUNCATE, fd, ftruncate, -1, (fd, length));
}

int ftruncate64(int fd, off64_t length)
{
	OR_FAIL(F_FTRUNCATE, fd, ftruncate64, -1, (fd, length));
}

int socket(int domain, int type, int protocol)
{
	OR_FAIL(F_SOCKET, -1, socket, -1, (domain, type, protocol));
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	OR_FAIL(F_SOCKETPAIR, -1, socketpair, -1,
		(domain, type, protocol, fds));
}

int pipe2(int fds[2], int flags)
{
	OR_FAIL(F_PIPE, -1, pipe2, -1, (fds, flags));
}

int eventfd(unsigned int value, int flags)
{
	OR_FAIL(F_EVENTFD, -1, eventfd, -1, (value, flags));
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	OR_FAIL(F_ACCEPT, fd, accept4, -1, (fd, address, length, flags));
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	OR_FAIL(F_BIND, fd, bind, -1, (fd, address, length));
}

int listen(int fd, int backlog)
{
	OR_FAIL(F_LISTEN, fd, listen, -1, (fd, backlog));
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	OR_FAIL(F_CONNECT, fd, connect, -1, (fd, address, length));
}

int epoll_create1(int flags)
{
	OR_FAIL(F_EPOLL_CREATE, -1, epoll_create1, -1, (flags));
}

int epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
	OR_FAIL(F_EPOLL_CTL, other, epoll_ctl, -1,
		(fd, operation, other, event));
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	OR_FAIL(F_EPOLL_WAIT, -1, epoll_wait, -1,
		(fd, events, count, timeout_ms));
}

int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout_ms,
		const sigset_t *mask)
{
	OR_FAIL(F_EPOLL_WAIT, -1, epoll_pwait, -1,
		(fd, events, count, timeout_ms, mask));
}

pid_t fork(void)
{
	OR_FAIL(F_FORK, -1, fork, -1, ());
}

int posix_spawn(pid_t *pid, const char *path,
		const posix_spawn_file_actions_t *files,
		const posix_spawnattr_t *attributes, char *const argv[],
		char *const environment[])
{
	int why;
	NEXT(posix_spawn);

	if (fails(F_SPAWN, -1, &why))
		return why;
	return next(pid, path, files, attributes, argv, environment);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
		   void *(*run)(void *), void *argument)
{
	int why;
	NEXT(pthread_create);

	if (fails(F_THREAD, -1, &why))
		return why;
	return next(thread, attributes, run, argument);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd,
	   off_t offset)
{
	OR_FAIL(F_MMAP, fd, mmap, MAP_FAILED,
		(at, length, protection, flags, fd, offset));
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd,
	     off64_t offset)
{
	OR_FAIL(F_MMAP, fd, mmap64, MAP_FAILED,
		(at, length, protection, flags, fd, offset));
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
