"""Durations as Prometheus writes them in its files: `1h30m`, `5m`, `0`."""

import re
from typing import Final

NS_PER_MS: Final = 1_000_000
"""Ledgers and windows count nanoseconds, rules and series milliseconds."""
NEVER_MS: Final = 2**62
"""Later than any time, milliseconds since the epoch; `-NEVER_MS` is before any."""

_UNITS_MS: Final = (
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
)
"""From the longest to the shortest; a year has 365 days."""
_EXACT_ONLY: Final = ("y", "w")  # 90d is easier to read than 12w6d
_MS_MAX: Final = (2**63 - 1) // NS_PER_MS
"""What 64 bits of nanoseconds hold, 292 years."""
_FORM: Final = re.compile("".join(rf"(?:(\d+){unit})?" for unit, _ in _UNITS_MS), re.ASCII)


def parse_duration(text: str) -> int:
    """The milliseconds of a duration; units go from the longest to the shortest, each once.

    Raises:
        ValueError: It is none, with a message for people.
    """
    if text == "0":
        return 0
    found = _FORM.fullmatch(text)
    if not text or found is None:
        raise ValueError(f'must be a duration such as 30s, 5m or 1h30m, got "{text[:40]}"')
    if len(text) > 100:
        raise ValueError("must be at most 292 years")
    parts = zip(found.groups(), _UNITS_MS, strict=True)
    total = sum(int(count) * unit_ms for count, (_, unit_ms) in parts if count)
    if total > _MS_MAX:
        raise ValueError("must be at most 292 years")
    return total


def duration_text(duration_ms: int) -> str:
    """The shortest text of a duration that Prometheus would write: `90000` is `1m30s`."""
    if duration_ms == 0:
        return "0s"
    sign, left = ("-", -duration_ms) if duration_ms < 0 else ("", duration_ms)
    text = ""
    for unit, unit_ms in _UNITS_MS:
        if unit in _EXACT_ONLY and left % unit_ms:
            continue
        count, left = divmod(left, unit_ms)
        if count:
            text += f"{count}{unit}"
    return sign + text
