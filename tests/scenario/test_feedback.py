#!/usr/bin/env python3
"""Callers rate the answers to their own calls."""

from atomd_test import Daemon, agent, config, run, test


def rate(daemon, call, score, key=None, **more):
    return daemon.post("/v1/feedback",
                       {"request_id": call, "score": score, **more}, key=key)


def score_count(daemon):
    return daemon.metrics().sum("atomd_feedback_score_count")


@test
def an_answer_is_rated_and_rated_again():
    with Daemon(config()) as daemon:
        for answer in (daemon.chat("echo", "hello"),
                       daemon.invoke("echo", "hello")):
            call = answer.headers["x-request-id"]
            rated = rate(daemon, call, 0.25, comment="too \"short\"\n")
            assert rated.status == 200, rated
            assert rated.json == {"request_id": call, "agent": "echo",
                                  "revision": 1, "score": 0.25,
                                  "replaced": False}, rated
            rated = rate(daemon, call, 1)
            assert rated.json["replaced"] is True, rated
            assert rated.json["score"] == 1, rated
        metrics = daemon.metrics()
        # The first score of each call.
        assert metrics.sum("atomd_feedback_score_count") == 2
        assert metrics.sum("atomd_feedback_score_sum") == 0.5
        line = daemon.wait_line(lambda l: l.get("event") == "feedback")
        assert line["comment"] == "too \"short\"\n", line
        assert line["agent"] == "echo" and line["score"] == "0.25", line


@test
def a_call_that_failed_can_be_rated():
    with Daemon(config(agents=agent(
            more="timeouts: { total_ms = 300; };",
            backend='plugin = "echo"; delay_ms = 5000;'))) as daemon:
        answer = daemon.chat("echo", "hello")
        assert answer.status == 504, answer
        assert rate(daemon, answer.headers["x-request-id"], 0).status == 200


@test
def an_unknown_call_and_another_callers_are_not_there():
    with Daemon(config(security="")) as daemon:
        keys = [daemon.admin("POST", "/admin/v1/keys", {
            "role": "caller"}).json["key"] for _ in range(2)]
        answer = daemon.chat("echo", "hello", key=keys[0])
        call = answer.headers["x-request-id"]
        for wrong, key in ((call, keys[1]), ("req_unknown", keys[0]),
                           (call + "x", keys[0]), (call[:-1], keys[0])):
            rated = rate(daemon, wrong, 0.5, key=key)
            assert rated.status == 404, rated
            assert rated.code == "call_not_found", rated
        assert rate(daemon, call, 0.5, key=keys[0]).status == 200
        assert rate(daemon, call, 0.5).status == 401
        # What never reached the agent is no call of it.
        answer = daemon.chat("echo", [], key=keys[0])
        assert answer.status == 400, answer
        refused = answer.headers["x-request-id"]
        assert rate(daemon, refused, 0.5, key=keys[0]).status == 404


@test
def what_is_no_rating_is_refused():
    with Daemon(config()) as daemon:
        call = daemon.chat("echo", "hello").headers["x-request-id"]
        for body, param in (({"score": 1}, "request_id"),
                            ({"request_id": "", "score": 1}, "request_id"),
                            ({"request_id": 7, "score": 1}, "request_id"),
                            ({"request_id": "x" * 40, "score": 1},
                             "request_id"),
                            ({"request_id": call}, "score"),
                            ({"request_id": call, "score": "1"}, "score"),
                            ({"request_id": call, "score": -0.01}, "score"),
                            ({"request_id": call, "score": 1.01}, "score"),
                            ({"request_id": call, "score": None}, "score"),
                            ({"request_id": call, "score": 1,
                              "comment": 3}, "comment"),
                            ({"request_id": call, "score": 1,
                              "comment": "x" * 2001}, "comment"),
                            ([], None), ("{", None), ("", None)):
            answer = daemon.post("/v1/feedback", body)
            assert answer.status == 400, (body, answer)
            assert answer.json["error"]["param"] == param, (body, answer)
        assert score_count(daemon) == 0


@test
def ratings_find_their_call_among_many_on_every_loop():
    with Daemon(config()) as daemon:
        calls = [daemon.invoke("echo", "hello").headers["x-request-id"]
                 for _ in range(300)]
        for n, call in enumerate(calls):
            assert rate(daemon, call, (n % 11) / 10).status == 200
        assert score_count(daemon) == 300


if __name__ == "__main__":
    run()
