"""One alert, and how it goes from pending to firing to resolved."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from spanbudget.rules.labels import Labels

AlertState: TypeAlias = Literal["pending", "firing", "inactive"]
"""`pending`: the result holds, but not for long enough. `inactive`: it has ended (`resolved_at_ms`)."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One label set of an alerting rule.

    Attributes:
        labels: The sample's labels without the metric's name, the rule's and `alertname`: its identity.
        annotations: What the rule's templates made of it.
        value: The value of the last result.
        state: Where it stands.
        active_at_ms: When the result held first, milliseconds since the epoch.
        fired_at_ms: When it began to fire; None while it never did.
        resolved_at_ms: When it ended; None while it has not.
        keep_firing_since_ms: Since when it only fires because of `keep_firing_for`; None otherwise.
    """

    labels: Labels
    annotations: Labels
    value: float
    state: AlertState
    active_at_ms: int
    fired_at_ms: int | None = None
    resolved_at_ms: int | None = None
    keep_firing_since_ms: int | None = None
