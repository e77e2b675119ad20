"""`atomctl simulate scaling`: strategies from their own files, on loads that
are recorded or made, without a daemon."""

import json
import os
import xml.dom.minidom

from atomctl_test import (columns, ctl_environment, document, fails,
                          run_atomctl, succeeds)
from atomd_test import Folder, run, test

AGENT = """
name = "a";
backend: { plugin = "echo"; };
instances: { min = 1; max = 50; concurrency = 4; };
queue: { depth = 1000; timeout_ms = 60000; };
scaling: { plugin = "fixed"; instances = 3; target_wait_ms = 500; };
"""

ENVIRONMENT = ctl_environment(
    ATOMD_PLUGIN_DIR=os.environ["ATOMD_BUILD_PLUGINS"])


def written(folder, name, text):
    path = os.path.join(folder.path, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def simulate(*args, **more):
    return run_atomctl("simulate", "scaling", *args, env=ENVIRONMENT,
                       timeout=60, **more)


def strategies(done):
    return {s["name"]: s for s in document(done)["strategies"]}


@test
def a_hand_case_comes_out_as_worked():
    """Two slots' worth of calls of 4 s at 0 s and two more at 1 s, one
    instance of two slots: the later two wait 3 s, all is done at 8 s."""
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT.replace(
            "concurrency = 4", "concurrency = 2"))
        trace = written(folder, "t.csv",
                        "timestamp_ms,input_tokens,output_tokens\n"
                        "5000,1,40\n5000,1,40\n6000,1,40\n6000,1,40\n")
        said = document(simulate(
            "--agent-config", agent, "--trace", trace, "--service-time",
            "tokens:0.1s", "--strategy", "fixed:instances=1", "--json"))
        assert said["trace"] == {"calls": 4, "seconds": 1.0}, said
        # 2 in service from 0, 4 from 1 to 4, 2 until 5: 1 + 2 x 3 + 1.
        assert said["clairvoyant_instance_seconds"] == 8.0, said
        assert said["target_wait_s"] == 0.5 and said["cold_start_s"] == 2.0
        [one] = said["strategies"]
        assert one["name"] == "fixed" and one["options"] == {"instances": 1}
        assert one["late_share"] == 0.5, one
        assert one["wait_p50_s"] == 0.0 and one["wait_p95_s"] == 3.0, one
        assert one["wait_p99_s"] == 3.0, one
        assert one["instance_seconds"] == 8.0, one
        assert one["clairvoyant_ratio"] == 1.0, one
        assert one["actions_per_hour"] == 0.0 and one["calls_lost"] == 0, one


@test
def options_come_from_the_agent_the_line_or_the_defaults():
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        load = ("--agent-config", agent, "--trace",
                "poisson:rate=5,duration=5m", "--service-time", "constant:1s",
                "--json")
        own = strategies(simulate(*load))["fixed"]
        assert own["options"] == {"instances": 3}, own
        typed = strategies(simulate(*load, "--strategy",
                                    "fixed:instances=7"))["fixed"]
        assert typed["options"] == {"instances": 7}, typed
        assert typed["instance_seconds"] > 2 * own["instance_seconds"] - 300
        both = strategies(simulate(
            *load, "--strategy", 'fixed,governor:late_share=0.2;memory="2h"'))
        assert both["fixed"] == own
        assert both["governor"]["options"] == {"late_share": 0.2,
                                               "memory": "2h"}, both
        assert both["governor"]["faults"] == 0, both


@test
def a_body_need_not_repeat_the_agents_name():
    """As `deploy -f FILE` takes it: what stands between the braces."""
    with Folder() as folder:
        load = ("--trace", "poisson:rate=5,duration=5m", "--json")
        whole = strategies(simulate(
            "--agent-config", written(folder, "a.conf", AGENT), *load))
        bare = strategies(simulate(
            "--agent-config",
            written(folder, "b.conf", AGENT.replace('name = "a";', "")), *load))
        assert bare == whole, (bare, whole)


@test
def the_same_seed_gives_the_same_numbers():
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        line = ("--agent-config", agent, "--trace",
                "flash:peak=20,at=300,duration=10m", "--strategy",
                "governor,concurrency,target", "--json", "--seed")
        first = succeeds(simulate(*line, "7"))
        assert succeeds(simulate(*line, "7")) == first
        assert succeeds(simulate(*line, "8")) != first


@test
def every_kind_of_trace_is_read():
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        for name, text, calls in (
                ("azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                 "2023-11-16 18:17:03.9799600,4808,10\n"
                 "2023-11-16 18:17:04.0319600,3180,8\n", 2),
                ("series.csv", "3\n0\n2\n", 5),
                ("rates.csv", "seconds,requests_per_second\n0,2\n10,0\n", 20)):
            said = document(simulate("--agent-config", agent, "--trace",
                                     written(folder, name, text), "--json"))
            assert said["trace"]["calls"] == calls, (name, said)
        for made in ("poisson", "step", "flash",
                     "diurnal:period=1h,duration=1h"):
            said = document(simulate("--agent-config", agent, "--trace", made,
                                     "--json"))
            assert said["trace"]["calls"] > 1000, (made, said)


@test
def the_table_has_a_row_for_each_strategy():
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        text = succeeds(simulate("--agent-config", agent, "--trace",
                                 "poisson:duration=2m", "--strategy",
                                 "fixed,threshold,schedule,target"))
        rows = columns(text, "STRATEGY")
        assert [row[0] for row in rows] == ["fixed", "threshold", "schedule",
                                            "target"], text


@test
def the_plot_is_a_small_svg():
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        plot = os.path.join(folder.path, "p.svg")
        succeeds(simulate("--agent-config", agent, "--trace",
                          "step:to=30,at=300,until=600,duration=20m",
                          "--strategy", "governor,concurrency", "--plot",
                          plot))
        with open(plot, encoding="utf-8") as file:
            text = file.read()
        assert len(text) < 40000, len(text)
        svg = xml.dom.minidom.parseString(text).documentElement
        assert svg.tagName == "svg"
        for words in ("governor (", "concurrency (", "instances",
                      "calls a second", "longest wait"):
            assert words in text, words
        fails(simulate("--agent-config", agent, "--trace", "poisson",
                       "--plot", os.path.join(folder.path, "no", "p.svg")), 1,
              "--plot", "No such file")


@test
def what_is_wrong_is_said_with_its_place():
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        none = written(folder, "none.conf",
                       'name = "a"; backend: { plugin = "echo"; };\n')
        typo = written(folder, "typo.conf",
                       AGENT.replace("concurrency", "concurency"))
        bad = written(folder, "bad.csv",
                      "timestamp_ms,input_tokens,output_tokens\n1,2,3\n1,x,3\n")
        fails(run_atomctl("simulate", "scaling"), 2, "--agent-config",
              "--trace")
        fails(simulate("--agent-config", folder.path + "/no", "--trace",
                       "poisson"), 1, "--agent-config", "No such file")
        fails(simulate("--agent-config", typo, "--trace", "poisson"), 1,
              "typo.conf:4", "concurency", "concurrency")
        fails(simulate("--agent-config", none, "--trace", "poisson"), 1,
              "instances")
        fails(simulate("--agent-config", agent, "--trace", bad), 1,
              "bad.csv:3: expected two token counts", "found `1,x,3`")
        fails(simulate("--agent-config", agent, "--trace", "poisson:rte=1"),
              2, "rate, duration", "rte=1")
        for option, value, words in (
                ("--strategy", "governr", "did you mean `governor`"),
                ("--strategy", "governor:late=1", "unknown option `late`"),
                ("--strategy", "governor:late_share=", "--strategy"),
                ("--strategy", "fixed,,fixed", "found none"),
                ("--service-time", "tokens:1s", "needs a trace with"),
                ("--service-time", "gamma:1s", "expected tokens, constant"),
                ("--cold-start", "soon", "--cold-start"),
                ("--target-wait", "-1s", "--target-wait"),
                ("--seed", "x", "--seed")):
            done = simulate("--agent-config", agent, "--trace", "poisson",
                            option, value)
            assert done.returncode in (1, 2), (option, value, done)
            fails(done, done.returncode, words)


@test
def a_strategy_that_talks_nonsense_is_bounded():
    """The controller keeps the last good advice, the rest is counted; here
    the bounds of the agent hold whatever is asked."""
    with Folder() as folder:
        agent = written(folder, "a.conf", AGENT)
        said = strategies(simulate(
            "--agent-config", agent, "--trace", "poisson:duration=5m",
            "--strategy", "fixed:instances=100000", "--json"))["fixed"]
        assert said["instance_seconds"] < 50 * 320, json.dumps(said)


run()
