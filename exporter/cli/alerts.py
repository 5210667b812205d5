"""`spanbudget alerts`: what fires now, and what became of the notifications."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import OutboxRow, OutboxState, RuleKey
from spanbudget.exporter.cli.ledger_choice import chosen, ledger_options
from spanbudget.exporter.cli.listing import Row, Titles, counted, iso, minute, print_rows
from spanbudget.exporter.cli.rule_choice import number_text, pairs
from spanbudget.processors.errors import AlertStoreError
from spanbudget.rules.alerts import Alert
from spanbudget.rules.durations import NS_PER_MS

if TYPE_CHECKING:
    from spanbudget.exporter.alert_store.store import SqlAlertStore

_ALERT_NAME: Final = "alertname"
_ORDER: Final = {"firing": 0, "pending": 1, "inactive": 2}
_STYLES: Final = {"firing": "bold red", "pending": "yellow", "inactive": "dim", "dead": "bold red"}
_BY_WHOM: Final = "by the process that evaluates the rules"
_SHOWN: Final = {"inactive": "resolved"}


@click.group()
def alerts() -> None:
    """See alerts, and what became of their notifications. All times are UTC."""


@alerts.command("list", short_help="List the alerts that fire or are pending.")
@ledger_options
@click.option("--all", "with_ended", is_flag=True, help="Also those that ended in the last 15 minutes.")
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
    found.sort(key=lambda one: (_ORDER[one[1].state], -_since_ms(one[1]), one[1].labels))
    if as_json:
        click.echo(json.dumps([_alert_json(*one) for one in found], indent=2))
    elif not found:
        click.echo("No alert fires." if with_ended else "No alert fires or is pending.")
    else:
        _print_alerts(found)


@alerts.command("outbox", short_help="List notifications: those that wait, were sent, or were given up.")
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
        click.echo(f"No notification is {state}." if state else "There are no notifications.")
    else:
        _print_letters(letters)


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
        raise click.UsageError("name notifications by their ids, or give --all, and not both")
    store = _opened(given, db)
    try:
        known = [one.id for one in store.letters("dead", 10_000)]
        again = [id_ for id_ in (known if every else ids) if store.retry(id_, time.time_ns())]
    finally:
        store.close()
    if again:
        click.echo(f"{counted(len(again), 'notification')} will be sent again, {_BY_WHOM}.")
    elif every:
        click.echo("No notification was given up.")
    unknown = [id_ for id_ in ids if id_ not in again]
    if unknown:
        raise AlertStoreError(
            f"not given up, so not sent again: {', '.join(unknown)};"
            " `spanbudget alerts outbox --state dead` lists the ids"
        )


def _opened(given: Path | None, db: Path | None) -> "SqlAlertStore":
    return open_alert_store(chosen(given, db).ledger.url, create=False)


def _print_alerts(found: Sequence[tuple[RuleKey, Alert]]) -> None:
    rows = []
    for _, alert in found:
        state = _SHOWN.get(alert.state, alert.state)
        told = dict(alert.annotations)
        summary = told.get("summary") or told.get("description") or told.get("message") or ""
        name = dict(alert.labels).get(_ALERT_NAME, "")
        below = (summary, pairs(alert.labels, _ALERT_NAME))
        rows.append(Row((state, minute(_since_ms(alert)), name), below, _STYLES[alert.state]))
    print_rows(Titles(("STATE", "SINCE (UTC)", "ALERT"), ("SUMMARY", "LABELS")), rows)


def _print_letters(letters: Sequence[OutboxRow]) -> None:
    rows = []
    for one in letters:
        created = minute(one.created_ns // NS_PER_MS)
        cells = (one.state, created, one.receiver, f"{one.attempts}", ", ".join(_named(one)))
        rows.append(Row(cells, (one.last_error or "", one.id), _STYLES.get(one.state, "")))
    titles = ("STATE", "CREATED (UTC)", "CHANNEL", "FAILURES", "ALERTS")
    print_rows(Titles(titles, ("LAST ERROR", "ID"), frozenset({"FAILURES"})), rows)


def _since_ms(alert: Alert) -> int:
    return alert.resolved_at_ms or alert.fired_at_ms or alert.active_at_ms


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
        "value": number_text(alert.value),
        "active_at": iso(alert.active_at_ms),
        "fired_at": iso(alert.fired_at_ms),
        "resolved_at": iso(alert.resolved_at_ms),
    }


def _letter_json(letter: OutboxRow) -> dict[str, Any]:
    return {
        "id": letter.id,
        "channel": letter.receiver,
        "group_key": letter.group_key,
        "state": letter.state,
        "failed_attempts": letter.attempts,
        "last_error": letter.last_error,
        "created_at": iso(letter.created_ns // NS_PER_MS),
        "due_at": iso(letter.due_ns // NS_PER_MS) if letter.state == "waiting" else None,
        "ended_at": None if letter.ended_ns is None else iso(letter.ended_ns // NS_PER_MS),
        "payload": dict(letter.payload),
    }
