"""Ends by signal that a library means, told apart from those of ours."""


def excuse(place, failed, crash):
    """Why the library at fault ends the process here; None: it is a bug.
    Both stacks are innermost first."""
    outside = [line for line in crash if not line.startswith("libc.so")]
    if place.function == "epoll_ctl" and failed and outside and \
            failed[0].startswith("libuv.so") and \
            outside[0].startswith("libuv.so"):
        return "libuv calls abort() when it cannot watch a descriptor"
    return None
