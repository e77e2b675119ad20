"""A process with its children, and theirs: nginx has a worker, others have
threads."""

import os


def members(pid):
    """(pid, its threads' folders of /proc)."""
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        tasks = "/proc/%d/task" % one
        threads = ["%s/%s" % (tasks, name) for name in os.listdir(tasks)]
        for thread in threads:
            with open(thread + "/children") as children:
                waiting += map(int, children.read().split())
        yield one, threads


def cpu_us(pid):
    """Of all threads, since they began."""
    total = 0
    for _, threads in members(pid):
        for thread in threads:
            with open(thread + "/schedstat") as times:
                total += int(times.read().split()[0])
    return total / 1000


def resident_bytes(pid):
    total = 0
    for one, _ in members(pid):
        with open("/proc/%d/smaps_rollup" % one) as f:
            total += next(int(line.split()[1]) for line in f
                          if line.startswith("Rss:"))
    return total * 1024
