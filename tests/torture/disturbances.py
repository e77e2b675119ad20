"""What `chaos` does to a daemon: each is begun, held for a while and ended by
the time its function returns."""

import os
import random
import resource
import signal
import time
from email.utils import parsedate_to_datetime

from atomd_test import wait_for
from world import CUT, MOST_WORKERS, Refused

MOODS = ("reset", "reset-midway 3", "cut 3", "stall", "stall-midway 3",
         "garbage-head", "garbage-json", "garbage-sse", "wrong-json", "short",
         "long", "status 500", "status 503", "status 429", "status 400",
         "slow 100", "slow-first 300", "trickle 2", "error-event",
         "endless-head", "endless-body")


class Disturbances:
    def __init__(self, world, seed, hold):
        self.world, self.chance = world, random.Random(seed)
        self.hold_s = hold
        self.note = ""

    def hold(self, share=1.0):
        time.sleep(self.hold_s * share)

    # Each returns once it is over; what is not as promised is an assertion.

    def kill_workers(self):
        """SIGKILL for some of the child processes."""
        for _ in range(self.chance.randint(1, 3)):
            pids = self.world.worker_pids()
            for pid in self.chance.sample(pids, min(
                    len(pids), self.chance.randint(1, 3))):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.hold(0.3)

    def upstream_moods(self):
        """The upstream cuts, stalls, garbles or is slow."""
        self.note = self.chance.choice(MOODS)
        self.world.mock.behaviour = self.note
        try:
            self.hold()
        finally:
            self.world.mock.behaviour = None

    def reload(self):
        """The same file, one that is changed, one that is refused."""
        self.note = self.chance.choice(("same", "changed", "rolled",
                                        "broken"))
        world = self.world
        if self.note == "broken":
            self.reload_broken()
        if self.note == "changed":
            world.knob = self.chance.randint(5000, 9000)
        if self.note == "rolled":
            world.rolled = world.filed = world.next_revision("0")
        world.reload(world.text())
        if self.note == "rolled":
            prefix = "r%d " % world.rolled["prefix"]
            wait_for(lambda: world.ask("rolled").content.startswith(prefix),
                     30, "answers that begin with " + prefix)

    def reload_broken(self):
        """Nothing of it is taken, and the next good one is."""
        text = self.world.text()
        for broken in ("agents = ( {", text + "nonsense = 1;",
                       text.replace('"echo"', '"ecco"')):
            try:
                self.world.reload(broken)
            except Refused as e:
                assert str(e).startswith("400"), e
            else:
                raise AssertionError("a broken file was taken: " + broken)
            self.hold(0.2)

    def scale(self):
        """More and fewer workers."""
        for _ in range(self.chance.randint(1, 3)):
            self.world.scale(self.chance.randint(1, MOST_WORKERS))
            self.hold(0.4)
        self.world.scale(2)

    def rollout(self):
        """A revision comes in; is let in, aborted, or gone back from."""
        self.note = self.chance.choice(("promoted", "aborted", "undone",
                                        "superseded"))
        world = self.world
        held = self.note in ("aborted", "superseded")
        world.rolled = world.next_revision("10m" if held else "0")
        number = self.deploy()
        if held:
            wait_for(lambda: self.weight(number) > 0, 30,
                     "weight on revision %d" % number)
            self.hold(0.5)
        if self.note == "aborted":
            world.order("POST", "/admin/v1/deployments/rolled/abort", {})
        if self.note == "superseded":
            world.rolled = world.next_revision("0")
            number = self.deploy()
        if self.note in ("undone", "promoted", "superseded"):
            wait_for(lambda: self.weight(number) == 10000, 30,
                     "all weight on revision %d" % number)
        if self.note == "undone":
            self.hold(0.3)
            world.order("POST", "/admin/v1/agents/rolled/undo", {})
            wait_for(lambda: self.weight(number) == 0, 30,
                     "no weight on revision %d" % number)

    def deploy(self):
        """By the API; the number that it has."""
        answer = self.world.order(
            "POST", "/admin/v1/agents/rolled/deployments", {
                "config": self.world.rolled_body(
                    self.world.rolled), "supersede": True}).json
        self.world.revisions.add(answer["revision"])
        return answer["revision"]

    def weight(self, number):
        return {row["revision"]: row["weight"] for row in
                self.world.agent("rolled")["split"]}.get(number, 0)

    def full_disk(self):
        """No file of the daemon grows: state, audit log."""
        self.world.daemon.limit_files(1)
        try:
            wait_for(self.is_refused, 20, "an order that is refused")
            self.hold()
        finally:
            self.world.daemon.limit_files()

    def is_refused(self):
        """Is an order answered by a documented refusal, or not at all?"""
        try:
            self.world.order("POST", "/admin/v1/agents/calm/scale",
                             {"instances": 1})
        except (*CUT, OSError, Refused):
            return True
        return False

    def descriptors(self):
        """No descriptor is free, and clients still come."""
        pid, which = self.world.daemon.pid, resource.RLIMIT_NOFILE
        before = resource.prlimit(pid, which)
        used = max(int(n) for n in os.listdir("/proc/%d/fd" % pid))
        resource.prlimit(pid, which, (used + 2, before[1]))
        clients = []
        try:
            for _ in range(20):
                try:
                    clients.append(self.world.daemon.wire(timeout=5))
                except (*CUT, OSError):
                    pass
            wait_for(self.is_refused, 20, "a client that is turned away")
            self.hold()
        finally:
            resource.prlimit(pid, which, before)
            for client in clients:
                client.close()

    def clock_jump(self):
        """The wall clock is set, a minute to a month, and set back."""
        jump = self.chance.choice((60, 3600, 86400, 30 * 86400))
        jump *= self.chance.choice((1, -1))
        self.note = "%+d s" % jump
        self.world.set_clock(jump)
        try:
            wait_for(lambda: abs(self.ahead() - jump) < 30, 20,
                     "an answer whose date is %+d s" % jump)
            self.hold()
        finally:
            self.world.set_clock(0)
        wait_for(lambda: abs(self.ahead()) < 30, 20, "dates as they are")

    def ahead(self):
        """By how much the daemon's dates are before ours."""
        date = self.world.daemon.get("/readyz").headers["date"]
        return parsedate_to_datetime(date).timestamp() - time.time()


ALL = ("kill_workers", "upstream_moods", "reload", "scale", "rollout",
       "full_disk", "descriptors", "clock_jump")
