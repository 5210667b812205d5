"""What is known of a call before it is made."""

from typing import Literal, NamedTuple

from spanbudget.processors.call import Labels


class CallRequest(NamedTuple):
    """A call that asks for money; made by keyword.

    Attributes:
        budget_name: The budget that the call is directed at; None where it belongs to all that match.
        cost: Its worst case, pico-USD, where the caller knows it; None where it is worked out.
        provider: Normalised provider; None where unknown.
        model: The model asked for, as the request spells it; None where unknown.
        operation: `chat`, `embeddings`, `generate_content`, …
        tier: Service tier asked for; None for the provider's default.
        input_tokens: Most tokens that the prompt can have; None where nobody can say.
        max_tokens: Most tokens of one answer, as the request limits it; None where it does not.
        choices: Answers asked for, 1 or more.
        cache_writes: How long the request may write its prompt to a cache: it is dearer than plain input.
        labels: Attribution labels, sorted by name.
        ttl_seconds: How long the reservation lives without being settled, above 0.
        sent: False while the request has provably not been sent: see `Reservation.mark_sent`.
    """

    budget_name: str | None = None
    cost: int | None = None
    provider: str | None = None
    model: str | None = None
    operation: str = "chat"
    tier: str | None = None
    input_tokens: int | None = None
    max_tokens: int | None = None
    choices: int = 1
    cache_writes: Literal["no", "5m", "1h"] = "no"
    labels: Labels = ()
    ttl_seconds: float = 600.0
    sent: bool = True
