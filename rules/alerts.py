"""One alert, and how it goes from pending to firing to resolved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from spanbudget.rules.labels import EMPTY, Labels

AlertState: TypeAlias = Literal["pending", "firing", "inactive"]
"""`pending`: the result holds, but not for long enough. `inactive`: it has ended (`resolved_at_ms`)."""
RESOLVED_KEEP_MS: Final = 900_000
"""How long a resolved alert is kept, so that its end reaches a receiver that is down just now: 15 minutes."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One label set of an alerting rule.

    Attributes:
        labels: The sample's labels without the metric's name, the rule's and `alertname`: its identity.
        annotations: What the rule's templates made of it: (name, text) pairs, equal to the tuple of them.
        value: The value of the last result.
        state: Where it stands.
        active_at_ms: When the result held first, milliseconds since the epoch.
        fired_at_ms: When it began to fire; None while it never did.
        resolved_at_ms: When it ended; None while it has not.
        keep_firing_since_ms: Since when it only fires because of `keep_firing_for`; None otherwise.
    """

    labels: Labels
    annotations: Sequence[tuple[str, str]]
    value: float
    state: AlertState
    active_at_ms: int
    fired_at_ms: int | None = None
    resolved_at_ms: int | None = None
    keep_firing_since_ms: int | None = None


class Held(NamedTuple):
    """A label set for which a rule's expression holds now.

    Attributes:
        value: The value of the result.
        annotations: What the rule's templates made of it.
    """

    value: float
    annotations: Sequence[tuple[str, str]] = EMPTY


class Holding(NamedTuple):
    """How long a result must hold, and how long it is believed after it is gone.

    Attributes:
        for_ms: How long the result must hold before the alert fires, milliseconds.
        keep_firing_for_ms: How long the alert goes on firing after its result is gone, milliseconds.
    """

    for_ms: int = 0
    keep_firing_for_ms: int = 0


class Step(NamedTuple):
    """The alerts of a rule after an evaluation.

    Attributes:
        alerts: By label set; resolved ones stay for `RESOLVED_KEEP_MS`.
        changed: Those that began to fire, and those that fired and have ended.
    """

    alerts: dict[Labels, Alert]
    changed: tuple[Alert, ...]


def advance(
    holding: Holding, before: Mapping[Labels, Alert], held: Mapping[Labels, Held], at_ms: int
) -> Step:
    """Takes all alerts of a rule through one evaluation.

    Args:
        holding: How long a result must hold.
        before: The alerts after the last evaluation, by label set.
        held: The label sets for which the expression holds now.
        at_ms: The time of the evaluation, milliseconds since the epoch.

    Source: Prometheus, rules/alerting.go, `AlertingRule.Eval`.
    """
    alerts: dict[Labels, Alert] = {}
    changed: list[Alert] = []
    for labels, now in held.items():
        old = before.get(labels)
        alert = _while_held(holding, labels, old, now, at_ms)
        alerts[labels] = alert
        if alert is not old and alert.state == "firing" and (old is None or old.state != "firing"):
            changed.append(alert)
    for labels, old in before.items():
        if labels not in held:
            gone = _without_result(holding, old, at_ms)
            if gone is not None:
                alerts[labels] = gone
                if gone.state == "inactive" != old.state:
                    changed.append(gone)
    return Step(alerts, tuple(changed))


def _while_held(holding: Holding, labels: Labels, old: Alert | None, held: Held, at_ms: int) -> Alert:
    """An alert whose result holds: a new one is pending, and fires at once where nothing is to be awaited."""
    if old is None or old.state == "inactive":
        fires = holding.for_ms <= 0
        state: AlertState = "firing" if fires else "pending"
        return Alert(labels, held.annotations, held.value, state, at_ms, at_ms if fires else None)
    long_enough = at_ms - old.active_at_ms >= holding.for_ms
    if (old.state == "firing") is long_enough:
        return _with_result(old, held)
    # Waited long enough, or the rule was loaded again with a longer `for`.
    return Alert(
        labels,
        held.annotations,
        held.value,
        "firing" if long_enough else "pending",
        old.active_at_ms,
        at_ms if long_enough else None,
    )


def _with_result(old: Alert, held: Held) -> Alert:
    """The alert with its new value; the same object where nothing is new."""
    value, annotations = held
    if old.keep_firing_since_ms is None and old.value == value and old.annotations == annotations:
        return old
    return Alert(
        old.labels, annotations, value, old.state, old.active_at_ms, old.fired_at_ms, old.resolved_at_ms
    )


def _without_result(holding: Holding, old: Alert, at_ms: int) -> Alert | None:
    """An alert whose result is gone; None where nothing of it stays."""
    if old.state == "pending":
        return None
    if old.state == "inactive":
        ended_ms = at_ms if old.resolved_at_ms is None else old.resolved_at_ms
        return None if at_ms - ended_ms > RESOLVED_KEEP_MS else old
    since_ms = None
    if holding.keep_firing_for_ms > 0:
        since_ms = at_ms if old.keep_firing_since_ms is None else old.keep_firing_since_ms
        if at_ms - since_ms < holding.keep_firing_for_ms:
            if at_ms - old.active_at_ms < holding.for_ms:  # loaded again with a longer `for`
                return replace(old, state="pending", fired_at_ms=None, keep_firing_since_ms=None)
            return (
                old if since_ms == old.keep_firing_since_ms else replace(old, keep_firing_since_ms=since_ms)
            )
    return replace(old, state="inactive", resolved_at_ms=at_ms, keep_firing_since_ms=since_ms)
