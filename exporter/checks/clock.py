"""Is the clock sane, and where do the windows of the budgets end?"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from spanbudget.exporter.checks.finding import Finding
from spanbudget.processors.budgets import Budget
from spanbudget.processors.periods import INSTANT_MAX_NS

AREA: Final = "clock"
WATCHED_SECONDS: Final = 0.1
DRIFT_MS_MAX: Final = 10.0
"""More between both clocks in a tenth of a second means that one is being set (NTP slews 0.05 ms at most)."""
_YEARS: Final = range(2025, 2200)
_SKEW_SECONDS_WARN: Final = 1.0
_SKEW_SECONDS_FAIL: Final = 60.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def check_clock(budgets: Sequence[Budget], now_ns: int) -> Iterator[Finding]:
    """Checks this machine's clock, and shows the window of each budget.

    Args:
        budgets: All budgets.
        now_ns: Nanoseconds since the epoch.
    """
    yield _against_monotonic()
    for budget in budgets:
        yield _window(budget, now_ns)


def skew(server: str, seconds: float) -> Finding:
    """Judges how far a server's clock is ahead of this machine's; the budgets' windows follow the latter.

    Args:
        server: What the server is called.
        seconds: Negative where it is behind.
    """
    numbers = {"ahead_seconds": round(seconds, 3)}
    way = "ahead of" if seconds >= 0 else "behind"
    told = f"{abs(seconds):.3f} s {way} this machine's"
    if abs(seconds) < _SKEW_SECONDS_WARN:
        return Finding(AREA, server, "pass", told, numbers)
    told += "; windows start and end by each machine's own clock: set them, by NTP or chrony"
    far = abs(seconds) >= _SKEW_SECONDS_FAIL
    return Finding(AREA, server, "fail" if far else "warn", told, numbers)


def _against_monotonic() -> Finding:
    wall, steady = time.time_ns(), time.monotonic_ns()
    time.sleep(WATCHED_SECONDS)
    wall, steady = time.time_ns() - wall, time.monotonic_ns() - steady
    drift_ms = abs(wall - steady) / 1e6
    now = datetime.now(UTC)
    numbers = {"now": now.isoformat(timespec="seconds"), "drift_ms": round(drift_ms, 3)}
    if now.year not in _YEARS:
        return Finding(AREA, "this machine", "fail", f"it is not {now:%Y}; set the clock", numbers)
    told = f"{now:%Y-%m-%d %H:%M:%S} UTC, {drift_ms:.3f} ms from the steady clock in {WATCHED_SECONDS:g} s"
    if drift_ms > DRIFT_MS_MAX:
        return Finding(
            AREA, "this machine", "warn", f"{told}: it is being set, or stands in between", numbers
        )
    return Finding(AREA, "this machine", "pass", told, numbers)


def _window(budget: Budget, now_ns: int) -> Finding:
    period = budget.period
    window = period.span(now_ns)
    numbers = {"period": period.text, "starts": _moment(window.start_ns, "UTC").isoformat()}
    if period.kind == "rolling":
        length = _length(period.rolling_seconds)
        return Finding(AREA, budget.name, "info", f"rolling, the last {length} at every moment", numbers)
    if window.end_ns >= INSTANT_MAX_NS:
        return Finding(AREA, budget.name, "info", "one window that never ends", numbers)
    numbers["ends"] = _moment(window.end_ns, "UTC").isoformat()
    left = _length((window.end_ns - now_ns) // 10**9)
    told = f"{period.kind}, the next window starts {_moment(window.end_ns, period.zone):%a %Y-%m-%d %H:%M %Z}"
    if period.zone != "UTC":
        told += f" ({period.zone})"
    return Finding(AREA, budget.name, "info", f"{told}, in {left}", numbers)


def _length(seconds: int) -> str:
    """`7 d 2 h` or `2 h 5 min`."""
    minutes = seconds // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = ((days, "d"), (hours, "h"), (0 if days else rest, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "less than a minute"


def _moment(at_ns: int, zone: str) -> datetime:
    return (_EPOCH + timedelta(seconds=at_ns // 10**9)).astimezone(ZoneInfo(zone))
