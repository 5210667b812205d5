"""A stand-in for the admission that writes down what it is asked, and says what it is told to say."""

from dataclasses import dataclass, field
from typing import Any

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.processors.errors import BudgetExceeded, ReservationError

REFUSAL = BudgetExceeded(
    "budget team cannot pay for the call",
    budget="team",
    child="a",
    requested=2_000_000_000_000,
    limit=10_500_000_000_000,
    spent=9_000_000_000_000,
    reserved=1_000_000_000,
    window_end_ns=1_767_225_600_000_000_000,
    retry_after_seconds=1.5,
)


@dataclass
class Held:
    request: CallRequest
    max_tokens: int | None = None
    model: str | None = None
    events: list[str] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)

    def mark_sent(self) -> None:
        self.events.append("sent")

    def settle(self, **outcome: Any) -> None:
        self._end("settled")
        self.outcome = outcome

    def release(self) -> None:
        self._end("released")

    def _end(self, how: str) -> None:
        if {"settled", "released"} & set(self.events):
            raise ReservationError("ended twice")
        self.events.append(how)


@dataclass
class Recording:
    """Implements `Reserving`."""

    refusal: BudgetExceeded | None = None
    fault: Exception | None = None
    max_tokens: int | None = None
    model: str | None = None
    held: list[Held] = field(default_factory=list)

    def reserve(self, request: CallRequest) -> Held:
        if self.fault:
            raise self.fault
        if self.refusal:
            raise self.refusal
        held = Held(request, self.max_tokens, self.model or request.model)
        self.held.append(held)
        return held

    async def reserve_async(self, request: CallRequest) -> Held:
        return self.reserve(request)

    @property
    def only(self) -> Held:
        (held,) = self.held
        return held


def config_for(url: str, provider: str = "openai", **options: Any) -> GuardConfig:
    """Guards one server."""
    host = url.partition("//")[2].partition("/")[0]
    return GuardConfig.model_validate({"hosts": {host: {"provider": provider, **options}}})
