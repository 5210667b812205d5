"""What goes wrong while a receiver is told."""

from spanbudget.processors.errors import SpanBudgetError


class DeliveryError(SpanBudgetError):
    """A receiver was not told, or did not say that it has understood; the message holds no secret.

    Attributes:
        retry: Whether the same attempt may succeed later.
        retry_after_seconds: When, if the receiver said so; None where it did not.
    """

    def __init__(self, message: str, *, retry: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after_seconds = retry_after_seconds
