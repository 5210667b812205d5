"""What advice takes: calls a second, all kinds together, and the memory on top of the table itself.

A million calls of five models over 30 days, a tenth of them with waste, made here; no file is needed.
`BENCH_QUICK=1` takes 20,000.
"""

import resource
import time

import numpy as np
import pandas as pd
from measure import Figure, chosen, tell

from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.rates import BucketRates, RateCard, RateHistory, RateSegment
from spanbudget.rules.advice.advise import advise
from spanbudget.rules.advice.efficiency import efficiency
from spanbudget.rules.advice.settings import Settings

CALLS = chosen(20_000, 1_000_000)
ROUNDS = chosen(1, 3)
DAY_NS = 86_400 * 10**9
SINCE_NS = 20_700 * DAY_NS
MODELS = ("one", "two", "three", "four", "five")
INPUT, READ, WRITE, HOUR, OUTPUT = 3_000_000, 300_000, 3_750_000, 6_000_000, 15_000_000


class Table:
    """Five models at one price, half of it for batches."""

    version = "benchmark"

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        """See `PriceSource.compile`."""
        part = 2 if model == "cheap" or tier == "batch" else 1
        rates = [rate // part for rate in (INPUT, READ, WRITE, HOUR, OUTPUT)]
        reasons = () if tier in {None, "batch"} else ("tier_unpriced",)
        card = RateCard(f"{provider}/{model}", (BucketRates(-1, *rates),), reasons=reasons)
        return RateHistory((RateSegment(0, ((0, card),)),))


class Prices(PriceBook):
    """With one alternative."""

    def alternatives(self, provider: str, model: str) -> tuple[str, ...]:
        """See `Repricer.alternatives`."""
        return ("cheap",) if provider and model == "one" else ()


def calls() -> pd.DataFrame:
    pick = np.random.default_rng(7)
    start = SINCE_NS + np.sort(pick.integers(0, 30 * DAY_NS, CALLS))
    fresh, read = pick.integers(200, 3_000, CALLS), pick.integers(0, 2, CALLS) * 2_000
    output, failed = pick.integers(20, 900, CALLS), pick.random(CALLS) < 0.01
    ids = np.array([f"{number:032x}" for number in range(CALLS)], dtype=object)
    some = pick.random(CALLS) < 0.05
    hashes = np.where(some, pick.integers(0, CALLS // 40, CALLS), np.arange(CALLS) + CALLS)
    columns = {
        "span_id": ids,
        "trace_id": ids,
        "parent_id": ids,
        "start_ns": start,
        "end_ns": start + pick.integers(1, 20, CALLS) * 10**9,
        "provider": np.full(CALLS, "anthropic", dtype=object),
        "model": np.array(MODELS, dtype=object)[pick.integers(0, len(MODELS), CALLS)],
        "operation": np.full(CALLS, "chat", dtype=object),
        "tier": np.full(CALLS, None, dtype=object),
        "failed": failed,
        "error_type": np.array([None, "TimeoutError"], dtype=object)[failed.astype(np.int64)],
        "finish_reason": np.where(pick.random(CALLS) < 0.02, "length", "stop"),
        "interactive": pick.random(CALLS) < 0.9,
        "input": fresh,
        "cache_read": read,
        "cache_write": np.zeros(CALLS, dtype=np.int64),
        "output": output,
        "reasoning": output // 3,
        "prompt_hash": hashes,
        "prefix_hash": pick.integers(0, 50, CALLS),
        "prefix_tokens": np.full(CALLS, 2_000),
        "deterministic": some,
        "cost": fresh * INPUT + read * READ + output * OUTPUT,
        "cost_input": fresh * INPUT,
        "cost_cache_read": read * READ,
        "cost_cache_write": np.zeros(CALLS, dtype=np.int64),
        "cost_output": output * OUTPUT,
        "label.service": np.array([f"s{n}" for n in range(20)], dtype=object)[pick.integers(0, 20, CALLS)],
        "label.user": np.array([f"u{n}" for n in range(500)], dtype=object)[pick.integers(0, 500, CALLS)],
        "label.session": np.array([f"x{n}" for n in range(20_000)], dtype=object)[
            pick.integers(0, 20_000, CALLS)
        ],
    }
    return pd.DataFrame(columns)


def main() -> None:
    frame = calls()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rates = []
    for _ in range(ROUNDS):
        started = time.process_time()
        advice = advise(
            frame, Prices(Table()), Settings(), since_ns=SINCE_NS, until_ns=SINCE_NS + 30 * DAY_NS
        )
        seconds = time.process_time() - started
        rates.append(CALLS / seconds)
    started = time.process_time()
    efficiency(frame, advice.avoidable, ["model"])
    scored = CALLS / (time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = f"{len(advice.suggestions)} suggestions"
    tell(
        (
            Figure(f"advice on {CALLS:,} calls, {found}", "", max(rates), "calls/s of CPU"),
            Figure("efficiency by model on the same calls", "", scored, "calls/s of CPU"),
            Figure("memory above the table", "", (peak - before) / 1_024, "MiB"),
        )
    )


if __name__ == "__main__":
    main()
