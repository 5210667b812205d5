"""What expressions evaluate to."""

from typing import Literal, TypeAlias

from spanbudget.rules.labels import Labels
from spanbudget.rules.series import Samples

Vector: TypeAlias = list[tuple[Labels, float]]
"""The series of an instant: (label set, value) pairs; no label set is there twice."""
Matrix: TypeAlias = list[tuple[Labels, Samples]]
Value: TypeAlias = float | str | Vector | Matrix

ExpressionKind: TypeAlias = Literal["scalar", "string", "vector", "matrix"]
