"""Waste of known USD, each kind by itself; its money is computed here and not by the code under test."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from planted_calls import DAY, HOUR, LONG, MINUTE, SECOND, SINCE, Caller, Row


class Plant(NamedTuple):
    """Calls with waste.

    Attributes:
        rows: The calls.
        kind: What has to be found.
        pico: How much, pico-USD.
        variant: Of which variant; None where the kind has none.
    """

    rows: list[Row]
    kind: str
    pico: int
    variant: str | None = None


def _uncached(make: Caller, prefix: bytes, moments: Sequence[int]) -> list[Row]:
    return [
        make.call(
            at, "anthropic", "big", input=4_000 + make.rng.randrange(50, 400),
            output=make.rng.randrange(350, 600), prefix_hash=prefix, prefix_tokens=4_000,
        )
        for at in moments
    ]  # fmt: skip


def plant_cache_on(seed: int) -> Plant:
    """300 calls a minute apart with 4,000 tokens in common: one write, 299 reads."""
    make = Caller(seed, "plant_cache_on")
    rows = _uncached(make, b"same", make.times(300, MINUTE // 2, 2 * MINUTE))
    saved = 299 * 4_000 * (3_000_000 - 300_000) - 4_000 * (3_750_000 - 3_000_000)
    return Plant(rows, "prompt_cache_on", saved, "on for 5 minutes")


def plant_cache_on_for_pairs(seed: int) -> Plant:
    """80 pairs of calls a minute apart, two hours between pairs: half of the calls would write, half read."""
    make, moments = Caller(seed, "plant_cache_on_for_pairs"), []
    for number in range(80):
        moments += [SINCE + number * 2 * HOUR, SINCE + number * 2 * HOUR + MINUTE]
    saved = 80 * 4_000 * (3_000_000 - 300_000) - 80 * 4_000 * (3_750_000 - 3_000_000)
    return Plant(_uncached(make, b"pairs", moments), "prompt_cache_on", saved, "on for 5 minutes")


def plant_cache_on_longer(seed: int) -> Plant:
    """120 calls 12 to 30 minutes apart: only a cache of an hour finds anything."""
    make = Caller(seed, "plant_cache_on_longer")
    rows = _uncached(make, b"slow", make.times(120, 12 * MINUTE, 30 * MINUTE))
    saved = 119 * 4_000 * (3_000_000 - 300_000) - 4_000 * (6_000_000 - 3_000_000)
    return Plant(rows, "prompt_cache_on", saved, "on for 1 hour")


def plant_cache_off(seed: int) -> Plant:
    """Writes that nobody reads, two hours apart."""
    make = Caller(seed, "plant_cache_off")
    rows = [
        make.call(at, "anthropic", "big", input=200, cache_write_5m=3_000, output=400, prefix_hash=b"lost")
        for at in make.times(60, 2 * HOUR, 2 * HOUR + MINUTE)
    ]
    return Plant(rows, "prompt_cache_change", 60 * 3_000 * (3_750_000 - 3_000_000), "off")


def plant_cache_longer(seed: int) -> Plant:
    """20,000 tokens are written anew each time, because the calls are 10 to 40 minutes apart."""
    make = Caller(seed, "plant_cache_longer")
    rows = [
        make.call(at, "anthropic", "big", input=200, cache_write_5m=20_000, output=400, prefix_hash=b"again")
        for at in make.times(60, 10 * MINUTE, 40 * MINUTE)
    ]
    paid, needed = 60 * 20_000 * 3_750_000, 20_000 * 6_000_000 + 59 * 20_000 * 300_000
    return Plant(rows, "prompt_cache_change", paid - needed, "1 hour instead of 5 minutes")


def plant_cache_shorter(seed: int) -> Plant:
    """Sessions a minute between turns, that write 2,000 tokens more for an hour at each."""
    make, rows = Caller(seed, "plant_cache_shorter"), []
    for number in range(40):
        for turn, at in enumerate(make.times(6, MINUTE // 2, 2 * MINUTE)):
            rows.append(
                make.call(
                    at + 2 * number * HOUR, "anthropic", "big", input=100, cache_read=2_000 * turn,
                    cache_write_1h=2_000, output=400, prefix_hash=b"idle", prefix_tokens=1_900,
                    **{"label.session": f"idle{number}"},
                )
            )  # fmt: skip
    saved = 240 * 2_000 * (6_000_000 - 3_750_000)
    return Plant(rows, "prompt_cache_change", saved, "5 minutes instead of 1 hour")


def plant_cache_misses(seed: int) -> Plant:
    """Half of the calls read 3,000 tokens from the cache, the others pay them in full."""
    make, rows, misses = Caller(seed, "plant_cache_misses"), [], 0
    for number, at in enumerate(make.times(200, MINUTE // 2, 2 * MINUTE)):
        hit = number > 0 and make.rng.random() < 0.5
        misses += number > 0 and not hit
        sizes = {"cache_read": 3_000, "input": 300} if hit else {"input": 3_300}
        rows.append(make.call(at, prefix_hash=b"shaky", prefix_tokens=3_000, output=500, **sizes))
    return Plant(rows, "cache_misses", misses * 3_000 * (1_250_000 - 125_000))


def plant_batch(seed: int) -> Plant:
    """Standard prices where nobody waits, and half of them where a batch would do."""
    make = Caller(seed, "plant_batch")
    rows = [
        make.call(at, "anthropic", "big", input=make.rng.randrange(500, 3_000), output=600, interactive=False)
        for at in make.anywhere(150)
    ]
    return Plant(rows, "batch", sum(row["cost"] for row in rows) // 2, "batch")


def plant_flex(seed: int) -> Plant:
    """The same where flex prices exist; it needs no change but a parameter."""
    make = Caller(seed, "plant_flex")
    rows = [
        make.call(at, input=make.rng.randrange(500, 3_000), output=600, interactive=False, tier=tier)
        for at, tier in zip(make.anywhere(150), [None, "default", "auto"] * 50, strict=True)
    ]
    return Plant(rows, "batch", sum(row["cost"] for row in rows) // 2, "flex")


def plant_large_model(seed: int) -> Plant:
    """Labels of a few tokens from a large model. It is all that the service does: half a service is not."""
    make, saved = Caller(seed, "plant_large_model", "labels"), 0
    rows = [
        make.call(
            at, "anthropic", "big", input=make.rng.randrange(500, 900), output=make.rng.randrange(3, 40)
        )
        for at in make.anywhere(300)
    ]
    for row in rows:
        saved += row["input"] * (3_000_000 - 800_000) + row["output"] * (15_000_000 - 4_000_000)
    return Plant(rows, "cheaper_model", saved, "small")


def plant_duplicates(seed: int) -> Plant:
    """40 requests, each five times within an hour."""
    make, rows, saved = Caller(seed, "plant_duplicates"), [], 0
    for number in range(40):
        at = SINCE + number * 3 * HOUR
        for repeat in range(5):
            same = {"prompt_hash": b"request %d" % number, "deterministic": True}
            rows.append(
                make.call(at + repeat * 10 * MINUTE, input=600, output=make.rng.randrange(350, 500), **same)
            )
            saved += rows[-1]["cost"] if repeat else 0
    return Plant(rows, "duplicates", saved)


def plant_embeddings(seed: int) -> Plant:
    """300 texts, embedded anew every day."""
    make = Caller(seed, "plant_embeddings")
    rows = [
        make.call(
            SINCE + day * DAY + number * MINUTE, model="embed", operation="embeddings", input=8_000,
            prompt_hash=b"text %d" % number, interactive=None,
        )
        for day in range(7)
        for number in range(300)
    ]  # fmt: skip
    return Plant(rows, "embedding_repeats", 6 * 300 * 8_000 * 20_000)


def plant_retries(seed: int) -> Plant:
    """Attempts that timed out or met their limit, and the same request again within a minute."""
    make, rows, saved = Caller(seed, "plant_retries"), [], 0
    for number, at in enumerate(make.anywhere(60)):
        request = {"prompt_hash": b"tried %d" % number, "input": 1_500}
        wrong = {"failed": True, "billed": True, "error_type": "TimeoutError", "finish_reason": None}
        bad = wrong if number % 2 else {"finish_reason": "length"}
        rows.append(make.call(at, output=256, seconds=20, **request, **bad))
        saved += rows[-1]["cost"]
        rows.append(make.call(at + (22 + number % 50) * SECOND, output=900, **request))
    return Plant(rows, "retry_waste", saved)


def plant_failures(seed: int) -> Plant:
    """Streams that were cut off after most of the answer, and not tried again."""
    make = Caller(seed, "plant_failures")
    rows = [
        make.call(
            at, input=1_500, output=make.rng.randrange(100, 800), failed=True, billed=True,
            error_type="Cancelled", prompt_hash=None, parent_id=None,
        )
        for at in make.anywhere(60)
    ]  # fmt: skip
    return Plant(rows, "failed_spend", sum(row["cost"] for row in rows), "Cancelled")


def plant_growth(seed: int) -> Plant:
    """Sessions of a service of its own that send all of it again with each of twelve turns."""
    make, rows = Caller(seed, "plant_growth", "support"), []
    for number in range(20):
        for turn, at in enumerate(make.times(12, MINUTE, 3 * MINUTE)):
            session = {"label.session": f"long{number}"}
            size = 300 + turn * turn * make.rng.randrange(90, 110)
            rows.append(make.call(at + number * 4 * HOUR, input=size, output=400, **session))
    usual = statistics.median(row["input"] for row in rows)
    return Plant(rows, "context_growth", int(sum(max(0, row["input"] - usual) for row in rows) * 1_250_000))


def plant_cliff(seed: int) -> Plant:
    """Prompts up to a tenth longer than the length from which they cost twice as much."""
    make = Caller(seed, "plant_cliff")
    rows = [
        make.call(at, "anthropic", "big", input=make.rng.randrange(LONG + 1, LONG * 11 // 10), output=900)
        for at in make.anywhere(40)
    ]
    saved = sum(row["input"] * 3_000_000 + row["output"] * 7_500_000 for row in rows)
    return Plant(rows, "tier_cliff", saved)


def plant_reasoning(seed: int) -> Plant:
    """Much thinking before short answers, in a service of its own."""
    make, rows = Caller(seed, "plant_reasoning", "router"), []
    for at in make.anywhere(200):
        thought, visible = make.rng.randrange(1_000, 6_000), make.rng.randrange(20, 150)
        rows.append(make.call(at, model="thinker", input=300, output=thought + visible, reasoning=thought))
    low = statistics.quantiles((row["reasoning"] for row in rows), n=4, method="inclusive")[0]
    saved = sum(max(0.0, row["reasoning"] - low) for row in rows) * 10_000_000
    return Plant(rows, "reasoning_excess", int(saved))


PLANTS: tuple[Callable[[int], Plant], ...] = (
    plant_cache_on, plant_cache_on_for_pairs, plant_cache_on_longer, plant_cache_off, plant_cache_longer,
    plant_cache_shorter, plant_cache_misses, plant_batch, plant_flex, plant_large_model, plant_duplicates,
    plant_embeddings, plant_retries, plant_failures, plant_growth, plant_cliff, plant_reasoning,
)  # fmt: skip
