#!/usr/bin/env python3
"""Makes atomd.json, the Grafana dashboard, from the daemon's own metric table:

    curl -s -H "Authorization: Bearer $ATOMD_KEY" localhost:8080/metrics |
        etc/grafana/generate.py > etc/grafana/atomd.json

What a family is (counter, gauge, histogram), what its help says and its unit
come from there; LAYOUT says which stand where, and by which labels.
tests/conformance/test_grafana.py holds the file to the table, and every
expression to a Prometheus that scrapes.
"""

import json
import re
import sys

# Rows of panels: a family, its labels, and of a histogram the quantiles.
LAYOUT = (
    ("Calls", (
        ("atomd_requests_total", ("agent",)),
        ("atomd_requests_total", ("code",)),
        ("atomd_request_duration_seconds", ("agent",)),
        ("atomd_time_to_first_token_seconds", ("agent",)),
        ("atomd_tokens_total", ("agent", "direction")),
        ("atomd_inflight_requests", ("agent",)))),
    ("Capacity", (
        ("atomd_instances", ("agent", "state")),
        ("atomd_instances_desired", ("agent",)),
        ("atomd_queue_depth", ("agent",)),
        ("atomd_queue_wait_seconds", ("agent",)),
        ("atomd_scaling_events_total", ("agent", "action", "reason")),
        ("atomd_instance_failures_total", ("agent",)))),
    ("Rollouts", (
        ("atomd_rollout_weight", ("agent", "revision")),
        ("atomd_rollouts_total", ("agent", "outcome")))),
    ("Alerts and audit", (
        ("atomd_alerts_firing", ("alert", "severity")),
        ("atomd_alert_evaluations_total", ()),
        ("atomd_audit_records_total", ("sink", "result")),
        ("atomd_audit_queue_depth", ()),
        ("atomd_auth_total", ("result",)),
        ("atomd_reloads_total", ("result",)))),
    ("The daemon", (
        ("atomd_http_requests_total", ()),
        ("atomd_http_connections", ()),
        ("atomd_state_commit_seconds", ()),
        ("process_cpu_seconds_total", ()),
        ("process_resident_memory_bytes", ()),
        ("process_open_fds", ()))),
)
QUANTILES = (0.5, 0.95, 0.99)
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 24


def table_of(text):
    """{ family: (type, help, labels) } of an exposition."""
    helps, types, labels = {}, {}, {}
    for line in text.split("\n"):
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            helps[words[2]] = words[3]
        elif line.startswith("# TYPE "):
            types[words[2]] = words[3]
        elif line and not line.startswith("#"):
            name = re.match(r"\w+", line).group(0)
            family = name if name in types else re.sub(
                r"_(bucket|sum|count)\Z", "", name)
            labels.setdefault(family, set()).update(
                re.findall(r'[{,](\w+)="', line.split("} ")[0]))
    return {name: (kind, helps[name], labels.get(name, set()))
            for name, kind in types.items()}


def unit_of(name, kind):
    bare = re.sub(r"_total\Z", "", name)
    if bare.endswith("_seconds"):
        return "percentunit" if kind == "counter" else "s"
    if bare.endswith("_bytes"):
        return "Bps" if kind == "counter" else "bytes"
    return "cps" if kind == "counter" else "short"


def selector(labels):
    """What narrows a family to what the dashboard's head chooses."""
    job = ['job="$job"']
    return "{%s}" % ", ".join(job + (
        ['agent=~"$agent"'] if "agent" in labels else []))


def expressions(name, kind, labels, by):
    """[(expression, legend)]"""
    which = selector(labels)
    legend = " ".join("{{%s}}" % label for label in by)
    grouped = " by (%s)" % ", ".join(by) if by else ""
    if kind == "counter":
        return [("sum%s (rate(%s%s[$__rate_interval]))" % (
            grouped, name, which), legend or name)]
    if kind == "gauge":
        return [("sum%s (%s%s)" % (grouped, name, which), legend or name)]
    grouped = " by (%s)" % ", ".join(("le",) + tuple(by))
    return [("histogram_quantile(%g, sum%s (rate(%s_bucket%s"
             "[$__rate_interval])))" % (q, grouped, name, which),
             ("p%g %s" % (100 * q, legend)).strip()) for q in QUANTILES]


def title_of(said, by):
    text = said.rstrip(".").split(", ")[0]
    return text + (" by " + ", ".join(by) if by else "")


def panel(number, table, name, by, x, y):
    if name not in table:
        raise SystemExit("generate.py: the daemon has no family %s" % name)
    kind, said, labels = table[name]
    for label in by:
        if labels and label not in labels:
            raise SystemExit("generate.py: %s has no label %s, but %s" % (
                name, label, ", ".join(sorted(labels))))
    return {
        "id": number, "type": "timeseries", "title": title_of(said, by),
        "description": "%s: %s" % (name, said), "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {
            "unit": unit_of(name, kind), "min": 0,
            "custom": {"lineWidth": 1, "fillOpacity": 8,
                       "showPoints": "never"}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(ord("A") + i), "expr": expression,
                     "legendFormat": legend, "datasource": SOURCE}
                    for i, (expression, legend) in enumerate(
                        expressions(name, kind, labels, by))]}


def panels(table):
    made, y = [], 0
    for title, families in LAYOUT:
        made.append({"id": len(made) + 1, "type": "row", "title": title,
                     "collapsed": False, "panels": [],
                     "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}})
        y, x = y + 1, 0
        for name, by in families:
            made.append(panel(len(made) + 1, table, name, by, x, y))
            x += WIDTH
            if x >= COLUMNS:
                x, y = 0, y + HEIGHT
        if x > 0:
            y += HEIGHT
    return made


def variable(name, label, query, multi):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE,
            "query": query, "refresh": 2, "sort": 1, "multi": multi,
            "includeAll": multi, "allValue": ".*" if multi else None}


def dashboard(table):
    return {
        "title": "atomd", "uid": "atomd", "tags": ["atomd"],
        "schemaVersion": 37, "version": 1, "editable": True,
        "graphTooltip": 1, "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
        "templating": {"list": [
            {"name": "source", "label": "Prometheus", "type": "datasource",
             "query": "prometheus", "refresh": 1},
            variable("job", "Job", "label_values(atomd_build_info, job)",
                     False),
            variable("agent", "Agent",
                     'label_values(atomd_instances_desired{job="$job"}, '
                     "agent)", True)]},
        "annotations": {"list": []},
        "panels": panels(table)}


def text_of(exposition):
    return json.dumps(dashboard(table_of(exposition)), indent=1,
                      ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text_of(sys.stdin.read()))
