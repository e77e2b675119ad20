"""Ends of the process that a library means, told apart from those of ours."""

MEMORY = ("malloc", "calloc", "realloc", "memalign")


def _library(stack):
    """Who is at the top of it, past libc and its loader."""
    for line in stack:
        if not line.startswith(("libc.so", "ld-linux")):
            return line.split(".so")[0]
    return ""


def excuse(scene, case, failed, crash, fault):
    """Why the library at fault ends the process here; None: it is a bug.
    Both stacks are innermost first."""
    function, by, ended = case.place.function, _library(failed), _library(crash)
    if function == "epoll_ctl" and by == ended == "libuv":
        return "libuv calls abort() when it cannot watch a descriptor"
    if scene == "start" and function == "pipe" and by == ended == "libuv":
        return "libuv calls abort() when it has no pipe for its signals"
    if function not in MEMORY and function != "thread":
        return None
    if by == "libconfig" and (
            ended == "libconfig" or
            "out of dynamic memory in libconfig_yy" in fault):
        return "libconfig exits without memory, or uses what it did not get"
    # What a library sets up but once: before anything is served.
    if scene == "start" and ended and (by == ended or case.burst > 1):
        return {
            "libuv": "libuv calls abort() without memory for a table of "
                     "descriptors, or without a thread for its pool",
            "libcrypto": "libcrypto crashes when it has no memory to set "
                         "itself up",
        }.get(ended)
    return None
