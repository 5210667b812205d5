"""The values that a configuration file may hold, each with its check and what it says when that fails."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Final, Literal, TypeAlias, get_args
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from spanbudget.exporter.config_problems import meant
from spanbudget.processors.overrides import RATE_USD_MAX
from spanbudget.processors.periods import ROLLING_SECONDS_MAX, ROLLING_SECONDS_MIN, zone_info
from spanbudget.processors.selectors import canonical_label

USD_MAX: Final = Decimal(1_000_000_000)
"""Highest budget that is believed; above it the amount was probably meant in a smaller unit."""
LABELS_MAX: Final = 32
PER_MAX: Final = 4
"""Labels of a template: the text of a child must fit into a database index."""
MATCH_VALUES_MAX: Final = 1_000

PROMETHEUS_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
"""A name of a label or an annotation that every Prometheus takes, of at most 128 characters."""

_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
CalendarKind: TypeAlias = Literal["hourly", "daily", "weekly", "monthly", "yearly", "total"]
_CALENDAR: Final = get_args(CalendarKind)
_LEDGERS: Final = re.compile(r"(sqlite:///|postgresql(\+psycopg)?://).+")


def listed(given: object) -> object:
    """A single value as a list of one."""
    return [given] if isinstance(given, str) else given


def attribute_name(name: str) -> str:
    """An attribute or label name.

    Raises:
        ValueError: It has other characters, or too many.
    """
    if not re.fullmatch(r"[\w.:/@-]{1,128}", name):
        raise ValueError("must be a name of letters, digits and . _ - : / @, at most 128 characters")
    return name


def label(name: str) -> str:
    """A label under its canonical name; see `attribute_name`."""
    return canonical_label(attribute_name(name))


def different(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that differ.

    Raises:
        ValueError: One is there twice.
    """
    if len(set(names)) < len(names):
        raise ValueError("must not name the same label twice")
    return names


def duration(given: object) -> int:
    """`15m` as seconds.

    Raises:
        ValueError: It is no duration.
    """
    found = re.fullmatch(r"(\d{1,9})([smhdw])", given) if isinstance(given, str) else None
    if found is None:
        raise ValueError("must be a duration such as 30s, 15m, 24h, 7d or 2w")
    return int(found[1]) * _SECONDS[found[2]]


def rolling_length(seconds: int) -> int:
    """A length of a rolling window, seconds.

    Raises:
        ValueError: It is too short or too long.
    """
    if not ROLLING_SECONDS_MIN <= seconds <= ROLLING_SECONDS_MAX:
        raise ValueError("must be 1 minute to 400 days")
    return seconds


def calendar(kind: object) -> object:
    """A kind of calendar period.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in _CALENDAR:
        hint = meant(str(kind), _CALENDAR)
        raise ValueError(f"must be one of {', '.join(_CALENDAR)} or {{rolling: 24h}}{hint}")
    return kind


def time_zone(name: str) -> str:
    """An IANA time zone.

    Raises:
        ValueError: There is no such zone; a near name is told.
    """
    try:
        zone_info(name)
    except ValueError:
        zones = {zone.lower(): zone for zone in available_timezones()}
        near = get_close_matches(name[:64].lower(), zones, n=1, cutoff=0.75)
        hint = f"; did you mean {zones[near[0]]}?" if near else ""
        raise ValueError(f"must be an IANA time zone{hint}") from None
    return name


def first_day(given: object) -> object:
    """A date, or a moment at midnight UTC.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(given, str):
        return given
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError("must be a date such as 2026-01-31") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment.time() != time():
        raise ValueError("must be a date, or a time at midnight UTC: prices change with the UTC day")
    return moment.date()


def carried_over(given: object) -> object:
    """`true`, or the most that is carried over in USD.

    Raises:
        ValueError: It is neither.
    """
    if given is None or given is False or given == "false":
        return None
    if given is True or given == "true":
        return True
    try:
        amount = Decimal(str(given))
    except ArithmeticError:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 < amount <= USD_MAX:
        raise ValueError("must be true, or the most USD that are carried over, above 0")
    return amount


def line(text: str) -> str:
    """One printable line.

    Raises:
        ValueError: It is empty, too long or not printable.
    """
    if not text.isprintable() or not text.strip() or len(text) > 200:
        raise ValueError("must be 1 to 200 printable characters")
    return text


def ledger_url(url: str) -> str:
    """The URL of a ledger; whether this version can open it is said when it is opened.

    Raises:
        ValueError: It names another kind.
    """
    if not _LEDGERS.fullmatch(url):
        raise ValueError("must start with sqlite:/// or postgresql://")
    return url


Line: TypeAlias = Annotated[str, AfterValidator(line)]
AttributeNames: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(attribute_name)], ...],
    BeforeValidator(listed),
    Field(max_length=LABELS_MAX),
]
LabelNames: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(label)], ...],
    BeforeValidator(listed),
    AfterValidator(different),
    Field(max_length=LABELS_MAX),
]
Rate: TypeAlias = Annotated[Decimal | None, Field(ge=0, le=RATE_USD_MAX, max_digits=30, decimal_places=12)]
Count: TypeAlias = Annotated[int | None, Field(gt=0, le=10**15)]
