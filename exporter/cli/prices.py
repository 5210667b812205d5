"""`spanbudget prices`: what a model costs, and which models of a ledger have no price."""

import json
import time
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from spanbudget.exporter.cli.price_lines import (
    PriceLine,
    line_json,
    override_lines,
    price_table,
    price_title,
    table_lines,
)
from spanbudget.exporter.config import Config, load_config
from spanbudget.exporter.ledger import url_of
from spanbudget.exporter.price_listing import PriceListing
from spanbudget.exporter.price_table import GenaiPriceTable
from spanbudget.processors.model_names import normalise_model, normalise_provider
from spanbudget.processors.names_out import CONFIG_VARIABLE

if TYPE_CHECKING:
    from rich.console import Console

NEAR_MAX: Final = 8
"""Names that are suggested for an unknown one."""
_COLUMNS: Final = 1_000
"""Wider than any table: a line that is longer than the terminal is wrapped by it, and no price is cut."""


@click.command()
@click.argument("model", required=False)
@click.option("--provider", help="Only this provider's prices: openai, anthropic, aws.bedrock ...")
@click.option("--at", type=click.DateTime(["%Y-%m-%d"]), help="Only prices that hold on this day, UTC.")
@click.option(
    "--check", is_flag=True, help="Tell which models of the ledger have no price, or a doubtful one."
)
@click.option("--db", metavar="LEDGER", help="Ledger to check, a file or a URL.")
@click.option("--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="Days to check.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Configuration with prices of its own, and the ledger to check.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", help="Form of the answer."
)
def prices(
    model: str | None,
    provider: str | None,
    at: datetime | None,
    db: str | None,
    days: int,
    config_path: Path | None,
    form: str,
    *,
    check: bool,
) -> None:
    """Show every price of MODEL, per 1M tokens, or --check the models of a ledger.

    Exit code 1 means that MODEL is unknown, or with --check that a model has no price.
    """
    if check == (model is not None):
        raise click.UsageError("give either a MODEL or --check")
    config = load_config(config_path) if config_path else Config()
    if model is not None:
        _show(model, provider, at, config, form)
        return
    _check(config, config.ledger.url if db is None else url_of(db), days, form)


def _show(model: str, provider: str | None, at: datetime | None, config: Config, form: str) -> None:
    table = GenaiPriceTable()
    seller, name = _named(provider, model)
    listings = _listings(table, seller, name)
    lines = [
        *override_lines(config.prices, seller, name),
        *(line for listing in listings for line in table_lines(listing, at.date() if at else None)),
    ]
    if not lines:
        _tell_unknown(table, model, provider, at if listings else None)
        raise SystemExit(1)
    if form == "json":
        click.echo(json.dumps([line_json(line) for line in lines], indent=2))
        return
    console = _console()
    console.print(price_title(lines), style="bold", highlight=False)
    console.print(price_table(lines))
    _tell_notes(listings, lines)


def _named(provider: str | None, model: str) -> tuple[str | None, str]:
    """The names that a call would have; where the user names a provider in the model, that one."""
    normalised = normalise_model(normalise_provider(provider), model)
    return normalised.provider or provider, normalised.model or model


def _listings(table: GenaiPriceTable, seller: str | None, name: str) -> tuple[PriceListing, ...]:
    """The table's prices; those of every provider where none is named."""
    return table.describe(seller, name)


def _tell_unknown(table: GenaiPriceTable, model: str, provider: str | None, at: datetime | None) -> None:
    if at is not None:
        click.echo(f"{model} has no price on {at.date()}", err=True)
        return
    place = f" at {provider}" if provider else ""
    click.echo(f"{model}: no price{place}, in the table ({table.version}) or the configuration", err=True)
    near = near_names(table, model)
    if near:
        click.echo(f"Near: {', '.join(near)}", err=True)


def near_names(table: GenaiPriceTable, model: str) -> list[str]:
    """Known models whose names are like this one, the nearest first, at most `NEAR_MAX`."""
    known = sorted({info.id for seller in table.providers for info in seller.models})
    asked = model.lower()
    holding = [name for name in known if asked in name.lower()]
    return list(dict.fromkeys([*get_close_matches(asked, known, NEAR_MAX), *holding]))[:NEAR_MAX]


def _tell_notes(listings: tuple[PriceListing, ...], lines: list[PriceLine]) -> None:
    """Tells on standard error what the table's authors say, once for each model."""
    shown = {(line.provider, line.model) for line in lines}
    for listing in listings:
        if (listing.provider, listing.model) not in shown:
            continue
        if listing.deprecated:
            click.echo(
                f"{listing.provider}/{listing.model}: deprecated by its vendor, prices may be stale", err=True
            )
        if listing.doubts:
            click.echo(f"{listing.provider}/{listing.model}: in doubt: {', '.join(listing.doubts)}", err=True)
    if any(line.source == "configuration" for line in lines):
        click.echo("The configuration's prices go before the table's, the first match first.", err=True)


def _check(config: Config, url: str, days: int, form: str) -> None:
    # The ledger is imported where it is used: showing a price needs none.
    from spanbudget.exporter.cli.price_check import check_json, check_models, print_check  # noqa: PLC0415

    since = datetime.now(UTC).timestamp() - days * 86_400
    found = check_models(config, url, since_ns=int(since) * 1_000_000_000, now_ns=time.time_ns())
    if form == "json":
        click.echo(json.dumps(check_json(found), indent=2))
    else:
        print_check(_console(), found, days)
    if found.unpriced:
        raise SystemExit(1)


def _console() -> "Console":
    from rich.console import Console  # noqa: PLC0415 - 40 ms that JSON does not need

    return Console(width=_COLUMNS)
