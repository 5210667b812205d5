"""The methods that templates may call on times and durations."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from spanbudget.rules.templates.values import Duration, TemplateError, Time

_LAYOUT: Final = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|-07:00|-0700|Z07:00|[.,]0+(?!\d)|[.,]9+(?!\d)"
    r"|002|01|02|03|04|05|06|15|PM|pm|_2|1|2|3|4|5"
)
_PARTS: Final = {
    "January": "%B", "Jan": "%b", "Monday": "%A", "Mon": "%a", "2006": "%Y", "06": "%y", "01": "%m",
    "02": "%d", "002": "%j", "15": "%H", "03": "%I", "04": "%M", "05": "%S", "PM": "%p",
}  # fmt: skip
_FIXED: Final = {"MST": "UTC", "-07:00": "+00:00", "-0700": "+0000", "Z07:00": "Z"}


class Method(NamedTuple):
    """A method: its parameters' types, and what it does."""

    parameters: tuple[str, ...]
    call: Callable[..., Any]


def _moment(time: Time) -> datetime:
    return datetime.fromtimestamp(time.at_ms // 1000, UTC)


def _formatted(time: Time, layout: str) -> str:
    """`Format`: the layout shows how 2006-01-02 15:04:05 would be written."""
    moment = _moment(time)
    short = {
        "1": moment.month, "2": moment.day, "3": moment.hour % 12 or 12, "4": moment.minute,
        "5": moment.second, "_2": f"{moment.day:2}", "pm": f"{moment:%p}".lower(),
    }  # fmt: skip

    def part(found: re.Match[str]) -> str:
        token = found[0]
        if token[0] in ".,":
            digits = f"{time.at_ms % 1000:03}".ljust(len(token) - 1, "0")[: len(token) - 1]
            digits = digits if token[1] == "0" else digits.rstrip("0")
            return token[0] + digits if digits else ""
        if token in _FIXED:
            return _FIXED[token]
        return moment.strftime(_PARTS[token]) if token in _PARTS else str(short[token])

    return _LAYOUT.sub(part, layout)


_TIME: Final = {
    "Unix": Method((), lambda time: time.at_ms // 1000),
    "UnixMilli": Method((), lambda time: time.at_ms),
    "Year": Method((), lambda time: _moment(time).year),
    "Month": Method((), lambda time: f"{_moment(time):%B}"),
    "Day": Method((), lambda time: _moment(time).day),
    "Hour": Method((), lambda time: _moment(time).hour),
    "Minute": Method((), lambda time: _moment(time).minute),
    "Second": Method((), lambda time: _moment(time).second),
    "Weekday": Method((), lambda time: f"{_moment(time):%A}"),
    "YearDay": Method((), lambda time: _moment(time).timetuple().tm_yday),
    "UTC": Method((), lambda time: time),
    "String": Method((), str),
    "Format": Method(("string",), _formatted),
}
_DURATION: Final = {
    "Hours": Method((), lambda duration: duration.nanoseconds / 3.6e12),
    "Minutes": Method((), lambda duration: duration.nanoseconds / 6e10),
    "Seconds": Method((), lambda duration: duration.nanoseconds / 1e9),
    "Milliseconds": Method((), lambda duration: int(duration.nanoseconds / 1_000_000)),
    "Nanoseconds": Method((), lambda duration: duration.nanoseconds),
    "String": Method((), str),
}


def method_of(receiver: Any, name: str) -> Method | None:
    """The method of a value; None where it has none of that name.

    Raises:
        TemplateError: Go has it, and it is not supported here.
    """
    if not isinstance(receiver, Time | Duration):
        return None
    methods = _TIME if isinstance(receiver, Time) else _DURATION
    found = methods.get(name)
    if found is None:
        kind = "time" if isinstance(receiver, Time) else "duration"
        raise TemplateError(f"the method {name} of a {kind} is not supported; known are {', '.join(methods)}")
    return found
