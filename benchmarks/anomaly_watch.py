"""What the watch for anomalies takes of the thread that evaluates rules.

500 series with calls in every slot of ten minutes: closing a slot, what an evaluation between two slots
takes, reading 14 days of the past, and what is kept of a series. Times are CPU time of that thread.
`BENCH_QUICK=1` takes 50 series and two days.
"""

import logging
import resource
import statistics
import tempfile
import time
from pathlib import Path

from measure import Figure, chosen, tell

from spanbudget.exporter.anomalies.gauges import AnomalyGauges
from spanbudget.exporter.anomalies.plan import plan_of
from spanbudget.exporter.anomalies.records import KeptAnomalies
from spanbudget.exporter.anomalies.watch import GRACE_MS, Sources, Watch
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import TallyQuestion, open_tallies
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry
from spanbudget.rules.anomalies.slots import DAY_SLOTS, SLOT_MS

USERS = chosen(48, 498)
DAYS = chosen(2, 14)
ROUNDS = chosen(3, 30)
NS_PER_MS = 1_000_000
NOW_MS = 20_700 * DAY_SLOTS * SLOT_MS
READ = {"llm_anomaly_score", "llm_anomaly_excess_usd"}
"""What the rule of `alerts: {anomaly: true}` reads."""
CONFIG = """
anomalies: {enabled: true, dimensions: [user, model]}
budgets: [{name: prod, max_cost: 1000, period: monthly}]
"""


def entry(number: int, at_ms: int) -> Entry:
    """A call of one of the users."""
    labels = (("service", "api"), ("user", f"u{number % USERS}"))
    call = LLMCall(
        number + 1, number + 1, 0, "", "openai", "gpt-5", None, None, "chat", False, None,
        Usage(input=900, output=100), "exact", (), (at_ms - 2_000) * NS_PER_MS, at_ms * NS_PER_MS, False,
        None, labels,
    )  # fmt: skip
    cost = 10**9 * (number % 7 + 1)
    return Entry(
        (number + 1).to_bytes(25, "big"), "call", PricedCall(call, cost, cost, 0, 0, 0, "x", "exact", ())
    )


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        measured(Path(folder))


def measured(folder: Path) -> None:
    url = f"sqlite:///{folder}/ledger.db"
    ledger = open_ledger(url)
    number = 0
    for slot_ms in range(NOW_MS - DAYS * DAY_SLOTS * SLOT_MS, NOW_MS, SLOT_MS):
        ledger.append([entry(number + one, slot_ms + one * SLOT_MS // USERS) for one in range(USERS)])
        number += USERS
    config = parse_config(CONFIG, "budgets.yaml", {})

    def tallies(question: TallyQuestion):  # noqa: ANN202 - see `open_tallies`
        return open_tallies(url, question=question)

    started = time.thread_time()
    plan, sources = plan_of(config, config.budgets), Sources(tallies, tuple)
    watch = Watch(plan, sources, KeptAnomalies(), NOW_MS + GRACE_MS)
    longest = 0.0
    while watch.is_behind:
        began = time.thread_time()
        watch.take(NOW_MS + GRACE_MS)
        watch.kept(watch.change())
        longest = max(longest, time.thread_time() - began)
    past = time.thread_time() - started
    gauges, now_ms = AnomalyGauges(), NOW_MS + GRACE_MS
    between, closing, saving = [], [], []
    for round_ in range(ROUNDS):
        at_ms = NOW_MS + round_ * SLOT_MS + GRACE_MS
        for part in range(4):
            now_ms = at_ms + (part + 1) * 60_000
            ledger.append([entry(number + one, now_ms - one) for one in range(USERS // 2)])
            number += USERS // 2
            began = time.thread_time()
            watch.take(now_ms)
            list(gauges.samples(watch.lines.values(), READ.__contains__))
            watch.kept(watch.change())
            between.append(1_000 * (time.thread_time() - began))
        began = time.thread_time()
        watch.take(at_ms + SLOT_MS)
        closing.append(1_000 * (time.thread_time() - began))
        began = time.thread_time()
        kept = watch.change(ends=True)
        saving.append(1_000 * (time.thread_time() - began))
        watch.kept(kept)
    states = [len(one.state) for one in watch.change(ends=True).states.values()]
    series = f"{len(watch.lines):,} series"
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tell(
        [
            Figure(f"closing a slot of {series}", "≤ 1,000", statistics.median(closing), "ms"),
            Figure(
                f"an evaluation between two slots, {USERS // 2:,} of them with new calls",
                "≤ 10", statistics.median(between), "ms", 1,
            ),
            Figure(f"what {series} have learnt as bytes, once an hour", "", statistics.median(saving), "ms"),
            Figure(f"reading {DAYS} days of {series} at the first start", "", past, "s", 1),
            Figure("… the longest that rules wait for it", "", 1_000 * longest, "ms"),
            Figure("the largest state of a series", "≤ 10,000", max(states), "bytes"),
            Figure("memory of that process", "", megabytes, "MB"),
        ]
    )  # fmt: skip
    watch.close()
    ledger.close()


if __name__ == "__main__":
    main()
