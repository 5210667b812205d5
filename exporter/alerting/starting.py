"""Makes the engine that a configuration asks for."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store import store as _loaded_early  # noqa: F401 - see below
from spanbudget.exporter.alert_store.records import OutboxRow
from spanbudget.exporter.alerting.engine import AlertEngine
from spanbudget.exporter.alerting.lead import Rulebook
from spanbudget.exporter.alerting.needs import needs_of_groups
from spanbudget.exporter.alerting.rule_sets import rule_groups
from spanbudget.exporter.alerting.seams import Delivery, Outside
from spanbudget.exporter.config import Config
from spanbudget.exporter.ledger.tallies import LedgerTallies, TallyQuestion, open_tallies
from spanbudget.exporter.notify.errors import DeliveryError
from spanbudget.exporter.notify.senders import Sender, senders_of
from spanbudget.exporter.outbox.dispatcher import Dispatcher, TidiedOutbox
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.notifications.alertmanager_push import RESEND_MS
from spanbudget.rules.notifications.written import read_notification

# The store is heavy, and a process that only counts does without. Here it is imported before there are
# threads: an import lock that the engine's thread holds at a fork stays locked in the child.


def make_engine(config: Config, pipeline: Pipeline) -> AlertEngine:
    """The engine of a pipeline; it does nothing before `start`.

    Raises:
        ConfigurationError: A rule file is wrong, or a callback cannot be imported; it holds every problem.
    """
    groups, senders = _read(config)
    sends = {channel: partial(_send, sender) for channel, sender in senders.items()}

    def delivery(store: TidiedOutbox, leads: Callable[[], bool]) -> Delivery:
        return Dispatcher(store, sends, leads=leads, clock_ns=pipeline.clock_ns)

    def tallies(question: TallyQuestion) -> LedgerTallies:
        within: Any = pipeline.ledger if config.ledger.url in ("sqlite://", "sqlite:///:memory:") else None
        return open_tallies(config.ledger.url, question=question, within=within)

    rulebook = Rulebook(config, groups, config.receivers, needs_of_groups(groups))
    outside = Outside(partial(open_alert_store, config.ledger.url), tallies, delivery, pipeline.clock_ns)
    engine = AlertEngine(pipeline, rulebook, outside)
    pipeline.on_booked = engine.spend_came
    return engine


def _read(config: Config) -> tuple[Sequence[RuleGroup], Mapping[str, Sender]]:
    """The rules and the senders that a configuration asks for; what is wrong with either is told at once."""
    groups: Sequence[RuleGroup] = ()
    senders: Mapping[str, Sender] = {}
    problems: list[str] = []
    try:
        groups = rule_groups(config)
    except ConfigurationError as error:
        problems += error.problems
    try:
        senders = senders_of(
            config.receivers,
            external_url=config.alerting.external_url,
            interval_ms=max(RESEND_MS, config.alerting.evaluation_interval * 1_000),
        )
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return groups, senders


def _send(sender: Sender, row: OutboxRow) -> None:
    """Sends what a row of the outbox says.

    Raises:
        DeliveryError: The receiver has not taken it, or the row cannot be read.
    """
    try:
        notification = read_notification(row.payload)
    except ValueError:
        text = "another version of SpanBudget wrote this notification, and this one cannot read it"
        raise DeliveryError(text, retry=False) from None
    sender.send(notification)
