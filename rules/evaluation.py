"""A group of rules at one moment: series in; recorded series, alerts and their changes out.

Source: Prometheus, rules/group.go, `Group.Eval`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from spanbudget.processors.errors import EvaluationError, SpanBudgetError
from spanbudget.rules.alerting import AlertMemory, Moment
from spanbudget.rules.alerts import Alert, Step
from spanbudget.rules.groups import AlertingRule, RecordingRule, Rule, RuleGroup
from spanbudget.rules.labels import Labels
from spanbudget.rules.promql.expression import STEP_MS
from spanbudget.rules.recording import Recorder, Writer, over
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.templates import Externals

_NO_STEP: Final = Step({}, ())
_NOWHERE: Final = Externals()


class RuleOutcome(NamedTuple):
    """What one rule came to.

    Attributes:
        rule: The rule.
        alerts: All its alerts, and those that were resolved a short time ago; () for a recording rule.
        changed: Those that began to fire now, and those that fired and have ended now.
        error: Why it failed, None where it did not; its alerts are then what they were before.
    """

    rule: Rule
    alerts: tuple[Alert, ...] = ()
    changed: tuple[Alert, ...] = ()
    error: str | None = None


class _RecordingMemory:
    """What stays of a recording rule from one evaluation to the next."""

    __slots__ = ("_recorder", "_rule", "alerts")

    def __init__(self, rule: RecordingRule, group_labels: Labels) -> None:
        self._rule = rule
        self._recorder = Recorder(rule.name, over(group_labels, rule.labels))
        self.alerts: Mapping[Labels, Alert] = {}

    def evaluate(self, moment: Moment, limit: int) -> tuple[Step, dict[Labels, float]]:
        """The samples to write; see `AlertMemory.evaluate`."""
        samples = self._recorder.recorded(moment.vector(self._rule.expression))
        if len(samples) > limit > 0:
            raise EvaluationError(f"exceeded limit of {limit} with {len(samples)} series")
        return _NO_STEP, samples


_RuleMemory: TypeAlias = AlertMemory | _RecordingMemory


class GroupMemory:
    """What stays of a group from one evaluation to the next: alerts, and what was written.

    Args:
        group: The group.
        alerts: Restored ones, by the position of their rule in the group.

    Raises:
        ExpressionError: A template of a rule cannot be read; rules from files were checked before.
    """

    __slots__ = ("_rules", "_writers", "group")

    def __init__(self, group: RuleGroup, alerts: Mapping[int, Iterable[Alert]] | None = None) -> None:
        self.group = group
        self._rules = tuple(
            _memory_of(rule, group.labels, (alerts or {}).get(index, ()))
            for index, rule in enumerate(group.rules)
        )
        self._writers = tuple(Writer() for _ in group.rules)

    @property
    def alerts(self) -> tuple[tuple[Alert, ...], ...]:
        """All alerts, for each rule in the order of the group; () for a recording rule."""
        return tuple(tuple(memory.alerts.values()) for memory in self._rules)

    def evaluate(self, moment: Moment) -> list[RuleOutcome]:
        """Evaluates the rules in order; each sees what the earlier ones recorded at this time."""
        return [
            self._outcome(rule, memory, writer, moment)
            for rule, memory, writer in zip(self.group.rules, self._rules, self._writers, strict=True)
        ]

    def _outcome(self, rule: Rule, memory: _RuleMemory, writer: Writer, moment: Moment) -> RuleOutcome:
        """One rule; where it fails, the others go on and what it wrote last time stays as it is."""
        try:
            step, samples = memory.evaluate(moment, self.group.limit)
        except SpanBudgetError as error:
            return RuleOutcome(rule, tuple(memory.alerts.values()), (), str(error))
        except (ArithmeticError, RecursionError) as error:
            told = f"the expression cannot be evaluated: {error}"
            return RuleOutcome(rule, tuple(memory.alerts.values()), (), told)
        refused = writer.write(moment.store, samples, moment.sample_ms)
        return RuleOutcome(rule, tuple(step.alerts.values()), step.changed, refused)


def _memory_of(rule: Rule, group_labels: Labels, alerts: Iterable[Alert]) -> _RuleMemory:
    if isinstance(rule, AlertingRule):
        return AlertMemory(rule, group_labels, alerts)
    return _RecordingMemory(rule, group_labels)


def evaluate_group(
    group: RuleGroup,
    memory: GroupMemory,
    store: SeriesStore,
    at_ms: int,
    *,
    externals: Externals = _NOWHERE,
    step_ms: int = STEP_MS,
) -> list[RuleOutcome]:
    """Evaluates a group at a moment.

    Args:
        group: The group that the memory was made for.
        memory: What stays of it; is brought up to date.
        store: The series; recorded ones and those about alerts are appended.
        at_ms: Milliseconds since the epoch; ascending from one evaluation to the next.
        externals: What templates can say about who sends the alerts.
        step_ms: The step of subqueries that name none, milliseconds.

    Returns:
        One outcome for each rule, in the order of the group.

    Raises:
        ValueError: The memory is another group's.
    """
    if memory.group is not group and memory.group != group:
        raise ValueError(f"the memory is of group {memory.group.name}, not of {group.name}")
    return memory.evaluate(Moment(store, at_ms, at_ms - group.query_offset_ms, externals, step_ms))
