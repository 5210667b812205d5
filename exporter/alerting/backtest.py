"""What rules would have fired on the ledger's past, so that a threshold is chosen before it pages anyone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spanbudget.exporter.alerting.needs import Needs
from spanbudget.exporter.alerting.replaying import Stage, moments, restored_from_ns, seed, take
from spanbudget.exporter.ledger.tallies import LedgerTallies
from spanbudget.rules.alerts import Alert
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.evaluation import GroupMemory, RuleOutcome, evaluate_group
from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.labels import Labels
from spanbudget.rules.templates import Externals

FORGET_EVERY: Final = 60
"""Steps after which samples that are too old are dropped."""
INCIDENTS_MAX: Final = 100_000


@dataclass(slots=True)
class Incident:
    """An alert from when it fired until it was resolved.

    Attributes:
        alert: As it was when it fired.
        fired_at_ms: Milliseconds since the epoch.
        resolved_at_ms: None where it still fired at the end.
    """

    alert: Alert
    fired_at_ms: int
    resolved_at_ms: int | None = None


@dataclass(slots=True)
class Backtested:
    """What a backtest found.

    Attributes:
        since_ns: Its start, nanoseconds since the epoch.
        until_ns: Its end.
        step_ns: How often rules were evaluated.
        requests: Calls in that time.
        incidents: In the order in which they fired.
        failures: (group, rule) → how often it failed, and the first error.
        truncated: Whether there were more incidents than are kept.
    """

    since_ns: int
    until_ns: int
    step_ns: int
    requests: int = 0
    incidents: list[Incident] = field(default_factory=list)
    failures: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    truncated: bool = False


class Backtest:
    """Takes groups through the ledger's past.

    Args:
        stage: An empty one that was made for the groups.
        groups: What is evaluated.
        needs: How far back they look.
        externals: What templates can say about who sends the alerts.
    """

    def __init__(self, stage: Stage, groups: Sequence[RuleGroup], needs: Needs, externals: Externals) -> None:
        self._stage = stage
        self._groups = groups
        self._needs = needs
        self._externals = externals
        self._memories = [GroupMemory(group) for group in groups]
        self._due_ms = [0] * len(groups)
        self._open: dict[tuple[int, int, Labels], Incident] = {}

    def run(
        self,
        reader: LedgerTallies,
        since_ns: int,
        until_ns: int,
        step_ns: int,
        progress: Callable[[float], None] | None = None,
    ) -> Backtested:
        """Evaluates the groups at every step.

        Args:
            reader: Reads the ledger.
            since_ns: Start, nanoseconds since the epoch. What came before is read from so early on that
                rules see what they look back at, and burn rates are whole.
            until_ns: End.
            step_ns: How often; a group with a longer interval is evaluated less often.
            progress: Told now and then which part is done, 0 to 1.
        """
        found = Backtested(since_ns, until_ns, step_ns)
        begin_ns = restored_from_ns(self._needs, since_ns)
        begin_ns -= begin_ns % step_ns
        seed(self._stage, reader, begin_ns)
        for number, (at_ns, tallies) in enumerate(moments(reader, begin_ns, until_ns, step_ns)):
            take(self._stage, at_ns, tallies)
            if at_ns >= since_ns:
                found.requests += sum(tally.requests for tally in tallies)
                self._evaluate(at_ns // NS_PER_MS, found)
            if number % FORGET_EVERY == 0:
                self._stage.store.forget(at_ns // NS_PER_MS)
                if progress is not None:
                    progress(min(1.0, (at_ns - begin_ns) / max(1, until_ns - begin_ns)))
        return found

    def _evaluate(self, at_ms: int, found: Backtested) -> None:
        for index, (group, memory) in enumerate(zip(self._groups, self._memories, strict=True)):
            if at_ms < self._due_ms[index]:
                continue
            self._due_ms[index] = at_ms + (group.interval_ms or 0)
            outcomes = evaluate_group(group, memory, self._stage.store, at_ms, externals=self._externals)
            for number, outcome in enumerate(outcomes):
                self._note((index, number), group, outcome, found, at_ms)

    def _note(
        self, which: tuple[int, int], group: RuleGroup, outcome: RuleOutcome, found: Backtested, at_ms: int
    ) -> None:
        if outcome.error is not None:
            key = (group.name, outcome.rule.name)
            count, first = found.failures.get(key, (0, outcome.error))
            found.failures[key] = (count + 1, first)
        for alert in outcome.changed:
            at = (*which, alert.labels)
            if alert.state == "firing":
                if len(found.incidents) >= INCIDENTS_MAX:
                    found.truncated = True
                    continue
                self._open[at] = incident = Incident(alert, at_ms)
                found.incidents.append(incident)
            elif at in self._open:
                self._open.pop(at).resolved_at_ms = at_ms


def by_alert(found: Backtested) -> Mapping[Labels, list[Incident]]:
    """The incidents of each label set, in the order in which the first of each fired."""
    grouped: dict[Labels, list[Incident]] = {}
    for incident in found.incidents:
        grouped.setdefault(incident.alert.labels, []).append(incident)
    return grouped
