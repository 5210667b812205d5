"""An expression of PromQL: text in, values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from spanbudget.rules.labels import Labels, Matcher
from spanbudget.rules.series import LOOK_BACK_MS, Samples, Storage

ExpressionKind: TypeAlias = Literal["scalar", "string", "vector", "matrix"]
Vector: TypeAlias = list[tuple[Labels, float]]
"""The series of an instant: (label set, value) pairs; no label set is there twice."""
Matrix: TypeAlias = list[tuple[Labels, Samples]]
Value: TypeAlias = float | str | Vector | Matrix


class Need(NamedTuple):
    """What an expression reads.

    Attributes:
        matchers: The conditions of one selector.
        back_ms: How far before the time of evaluation it looks, the look-back included, milliseconds.
    """

    matchers: tuple[Matcher, ...]
    back_ms: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression.

    Attributes:
        text: As it was written.
        kind: What it evaluates to.
        needs: What it reads.
    """

    text: str
    kind: ExpressionKind
    needs: Sequence[Need]

    def evaluate(self, storage: Storage, at_ms: int, *, look_back_ms: int = LOOK_BACK_MS) -> Value:
        """The value at a time, milliseconds since the epoch."""
        raise NotImplementedError


def parse_expression(text: str) -> Expression:
    """Reads an expression and checks that all of it can be evaluated."""
    raise NotImplementedError
