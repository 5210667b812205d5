"""Which models that were used, or would be, have no price?"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from spanbudget.exporter.checks.finding import Finding
from spanbudget.exporter.checks.store import ledger_file
from spanbudget.exporter.config import Config
from spanbudget.exporter.config_sections import DowngradeConfig
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.inspection import ModelUse, model_uses
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.model_names import Namer
from spanbudget.processors.overrides import PriceBook

if TYPE_CHECKING:
    from spanbudget.processors.rates import RateCard

AREA: Final = "prices"
DAYS: Final = 30
SHOWN_MAX: Final = 5


def check_prices(config: Config, now_ns: int) -> Iterator[Finding]:
    """Looks up the models of the ledger's last 30 days, and those that budgets downgrade to.

    Args:
        config: Its prices go before the table's.
        now_ns: Nanoseconds since the epoch.
    """
    table = GenaiPriceTable()
    book = PriceBook(table, config.prices)
    models = sum(len(provider.models) for provider in table.providers)
    own = f", and {len(config.prices)} of the configuration before it" if config.prices else ""
    yield Finding(
        AREA, "table", "info", f"{table.version}, {models:,} models{own}; it is renewed by pip only",
        {"version": table.version, "models": models, "configured": len(config.prices)},
    )  # fmt: skip
    yield from _downgrades(config, book, now_ns)
    try:
        uses = _uses(config.ledger.url, now_ns)
    except LedgerError as error:
        yield Finding(AREA, "ledger", "fail", f"its models cannot be read: {error}")
        return
    yield _used(uses, [use for use in uses if book.card(use.provider, use.model, None, now_ns) is None])


def _uses(url: str, now_ns: int) -> Sequence[ModelUse]:
    if url.startswith("sqlite:") and ledger_file(url) is None:
        return ()
    ledger = open_ledger(url)
    try:
        return model_uses(ledger, now_ns - DAYS * 86_400 * 10**9)
    finally:
        ledger.close()


def _used(uses: Sequence[ModelUse], unpriced: Sequence[ModelUse]) -> Finding:
    numbers = {
        "models": len(uses),
        "unpriced": [{"provider": one.provider, "model": one.model, "calls": one.calls} for one in unpriced],
    }
    if not uses:
        return Finding(AREA, "models in use", "info", f"no calls in the last {DAYS} days", numbers)
    if not unpriced:
        told = f"all {len(uses)} models of the last {DAYS} days have a price"
        return Finding(AREA, "models in use", "pass", told, numbers)
    shown = ", ".join(f"{one.provider or '?'}/{one.model or '?'}" for one in unpriced[:SHOWN_MAX])
    more = f" and {len(unpriced) - SHOWN_MAX} more" if len(unpriced) > SHOWN_MAX else ""
    told = (
        f"{len(unpriced)} of {len(uses)} models of the last {DAYS} days have no price: {shown}{more}; hard"
        " budgets refuse them unless on_unpriced says otherwise, and `spanbudget prices --check` writes the"
        " lines to add"
    )
    return Finding(AREA, "models in use", "warn", told, numbers)


def _downgrades(config: Config, book: PriceBook, now_ns: int) -> Iterator[Finding]:
    namer = Namer(config.model_aliases)
    for budget in config.budget_configs:
        targets = budget.on_exceed.downgrade.values() if isinstance(budget.on_exceed, DowngradeConfig) else ()
        for target in dict.fromkeys(targets):
            named = namer.name(None, target, None)
            card: RateCard | None = book.card(named.provider, named.model, None, now_ns)
            if card is None:
                told = f"it downgrades to {target}, which has no price: such calls are refused"
                yield Finding(AREA, budget.name, "fail", told, {"model": target})
