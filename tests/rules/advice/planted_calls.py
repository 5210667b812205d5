"""Calls of a healthy window.

What a call costs is computed here from a table of USD per million tokens, not with the rates of the code
under test: USD per million tokens are pico-USD per token, times a million.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pandas as pd

from spanbudget.processors.overrides import PriceBook
from spanbudget.processors.rates import BucketRates, RateCard, RateHistory, RateSegment

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
SINCE = 20_700 * DAY
UNTIL = SINCE + 7 * DAY
Row = dict[str, Any]

MICRO_USD = {
    # input, cache read, 5 minute write, 1 hour write, output; thousandths of a USD per million tokens
    ("anthropic", "big"): (3_000, 300, 3_750, 6_000, 15_000),
    ("anthropic", "small"): (800, 80, 1_000, 1_600, 4_000),
    ("openai", "gpt"): (1_250, 125, None, None, 10_000),
    ("openai", "near"): (1_125, 112, None, None, 9_000),
    ("openai", "thinker"): (1_250, 125, None, None, 10_000),
    ("openai", "embed"): (20, None, None, None, None),
}
LONG = 200_000  # big costs twice as much for longer prompts, and its answers half as much again
TIERS = {"big": ("batch",), "gpt": ("batch", "flex")}  # half the price


def rates(provider: str, model: str, *, prompt: int = 0, tier: str | None = None) -> list[int]:
    """pico-USD per token; 0 for what is not priced."""
    pico = [(micro or 0) * 1_000 for micro in MICRO_USD[provider, model]]
    if model == "big" and prompt > LONG:
        pico = [rate * 2 for rate in pico[:4]] + [pico[4] * 3 // 2]
    return [rate // 2 for rate in pico] if tier in TIERS.get(model, ()) else pico


class _Table:
    """The same prices as a price source."""

    version = "planted:1"

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        micro = MICRO_USD.get((provider or "", model))
        if micro is None:
            return None
        known = tier is None or tier in TIERS.get(model, ())
        ranges = [-1, LONG] if model == "big" else [-1]
        rows = []
        for above in ranges:
            pico = rates(provider or "", model, prompt=above + 1, tier=tier)
            given = [None if one is None else rate for one, rate in zip(micro, pico, strict=True)]
            rows.append(BucketRates(above, *given))
        card = RateCard(f"planted/{model}", tuple(rows), reasons=() if known else ("tier_unpriced",))
        return RateHistory((RateSegment(0, ((0, card),)),))


class PlantedPrices(PriceBook):
    """A price book with an alternative that is worth it, and one that is hardly cheaper."""

    def __init__(self) -> None:
        super().__init__(_Table())

    def alternatives(self, provider: str, model: str) -> Sequence[str]:
        return {"big": ("small", "unheard-of"), "gpt": ("near",)}.get(model, ())


class Caller:
    """Makes calls with ids, costs and defaults.

    Args:
        seed: Of everything random.
        name: Of what is made; the same seed makes other calls under another name.
        service: Where the calls are made.
    """

    def __init__(self, seed: int, name: str, service: str = "shop") -> None:
        self.rng = random.Random(f"{seed} {name}")
        self.service = service

    def call(self, at_ns: int, provider: str = "openai", model: str = "gpt", **given: Any) -> Row:
        row: Row = {
            "span_id": f"{self.rng.getrandbits(64):016x}",
            "trace_id": f"{self.rng.getrandbits(128):032x}",
            "parent_id": f"{self.rng.getrandbits(64):016x}",
            "start_ns": at_ns,
            "end_ns": at_ns + given.pop("seconds", 3) * SECOND,
            "provider": provider,
            "model": model,
            "request_model": model,
            "operation": "chat",
            "tier": None,
            "failed": False,
            "error_type": None,
            "finish_reason": "stop",
            "interactive": True,
            "input": 0,
            "cache_read": 0,
            "cache_write": 0,
            "cache_write_5m": 0,
            "cache_write_1h": 0,
            "output": 0,
            "reasoning": 0,
            "prompt_hash": self.rng.randbytes(8),
            "prefix_hash": None,
            "prefix_tokens": None,
            "deterministic": False,
            "label.service": self.service,
            "label.user": self.rng.choice(["ann", "bob", "eve"]),
            "label.session": None,
        }
        row.update(given)
        row["cache_write"] = row["cache_write_5m"] + row["cache_write_1h"]
        prompt = row["input"] + row["cache_read"] + row["cache_write"]
        rate = rates(provider, model, prompt=prompt, tier=row["tier"])
        row["cost_input"] = row["input"] * rate[0]
        row["cost_cache_read"] = row["cache_read"] * rate[1]
        row["cost_cache_write"] = row["cache_write_5m"] * rate[2] + row["cache_write_1h"] * rate[3]
        row["cost_output"] = row["output"] * rate[4]
        if row["failed"] and not given.get("billed", False):
            row.update(dict.fromkeys(("cost_input", "cost_cache_read", "cost_cache_write", "cost_output"), 0))
        row.pop("billed", None)
        row["cost"] = sum(row[part] for part in row if part.startswith("cost_"))
        return row

    def times(self, count: int, shortest_ns: int, longest_ns: int) -> list[int]:
        """Moments one after the other, with gaps of these lengths."""
        at, moments = SINCE + self.rng.randrange(HOUR), []
        for _ in range(count):
            moments.append(at)
            at += self.rng.randrange(shortest_ns, longest_ns)
        return moments

    def anywhere(self, count: int) -> list[int]:
        """Moments anywhere in the window."""
        return [self.rng.randrange(SINCE, UNTIL - MINUTE) for _ in range(count)]


def table(rows: Sequence[Row], seed: int = 0) -> pd.DataFrame:
    """The rows in any order."""
    mixed = list(rows)
    assert len({(row["trace_id"], row["span_id"]) for row in mixed}) == len(mixed)
    random.Random(seed).shuffle(mixed)
    frame = pd.DataFrame(mixed)
    for name in ("input", "cache_read", "cache_write", "output", "reasoning", "prefix_tokens", "cost"):
        frame[name] = frame[name].astype("Int64")
    return frame


def chats(seed: int) -> list[Row]:
    """People chat: short prompts, answers of some length, a few errors that cost nothing, few repetitions."""
    make = Caller(seed, "chats")
    rows = [
        make.call(at, input=make.rng.randrange(200, 900), output=make.rng.randrange(350, 900))
        for at in make.anywhere(300)
    ]
    rows += [make.call(at, failed=True, error_type="RateLimitError", output=0) for at in make.anywhere(6)]
    rows += [
        {**row, "span_id": row["span_id"][::-1], "start_ns": row["start_ns"] + 5 * HOUR} for row in rows[:5]
    ]
    return rows


def cached_chats(seed: int) -> list[Row]:
    """A cache for 5 minutes that is used every minute, and one for an hour that is used every 20 minutes."""
    make = Caller(seed, "cached_chats")
    rows = []
    for prefix, lifetime, short, long in (
        (b"minutes", "cache_write_5m", MINUTE // 2, 2 * MINUTE),
        (b"hourly", "cache_write_1h", 15 * MINUTE, 25 * MINUTE),
    ):
        for number, at in enumerate(make.times(150, short, long)):
            held = {lifetime: 4_000} if number == 0 else {"cache_read": 4_000}
            size = {"input": make.rng.randrange(100, 500), "output": make.rng.randrange(350, 700)}
            rows.append(
                make.call(at, "anthropic", "big", prefix_hash=prefix, prefix_tokens=4_000, **held, **size)
            )
    return rows


def sessions(seed: int) -> list[Row]:
    """Sessions of six turns whose history is cached and grows to twice its length."""
    make, rows = Caller(seed, "sessions"), []
    for number in range(30):
        held = 0
        for turn, at in enumerate(make.times(6, MINUTE // 2, 2 * MINUTE)):
            write = 2_500 if turn == 0 else 500
            rows.append(
                make.call(
                    at + number * HOUR, "anthropic", "big", input=60, cache_read=held, cache_write_5m=write,
                    output=make.rng.randrange(350, 600), **{"label.session": f"s{number}"},
                )
            )  # fmt: skip
            held += write
    return rows


def paused_sessions(seed: int) -> list[Row]:
    """Sessions that take turns, whose history is kept for an hour because people pause for 20 minutes.

    Many go on at once and have the same instructions, so that calls are less than 5 minutes apart.
    """
    make, rows = Caller(seed, "paused_sessions"), []
    for number in range(40):
        began = SINCE + make.rng.randrange(4 * HOUR)
        for turn in range(8):
            at = began + turn * 20 * MINUTE + make.rng.randrange(60) * SECOND
            rows.append(
                make.call(
                    at, "anthropic", "big", input=60, cache_read=4_000 + 900 * (turn - 1) if turn else 0,
                    cache_write_1h=900 if turn else 4_000, output=make.rng.randrange(350, 600),
                    prefix_hash=b"paused", prefix_tokens=2_000,
                    **{"label.session": f"p{number}" if number % 2 else None},
                )
            )  # fmt: skip
    return rows


def short_sessions(seed: int) -> list[Row]:
    """Sessions of two turns with short instructions: the second finds a history in a cache."""
    make, rows = Caller(seed, "short_sessions"), []
    for number, at in enumerate(make.times(100, 2 * MINUTE, 3 * MINUTE)):
        common = {"prefix_hash": b"brief", "prefix_tokens": 150, "label.session": f"q{number}"}
        rows.append(make.call(at, input=2_500, output=make.rng.randrange(350, 600), **common))
        later = make.rng.randrange(350, 600)
        rows.append(make.call(at + MINUTE, input=500, cache_read=2_400, output=later, **common))
    return rows


def retrieval(seed: int) -> list[Row]:
    """Long prompts that have little in common, of a program that asks at temperature 0."""
    make = Caller(seed, "retrieval")
    return [
        make.call(
            at, input=make.rng.randrange(3_000, 9_000), output=make.rng.randrange(400, 800),
            deterministic=True, prefix_hash=b"rag", prefix_tokens=180,
        )
        for at in make.times(200, MINUTE, 3 * MINUTE)
    ]  # fmt: skip


def thinking(seed: int) -> list[Row]:
    """Reasoning before answers that are long enough for it."""
    make = Caller(seed, "thinking")
    rows = []
    for at in make.anywhere(200):
        thought, visible = make.rng.randrange(200, 1_500), make.rng.randrange(400, 900)
        rows.append(make.call(at, model="thinker", input=500, output=thought + visible, reasoning=thought))
    return rows


def nightly(seed: int) -> list[Row]:
    """Nobody waits, and the prices are those of batches already; texts are embedded once."""
    make = Caller(seed, "nightly")
    rows = [
        make.call(at, "anthropic", "big", input=2_000, output=500, tier="batch", interactive=False)
        for at in make.anywhere(100)
    ]
    rows += [make.call(at, model="embed", operation="embeddings", input=800) for at in make.anywhere(200)]
    return rows


def long_prompts(seed: int) -> list[Row]:
    """Prompts far below and far above the length from which they cost more."""
    make = Caller(seed, "long_prompts")
    sizes = [
        make.rng.choice([make.rng.randrange(120_000, 190_000), make.rng.randrange(230_000, 400_000)])
        for _ in range(40)
    ]
    return [
        make.call(at, "anthropic", "big", input=size, output=900, interactive=None)
        for at, size in zip(make.anywhere(40), sizes, strict=True)
    ]


HEALTHY: tuple[Callable[[int], list[Row]], ...] = (
    chats, cached_chats, sessions, paused_sessions, short_sessions, retrieval, thinking, nightly,
    long_prompts,
)  # fmt: skip


@cache
def healthy(seed: int) -> list[Row]:
    """All healthy traffic together; made once, so it must not be changed."""
    return [row for shape in HEALTHY for row in shape(seed)]
