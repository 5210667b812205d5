"""Real series of spend, and anomalies of known begin and end that are planted into their second week."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]

SLOT_S: Final = 600
WEEK: Final = 1_008
"""Slots of a week: the first is warm-up, the second is the test."""
TRACE: Final = "servegen_10min.parquet"
KINDS: Final = ("loop", "retry", "switch", "leak", "stop")
ACTIVE: Final = 0.9
"""Share of slots with calls, in an event and in its first hour, where it changes spend and does not add to
it: what nobody calls cannot become dearer."""
CALL_CV: Final = 1.5
"""Coefficient of variation of the cost of one call: a slot of N calls has 1.5 / √N."""
PER_KIND: Final = 3
"""Cases of each kind and series in one round."""
SHORT: Final = (3, 12)
"""Slots of a loop or a retry storm: 30 to 120 minutes."""
STOP: Final = (12, 36)
"""Slots of a silent stop: 2 to 6 hours."""
DAY: Final = 144
HOUR: Final = 6


class Series(NamedTuple):
    """What one tenant, or all of a model, did in each slot of two weeks.

    Attributes:
        name: Model and tenant.
        cost: US dollars.
        requests: Calls.
        is_total: Whether it is a sum of tenants.
    """

    name: str
    cost: Floats
    requests: Floats
    is_total: bool = False


@dataclass(frozen=True)
class Case:
    """One planted event.

    Attributes:
        number: The series it is in.
        kind: One of `KINDS`.
        start: Its first slot.
        end: The slot after its last.
        cost: US dollars of each slot, with it.
        requests: Calls of each slot, with it.
    """

    number: int
    kind: str
    start: int
    end: int
    cost: Floats
    requests: Floats


def load(path: Path, tenants: int) -> list[Series]:
    """The tenants that are active in most slots of both weeks, the sums of models, and the sum of all.

    Args:
        path: A file with the columns t, model, client, requests, cost (parquet or CSV), or its folder.
        tenants: How many tenants.
    """
    if path.is_dir():
        path = next(iter(sorted(path.rglob(TRACE))), path / TRACE)
    if path.suffix == ".csv":
        frame = pd.read_csv(path)
    else:
        try:
            frame = pd.read_parquet(path)
        except ImportError:
            sys.exit(f"{path.name} is a parquet file: pip install pyarrow, or give the same rows as .csv")
    missing = {"t", "model", "client", "requests", "cost"} - set(frame.columns)
    if missing:
        sys.exit(f"{path.name} has no column {', '.join(sorted(missing))}")
    slots = range(0, 2 * WEEK * SLOT_S, SLOT_S)
    tables = [
        frame.pivot_table(index="t", columns=["model", "client"], values=value, aggfunc="sum")
        .reindex(slots)
        .fillna(0.0)
        .clip(lower=0.0)
        for value in ("cost", "requests")
    ]
    cost = tables[0]
    active = np.minimum((cost.iloc[:WEEK] > 0).mean(), (cost.iloc[WEEK:] > 0).mean())
    order = active[active > 0].sort_values(ascending=False, kind="stable").index
    models = list(dict.fromkeys(cost.columns.get_level_values(0)))
    parts = [
        (f"{model}/{client}", [table[(model, client)] for table in tables])
        for model, client in order[:tenants]
    ]
    sums = [(f"{model}/all", [table[model].sum(axis=1) for table in tables]) for model in models]
    sums.append(("all", [table.sum(axis=1) for table in tables]))
    return [
        Series(name, one[0].to_numpy(float), one[1].to_numpy(float), is_total)
        for is_total, columns in ((False, parts), (True, sums))
        for name, one in columns
    ]


def generated(tenants: int, seed: int) -> list[Series]:
    """Tenants that are made here, and their sum: a rhythm of days and weekdays, drift, bursts and holes."""
    rng = np.random.default_rng(seed)
    slots = np.arange(2 * WEEK)
    made = []
    for number in range(tenants):
        rhythm = 1 + rng.uniform(0.1, 0.9) * np.sin(2 * np.pi * (slots / DAY + rng.uniform()))
        weekday = np.where(slots // DAY % 7 < 5, 1.0, rng.uniform(0.3, 1.0))
        drift = np.exp(np.cumsum(rng.normal(0, 0.02, len(slots))))
        bursts = 1 + rng.pareto(2.5, len(slots)) * (rng.uniform(size=len(slots)) < 0.02)
        calls = rng.poisson(rng.lognormal(3.5, 1.0) * rhythm * weekday * drift * bursts)
        calls[rng.uniform(size=len(slots)) < rng.choice((0.0, 0.02, 0.08))] = 0
        rate = rng.lognormal(-5, 0.8) * np.exp(np.cumsum(rng.normal(0, 0.005, len(slots))))
        made.append(Series(f"generated/{number}", calls * rate, calls.astype(float)))
    total = Series("all", sum(one.cost for one in made), sum(one.requests for one in made), is_total=True)
    return [*made, total]


def with_noise(series: list[Series], seed: int) -> list[Series]:
    """The same with the scatter of costs of single calls: the trace has means over six hours."""
    rng = np.random.default_rng(seed)
    noisy = []
    for one in series:
        shape = np.maximum(one.requests, 1.0) / CALL_CV**2
        noisy.append(one._replace(cost=one.cost * rng.gamma(shape, 1 / shape)))
    return noisy


def cases(series: list[Series], seed: int) -> list[Case]:
    """Plants `PER_KIND` events of each kind into each series; the same places whatever the costs' noise."""
    found = []
    for number, one in enumerate(series):
        for place, kind in enumerate(KINDS):
            for repeat in range(PER_KIND):
                rng = np.random.default_rng((seed, number, place, repeat))
                found.append(_planted(one, number, kind, rng))
    return found


def _planted(series: Series, number: int, kind: str, rng: np.random.Generator) -> Case:
    """One event: its length, its place, and what it does."""
    lengths = {"switch": (DAY, DAY), "leak": (2 * DAY, 2 * DAY), "stop": STOP}.get(kind, SHORT)
    length = int(rng.integers(lengths[0], lengths[1] + 1))
    places = np.arange(WEEK, 2 * WEEK - length - 6)
    if kind != "loop":
        sums = np.concatenate(([0], np.cumsum(series.requests > 0)))
        shares = [(sums[places + slots] - sums[places]) / slots for slots in (length, min(length, HOUR))]
        share = np.minimum(*shares)
        places = places[share >= min(ACTIVE, share.max())]
    start = int(rng.choice(places))
    at = slice(start, start + length)
    cost, requests = series.cost.copy(), series.requests.copy()
    match kind:
        case "loop":
            day = cost[:WEEK]
            size = rng.choice([1.5, 3.0, 6.0]) * max(float(np.percentile(day, 95)), 1e-9)
            added = size * rng.gamma(4.0, 0.25, length)
            per_call = day.sum() / max(requests[:WEEK].sum(), 1.0)
            cost[at] += added
            requests[at] += np.ceil(added / max(per_call, 1e-12))
        case "retry":
            factor = rng.choice([2.5, 5.0])
            cost[at] *= factor
            requests[at] = np.ceil(requests[at] * factor)
        case "switch":
            cost[at] *= rng.choice([2.0, 4.0])
        case "leak":
            cost[at] *= 1 + 1.5 * np.arange(1, length + 1) / length
        case _:
            cost[at] = requests[at] = 0.0
    return Case(number, kind, start, start + length, cost, requests)
