#!/usr/bin/env python3
"""Which revision of an agent answers a call."""

from atomd_test import Daemon, agent, config, run, test

MEMORY = agent(more="memory: { max_messages = 4; };")


@test
def a_revision_can_be_asked_for_by_its_number():
    with Daemon(config(agents=MEMORY)) as daemon:
        body = {"model": "echo", "messages": [{"role": "user",
                                               "content": "hello"}]}
        for path, asked in (("/v1/chat/completions", body),
                            ("/v1/agents/echo/invoke", {"input": "hello"})):
            answer = daemon.post(path, asked,
                                 headers={"x-atomd-revision": "1"})
            assert answer.status == 200, answer
            assert answer.headers["x-atomd-revision"] == "1", answer
            for none in ("2", "0", "one", "1 ", " ", "1" * 100):
                answer = daemon.post(path, asked,
                                     headers={"x-atomd-revision": none})
                if none.strip() == "1":
                    assert answer.status == 200, answer
                    continue
                assert answer.status == 404, (none, answer)
                assert answer.code == "revision_not_found", answer
                assert answer.json["error"]["param"] == "x-atomd-revision", answer
                assert "1 is its stable one" in answer.json["error"]["message"]


@test
def an_unknown_agent_is_told_before_the_revision_and_the_body():
    with Daemon(config(agents=MEMORY)) as daemon:
        headers = {"x-atomd-revision": "9"}
        answer = daemon.post("/v1/agents/nobody/invoke", b"{ no json",
                             headers=headers)
        assert answer.status == 404, answer
        assert answer.code == "agent_not_found", answer
        answer = daemon.post("/v1/agents/echo/invoke", b"{ no json")
        assert answer.status == 400, answer


@test
def a_bad_session_id_is_refused_as_ever():
    with Daemon(config(agents=MEMORY)) as daemon:
        for bad in (7, "", "a/b", "x" * 129, ["a"]):
            answer = daemon.post("/v1/agents/echo/invoke",
                                 {"input": "hello", "session_id": bad})
            assert answer.status == 400, (bad, answer)
            assert answer.json["error"]["param"] == "session_id", answer
        answer = daemon.post("/v1/agents/echo/invoke",
                             {"input": "hello", "session_id": None})
        assert answer.status == 200, answer


if __name__ == "__main__":
    run()
