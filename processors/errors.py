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
