#!/usr/bin/env python3
"""Calls as traces, events as logs and metrics, at a collector that takes
nothing but what OTLP's JSON encoding allows."""

import contextlib
import http.server
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

from atomd_test import OFTEN, Daemon, agent, config, run, test, wait_for

# Members of the protos by message, in lowerCamelCase, with what they must be:
# opentelemetry/proto/{trace,logs,metrics,common,resource}/v1.
INT64 = re.compile(r"-?[0-9]{1,19}\Z")
SPAN_ID, TRACE_ID = re.compile("[0-9a-f]{16}\\Z"), re.compile(
    "[0-9a-f]{32}\\Z")
UINT64 = re.compile(r"[0-9]{1,20}\Z")
TEXT, INTEGER, DOUBLE, BOOLEAN = str, int, float, bool
NO_NUMBER = "NaN", "Infinity", "-Infinity"
ANY_VALUE = {"stringValue": TEXT, "intValue": INT64, "boolValue": BOOLEAN}
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
NUMBER_POINT = {"attributes": [KEY_VALUE], "startTimeUnixNano": UINT64,
                "timeUnixNano": UINT64, "asDouble": DOUBLE}
HISTOGRAM_POINT = {"attributes": [KEY_VALUE], "startTimeUnixNano": UINT64,
                   "timeUnixNano": UINT64, "count": UINT64, "sum": DOUBLE,
                   "bucketCounts": [UINT64], "explicitBounds": [DOUBLE]}
METRIC = {"name": TEXT, "description": TEXT, "unit": TEXT,
          "metadata": [KEY_VALUE],
          "sum": {"aggregationTemporality": INTEGER, "isMonotonic": BOOLEAN,
                  "dataPoints": [NUMBER_POINT]},
          "gauge": {"dataPoints": [NUMBER_POINT]},
          "histogram": {"aggregationTemporality": INTEGER,
                        "dataPoints": [HISTOGRAM_POINT]}}
REQUESTS = {
    "/v1/traces": {"resourceSpans": [{
        "resource": RESOURCE,
        "scopeSpans": [{"scope": SCOPE, "spans": [SPAN]}]}]},
    "/v1/logs": {"resourceLogs": [{
        "resource": RESOURCE,
        "scopeLogs": [{"scope": SCOPE, "logRecords": [LOG]}]}]},
    "/v1/metrics": {"resourceMetrics": [{
        "resource": RESOURCE,
        "scopeMetrics": [{"scope": SCOPE, "metrics": [METRIC]}]}]},
}


def attributes(span):
    return {a["key"]: list(a["value"].values())[0]
            for a in span["attributes"]}


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
    elif shape is DOUBLE:
        assert type(value) in (int, float) or value in NO_NUMBER, \
            (where, value)
    else:
        assert type(value) is shape, (where, value)


def metrics_of(request):
    return [metric for one in request["resourceMetrics"]
            for scope in one["scopeMetrics"] for metric in scope["metrics"]]


def points_of(metric):
    """Its kind, what is said of all, and its points by their attributes."""
    (kind,) = [k for k in ("sum", "gauge", "histogram") if k in metric]
    points = {}
    for point in metric[kind]["dataPoints"]:
        told = attributes(point)
        assert len(told) == len(point["attributes"]), point
        key = tuple(sorted(told.items()))
        assert key not in points, (metric["name"], key)
        points[key] = point
    return kind, metric[kind], points


def check_cumulative(name, kind, point, before):
    """A point that counts is sound, and none behind the one before it."""
    start = int(point["startTimeUnixNano"])
    assert 0 < start <= int(point["timeUnixNano"]), (name, point)
    if kind == "histogram":
        counts = [int(c) for c in point["bucketCounts"]]
        bounds = point["explicitBounds"]
        assert len(counts) == len(bounds) + 1, (name, point)
        assert bounds == sorted(set(bounds)), (name, point)
        assert int(point["count"]) == sum(counts), (name, point)
        assert not any(counts) or point["sum"] >= 0, (name, point)
    else:
        counts = [point["asDouble"]]
        assert counts[0] >= 0, (name, point)
    if before is not None and before[0] == start:
        assert all(a <= b for a, b in zip(before[1], counts)), \
            (name, before, point)
    return start, counts


class Streams:
    """The metrics of one writer over its requests."""

    def __init__(self):
        self.last = {}

    def take(self, request):
        names = [metric["name"] for metric in metrics_of(request)]
        assert len(names) == len(set(names)), names
        for metric in metrics_of(request):
            kind, whole, points = points_of(metric)
            assert points, metric
            if kind != "gauge":
                assert whole["aggregationTemporality"] == 2, metric
            if kind == "sum":
                assert whole["isMonotonic"] is True, metric
            for key, point in points.items():
                at = metric["name"], key
                if kind != "gauge":
                    self.last[at] = check_cumulative(
                        metric["name"], kind, point, self.last.get(at))


class Collector:
    """Answers with the next of `answers`, then 200, to sound requests."""

    def __init__(self, answers=()):
        self.answers, self.seen, self.faults = list(answers), [], []
        # While it is not set, no answer comes.
        self.open = threading.Event()
        self.open.set()
        self.lock, self.waiting, self.most = threading.Lock(), {}, {}
        self.streams = Streams()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                with outer.counting(self.path):
                    outer.open.wait()
                    self.answer(body)

            def answer(self, body):
                status, headers, text = (outer.answers.pop(0)
                                         if outer.answers
                                         else (200, {}, "{}"))
                try:
                    assert self.headers["Content-Type"] == "application/json"
                    request = json.loads(body)
                    decode(request, REQUESTS[self.path])
                    if self.path == "/v1/metrics":
                        outer.streams.take(request)
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
        self.open.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @contextlib.contextmanager
    def counting(self, path):
        """Requests of a path that are not answered yet, and the most ever."""
        with self.lock:
            self.waiting[path] = self.waiting.get(path, 0) + 1
            self.most[path] = max(self.most.get(path, 0), self.waiting[path])
        yield
        with self.lock:
            self.waiting[path] -= 1

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


def exporter(collector, more=""):
    return '{ plugin = "otlp"; endpoint = "%s"; %s }' % (collector.url, more)


def exporting(collector, more=""):
    return OFTEN + "monitors = ( %s );" % exporter(collector, more)


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
                collector, "logs = false; metrics = false;"))) as daemon:
        assert daemon.invoke("echo", "hi").status == 200
        # What was not taken is counted last.
        wait_for(lambda: items(daemon, "traces", "dropped") == 2, 60,
                 "two spans of three to be refused")
        assert items(daemon, "traces", "sent") == 1
        assert items(daemon, "traces", "failed") == 6
        bodies = [r for _, _, r in collector.seen]
        assert len(bodies) == 3 and bodies[0] == bodies[1] == bodies[2]


@test
def what_it_refuses_is_not_and_a_dead_one_slows_nobody():
    with Collector([(400, {}, "no")]) as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, "logs = false; metrics = false;"))) as daemon:
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
def a_burst_arrives_whole_in_requests_of_one_size_one_after_the_other():
    calls, threads = 1400, 8
    with Collector() as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, 'logs = false; metrics = false; '
                'timeout = "120s"; schedule_delay = "250ms";'))) as daemon:
        # The collector is slow to answer what comes first: the rest of the
        # burst is more than the queue holds.
        collector.open.clear()
        assert daemon.invoke("echo", "hi").status == 200
        wait_for(lambda: collector.waiting.get("/v1/traces"), 30,
                 "a first request")
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(lambda _: daemon.invoke("echo", "hi").status,
                                 range(calls)))
        assert done == [200] * calls, set(done)
        collector.open.set()
        wait_for(lambda: len(collector.spans()) == 3 * (calls + 1), 60,
                 "all spans to arrive")
        assert len({s["spanId"] for s in collector.spans()}) == \
            3 * (calls + 1)
        sizes = [len(scope["spans"]) for r in collector.taken("/v1/traces")
                 for one in r["resourceSpans"] for scope in one["scopeSpans"]]
        assert max(sizes) == 512 and sizes.count(512) >= 7, sizes
        assert collector.most == {"/v1/traces": 1}, collector.most
        assert items(daemon, "traces", "dropped") == 0
        assert daemon.count_event("otlp_queue_full") == 0


@test
def what_finds_the_queue_full_is_counted_and_told_once():
    scaled = ('{ name = "echo"; backend: { plugin = "echo"; };'
              ' instances: { min = 1; max = 4; concurrency = 1; };'
              ' scaling: { plugin = "fixed"; }; }')
    events = 24
    with Collector() as collector, \
            Daemon(config(scaled, extra=exporting(
                collector, 'traces = false; metrics = false; '
                'timeout = "120s"; schedule_delay = "250ms"; '
                'max_queue_size = 16; max_export_batch_size = 4;'))) as daemon:
        def scale(to):
            assert daemon.atomctl("scale", "echo", str(to)).returncode == 0
        collector.open.clear()
        scale(2)
        wait_for(lambda: collector.waiting.get("/v1/logs"), 30,
                 "a first request")
        for i in range(events):
            scale(3 + i % 2)
        wait_for(lambda: items(daemon, "logs", "dropped") >= events - 16, 30,
                 "what is too much to be dropped")
        line = daemon.wait_event("otlp_queue_full")
        assert line["max_queue_size"] == 16, line
        collector.open.set()

        def sizes():
            return [len(scope["logRecords"])
                    for r in collector.taken("/v1/logs")
                    for one in r["resourceLogs"] for scope in one["scopeLogs"]]
        wait_for(lambda: sum(sizes()[1:]) == 16, 30, "what waited to be sent")
        assert sizes()[1:] == [4] * 4, sizes()
        wait_for(lambda: items(daemon, "logs", "sent") == sum(sizes()), 30,
                 "it to be counted")
        assert daemon.count_event("otlp_queue_full") == 1


@test
def a_batch_is_no_larger_than_the_queue():
    with Collector() as collector:
        with Daemon(config(agent(), extra=exporting(
                collector, "max_queue_size = 16;"))) as daemon:
            line = daemon.wait_event("monitor_failed")
            assert line["message"] == \
                "monitor/otlp: option `max_export_batch_size`: expected " \
                "at most `max_queue_size`, which is 16, found 512", line


@test
def a_sample_of_none_watches_no_calls():
    with Collector() as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, "sample = 0.0; metrics = false;"))) as daemon:
        assert daemon.invoke("echo", "hi").status == 200
        assert daemon.atomctl("reload").returncode == 0
        assert collector.spans() == []


def named(requests):
    """{name: its metric} of the last of each."""
    return {metric["name"]: metric for request in requests
            for metric in metrics_of(request)}


def with_labels(metric, labels):
    _, _, points = points_of(metric)
    return [p for key, p in points.items()
            if set(labels.items()) <= set(key)]


def having(metric, **labels):
    """The one point that has these attributes."""
    (point,) = with_labels(metric, labels)
    return point


def value_of(metrics, name, member, **labels):
    """What that point says; None where no export has told of it yet."""
    points = with_labels(metrics[name], labels) if name in metrics else []
    return points[0][member] if points else None


@test
def metrics_are_those_of_the_registry():
    with Collector() as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, 'traces = false; logs = false; '
                'metrics_interval = "1s"; service = "here";'))) as daemon:
        for _ in range(3):
            assert daemon.invoke("echo", "hi").status == 200

        def told():
            requests = collector.taken("/v1/metrics")
            metrics = named(requests)
            return len(requests) >= 2 and value_of(
                metrics, "atomd_requests_total", "asDouble", agent="echo",
                code="200") == 3 and value_of(
                    metrics, "atomd_request_duration_seconds", "count",
                    agent="echo") == "3" and metrics
        metrics = wait_for(told, 90, "three calls in two exports")
        calls = metrics["atomd_requests_total"]
        assert attributes({"attributes": calls["metadata"]}) == \
            {"prometheus.type": "counter"}, calls
        assert calls["description"] and "unit" not in calls, calls
        memory = metrics["process_resident_memory_bytes"]
        assert memory["unit"] == "By" and "startTimeUnixNano" not in \
            memory["gauge"]["dataPoints"][0], memory
        # What started with the process counts since then.
        (cpu,) = metrics["process_cpu_seconds_total"]["sum"]["dataPoints"]
        began = daemon.metrics().sum("process_start_time_seconds")
        assert abs(int(cpu["startTimeUnixNano"]) / 1e9 - began) < 0.01, cpu
        # A histogram has the buckets that Prometheus is told, each alone.
        name = "atomd_request_duration_seconds"
        assert metrics[name]["unit"] == "s", metrics[name]
        point, below = having(metrics[name], agent="echo"), 0
        shown = daemon.metrics()
        for bound, count in zip(point["explicitBounds"],
                                point["bucketCounts"]):
            below += int(count)
            assert shown.sum(name + "_bucket", agent="echo",
                             le="%.15g" % bound) == below, (bound, point)
        assert int(point["count"]) == 3, point
        assert abs(point["sum"] - shown.sum(name + "_sum", agent="echo")) \
            < 1e-9, point
        # One writer, told apart from others.
        (who,) = {tuple(sorted(attributes(
            r["resourceMetrics"][0]["resource"]).items()))
            for r in collector.taken("/v1/metrics")}
        assert dict(who)["service.name"] == "here", who
        assert re.match("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
                        "[89ab][0-9a-f]{3}-[0-9a-f]{12}\\Z",
                        dict(who)["service.instance.id"]), who


@test
def every_call_counts_in_gen_ai_s_metrics_whatever_is_sampled():
    most = 30
    with Collector() as collector, Collector() as plain, \
            Daemon(config(agent(), extra=OFTEN + "monitors = ( %s, %s );" % (
                exporter(collector, 'sample = 0.0; logs = false; '
                         'metrics_interval = "1s";'),
                exporter(plain, 'conventions = "none"; logs = false; '
                         'metrics_interval = "1s";')))) as daemon:
        for _ in range(most - 1):
            assert daemon.invoke("echo", "hi there").status == 200
        answer = daemon.post("/v1/agents/echo/invoke",
                             {"input": "hi there", "stream": True})
        assert answer.status == 200, answer

        def told():
            metrics = named(collector.taken("/v1/metrics"))
            name = "gen_ai.client.operation.duration"
            return name in metrics and int(having(
                metrics[name])["count"]) >= most and metrics
        metrics = wait_for(told, 90, "all calls to be counted")
        duration = metrics["gen_ai.client.operation.duration"]
        assert duration["unit"] == "s" and "metadata" not in duration
        point = having(duration)
        assert int(point["count"]) == most, point
        assert attributes(point) == {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "echo",
            "gen_ai.agent.name": "echo", "gen_ai.request.model": "echo",
        }, point
        assert point["explicitBounds"] == [
            0.01 * 2 ** n for n in range(14)], point
        tokens = metrics["gen_ai.client.token.usage"]
        assert tokens["unit"] == "{token}", tokens
        for kind, name in (("input", "input"), ("output", "output")):
            point = having(tokens, **{"gen_ai.token.type": kind})
            assert int(point["count"]) == most, point
            assert point["sum"] == daemon.metrics().sum(
                "atomd_tokens_total", agent="echo",
                direction=name), point
            assert point["explicitBounds"] == [
                4 ** n for n in range(14)], point
        first = having(metrics["gen_ai.client.operation.time_to_first_chunk"])
        assert int(first["count"]) == 1, first
        assert collector.spans() == []
        assert items(daemon, "metrics", "dropped") == 0
        metrics = named(wait_for(lambda: plain.taken("/v1/metrics"), 60,
                                 "the other one's metrics"))
        assert "atomd_requests_total" in metrics
        assert [n for n in metrics if n.startswith("gen_ai.")] == []


@test
def metrics_that_are_not_taken_are_told_of_too():
    answers = [(503, {"Retry-After": "1"}, ""),
               (200, {}, '{"partialSuccess":{"rejectedDataPoints":"2"}}')]
    with Collector(answers) as collector, \
            Daemon(config(agent(), extra=exporting(
                collector, "traces = false; logs = false;"))) as daemon:
        wait_for(lambda: items(daemon, "metrics", "dropped") == 2, 90,
                 "two points to be refused")
        (before, after) = [r for _, _, r in collector.seen]
        assert before == after
        points = sum(len(points_of(m)[2]) for m in metrics_of(after))
        assert items(daemon, "metrics", "failed") == points
        assert items(daemon, "metrics", "sent") == points - 2


if __name__ == "__main__":
    run()
