"""`spanbudget alerts`: what fires now, and what became of the notifications."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import OutboxRow, OutboxState, RuleKey
from spanbudget.exporter.cli.ledger_choice import chosen, ledger_options
from spanbudget.processors.errors import AlertStoreError
from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels

if TYPE_CHECKING:
    from rich.table import Table

    from spanbudget.exporter.alert_store.store import SqlAlertStore

_PIPE_COLUMNS: Final = 160
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ORDER: Final = {"firing": 0, "pending": 1, "inactive": 2}
_STYLES: Final = {"firing": "bold red", "pending": "yellow", "inactive": "dim", "dead": "bold red"}
_SHOWN: Final = {"inactive": "resolved"}


@click.group()
def alerts() -> None:
    """See alerts, and what became of their notifications."""


@alerts.command("list")
@ledger_options
@click.option("--all", "with_ended", is_flag=True, help="Also those that ended a short time ago.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_alerts(given: Path | None, db: Path | None, *, with_ended: bool, as_json: bool) -> None:
    """List the alerts that fire or are pending, as the ledger has them.

    \b
    Examples:
      spanbudget alerts list
      spanbudget alerts list --all --json
    """  # noqa: D301 - click's mark of lines that stay as they are
    store = _opened(given, db)
    kept = store.load().alerts
    store.close()
    found = [(rule, alert) for rule, some in kept.items() for alert in some]
    found = [one for one in found if with_ended or one[1].state != "inactive"]
    found.sort(key=lambda one: (_ORDER[one[1].state], -(one[1].fired_at_ms or one[1].active_at_ms)))
    if as_json:
        click.echo(json.dumps([_alert_json(*one) for one in found], indent=2))
    elif not found:
        click.echo("No alert fires." if with_ended else "No alert fires or is pending.")
    else:
        _print(_alert_table(found))


@alerts.command("outbox")
@ledger_options
@click.option("--state", type=click.Choice(get_args(OutboxState)), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most lines.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def outbox(
    given: Path | None, db: Path | None, state: OutboxState | None, limit: int, *, as_json: bool
) -> None:
    """List notifications, the latest first: those that wait, were sent, or were given up (dead).

    \b
    Examples:
      spanbudget alerts outbox --state dead
      spanbudget alerts outbox --json
    """  # noqa: D301 - click's mark of lines that stay as they are
    store = _opened(given, db)
    letters = store.letters(state, limit)
    store.close()
    if as_json:
        click.echo(json.dumps([_letter_json(one) for one in letters], indent=2))
    elif not letters:
        click.echo("There are none.")
    else:
        _print(_letter_table(letters))


@alerts.command("retry")
@click.argument("ids", nargs=-1)
@ledger_options
@click.option("--all", "every", is_flag=True, help="Every notification that was given up.")
def retry(ids: Sequence[str], given: Path | None, db: Path | None, *, every: bool) -> None:
    """Send notifications again that were given up.

    \b
    Examples:
      spanbudget alerts retry --all
      spanbudget alerts retry msg_0123456789abcdef0123456789abcdef/team/webhook
    """  # noqa: D301 - click's mark of lines that stay as they are
    if bool(ids) == every:
        raise click.UsageError("name notifications, or give --all")
    store = _opened(given, db)
    try:
        known = [one.id for one in store.letters("dead", 10_000)]
        again = [id_ for id_ in (known if every else ids) if store.retry(id_, time.time_ns())]
    finally:
        store.close()
    unknown = [id_ for id_ in ids if id_ not in again]
    click.echo(f"{len(again)} will be sent again by the process that evaluates the rules.")
    if unknown:
        raise AlertStoreError(f"not given up, so not sent again: {', '.join(unknown)}; see `alerts outbox`")


def _opened(given: Path | None, db: Path | None) -> "SqlAlertStore":
    return open_alert_store(chosen(given, db).ledger.url, create=False)


def _print(table: "Table") -> None:
    from rich.console import Console  # noqa: PLC0415 - JSON does not need it

    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, highlight=False).print(table)


def _table(*titles: str) -> "Table":
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _alert_table(found: Sequence[tuple[RuleKey, Alert]]) -> "Table":
    from rich.text import Text  # noqa: PLC0415 - as above

    table = _table("STATE", "SINCE (UTC)", "ALERT", "SUMMARY")
    for _, alert in found:
        since_ms = alert.resolved_at_ms or alert.fired_at_ms or alert.active_at_ms
        state = _SHOWN.get(alert.state, alert.state)
        told = dict(alert.annotations)
        summary = told.get("summary") or told.get("description") or _pairs(alert.labels)
        name = dict(alert.labels).get("alertname", "")
        table.add_row(Text(state, _STYLES[alert.state]), _minute(since_ms), Text(name), Text(summary))
    return table


def _letter_table(letters: Sequence[OutboxRow]) -> "Table":
    from rich.text import Text  # noqa: PLC0415 - as above

    table = _table("STATE", "CREATED (UTC)", "CHANNEL", "ALERTS", "TRIES", "LAST ERROR", "ID")
    for one in letters:
        told = Text(", ".join(_named(one)))
        error = Text(one.last_error or "")
        created = _minute(one.created_ns // 1_000_000)
        state = Text(one.state, _STYLES.get(one.state, ""))
        table.add_row(state, created, one.receiver, told, f"{one.attempts}", error, one.id)
    return table


def _named(letter: OutboxRow) -> Iterator[str]:
    seen = set()
    for alert in letter.payload.get("alerts", ()):
        name = dict(alert["labels"]).get("alertname", "?")
        state = "resolved" if alert["state"] == "inactive" else alert["state"]
        if (name, state) not in seen:
            seen.add((name, state))
            yield f"{name} {state}"


def _alert_json(rule: RuleKey, alert: Alert) -> dict[str, Any]:
    return {
        "group": rule.group,
        "rule": rule.rule,
        "state": _SHOWN.get(alert.state, alert.state),
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "value": str(alert.value),
        "active_at": _iso(alert.active_at_ms),
        "fired_at": _iso(alert.fired_at_ms),
        "resolved_at": _iso(alert.resolved_at_ms),
    }


def _letter_json(letter: OutboxRow) -> dict[str, Any]:
    return {
        "id": letter.id,
        "channel": letter.receiver,
        "group_key": letter.group_key,
        "state": letter.state,
        "attempts": letter.attempts,
        "last_error": letter.last_error,
        "created_at": _iso(letter.created_ns // 1_000_000),
        "ended_at": None if letter.ended_ns is None else _iso(letter.ended_ns // 1_000_000),
        "payload": dict(letter.payload),
    }


def _pairs(labels: Labels) -> str:
    return " ".join(f"{name}={value}" for name, value in labels if name != "alertname")


def _minute(at_ms: int) -> str:
    return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M}"


def _iso(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat().replace("+00:00", "Z")
