"""Every error that SpanBudget raises, in one tree of two levels."""


class SpanBudgetError(Exception):
    """Base of all errors of this project; catch this one to catch them all."""


class ConfigurationError(SpanBudgetError):
    """A configuration file or argument is wrong.

    Attributes:
        problems: Every problem that was found, each one line with file, line and path of the key.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class InputError(SpanBudgetError):
    """A file of spans cannot be read; the message names the file and the line."""


class LedgerError(SpanBudgetError):
    """The ledger cannot be opened, read or written; the message names the ledger and the way out."""


class LedgerSchemaError(LedgerError):
    """The ledger was written by a newer SpanBudget than this one; nothing in it was touched."""


class AmountError(SpanBudgetError, ValueError):
    """An amount of money, a count or a name makes no sense; nothing has changed."""


class BudgetNotFoundError(SpanBudgetError, KeyError):
    """There is no budget of that name; nothing has changed."""

    def __str__(self) -> str:
        """The message as it was given: `KeyError` would show it in quotes."""
        return str(self.args[0]) if self.args else ""


class BudgetExistsError(SpanBudgetError):
    """There is a budget of that name already; nothing has changed."""


class ReservationError(SpanBudgetError):
    """A reservation cannot be settled or released: it was before, has expired, or is another process's."""


class BudgetExceeded(SpanBudgetError):  # noqa: N818 - the name that users know from other budget tools
    """A budget refused a call; nothing is held and nothing was spent.

    Attributes:
        budget: Name of the budget.
        child: The child of a template; "" for a plain budget.
        reason: `limit`, `rate`, `too_large`, `suspended`, `per_call`, `unbounded`, `unpriced` or `store`.
        measure: `cost`, `tokens` or `requests`: what there was too little of.
        requested: What the call needs of the measure: pico-USD, tokens or calls.
        limit: The limit of the measure, in the same unit.
        spent: Settled in the window, in the same unit.
        reserved: Held by calls in flight and leases, in the same unit.
        window_end_ns: When the window ends, nanoseconds since the epoch; None where it does not.
        retry_after_seconds: When it is worth trying again; None where time alone does not help.
    """

    def __init__(  # noqa: PLR0913 - a record of what happened; all by keyword
        self,
        message: str,
        *,
        budget: str,
        child: str = "",
        reason: str = "limit",
        measure: str = "cost",
        requested: int = 0,
        limit: int = 0,
        spent: int = 0,
        reserved: int = 0,
        window_end_ns: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.child = child
        self.reason = reason
        self.measure = measure
        self.requested = requested
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.window_end_ns = window_end_ns
        self.retry_after_seconds = retry_after_seconds


class ExpressionError(SpanBudgetError):
    """An expression of a rule cannot be read, or uses what is not supported.

    Attributes:
        line: Line in the expression, from 1; None where it is not known.
        column: Column in that line, from 1; None where it is not known.
    """

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class EvaluationError(SpanBudgetError):
    """An expression cannot be evaluated on the series that there are; nothing has changed."""


class AlertStoreError(SpanBudgetError):
    """The state of alerts cannot be read or written; the message names the ledger and the way out."""
