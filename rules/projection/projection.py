"""The projection of a budget as people see it: its end, the way there, when the limit is reached, a note."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from spanbudget.rules.projection.outlook import Ends, Now, Outlook

Method: TypeAlias = Literal["run-rate", "mixture", "profile"]
"""`run-rate` knows no history, `profile` is the rhythm of days or hours × recent level, `mixture` is both."""

_DAY_NS: Final = 86_400 * 10**9


class PathPoint(NamedTuple):
    """Spend at a moment ahead.

    Attributes:
        at_ns: Nanoseconds since the epoch.
        ends: Spend in the window up to then, USD.
    """

    at_ns: int
    ends: Ends


class Exhaustion(NamedTuple):
    """When a limit is reached, nanoseconds since the epoch; None where it is not before the window ends.

    Attributes:
        median: By the median of spend.
        earliest: By the upper bound of spend: 5 % are earlier.
        latest: By the lower bound of spend: 5 % are later.
    """

    median: int | None
    earliest: int | None
    latest: int | None


@dataclass(frozen=True, slots=True)
class Projection:
    """Where a budget's window is going.

    Attributes:
        ends: Spend at its end, USD; None where it has no end.
        method: How it was found.
        days_of_history: Days that it was found from, 0 and up.
        note: What to make of a short history, as a sentence; "" for a long one.
        exhaustion: When the limit on money is reached; None where money is not limited.
        path: Spend at the end of each bin from the present one on, up to the end or a year ahead.
    """

    ends: Ends | None
    method: Method
    days_of_history: float
    note: str
    exhaustion: Exhaustion | None
    path: tuple[PathPoint, ...]


def projected(outlook: Outlook, now: Now, limit: float | None, *, endless: bool = False) -> Projection:
    """Projects a budget.

    Args:
        outlook: What lies ahead.
        now: Where the budget stands.
        limit: USD; None where money is not limited.
        endless: Whether the window has no end: that of a total.
    """
    path = tuple(PathPoint(at_ns, ends) for at_ns, ends in outlook.path(now))
    days = outlook.model.bins * outlook.bins.length_ns / _DAY_NS if outlook.model is not None else 0.0
    found = None
    if limit is not None:
        highs = ((at_ns, ends.high) for at_ns, ends in path)
        lows = ((at_ns, ends.low) for at_ns, ends in path)
        found = Exhaustion(
            outlook.exhausted_ns(now, limit), _reached(now, highs, limit), _reached(now, lows, limit)
        )
    return Projection(
        ends=None if endless else outlook.end(now),
        method="run-rate" if outlook.trust <= 0 else "profile" if outlook.trust >= 1 else "mixture",
        days_of_history=days,
        note=_note(outlook, days),
        exhaustion=found,
        path=path,
    )


def _reached(now: Now, points: Iterable[tuple[int, float]], limit: float) -> int | None:
    """When a rising line from now on reaches a limit; None where it ends below."""
    before_ns, before = now.at_ns, now.spent
    if before >= limit:
        return before_ns
    for at_ns, spent in points:
        if spent >= limit:
            return before_ns + round((at_ns - before_ns) * (limit - before) / (spent - before))
        before_ns, before = at_ns, spent
    return None


def _note(outlook: Outlook, days: float) -> str:
    if outlook.trust >= 1:
        return ""
    season_days = outlook.bins.season * outlook.bins.length_ns / _DAY_NS
    wanted = _told(3 * season_days)
    if outlook.model is None:
        return f"There is no history, of {wanted} wanted: this is run-rate, within wide bounds."
    share = "this is run-rate" if outlook.trust <= 0 else "this is in part run-rate"
    return f"There are only {_told(days)} of history, of {wanted} wanted: {share}, within wide bounds."


def _told(days: float) -> str:
    if days >= 1:
        return f"{days:.0f} day" + "s" * (round(days) != 1)
    hours = days * 24
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
