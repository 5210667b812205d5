"""Prices as lines for a person: of the configuration and of the table."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from spanbudget.exporter.price_listing import PriceListing, PriceRow
from spanbudget.processors.overrides import PriceOverride
from spanbudget.processors.rates import DAY_NS

if TYPE_CHECKING:
    from rich.table import Table

BUCKETS: Final = {
    "input": "Input",
    "cache_read": "Cache read",
    "cache_write_5m": "Write 5m",
    "cache_write": "Cache write",
    "cache_write_1h": "Write 1h",
    "output": "Output",
    "reasoning": "Reasoning",
    "audio_input": "Audio in",
    "audio_cache_read": "Audio cached",
    "audio_output": "Audio out",
    "image_input": "Image in",
}
"""Token bucket → title of its column."""
_WEEK_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_OVERRIDE_RATES: Final = frozenset(BUCKETS) & {field.name for field in fields(PriceOverride)}
_SEARCHES: Final = 1_000  # an override's fee is for so many


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One price.

    Attributes:
        source: Where it comes from.
        provider: The provider, or a pattern of the configuration.
        model: The model, or a pattern of the configuration.
        tier: Service tier; None for the standard one, or for any where the configuration sets it.
        starts: First day, UTC; None for ever.
        time: From when in a day or week, UTC; "" where the time does not matter.
        prompt_above: For prompts of more tokens than this; -1 for all.
        usd_per_mtok: USD per 1M tokens by bucket.
        request_usd: USD for each call; None or 0 for no fee.
        web_search_usd: USD for each web search; None where not priced.
        discount_percent: Off everything, set by the configuration.
        price_id: What charges at this price carry; None for the configuration's.
        notes: Why costs at this price are not exact.
    """

    source: Literal["configuration", "table"]
    provider: str
    model: str
    tier: str | None
    starts: date | None
    time: str
    prompt_above: int
    usd_per_mtok: dict[str, Decimal]
    request_usd: Decimal | None
    web_search_usd: Decimal | None
    discount_percent: Decimal | None
    price_id: str | None
    notes: tuple[str, ...]


def override_lines(overrides: Iterable[PriceOverride], provider: str | None, model: str) -> list[PriceLine]:
    """The configuration's prices that match a model; at any provider where that is None."""
    return [
        _override_line(override)
        for override in overrides
        if override.covers(provider or override.provider, model)
    ]


def table_lines(listing: PriceListing, on: date | None = None) -> list[PriceLine]:
    """The table's prices of one model.

    A tier that has no price of its own yet is charged at the standard price; such lines are left out.

    Args:
        listing: What the table says.
        on: Only the prices that hold on this day; None for all.
    """
    rows = [row for row in listing.rows if "tier_unpriced" not in row.reasons]
    if on is not None:
        latest = {row.tier: max(_starts(rows, row.tier, on), default=None) for row in rows}
        rows = [row for row in rows if (row.starts or date.min) == latest[row.tier]]
    groups: defaultdict[object, list[PriceRow]] = defaultdict(list)
    for row in rows:
        groups[row.tier, row.starts, row.prompt_above].append(row)
    return [_table_line(listing, row, time) for group in groups.values() for row, time in _with_times(group)]


def price_title(lines: Sequence[PriceLine]) -> str:
    """What the prices have in common; `price_table` leaves it out."""
    common = " ".join(_common(lines).values())
    return f"{common}: USD per 1M tokens" if common else "USD per 1M tokens"


def price_table(lines: Sequence[PriceLine]) -> "Table":
    """A table with the columns that are needed."""
    from rich.table import Table  # noqa: PLC0415 - 30 ms that JSON does not need

    table = Table(header_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    marked = any(line.source == "configuration" for line in lines)
    buckets = [bucket for bucket in BUCKETS if any(bucket in line.usd_per_mtok for line in lines)]
    texts: dict[str, list[str]] = {
        "": ["configured" if line.source == "configuration" else "" for line in lines] if marked else [],
        "Provider": [line.provider for line in lines],
        "Model": [line.model for line in lines],
        "Tier": [_tier(line) for line in lines],
        "From": [str(line.starts or "") for line in lines],
        "At (UTC)": [line.time for line in lines],
        "Prompt": [f"> {line.prompt_above:,}" if line.prompt_above >= 0 else "" for line in lines],
    }
    amounts = {BUCKETS[bucket]: [_usd(line.usd_per_mtok.get(bucket)) for line in lines] for bucket in buckets}
    amounts["Per call"] = [_usd(line.request_usd or None) for line in lines]
    amounts["Per search"] = [_usd(line.web_search_usd) for line in lines]
    amounts["Discount"] = [f"{line.discount_percent}%" if line.discount_percent else "" for line in lines]
    notes = {"Not exact": [", ".join(line.notes) for line in lines]}
    common = _common(lines)
    columns = {
        name: column
        for name, column in (texts | amounts | notes).items()
        if any(column) and name not in common
    }
    for name in columns:
        right = name in amounts or name == "Prompt"
        style = "bold magenta" if not name else None
        heading = name.replace(" ", "\n") if name in amounts else name
        table.add_column(heading, justify="right" if right else "left", no_wrap=True, style=style)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    return table


def line_json(line: PriceLine) -> dict[str, Any]:
    """A price as JSON; amounts as decimal text, so that nothing is rounded."""
    return {
        "source": line.source,
        "provider": line.provider,
        "model": line.model,
        "tier": line.tier,
        "from": line.starts.isoformat() if line.starts else None,
        "time_utc": line.time or None,
        "prompt_above": line.prompt_above if line.prompt_above >= 0 else None,
        "usd_per_mtok": {bucket: f"{usd:f}" for bucket, usd in line.usd_per_mtok.items()},
        "usd_per_request": f"{line.request_usd:f}" if line.request_usd else None,
        "usd_per_web_search": None if line.web_search_usd is None else f"{line.web_search_usd:f}",
        "discount_percent": None if line.discount_percent is None else f"{line.discount_percent:f}",
        "price_id": line.price_id,
        "notes": list(line.notes),
    }


def _common(lines: Sequence[PriceLine]) -> dict[str, str]:
    """Provider and model, where all prices are of one."""
    found = {"Provider": {line.provider for line in lines}, "Model": {line.model for line in lines}}
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}


def _override_line(override: PriceOverride) -> PriceLine:
    rates = {name: usd for name in _OVERRIDE_RATES if (usd := getattr(override, name)) is not None}
    return PriceLine(
        source="configuration",
        provider=override.provider,
        model=override.model,
        tier=None,
        starts=override.starts,
        time="",
        prompt_above=-1,
        usd_per_mtok=rates,
        request_usd=override.request,
        web_search_usd=None if override.web_search is None else override.web_search / _SEARCHES,
        discount_percent=override.discount_percent,
        price_id=f"override:{override.id}",
        notes=(),
    )


def _with_times(week: Sequence[PriceRow]) -> list[tuple[PriceRow, str]]:
    """The prices of one week with their times; those of one day where all days are alike."""
    if len(week) == 1:
        return [(week[0], "")]
    days: defaultdict[int, list[tuple[object, ...]]] = defaultdict(list)
    for row in week:
        day, time_ns = divmod(row.time_of_week_ns, DAY_NS)
        days[day].append((time_ns, row.usd_per_mtok, row.request_usd, row.web_search_usd, row.reasons))
    if len(days) == len(_WEEK_DAYS) and all(day == days[0] for day in days.values()):
        return [(row, f"{_clock(row)} daily") for row in week if row.time_of_week_ns < DAY_NS]
    return [(row, f"{_WEEK_DAYS[row.time_of_week_ns // DAY_NS]} {_clock(row)}") for row in week]


def _clock(row: PriceRow) -> str:
    minutes = row.time_of_week_ns % DAY_NS // 60_000_000_000
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _table_line(listing: PriceListing, row: PriceRow, time: str) -> PriceLine:
    return PriceLine(
        source="table",
        provider=listing.provider,
        model=listing.model,
        tier=row.tier,
        starts=row.starts,
        time=time,
        prompt_above=row.prompt_above,
        usd_per_mtok=dict(row.usd_per_mtok),
        request_usd=row.request_usd,
        web_search_usd=row.web_search_usd,
        discount_percent=None,
        price_id=row.price_id,
        notes=(*row.reasons, *(["deprecated"] if listing.deprecated else [])),
    )


def _starts(rows: Iterable[PriceRow], tier: str | None, on: date) -> list[date]:
    days = (row.starts or date.min for row in rows if row.tier == tier)
    return [day for day in days if day <= on]


def _tier(line: PriceLine) -> str:
    if line.tier is None:
        return "any" if line.source == "configuration" else "standard"
    return line.tier


def _usd(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"
