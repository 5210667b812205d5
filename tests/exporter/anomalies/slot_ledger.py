"""A ledger that is filled slot by slot, and watches over it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from spanbudget.exporter.anomalies.plan import plan_of
from spanbudget.exporter.anomalies.records import AnomalyChange, ExpectedMark, KeptAnomalies
from spanbudget.exporter.anomalies.watch import GRACE_MS, Sources, Watch
from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import open_tallies
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry
from spanbudget.rules.anomalies.slots import DAY_SLOTS, SLOT_MS

MS = 1_000_000
DAY_MS = DAY_SLOTS * SLOT_MS
START_MS = 20_700 * DAY_MS
"""A midnight."""
PICO = 10**12
CONFIG = """
anomalies: {enabled: true, learning: 1d}
budgets:
  - {name: prod, max_cost: 1000, period: monthly}
"""


@dataclass
class SlotLedger:
    """Calls, on their way into a ledger.

    Attributes:
        url: Where it is.
        marks: What was told about times.
    """

    url: str
    marks: list[ExpectedMark] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.ledger = open_ledger(self.url)
        self.waiting: list[Entry] = []
        self.watches: list[Watch] = []

    def call(self, at_ms: int, usd: float, *, reversal: bool = False, **told: Any) -> None:
        """A call that ends at a moment."""
        self.number += 1
        labels = {"service": told.get("service", "api"), "user": told.get("user"), **told.get("labels", {})}
        call = LLMCall(
            trace_id=self.number, span_id=self.number, parent_id=0, scope="", provider="openai",
            model=told.get("model", "gpt-5"), request_model=None, response_model=None, operation="chat",
            aggregate=False, tier=None, usage=Usage(input=told.get("tokens", 1_000), output=100),
            usage_confidence="exact", reasons=(),
            start_ns=int((at_ms - 1_000 * told.get("seconds", 1.0)) * MS), end_ns=at_ms * MS,
            failed=told.get("failed", False), response_id=None,
            labels=tuple(sorted((name, value) for name, value in labels.items() if value is not None)),
        )  # fmt: skip
        pico = round(usd * PICO)
        priced = PricedCall(call, pico, pico, 0, 0, 0, "test", "exact", ())
        id_ = self.number.to_bytes(24, "big") + bytes([reversal])
        self.waiting.append(Entry(id_, "reversal" if reversal else "call", priced))

    def days(self, first: int, count: int, *, seed: int = 1, calls: int = 3, usd: float = 0.1) -> None:
        """Some calls in every slot of some days, from users ann and bob."""
        rnd = random.Random(seed + first)
        for slot in range(first * DAY_SLOTS, (first + count) * DAY_SLOTS):
            for number in range(calls):
                at_ms = START_MS + slot * SLOT_MS + rnd.randrange(SLOT_MS)
                self.call(at_ms, usd * rnd.uniform(0.5, 1.5), user=("ann", "bob")[number % 2])
        self.flush()

    def flush(self) -> None:
        self.ledger.append(self.waiting)
        self.waiting = []

    def watch(self, now_ms: int, kept: KeptAnomalies | None = None, text: str = CONFIG, **more: Any) -> Watch:
        config = read(text)
        sources = Sources(
            lambda question: open_tallies(self.url, question=question), lambda: tuple(self.marks)
        )
        made = Watch(plan_of(config, config.budgets), sources, kept or KeptAnomalies(), now_ms, **more)
        self.watches.append(made)
        return made

    def close(self) -> None:
        for watch in self.watches:
            watch.close()
        self.ledger.close()


def read(text: str) -> Config:
    return parse_config(text, "budgets.yaml", {})


def settle(watch: Watch, now_ms: int) -> None:
    """Lets a watch take in everything until now."""
    watch.take(now_ms)
    while watch.is_behind:
        watch.take(now_ms)


def live(watch: Watch, since_ms: int, until_ms: int) -> None:
    """Lets a watch take in one slot after the other, each just after its end."""
    for end_ms in range(since_ms + SLOT_MS, until_ms + 1, SLOT_MS):
        watch.take(end_ms + GRACE_MS)


def kept_of(change: AnomalyChange, marks: Sequence[str] = ()) -> KeptAnomalies:
    """What a ledger gives back of a change."""
    return KeptAnomalies(dict(change.states), tuple(change.episodes))
