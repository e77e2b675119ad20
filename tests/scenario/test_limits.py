#!/usr/bin/env python3
"""How much a caller may ask: requests and tokens a minute, calls at once."""

import json
import re
import threading

from atomd_test import (Daemon, Stream, agent, config, run, seconds, test,
                        wait_for)
from mock_upstream import Mock
from protocol_worker import worker

# Numbers are small where they must come out exactly: one of six a minute is
# back after ten seconds, which no test takes.
PARALLEL = 8
HOLD = 'plugin = "echo"; delay_ms = 60000;'
ECHO = agent("echo", 'plugin = "echo";', "max_tokens = 50;")
PATH = "/v1/chat/completions"


def limits(requests=None, tokens=None, concurrent=None):
    given = {"requests_per_minute": requests, "tokens_per_minute": tokens,
             "concurrent": concurrent}
    return {name: value for name, value in given.items()
            if value is not None}


def group(**numbers):
    return " ".join("%s = %d;" % item
                    for item in limits(**numbers).items())


def defaults(key="", of_agent="", anonymous=False):
    return "%s rate_limits: { key: { %s }; agent: { %s }; };" % (
        'anonymous_role = "caller";' * anonymous, key, of_agent)


def make_key(daemon, **numbers):
    answer = daemon.admin("POST", "/admin/v1/keys", {
        "role": "caller", "limits": limits(**numbers)})
    assert answer.status == 201, answer
    assert answer.json["limits"] == (numbers and {
        "requests_per_minute": None, "tokens_per_minute": None,
        "concurrent": None, **limits(**numbers)} or None), answer.json
    return answer.json["key"]


def bearer(key):
    return {"Authorization": "Bearer " + key} if key else {}


def asks(name, text="hello", **more):
    return {"model": name, "messages": [{"role": "user", "content": text}],
            **more}


def at_once(daemon, count, key, name="echo", **more):
    """Statuses of so many calls, each on a connection of its own that was
    there before, sent together."""
    wires = [daemon.wire() for _ in range(count)]
    content = daemon.post_bytes(PATH, asks(name, **more), bearer(key))
    barrier = threading.Barrier(count)
    answers = [None] * count

    def call(i):
        barrier.wait(seconds(20))
        answers[i] = wires[i].send(content).answer()

    threads = [threading.Thread(target=call, args=(i,))
               for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for wire in wires:
        wire.close()
    return answers


def refused(answer, *words, retry=True):
    assert answer.status == 429, answer
    assert answer.code == "rate_limit_exceeded", answer
    error = answer.json["error"]
    assert error["type"] == "rate_limit_error" and error["param"] is None
    for word in words:
        assert word in error["message"], (word, error)
    assert ("retry-after" in answer.headers) == retry, answer
    assert (answer.headers.get("x-should-retry") == "false") != retry, answer
    return answer


def left(answer, kind):
    return int(answer.headers["x-ratelimit-remaining-" + kind])


def tokens_left(daemon, key=None, name="echo"):
    """Asked by a call that can never pass, and so costs nothing."""
    answer = refused(daemon.chat(name, "x", key=key, max_tokens=9999999),
                     "never", retry=False)
    return left(answer, "tokens")


# --- exactly as many as there are -----------------------------------------

@test
def of_n_requests_at_once_a_limit_of_one_less_passes_one_less():
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        for _ in range(8):
            key = make_key(daemon, requests=PARALLEL - 1)
            answers = at_once(daemon, PARALLEL, key)
            passed = [a for a in answers if a.status == 200]
            assert len(passed) == PARALLEL - 1, answers
            refused(*[a for a in answers if a.status != 200], "key",
                    "requests per minute", str(PARALLEL - 1), "try again in")


@test
def callers_without_a_key_share_one_exact_limit():
    security = defaults(key=group(requests=PARALLEL - 1), anonymous=True)
    with Daemon(config(agents=[ECHO], security=security)) as daemon:
        answers = at_once(daemon, PARALLEL, None)
        assert sum(a.status == 200 for a in answers) == PARALLEL - 1
        refused(*[a for a in answers if a.status != 200],
                "callers without a key")
        assert daemon.metrics().sum("atomd_limiters") == 1


@test
def of_n_tokens_at_once_no_more_pass_than_there_are():
    with Daemon(config(agents=[agent("hold", HOLD)], security="")) as daemon:
        # Each reserves its input by estimate, and 100 of output.
        probe = daemon.chat("hold", "hello", key=make_key(daemon, tokens=1),
                            max_tokens=100)
        cost = int(re.search(r"may need (\d+)", probe.text).group(1))
        assert 100 < cost < 130, probe
        # A little drains while they come: less than one call's.
        key = make_key(daemon, tokens=cost * 5)
        wires = [daemon.wire(daemon.post_bytes(PATH, asks(
            "hold", max_tokens=100), bearer(key))) for _ in range(7)]
        wait_for(lambda: daemon.metrics().sum(
            "atomd_rate_limited_total") >= 3, what="two are refused")
        wait_for(lambda: daemon.metrics().sum("atomd_inflight_requests") == 5,
                 what="the others run")
        for wire in wires:
            wire.close()


@test
def no_more_calls_run_at_once_than_may():
    with Daemon(config(agents=[agent("hold", HOLD, "queue: { depth = 99; };"),
                               ECHO], security="")) as daemon:
        key = make_key(daemon, concurrent=PARALLEL - 1)
        content = daemon.post_bytes(PATH, asks("hold"), bearer(key))
        wires = [daemon.wire() for _ in range(PARALLEL)]
        threads = [threading.Thread(target=w.send, args=(content,))
                   for w in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: daemon.metrics().sum("atomd_rate_limited_total")
                 == 1, what="one is refused")
        wait_for(lambda: daemon.metrics().sum("atomd_inflight_requests"
                                              ) == PARALLEL - 1,
                 what="the others run")
        refused(daemon.chat("echo", "x", key=key), "key", "calls at once",
                str(PARALLEL - 1))
        # A client that leaves gives its place back, and its place only.
        for wire in wires:
            wire.close()
        daemon.wait_idle()
        answers = at_once(daemon, PARALLEL - 1, key)
        assert {a.status for a in answers} == {200}, answers


@test
def an_answered_call_has_given_its_place_back():
    """Whoever has the answer may ask on, at whatever loop."""
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        key = make_key(daemon, concurrent=1)
        wires = [daemon.wire() for _ in range(8)]
        for stream in (False, True):
            content = daemon.post_bytes(PATH, asks("echo", stream=stream),
                                        bearer(key))
            for _ in range(50):
                for wire in wires:
                    answer = wire.send(content).answer()
                    assert answer.status == 200, answer
        for wire in wires:
            wire.close()


@test
def a_call_that_waits_for_an_instance_counts_as_one_at_once():
    held = agent("hold", HOLD, "instances: { min = 1; max = 1;"
                 " concurrency = 1; }; queue: { depth = 9;"
                 " timeout_ms = 60000; };")
    with Daemon(config(agents=[held, ECHO], security="")) as daemon:
        key = make_key(daemon, concurrent=2)
        content = daemon.post_bytes(PATH, asks("hold"), bearer(key))
        with daemon.wire(content) as _, daemon.wire(content) as waiting:
            wait_for(lambda: daemon.metrics().sum("atomd_queue_depth") == 1,
                     what="one waits")
            refused(daemon.chat("hold", "x", key=key), "calls at once")
            waiting.close()
            wait_for(lambda: daemon.metrics().sum("atomd_queue_depth") == 0,
                     what="nobody waits")
            # Its place comes back on its own loop.
            wait_for(lambda: daemon.chat("echo", "x", key=key).status == 200,
                     what="it has left")
            with daemon.wire(content):
                wait_for(lambda: daemon.metrics().sum(
                    "atomd_queue_depth") == 1, what="another waits")


@test
def who_leaves_while_waiting_for_a_session_gives_the_place_back():
    held = agent("hold", HOLD, "memory: { };"
                 " queue: { depth = 9; timeout_ms = 60000; };")
    with Daemon(config(agents=[held, ECHO], security="")) as daemon:
        key = make_key(daemon, concurrent=2)
        content = daemon.post_bytes(PATH, asks("hold"), {
            "x-atomd-session": "s", **bearer(key)})

        def status():
            return daemon.chat("echo", "x", key=key).status

        def one_that_waits():
            """None: whoever looked had the place just then."""
            wire = daemon.wire(content)
            wait_for(lambda: wire.answered() or status() == 429,
                     what="both are there")
            if not wire.answered():
                return wire
            assert wire.answer().status == 429
            return wire.close()
        with daemon.wire(content):
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests", agent="hold") == 1,
                what="the first is there")
            waiting = wait_for(one_that_waits, what="another waits")
            assert status() == 429
            waiting.close()
            wait_for(lambda: status() == 200, what="one has left")


# --- what is told -----------------------------------------------------------

@test
def an_answer_says_what_is_left():
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        key = make_key(daemon, requests=3, tokens=60000)
        for i in range(3):
            answer = daemon.chat("echo", "one two", key=key)
            assert answer.status == 200, answer
            headers = answer.headers
            assert headers["x-ratelimit-limit-requests"] == "3"
            assert left(answer, "requests") == 2 - i
            assert headers["x-ratelimit-limit-tokens"] == "60000"
            # 4 of each call; a thousand a second come back.
            assert 60000 - 4 * (i + 1) <= left(answer, "tokens") <= 60000
            assert headers["x-ratelimit-reset-tokens"].endswith("ms")
        answer = refused(daemon.invoke("echo", "x", key=key), "limit 3",
                         "used 3", "try again in ")
        wait = re.search(r"try again in ([0-9.]+)s\.",
                         answer.json["error"]["message"])
        assert 0 < float(wait.group(1)) <= 20, answer
        assert left(answer, "requests") == 0
        assert 0 < int(answer.headers["retry-after"]) <= 20, answer
        reset = answer.headers["x-ratelimit-reset-requests"]
        assert 20 < float(reset.removesuffix("s")) <= 60, reset
        # Looking costs nothing, and is not limited.
        for path in ("/v1/models", "/v1/models/echo"):
            answer = daemon.get(path, key=key)
            assert answer.status == 200, answer
            assert "x-ratelimit-limit-requests" not in answer.headers
        assert daemon.metrics().sum(
            "atomd_rate_limited_total", agent="echo",
            limit="key_requests") == 1


@test
def without_limits_nothing_is_said():
    with Daemon(config(agents=[ECHO])) as daemon:
        for answer in (daemon.chat("echo", "x"), daemon.invoke("echo", "x")):
            assert answer.status == 200, answer
            assert not [h for h in answer.headers if "ratelimit" in h]
        assert daemon.metrics().sum("atomd_limiters") == 0


@test
def of_two_limits_the_nearer_one_is_told():
    held = agent("echo", 'plugin = "echo";',
                 "rate_limits: { %s };" % group(requests=5, tokens=90000))
    with Daemon(config(agents=[held], security="")) as daemon:
        key = make_key(daemon, requests=100, tokens=60000)
        answer = daemon.chat("echo", "x", key=key)
        assert answer.headers["x-ratelimit-limit-requests"] == "5", answer
        assert answer.headers["x-ratelimit-limit-tokens"] == "60000", answer


@test
def a_request_that_can_never_pass_is_told_so():
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        key = make_key(daemon, tokens=500, requests=1)
        for _ in range(3):
            refused(daemon.chat("echo", "x", key=key, max_tokens=501),
                    "too large", "never", "500", retry=False)
            refused(daemon.chat("echo", "x", key=key, max_tokens=2**63 - 1),
                    "never", retry=False)
            refused(daemon.chat("echo", "word " * 500, key=key), "never",
                    retry=False)
        assert daemon.chat("echo", "x", key=key).status == 200
        # An image is not counted by its bytes.
        image = [{"role": "user", "content": [
            {"type": "text", "text": "what"}, {
                "type": "image_url", "image_url": {
                    "url": "data:image/png;base64," + "A" * 900000}}]}]
        key = make_key(daemon, tokens=2000)
        answer = daemon.chat("echo", image, key=key)
        assert answer.status == 200, answer


# --- tokens -----------------------------------------------------------------

@test
def tokens_are_settled_by_what_it_was():
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        key = make_key(daemon, tokens=10000)
        answer = daemon.chat("echo", "a b c", key=key, max_tokens=9000)
        assert answer.json["usage"]["total_tokens"] == 6, answer
        assert left(answer, "tokens") >= 9994, answer
        # A stream's head comes before anybody knows.
        with Stream(daemon.wire(daemon.post_bytes(PATH, asks(
                "echo", "a b c", stream=True, max_tokens=9000),
                bearer(key)))) as stream:
            assert 900 <= left(stream, "tokens") <= 5000, stream.headers
            assert b"[DONE]" in stream.body()
        assert tokens_left(daemon, key) >= 9980


@test
def a_client_that_leaves_midway_pays_for_what_it_had():
    slow = agent("slow", 'plugin = "echo"; repeat = 1000;'
                 " chunk_delay_ms = 20;")
    with Daemon(config(agents=[slow], security="")) as daemon:
        key = make_key(daemon, tokens=6000)
        with Stream(daemon.wire(daemon.post_bytes(PATH, asks(
                "slow", "word ", stream=True, max_tokens=5000),
                bearer(key)))) as stream:
            assert left(stream, "tokens") < 3000
            for _ in range(3):
                next(stream.parts)
        # The echo counts words, also of those that left.
        wait_for(lambda: tokens_left(daemon, key, "slow") > 5500,
                 what="the rest has come back")
        daemon.wait_idle()


@test
def without_usage_the_estimate_is_charged():
    with Mock() as mock, Daemon(config(agents=[agent(
            "bot", 'plugin = "openai"; base_url = "%s"; model = "m";'
            ' api_key = "k";' % mock.url)], security="")) as daemon:
        key = make_key(daemon, tokens=60)
        answer = daemon.chat("bot", "a b c", key=key, max_tokens=20)
        assert answer.status == 200, answer
        assert left(answer, "tokens") >= 54, answer
        with Stream(daemon.wire(daemon.post_bytes(PATH, asks(
                "bot", "fault:endless", stream=True, max_tokens=20),
                bearer(key)))) as stream:
            for _ in range(200):
                next(stream.parts)
        daemon.wait_idle()
        # More deltas than were reserved: a debt, for it was had.
        answer = refused(daemon.chat("bot", "a", key=key, max_tokens=5),
                         "tokens per minute")
        assert int(answer.headers["retry-after"]) > 60, answer


@test
def why_an_answer_ended_is_no_count_of_its_tokens():
    with Mock() as mock, Daemon(config(agents=[
            agent("bot", 'plugin = "openai"; base_url = "%s"; model = "m";'
                  ' api_key = "k";' % mock.url),
            worker('''
ready()
for call in calls():
    say("result", id=call["id"], output="x", finish_reason="length")
''', name="cut")], security="")) as daemon:
        mock.counts, mock.answer = False, "x"
        asked = "word " * 800
        for name, stream in (("bot", False), ("bot", True), ("cut", False),
                             ("cut", True)):
            key = make_key(daemon, tokens=6000)
            answer = daemon.chat(name, asked, key=key, max_tokens=2000,
                                 stream=stream)
            assert answer.status == 200, answer
            daemon.wait_idle()
            # A hundred come back each second: what was allowed would leave
            # 3000, nothing 6000.
            found = tokens_left(daemon, key, name)
            assert 4700 <= found < 5900, (name, stream, found)


@test
def a_backend_that_fails_at_once_costs_no_tokens():
    with Mock() as mock, Daemon(config(agents=[agent(
            "bot", 'plugin = "openai"; base_url = "%s"; model = "m";'
            ' api_key = "k";' % mock.url)], security="")) as daemon:
        key = make_key(daemon, tokens=60, requests=6)
        for i in range(5):
            answer = daemon.chat("bot", "fault:status 500", key=key,
                                 max_tokens=30)
            assert answer.status == 502, answer
            assert left(answer, "tokens") == 60, answer
            # It was a request all the same.
            assert left(answer, "requests") == 5 - i, answer


@test
def more_than_was_reserved_is_owed():
    with Mock() as mock, Daemon(config(agents=[agent(
            "bot", 'plugin = "openai"; base_url = "%s"; model = "m";'
            ' api_key = "k";' % mock.url)], security="")) as daemon:
        mock.answer = "word " * 180
        key = make_key(daemon, tokens=60)
        answer = daemon.chat("bot", "x", key=key, max_tokens=1)
        assert answer.status == 200, answer
        assert left(answer, "tokens") == 0, answer
        # 120 too many: two minutes, and then some for the next one.
        answer = refused(daemon.chat("bot", "x", key=key, max_tokens=1))
        assert 120 <= int(answer.headers["retry-after"]) <= 150, answer


@test
def a_deadline_gives_place_and_tokens_back():
    with Mock() as mock, Daemon(config(agents=[agent(
            "bot", 'plugin = "openai"; base_url = "%s"; model = "m";'
            ' api_key = "k";' % mock.url,
            "timeouts: { total_ms = 1200; };")], security="")) as daemon:
        key = make_key(daemon, tokens=6000, concurrent=1)
        asked = [{"role": "user", "content": "word " * 800},
                 {"role": "user", "content": "fault:stall"}]
        answer = daemon.chat("bot", asked, key=key, max_tokens=4000)
        assert answer.status == 504, answer
        # What it was asked is charged: the provider has read it.
        wait_for(lambda: 4900 <= tokens_left(daemon, key, "bot") < 5900,
                 what="the reservation has come back")
        # A pause may be longer than its time.
        wait_for(lambda: daemon.chat("bot", "x", key=key).status == 200,
                 what="the place has come back")


# --- what is refused later was never asked ------------------------------------

@test
def a_full_waiting_room_gives_everything_back():
    held = agent("hold", HOLD, "max_tokens = 100; instances: { min = 1;"
                 " max = 1; concurrency = 1; }; queue: { depth = 0; };")
    with Daemon(config(agents=[held], security="")) as daemon:
        key = make_key(daemon, requests=5, tokens=1000, concurrent=2)
        with daemon.wire(daemon.post_bytes(PATH, asks("hold"),
                                           bearer(key))):
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests") == 1, what="one is held")
            for _ in range(10):
                answer = daemon.chat("hold", "x", key=key)
                assert (answer.status, answer.code) == (429, "queue_full")
                assert left(answer, "requests") == 4, answer
                assert left(answer, "tokens") > 850, answer


@test
def a_busy_session_gives_everything_back():
    held = agent("hold", HOLD, "memory: { };"
                 " queue: { depth = 9; timeout_ms = 50; };")
    with Daemon(config(agents=[held], security="")) as daemon:
        key = make_key(daemon, requests=5, concurrent=2)
        headers = {"x-atomd-session": "s"}
        with daemon.wire(daemon.post_bytes(
                PATH, asks("hold"), {**headers, **bearer(key)})):
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests") == 1, what="one is held")
            for _ in range(4):
                answer = daemon.chat("hold", "x", headers, key=key)
                assert (answer.status, answer.code) == (409, "session_busy")
                assert left(answer, "requests") == 4, answer


@test
def a_call_is_not_led_to_an_agent_of_the_same_name_that_did_not_admit_it():
    def slow(chunk_delay_ms):
        return agent("slow", 'plugin = "echo"; chunk_delay_ms = %d;'
                     % chunk_delay_ms,
                     "memory: { }; queue: { timeout_ms = 60000; };"
                     " rate_limits: { %s };" % group(concurrent=9))

    def calls():
        # But for the looks themselves.
        looks.append(1)
        return daemon.metrics().sum("atomd_http_requests_total") - len(looks)

    looks = []
    session = {"x-atomd-session": "s"}
    with Daemon(config(agents=[slow(60000), ECHO])) as daemon:
        # Two words take a minute, one takes none.
        content = daemon.post_bytes(PATH, asks("slow"), session)
        with daemon.wire(daemon.post_bytes(
                PATH, asks("slow", "two words"), session)) as first:
            wait_for(lambda: daemon.metrics().sum(
                "atomd_inflight_requests", agent="slow") == 1,
                what="the session is used")
            before = calls()
            second = daemon.wire(content)
            wait_for(lambda: calls() == before + 1, what="another one waits")
            # Gone, and back as another one.
            assert daemon.reload(config(agents=[ECHO])).status == 200
            assert daemon.reload(
                config(agents=[slow(0), ECHO])).status == 200
            first.close()
        with second:
            answer = second.answer()
        assert answer.status == 200, answer
        assert answer.headers["x-atomd-revision"] == "1", answer.headers
        assert daemon.chat("slow", "x").headers["x-atomd-revision"] == "2"


@test
def a_request_that_is_wrong_is_not_counted():
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        key = make_key(daemon, requests=1)
        for _ in range(3):
            assert daemon.chat("echo", [], key=key).status == 400
            assert daemon.chat("nobody", "x", key=key).status == 404
        assert daemon.chat("echo", "x", key=key).status == 200


@test
def who_is_refused_by_the_agent_keeps_what_its_key_has():
    busy = agent("busy", 'plugin = "echo";',
                 "rate_limits: { %s };" % group(requests=1))
    with Daemon(config(agents=[busy, ECHO], security="")) as daemon:
        key = make_key(daemon, requests=4, tokens=60000, concurrent=1)
        assert daemon.chat("busy", "x", key=key).status == 200
        for _ in range(10):
            refused(daemon.chat("busy", "x", key=key), "agent busy")
        for i in range(3):
            answer = daemon.chat("echo", "x", key=key)
            assert answer.status == 200, answer
            assert left(answer, "requests") == 2 - i, answer
        assert daemon.metrics().sum(
            "atomd_rate_limited_total", agent="busy",
            limit="agent_requests") == 10


# --- whose limit it is ------------------------------------------------------------

@test
def an_agent_is_shared_by_its_callers():
    security = defaults(of_agent=group(requests=2))
    with Daemon(config(agents=[agent("one"), agent("two")],
                       security=security)) as daemon:
        keys = [make_key(daemon) for _ in range(3)]
        assert daemon.chat("one", "x", key=keys[0]).status == 200
        assert daemon.invoke("one", "x", key=keys[1]).status == 200
        refused(daemon.chat("one", "x", key=keys[2]), "agent one")
        # Who administers the machine counts among an agent's callers.
        answer = daemon.admin("POST", "/v1/agents/one/invoke", {"input": "x"})
        refused(answer, "agent one")
        assert daemon.chat("two", "x", key=keys[2]).status == 200


@test
def a_keys_own_numbers_come_before_the_configurations():
    security = defaults(key=group(requests=1))
    with Daemon(config(agents=[ECHO], security=security)) as daemon:
        plain = make_key(daemon)
        assert daemon.chat("echo", "x", key=plain).status == 200
        refused(daemon.chat("echo", "x", key=plain))
        done = daemon.atomctl("keys", "create", "--role", "caller", "--rpm",
                              "3", "--tpm=60000", "--concurrent", "2",
                              "--json")
        assert done.returncode == 0, done
        made = json.loads(done.stdout)
        assert made["limits"] == limits(3, 60000, 2), made
        for _ in range(3):
            assert daemon.chat("echo", "x", key=made["key"]).status == 200
        refused(daemon.chat("echo", "x", key=made["key"]), "limit 3")
        # 0 lifts the configuration's.
        free = make_key(daemon, requests=0)
        for _ in range(5):
            assert daemon.chat("echo", "x", key=free).status == 200
        # The unix socket's peer has none.
        for _ in range(3):
            assert daemon.admin("POST", "/v1/agents/echo/invoke",
                                {"input": "x"}).status == 200
        table = daemon.atomctl("keys", "list").stdout.decode()
        assert "3 rpm, 60000 tpm, 2 at once" in table, table
        assert "no rpm" in table and "default" in table, table
        # They are stored with the key.
        daemon.kill()
        daemon.start()
        for _ in range(3):
            assert daemon.chat("echo", "x", key=made["key"]).status == 200
        refused(daemon.chat("echo", "x", key=made["key"]), "limit 3")


@test
def numbers_that_are_none_are_refused():
    with Daemon(config(agents=[ECHO], security="")) as daemon:
        for wrong in (5, [], {"rpm": 5}, {"requests_per_minute": -1},
                      {"requests_per_minute": "5"}, {"concurrent": 1.5},
                      {"tokens_per_minute": 10 ** 10}):
            answer = daemon.admin("POST", "/admin/v1/keys", {
                "role": "caller", "limits": wrong})
            assert answer.status == 400, (wrong, answer)
            assert answer.json["error"]["param"] == "limits", answer
        for option in ("--rpm=x", "--tpm=-1", "--concurrent="):
            done = daemon.atomctl("keys", "create", "--role", "caller",
                                  option)
            assert done.returncode == 2, (option, done)
        done = daemon.atomctl("keys", "create", "--role", "caller",
                              "--rpm=10000000000")
        assert done.returncode == 1 and b"at most" in done.stderr, done


# --- reload --------------------------------------------------------------------------

@test
def a_reload_changes_the_limit_and_keeps_what_is_used():
    def text(requests, prefix="a"):
        return config(
            agents=[agent("echo", 'plugin = "echo"; prefix = "%s";' % prefix,
                          "rate_limits: { %s };" % group(
                              requests=2 * requests + 1))],
            security=defaults(key=group(requests=requests), anonymous=True))

    with Daemon(text(4)) as daemon:
        key = make_key(daemon)
        for i in range(3):
            assert left(daemon.chat("echo", "x", key=key),
                        "requests") == 3 - i
            assert left(daemon.chat("echo", "x"), "requests") == 3 - i
        assert daemon.reload(text(3)).status == 200
        refused(daemon.chat("echo", "x", key=key), "key", "limit 3")
        refused(daemon.chat("echo", "x"), "without a key", "limit 3")
        assert daemon.reload(text(6)).status == 200
        for who in (key, None):
            # All are 6 less four, but for one that has come back.
            assert 2 <= left(daemon.chat("echo", "x", key=who),
                             "requests") <= 3
        # Another revision is the same agent, and has had all eight.
        assert daemon.reload(text(4, prefix="b")).status == 200
        wait_for(lambda: daemon.agents()["echo"]["revision"] == 4,
                 what="the next revision serves")
        free = make_key(daemon, requests=0)
        answers = [daemon.chat("echo", "x", key=free) for _ in range(5)]
        assert answers[0].status == 200, answers[0]
        refused(daemon.chat("echo", "x", key=free), "agent echo", "limit 9")


@test
def a_limit_that_a_reload_brings_knows_the_calls_that_run():
    def text(concurrent):
        return config(agents=[agent("hold", HOLD), ECHO],
                      security=defaults(key=group(concurrent=concurrent)))

    with Daemon(text(0)) as daemon:
        key = make_key(daemon)
        content = daemon.post_bytes(PATH, asks("hold"), bearer(key))
        wires = [daemon.wire(content) for _ in range(3)]
        wait_for(lambda: daemon.metrics().sum("atomd_inflight_requests")
                 == 3, what="three are held")
        assert daemon.reload(text(2)).status == 200
        refused(daemon.chat("echo", "x", key=key), "calls at once", "limit 2")
        for wire in wires[:2]:
            wire.close()
        wait_for(lambda: daemon.chat("echo", "x", key=key).status == 200,
                 what="one place is free")
        wires[2].close()


@test
def refusals_are_not_a_flood_in_the_log():
    security = defaults(key=group(requests=1), anonymous=True)
    with Daemon(config(agents=[ECHO], security=security)) as daemon:
        answers = daemon.many(daemon.post_bytes(PATH, asks("echo")), 200)
        assert [a.status for a in answers] == [200] + [429] * 199, answers
        daemon.wait_event("rate_limited")
        lines = daemon.log.count('"rate_limited"')
        assert 1 <= lines <= 60, lines
        assert daemon.metrics().sum("atomd_rate_limited_total") == 199


if __name__ == "__main__":
    run()
