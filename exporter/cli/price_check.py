"""Which models of a ledger have no price, or one that may be stale."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.inspection import ModelUse, model_uses
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors.overrides import PriceBook

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PricesFound:
    """What the check found.

    Attributes:
        unpriced: Models without a price today.
        stale: Models whose price may be stale or another's, with the reasons.
        priced: How many models have a price that nothing speaks against.
        costless: Models that have a price and still calls without a cost.
        version: Version of the price table.
    """

    unpriced: Sequence[ModelUse]
    stale: Sequence[tuple[ModelUse, tuple[str, ...]]]
    priced: int
    costless: Sequence[ModelUse]
    version: str


def check_models(config: Config, url: str, *, since_ns: int, now_ns: int) -> PricesFound:
    """Looks the prices of a ledger's models up, as a call that ends now would be priced.

    Args:
        config: Its prices go before the table's.
        url: The ledger; it must exist, because looking must not make one.
        since_ns: Only models of calls that ended at or after this, nanoseconds since the epoch.
        now_ns: Nanoseconds since the epoch.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger = open_ledger(url, create=False)
    try:
        uses = model_uses(ledger, since_ns)
    finally:
        ledger.close()
    table = GenaiPriceTable()
    book = PriceBook(table, config.prices)
    unpriced, stale, costless, priced = [], [], [], 0
    for use in uses:
        card = book.card(use.provider, use.model, None, now_ns)
        if card is None:
            unpriced.append(use)
            continue
        reasons = () if card.from_override else (*card.reasons, *_deprecated(table, use))
        if reasons:
            stale.append((use, reasons))
        else:
            priced += 1
        if use.without_cost:
            costless.append(use)
    return PricesFound(unpriced, stale, priced, costless, table.version)


def snippet(unpriced: Sequence[ModelUse]) -> str:
    """Lines for the configuration; a rate that is left at `FILL_IN` is refused, and so never free."""
    known = [use for use in unpriced if use.model is not None]
    if not known:
        return ""
    names = ((_yaml(use.provider or "*"), _yaml(use.model or "")) for use in known)
    lines = [
        f"  - {{provider: {provider}, model: {model}, input: FILL_IN, output: FILL_IN}}"
        for provider, model in names
    ]
    return "\n".join(["prices:  # USD per 1M tokens", *lines])


def print_check(console: "Console", found: PricesFound, days: int) -> None:
    """Writes what was found."""
    from rich.text import Text  # noqa: PLC0415 - JSON does not need it

    for title, rows, after in (
        (
            f"No price in {found.version} or the configuration:",
            [(use, "") for use in found.unpriced],
            f"Rates to fill in, for the configuration:\n\n{snippet(found.unpriced)}\n",
        ),
        (
            "Priced, but the price may be stale or another's:",
            [(use, ", ".join(reasons)) for use, reasons in found.stale],
            "",
        ),
        (
            "Priced now, with calls that were booked without a cost (no price then, or tokens unknown):",
            [(use, f"{use.without_cost:,} without a cost") for use in found.costless],
            "",
        ),
    ):
        if rows:
            console.print(Text(title, "bold"))
            console.print(_table(rows))
            console.print(f"\n{after}" if after else "", highlight=False, markup=False, soft_wrap=True)
    total = len(found.unpriced) + len(found.stale) + found.priced
    verdict = f"{len(found.unpriced) or 'None'} of {total} models of the last {days} days without a price"
    verdict = verdict if total else f"No calls in the last {days} days"
    console.print(Text(verdict, "red" if found.unpriced else "green"))


def check_json(found: PricesFound) -> dict[str, Any]:
    """What was found, as JSON."""
    return {
        "price_table": found.version,
        "unpriced": [_use_json(use) for use in found.unpriced],
        "stale": [{**_use_json(use), "reasons": list(reasons)} for use, reasons in found.stale],
        "calls_without_cost": [_use_json(use) for use in found.costless],
        "priced_models": found.priced,
        "snippet": snippet(found.unpriced),
    }


def _deprecated(table: GenaiPriceTable, use: ModelUse) -> tuple[str, ...]:
    if use.provider is None or use.model is None:
        return ()
    listings = table.describe(use.provider, use.model)
    return ("deprecated",) if any(listing.deprecated for listing in listings) else ()


def _table(rows: Sequence[tuple[ModelUse, str]]) -> "Table":
    from rich.table import Table  # noqa: PLC0415 - JSON does not need it

    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("Provider", "Model", "Calls", "Tokens"):
        table.add_column(name, justify="right" if name in ("Calls", "Tokens") else "left", no_wrap=True)
    table.add_column("Last seen (UTC)", no_wrap=True)
    if any(note for _, note in rows):
        table.add_column("Why")
    for use, note in rows:
        cells = (use.provider or "unknown", use.model or "unknown", f"{use.calls:,}", f"{use.tokens:,}")
        table.add_row(*cells, _seen(use), *([note] if note else []))
    return table


def _seen(use: ModelUse) -> str:
    return datetime.fromtimestamp(use.last_seen_ns // _NS, UTC).strftime("%Y-%m-%d %H:%M")


def _use_json(use: ModelUse) -> dict[str, Any]:
    return {
        "provider": use.provider,
        "model": use.model,
        "calls": use.calls,
        "calls_without_cost": use.without_cost,
        "tokens": use.tokens,
        "last_seen": datetime.fromtimestamp(use.last_seen_ns // _NS, UTC).isoformat(),
    }


def _yaml(text: str) -> str:
    """A value as YAML text that stays what it is, whatever it holds."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
