"""Rounds of figures to one table and one JSON object."""

import statistics

COLUMNS = (
    ("", 12), ("calls/s", 9), ("CPU us", 8), ("x nginx", 8), ("+-%", 5),
    ("p50 us", 9), ("p99 us", 9), ("p99.9 us", 9), ("p50 +", 8),
    ("p99 +", 8), ("wrong", 6))


def median(rounds, *path):
    """The median of one figure over the rounds that have it."""
    values = []
    for figure in rounds:
        for name in path:
            figure = figure.get(name) if figure is not None else None
        if figure is not None:
            values.append(figure)
    return statistics.median(values) if values else None


def spread(rounds, *path):
    """(largest - smallest) / median, halved, in percent."""
    middle = median(rounds, *path)
    if not middle or len(rounds) < 2:
        return None
    values = [figure[path[0]][path[1]] for figure in rounds]
    return (max(values) - min(values)) / middle * 50


def wrong(rounds):
    return sum(figure["wrong"] + figure["refused"] + figure["broken"] +
               figure["unfinished"] for figure in rounds)


def ratio(value, base):
    return value / base if value is not None and base else None


def difference(value, base):
    return value - base if value is not None and base is not None else None


class Row:
    """One server under one kind of load."""

    def __init__(self, server, kind, rounds):
        self.server, self.kind, self.rounds = server, kind, rounds
        self.unit = "cpu_us_per_" + kind.unit
        # An echo agent says no times.
        times = None if server.answers_echo and \
            kind.times == "event_delay_us" else kind.times
        self.rate = median(rounds, kind.unit + "s_per_second")
        self.cpu = median(rounds, "process", self.unit)
        self.spread = spread(rounds, "process", self.unit)
        self.p50 = median(rounds, times, "p50")
        self.p99 = median(rounds, times, "p99")
        self.p99_9 = median(rounds, times, "p99_9")
        self.first = median(rounds, "first_event_us", "p50")
        self.wrong = wrong(rounds)

    def against(self, nginx, floor):
        """Ratios and differences of one run."""
        return {
            "cpu_to_nginx": ratio(self.cpu, nginx and nginx.cpu),
            "rate_to_nginx": ratio(self.rate, nginx and nginx.rate),
            "rate_to_floor": ratio(self.rate, floor and floor.rate),
            "p50_us_to_floor": difference(self.p50, floor and floor.p50),
            "p99_us_to_floor": difference(self.p99, floor and floor.p99),
            "first_event_us_to_floor": difference(
                self.first, floor and floor.first),
        }


def cell(value, width, digits=0):
    text = "-" if value is None else "%.*f" % (digits, value)
    return text.rjust(width)


def print_kind(kind, rows):
    """One block of the table."""
    by_name = {row.server.name: row for row in rows}
    nginx, floor = by_name.get("nginx"), by_name.get("floor")
    print("\n%s" % kind.title)
    heads = dict(COLUMNS)
    names = list(heads)
    if kind.unit == "event":
        names[1], names[2] = "events/s", "us/event"
    print("".join(name.rjust(width) if name else " " * width
                  for name, width in zip(names, heads.values())))
    for row in rows:
        against = row.against(nginx, floor)
        is_floor = row is floor
        print("%-12s%s%s%s%s%s%s%s%s%s%s%s" % (
            row.server.title, cell(row.rate, 9), cell(row.cpu, 8, 2),
            cell(None if is_floor else against["cpu_to_nginx"], 8, 2),
            cell(row.spread, 5),
            cell(row.p50, 9), cell(row.p99, 9), cell(row.p99_9, 9),
            cell(None if is_floor else against["p50_us_to_floor"], 8),
            cell(None if is_floor else against["p99_us_to_floor"], 8),
            cell(row.wrong, 6), complaint(row)), flush=True)


def complaint(row):
    for figure in row.rounds:
        if figure.get("complaint"):
            return "  " + figure["complaint"]
    return ""


def print_holds(kind, holds, rest_s):
    """Memory and cost of streams that stay open."""
    print("\n%s" % kind.title)
    print("%-12s%9s%9s%9s%11s%10s%9s%8s%9s%9s%6s" % (
        "", "idle MiB", "held MiB", "after", "%d s after" % rest_s,
        "B/stream", "us/event", "x nginx", "p50 us", "p99 us", "wrong"))
    nginx = next((f for s, f in holds if s.name == "nginx"), None)
    for server, figure in holds:
        hold, cpu = figure["hold"], figure["process"]["cpu_us_per_event"]
        base = nginx and nginx["process"]["cpu_us_per_event"]
        later = hold.get("rss_later_bytes")
        print("%-12s%9.1f%9.1f%9.1f%s%10.0f%9.2f%s%9.0f%9.0f%6d%s%s" % (
            server.title, hold["rss_idle_bytes"] / 2**20,
            hold["rss_held_bytes"] / 2**20, hold["rss_after_bytes"] / 2**20,
            cell(later and later / 2**20, 11, 1),
            hold["rss_bytes_per_stream"], cpu, cell(ratio(cpu, base), 8, 2),
            figure["event_delay_us"]["p50"], figure["event_delay_us"]["p99"],
            wrong([figure]), "" if hold["all_open"] else "  %d open" % hold["open"],
            "  " + figure["complaint"] if figure["complaint"] else ""),
            flush=True)


def as_json(rows):
    """The rows of one kind of load, with their ratios and every round."""
    by_name = {row.server.name: row for row in rows}
    nginx, floor = by_name.get("nginx"), by_name.get("floor")
    return {row.server.name: {
        "per_second": row.rate, row.unit: row.cpu, "spread_percent":
        row.spread, "p50_us": row.p50, "p99_us": row.p99,
        "p99_9_us": row.p99_9, "wrong": row.wrong,
        **row.against(nginx, floor), "rounds": row.rounds} for row in rows}
