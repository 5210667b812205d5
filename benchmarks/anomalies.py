"""Money anomalies: what detectors find of planted events at an equal alert budget.

    python benchmarks/anomalies.py [TRACE] [--budget B]... [--rounds N] [--splits N] [--tenants N] [--quick]

TRACE is a file with the columns t, model, client, requests and cost, or the folder of servegen_10min.parquet;
without one the traffic is generated.

Week 1 of each series warms up, week 2 is the test. Each round plants 3 events of 5 kinds into each series,
one at a time. The threshold of a detector is the lowest with at most B alert episodes per series and week on
the untouched series of the other half of the series, for several random halves; alarms less than 6 hours
apart are one episode. A hit is an alarm from the begin to an hour after the end while the untouched twin has
not alarmed since the begin. Episodes on untouched series are false, though some are real incidents. F1 is of
R = hits per case and P = R / (R + false episodes per series and week); intervals are a bootstrap over series.

The peers see spend as it was recorded. SpanBudget's own detector is `SeriesMonitor` as it runs in production,
slot by slot. It is shown without the calls (spend only), and with them, where costs have the scatter of
single calls, since the trace has means over hours. "At least 1": it never alerts below its own alert level,
though the budget may allow more; an alert budget is a bound. "As shipped": no threshold of the protocol at
all.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from anomaly_cases import KINDS, PER_KIND, Case, Floats, Series, cases, generated, load, with_noise
from anomaly_judge import AFTER, Member, Row, Scores, judge
from anomaly_peers import SHARED, SINGLES, Scorer, hour_median_over_q98

from spanbudget.rules.anomalies.episodes import SIGNALS, Signal
from spanbudget.rules.anomalies.monitor import Sensitivity, SeriesMonitor
from spanbudget.rules.anomalies.slots import SLOT_MS, Slot

HEAD: Final = (
    "| alerts/week | detector | F1 (90 %) | P | R | false/week | {} | delay switch / leak, min | µs/point |"
)
START_MS: Final = 1_767_571_200_000
"""A Monday."""
SPEND_ONLY: Final[tuple[Signal, ...]] = ("spend", "silence")
"""What can be looked at without the number of calls."""


def _slot(at: int, cost: float, requests: float) -> Slot:
    return Slot(START_MS + at * SLOT_MS, cost, int(requests))


def _streamed(monitor: SeriesMonitor, cost: Floats, requests: Floats, since: int, until: int) -> Floats:
    """The scores of slots that follow on what a monitor has seen."""
    observe = monitor.observe
    rows = zip(range(since, until), cost[since:until].tolist(), requests[since:until].tolist(), strict=True)
    return np.array([observe(_slot(*row)).score for row in rows])


def ours(
    series: Sequence[Series], events: Sequence[Case], settings: Sensitivity, *, calls: bool
) -> tuple[Scores, float]:
    """The production detector: a case goes on from the state that the untouched series has at its begin.

    Returns:
        Its scores, and microseconds per slot.
    """
    by_start: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for at, case in enumerate(events):
        by_start[case.number][case.start].append(at)
    clean: list[Floats] = []
    planted = [np.zeros(0)] * len(events)
    spent = 0.0
    for number, one in enumerate(series):
        monitor, done, parts = SeriesMonitor(settings), 0, []
        seen = one.requests if calls else np.zeros_like(one.requests)
        for start in (*sorted(by_start[number]), len(one.cost)):
            began = time.thread_time()
            parts.append(_streamed(monitor, one.cost, seen, done, start))
            spent += time.thread_time() - began
            done, state = start, monitor.state()
            for at in by_start[number].get(start, ()):
                case = events[at]
                requests = case.requests if calls else np.zeros_like(case.requests)
                twin = SeriesMonitor.restore(state, settings)
                planted[at] = _streamed(twin, case.cost, requests, start, case.end + AFTER)
        clean.append(np.concatenate(parts))
    return Scores(clean, planted), 1e6 * spent / sum(map(len, clean))


def theirs(scorer: Scorer, series: Sequence[Series], events: Sequence[Case]) -> tuple[Scores, float]:
    """A peer, over whole series; returns its scores, and microseconds per slot."""
    began = time.thread_time()
    clean = [scorer(one.cost) for one in series]
    us = 1e6 * (time.thread_time() - began) / sum(map(len, clean))
    return Scores(clean, [scorer(case.cost)[case.start : case.end + AFTER] for case in events]), us


def per_call(scorer: Scorer, series: Sequence[Series], events: Sequence[Case]) -> tuple[Scores, float]:
    """A peer that looks at cost per request."""
    rates = [one._replace(cost=one.cost / np.maximum(one.requests, 1)) for one in series]
    cases_of_rates = [
        Case(one.number, one.kind, one.start, one.end, one.cost / np.maximum(one.requests, 1), one.requests)
        for one in events
    ]
    return theirs(scorer, rates, cases_of_rates)


def line(budget: str, name: str, row: Row, kinds: Iterable[str], us: float) -> str:
    """One row of the table."""
    f1, precision, recall, false = row.figures()
    low, high = row.interval()
    found = " | ".join(f"{row.recall(kind):.2f}" for kind in kinds)
    minutes = map(row.delay, ("switch", "leak"))
    delays = " / ".join("-" if np.isnan(one) else f"{one:.0f}" for one in minutes)
    shares = f"{precision:.2f} | {recall:.2f} | {false:.2f}"
    interval = f"({low:.2f} to {high:.2f})"
    return f"| {budget} | {name} | {f1:.3f} {interval} | {shares} | {found} | {delays} | {us:.1f} |"


class Bench:
    """The series and the cases of all rounds; everybody is judged on the same.

    Args:
        series: The series.
        rounds: How often other places are drawn.
        splits: Random halves of the series in each round.
        seed: Of the first round.
    """

    def __init__(self, series: Sequence[Series], rounds: int, splits: int, seed: int) -> None:
        self.splits = splits
        self.recorded = [list(series)] * rounds
        self.noisy = [with_noise(list(series), seed + number) for number in range(rounds)]
        self.events = [cases(one, seed + number) for number, one in enumerate(self.recorded)]
        self.noisy_events = [cases(one, seed + number) for number, one in enumerate(self.noisy)]

    def ours(self, budget: float, members: Sequence[Signal], *, calls: bool) -> tuple[list[Scores], float]:
        """The production detector in all rounds, with the microseconds of a slot."""
        settings = Sensitivity(alert_budget_per_week=budget, members=frozenset(members))
        sides = (self.noisy, self.noisy_events) if calls else (self.recorded, self.events)
        runs = [ours(*one, settings, calls=calls) for one in zip(*sides, strict=True)]
        return [scores for scores, _ in runs], float(np.median([us for _, us in runs]))

    def judge(self, members: Sequence[Member], budget: float, *, calls: bool = False) -> Row:
        """A detector at one budget."""
        return judge(members, self.noisy_events if calls else self.events, budget, self.splits)


def spend_rows(bench: Bench, budgets: Sequence[float]) -> Iterator[str]:
    """Everything that looks at spend, best single method first told of at the end of each budget."""
    yield HEAD.format(" | ".join(KINDS))
    yield "|" + " --- |" * (8 + len(KINDS))
    known: Mapping[str, tuple[list[Scores], float]] = {
        name: _all_rounds([theirs(scorer, *one) for one in zip(bench.recorded, bench.events, strict=True)])
        for name, scorer in SINGLES.items()
    }
    for budget in budgets:
        best = 0.0
        for name, (rounds, us) in known.items():
            row = bench.judge([Member(rounds)], budget)
            best = max(best, row.figures()[0])
            yield line(f"{budget:g}", name, row, KINDS, us)
        shared = [Member(known[name][0], share) for name, share in SHARED.items()]
        us = sum(known[name][1] for name in SHARED)
        yield line(
            f"{budget:g}", "ensemble with firm shares 40/35/25 %", bench.judge(shared, budget), KINDS, us
        )
        for calls, sees, looked_at in (
            (False, "spend only", SPEND_ONLY),
            (True, "spend and requests", SIGNALS),
        ):
            rounds, us = bench.ours(budget, looked_at, calls=calls)
            for how, member in (
                ("", Member(rounds)),
                (", at least 1", Member(rounds, at_least=1.0)),
                (", as shipped", Member(rounds, at_least=1.0, fixed=True)),
            ):
                row = bench.judge([member], budget, calls=calls)
                gain = row.figures()[0] - best
                yield line(f"{budget:g}", f"**SpanBudget, {sees}{how}** ({gain:+.3f})", row, KINDS, us)


def unit_rows(bench: Bench, budgets: Sequence[float]) -> Iterator[str]:
    """Cost per request: model switches and leaks of tenants."""
    kinds = ("switch", "leak")
    for events in bench.noisy_events:
        events[:] = [case for case in events if case.kind in kinds]
    yield HEAD.format("switch | switch within 1 h | leak")
    yield "|" + " --- |" * 11
    sides = list(zip(bench.noisy, bench.noisy_events, strict=True))
    peer, peer_us = _all_rounds([per_call(hour_median_over_q98, *one) for one in sides])
    for budget in budgets:
        rounds, us = bench.ours(budget, ("cost_per_request",), calls=True)
        for name, member, took in (
            ("1 h median / trailing q98", Member(peer), peer_us),
            ("**SpanBudget, cost per request**", Member(rounds), us),
            ("**SpanBudget, cost per request, as shipped**", Member(rounds, at_least=1.0, fixed=True), us),
        ):
            row = bench.judge([member], budget, calls=True)
            text = line(f"{budget:g}", name, row, kinds, took).split(" | ")
            text.insert(7, f"{np.mean(row.soon):.2f}")
            yield " | ".join(text)


def _all_rounds(runs: Sequence[tuple[Scores, float]]) -> tuple[list[Scores], float]:
    return [scores for scores, _ in runs], float(np.median([us for _, us in runs]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", type=Path, nargs="?")
    parser.add_argument(
        "--budget", type=float, action="append", help="alerts per series and week; 1 and 0.25"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often other places of events are drawn")
    parser.add_argument("--splits", type=int, default=8, help="random halves of the series in each round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tenants", type=int, default=36)
    parser.add_argument(
        "--quick", action="store_true", help="one round of eight tenants: only to see that it runs"
    )
    given = parser.parse_args()
    quick = given.quick or bool(os.environ.get("BENCH_QUICK"))
    tenants = 8 if quick else given.tenants
    series = load(given.trace, tenants) if given.trace else generated(tenants, given.seed)
    rounds, splits = (1, 2) if quick else (given.rounds, given.splits)
    budgets = given.budget or [1.0, 0.25]
    planted = len(series) * len(KINDS) * PER_KIND
    print(f"{len(series)} series, {planted} cases in each of {rounds} rounds, {splits} random halves\n")
    for text in spend_rows(Bench(series, rounds, splits, given.seed), budgets):
        print(text, flush=True)
    parts = [one for one in series if not one.is_total]
    print(f"\nCost per request, {len(parts)} tenants\n")
    for text in unit_rows(Bench(parts, rounds, splits, given.seed), budgets):
        print(text, flush=True)


if __name__ == "__main__":
    main()
