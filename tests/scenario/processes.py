"""What /proc says of the daemon and of its children, and their ends."""

import os
import select


def wait_process(process, seconds):
    """process.wait(seconds), which would look every 50 ms only."""
    if process.poll() is not None:
        return process.returncode
    fd = os.pidfd_open(process.pid)
    try:
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        waiting.poll(seconds * 1000)
    finally:
        os.close(fd)
    return process.wait(0)


def process_start(pid):
    """The start time of a process (tells a pid from its reuse), or None."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stat:
            fields = stat.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def descendants(pid):
    """{(pid, start time)} of everything below pid, zombies left out."""
    parents = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as stat:
                fields = stat.read().rsplit(b")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if fields[0] not in (b"Z", b"X"):
            parents[int(name)] = (int(fields[1]), int(fields[19]))
    found, frontier = set(), {pid}
    while frontier:
        frontier = {child for child, (parent, _) in parents.items()
                    if parent in frontier and (child, parents[child][1])
                    not in found}
        found |= {(child, parents[child][1]) for child in frontier}
    return found


def alive(identity):
    pid, start = identity
    return process_start(pid) == start


def open_files(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def serves(pid):
    """Is any thread of the daemon's serving loops left?"""
    tasks = "/proc/%d/task" % pid
    for task in os.listdir(tasks):
        try:
            with open(os.path.join(tasks, task, "comm"),
                      encoding="ascii") as name:
                if name.read().startswith("atomd-loop-"):
                    return True
        except OSError:
            pass
    return False
