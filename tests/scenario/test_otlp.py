#!/usr/bin/env python3
"""Calls as traces and events as logs, at a collector that takes nothing but
what OTLP's JSON encoding allows."""

import http.server
import json
import re
import threading

from atomd_test import Daemon, agent, config, run, test, wait_for

# Members of the protos by message, in lowerCamelCase, with what they must be:
# opentelemetry/proto/{trace,logs,common,resource}/v1.
INT64 = re.compile(r"-?[0-9]{1,19}\Z")
SPAN_ID, TRACE_ID = re.compile("[0-9a-f]{16}\\Z"), re.compile(
    "[0-9a-f]{32}\\Z")
TEXT, INTEGER = str, int
ANY_VALUE = {"stringValue": TEXT, "intValue": INT64}
KEY_VALUE = {"key": TEXT, "value": ANY_VALUE}
SCOPE = {"name": TEXT, "version": TEXT}
RESOURCE = {"attributes": [KEY_VALUE]}
SPAN = {"traceId": TRACE_ID, "spanId": SPAN_ID, "parentSpanId": SPAN_ID,
        "name": TEXT, "kind": INTEGER, "startTimeUnixNano": INT64,
        "endTimeUnixNano": INT64, "attributes": [KEY_VALUE],
        "status": {"code": INTEGER}}
LOG = {"timeUnixNano": INT64, "observedTimeUnixNano": INT64,
       "severityNumber": INTEGER, "eventName": TEXT, "body": ANY_VALUE,
       "attributes": [KEY_VALUE]}
REQUESTS = {
    "/v1/traces": {"resourceSpans": [{
        "resource": RESOURCE,
        "scopeSpans": [{"scope": SCOPE, "spans": [SPAN]}]}]},
    "/v1/logs": {"resourceLogs": [{
        "resource": RESOURCE,
        "scopeLogs": [{"scope": SCOPE, "logRecords": [LOG]}]}]},
}


def decode(value, shape, where="request"):
    if isinstance(shape, dict):
        assert isinstance(value, dict), (where, value)
        for name, member in value.items():
            assert name in shape, "%s has no member %s" % (where, name)
            decode(member, shape[name], where + "." + name)
        if shape is ANY_VALUE:
            assert len(value) == 1, (where, value)
    elif isinstance(shape, list):
        assert isinstance(value, list), (where, value)
        for item in value:
            decode(item, shape[0], where + "[]")
    elif isinstance(shape, re.Pattern):
        assert isinstance(value, str) and shape.match(value), (where, value)
        if shape in (SPAN_ID, TRACE_ID):
            assert value.strip("0"), (where, "all zero")
    else:
        assert type(value) is shape, (where, value)


class Collector:
    """Answers with the next of `answers`, then 200, to sound requests."""

    def __init__(self, answers=()):
        self.answers, self.seen, self.faults = list(answers), [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                status, headers, text = (outer.answers.pop(0)
                                         if outer.answers
                                         else (200, {}, "{}"))
                try:
                    assert self.headers["Content-Type"] == "application/json"
                    request = json.loads(body)
                    decode(request, REQUESTS[self.path])
                    outer.seen.append((self.path, status, request))
                except (AssertionError, KeyError, ValueError) as fault:
                    outer.faults.append(repr(fault))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def taken(self, path, status=200):
        assert not self.faults, self.faults
        return [r for p, s, r in list(self.seen) if p == path and s == status]

    def spans(self):
        return [span for r in self.taken("/v1/traces")
                for one in r["resourceSpans"] for scope in one["scopeSpans"]
                for span in scope["spans"]]


def attributes(span):
    return {a["key"]: list(a["value"].values())[0]
            for a in span["attributes"]}


def exporting(collector, more=""):
    return 'monitors = ( { plugin = "otlp"; endpoint = "%s"; %s } );' % (
        collector.url, more)


def items(daemon, signal, result):
    return daemon.metrics().sum("atomd_otlp_items_total", signal=signal,
                                result=result)


@test
def a_call_is_one_tree_of_spans_in_the_caller_s_trace():
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Collector() as collector, \
            Daemon(config(agent(), extra=exporting(collector))) as daemon:
        done = daemon.post("/v1/agents/echo/invoke", {"input": "secretword"},
                           headers={"traceparent": "00-%s-%s-01" % (
                               trace, parent)})
        assert done.status == 200, done
        spans = wait_for(lambda: len(collector.spans()) >= 3
                         and collector.spans(), 30, "three spans")
        assert {s["traceId"] for s in spans} == {trace}, spans
        call, wait, attempt = spans
        assert call["parentSpanId"] == parent and call["kind"] == 2, call
        assert call["name"] == "invoke_agent echo", call
        assert wait["parentSpanId"] == attempt["parentSpanId"] == \
            call["spanId"], spans
        assert len({s["spanId"] for s in spans}) == 3, spans
        assert attempt["kind"] == 3, attempt
        for span in spans:
            assert int(call["startTimeUnixNano"]) <= \
                int(span["startTimeUnixNano"]) <= \
                int(span["endTimeUnixNano"]) <= \
                int(call["endTimeUnixNano"]), spans
        told = attributes(attempt)
        assert told["gen_ai.operation.name"] == "chat", told
        assert told["gen_ai.agent.name"] == "echo", told
        assert told["gen_ai.usage.output_tokens"] == "1", told
        assert attributes(call)["http.response.status_code"] == "200"
        assert "secretword" not in json.dumps(collector.seen)
        # One that brings no trace begins one.
        assert daemon.invoke("echo", "hi").status == 200
        wait_for(lambda: len(collector.spans()) >= 6, 30, "three more")
        assert collector.spans()[3]["traceId"] != trace
        assert "parentSpanId" not in collector.spans()[3]


@test
def events_are_log_records():
    scaled = ('{ name = "echo"; backend: { plugin = "echo"; };'
              ' instances: { min = 1; max = 4; concurrency = 1; };'
              ' scaling: { plugin = "fixed"; }; }')
    with Collector() as collector, \
            Daemon(config(scaled, extra=exporting(collector))) as daemon:
        assert daemon.atomctl("scale", "echo", "2").returncode == 0
        (request,) = wait_for(lambda: collector.taken("/v1/logs"), 30,
                              "a log record")
        record = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
        assert record["eventName"] == "scaling", record
        assert record["severityNumber"] == 9, record
        assert json.loads(record["body"]["stringValue"])["to"] == 2, record


@test
def what_a_collector_cannot_take_now_is_sent_again():
    answers = [(503, {"Retry-After": "1"}, ""), (429, {}, ""),
               (200, {}, '{"partialSuccess":{"rejectedSpans":"2"}}')]
    with Collector(answers) as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, "logs = false;"))) as daemon:
        assert daemon.invoke("echo", "hi").status == 200
        wait_for(lambda: items(daemon, "traces", "sent") == 1, 60,
                 "one span of three to be taken")
        assert items(daemon, "traces", "failed") == 6
        assert items(daemon, "traces", "dropped") == 2
        bodies = [r for _, _, r in collector.seen]
        assert len(bodies) == 3 and bodies[0] == bodies[1] == bodies[2]


@test
def what_it_refuses_is_not_and_a_dead_one_slows_nobody():
    with Collector([(400, {}, "no")]) as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, "logs = false;"))) as daemon:
        assert daemon.invoke("echo", "hi").status == 200
        wait_for(lambda: items(daemon, "traces", "dropped") == 3, 30,
                 "the spans to be given up")
        assert items(daemon, "traces", "sent") == 0
        assert len(collector.seen) == 1
        collector.server.shutdown()
        collector.server.server_close()
        for _ in range(20):
            assert daemon.invoke("echo", "hi").status == 200
        wait_for(lambda: items(daemon, "traces", "failed") >= 6, 30,
                 "a try to fail")
        assert daemon.invoke("echo", "hi").status == 200


@test
def a_sample_of_none_watches_no_calls():
    with Collector() as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, "sample = 0.0;"))) as daemon:
        assert daemon.invoke("echo", "hi").status == 200
        assert daemon.atomctl("reload").returncode == 0
        assert collector.spans() == []


if __name__ == "__main__":
    run()
