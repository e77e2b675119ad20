"""The file that a tortured daemon and its torturer share (faults.c)."""

import mmap
import os
import shlex
import struct
import subprocess

from atomd_test import source

# The order is that of enum function in faults.h.
FUNCTIONS = ("malloc calloc realloc memalign write pwrite writev sendmsg send "
             "fsync fdatasync read pread recv recvmsg open fstat rename "
             "unlink mkdir ftruncate socket socketpair pipe eventfd accept "
             "bind listen connect epoll_create epoll_ctl epoll_wait fork "
             "spawn thread mmap").split()
PARTS = ("faults", "memory", "files", "sockets", "processes")
SORTS = ("none", "file", "socket", "pipe", "other")
SHORT = -1

PLACES, PLACE = 16384, struct.Struct("=QIIII")
ARMED, OWNER, FIRED, COUNT, TARGET, UNTIL, ERROR = 0, 4, 8, 16, 24, 32, 40
BURST, DEPTH, NUMBER, FUNCTION, PAGE_OFFSET = 44, 48, 52, 56, 60
WHERE, CRASH, BLOCKS = 64, 2096, 4080
TABLE = 4096
SIZE = TABLE + PLACES * PLACE.size


def build(folder):
    """Compiles the faults; the path of what the daemon loads first."""
    made = os.path.join(folder, "faults.so")
    subprocess.run(
        [*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-O2",
         "-g", "-fPIC", "-shared", "-o", made,
         *(source("tests/torture/%s.c" % name) for name in PARTS),
         "-lgcc_s"],
        check=True)
    return made


class Place:
    """Where a call can fail: a function and its callers."""

    def __init__(self, key, function, sort, count, page_offset):
        self.key, self.count, self.page_offset = key, count, page_offset
        self.function, self.sort = FUNCTIONS[function], SORTS[sort]

    def __repr__(self):
        return "%s of %s at %016x" % (self.function, self.sort, self.key)


class Control:
    """A control file; nothing is counted until arm()."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, name)
        with open(self.path, "wb") as file:
            file.truncate(SIZE)
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), SIZE)

    def environment(self, library, sanitizers=""):
        found = {"LD_PRELOAD": library, "TORTURE_CONTROL": self.path}
        if "address" in sanitizers:
            # The faults have to come before the sanitizer's own malloc.
            found["ASAN_OPTIONS"] = "verify_asan_link_order=0:" + \
                os.environ.get("ASAN_OPTIONS", "")
        return found

    def _put(self, form, at, value):
        struct.pack_into("=" + form, self.map, at, value)

    def _get(self, form, at):
        return struct.unpack_from("=" + form, self.map, at)[0]

    def disown(self):
        """The next daemon that starts is the one."""
        self._put("I", OWNER, 0)

    def count(self, depth):
        """Learns places from now on."""
        self.map[TABLE:SIZE] = bytes(SIZE - TABLE)
        self._put("I", NUMBER, 0)
        self._arm(None, 0, 0, 1, depth)

    def fail(self, place, nth, error, burst, depth):
        """The n-th call from the place fails; burst, with so many
        allocations in all."""
        self._arm(place, nth, error, burst, depth)

    def _arm(self, place, nth, error, burst, depth):
        self._put("I", ARMED, 0)
        self.map[WHERE:BLOCKS] = bytes(BLOCKS - WHERE)
        for form, at, value in (
                ("I", FIRED, 0), ("Q", COUNT, 0),
                ("Q", TARGET, place.key if place else 0),
                ("I", FUNCTION,
                 FUNCTIONS.index(place.function) if place else 0),
                ("I", PAGE_OFFSET, place.page_offset if place else 0),
                ("Q", UNTIL, nth), ("i", ERROR, error),
                ("I", BURST, burst - 1), ("I", DEPTH, depth),
                ("I", ARMED, 1)):
            self._put(form, at, value)

    def disarm(self):
        self._put("I", ARMED, 0)

    @property
    def fired(self):
        return self._get("I", FIRED) != 0

    @property
    def blocks(self):
        """How many blocks of memory are in use; of a daemon that has
        ended, how many it did not give back."""
        return self._get("q", BLOCKS)

    def places(self):
        assert self._get("I", NUMBER) < PLACES // 2, "the table is full"
        found = []
        for at in range(TABLE, SIZE, PLACE.size):
            key, *more = PLACE.unpack_from(self.map, at)
            if key:
                found.append(Place(key, *more))
        return sorted(found, key=lambda place: place.key)

    def stack(self):
        """Where it failed, as a debugger would say it, innermost first."""
        return self._stack(WHERE, CRASH)

    def crash(self):
        """Where it crashed then, if it did."""
        return self._stack(CRASH, BLOCKS)

    def _stack(self, begin, end):
        text = self.map[begin:end].split(b"\0")[0].decode()
        said = []
        for line in text.split("\n")[:-1]:
            module, offset = line.rsplit("+", 1)
            if not module:
                module = os.environ.get("ATOMD", "atomd")
            name = "%s+%s" % (os.path.basename(module), offset)
            if "atomd" in module or "/built/" in module:
                done = subprocess.run(
                    ["addr2line", "-fse", module, offset],
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    check=False)
                name = " ".join(done.stdout.decode().split()) or name
            said.append(name)
        return said
