"""The signals of calls beside their cost: what is measured of each, and on which scale it is watched."""

from collections.abc import Callable
from math import asin, exp, log, sin, sqrt
from typing import Final, Literal, NamedTuple

from spanbudget.rules.anomalies.slots import Slot

SignalName = Literal["latency", "error_rate", "tokens"]
"""Mean seconds of a call · part of the calls that failed · mean tokens of a call that did not fail."""

_SMALLEST: Final = 1e-6
"""Least mean that a logarithm is taken of: a microsecond, or a millionth of a token."""


class Part(NamedTuple):
    """What one slot adds to a mean.

    Attributes:
        total: Sum of what is measured, at least 0.
        calls: Calls that it is of, at least 0; 0 where the slot says nothing.
    """

    total: float
    calls: int


_NOTHING: Final = Part(0.0, 0)
CALLS_MAX: Final = 10**15
"""More calls in ten minutes are none, and more tokens or seconds either."""


def _latency(slot: Slot) -> Part:
    """Seconds of all calls; a slot with calls but no time does not know it."""
    usable = 0 < slot.duration_s <= CALLS_MAX and 0 < slot.requests <= CALLS_MAX
    return Part(slot.duration_s, slot.requests) if usable else _NOTHING


def _errors(slot: Slot) -> Part:
    """Failed calls of all calls."""
    usable = 0 < slot.requests <= CALLS_MAX
    return Part(min(max(slot.failed, 0), slot.requests), slot.requests) if usable else _NOTHING


def _tokens(slot: Slot) -> Part:
    """Tokens of the calls that did not fail; a slot with such calls but no tokens does not know them."""
    answered = slot.requests - max(slot.failed, 0)
    usable = 0 < answered <= CALLS_MAX and 0 < slot.tokens <= CALLS_MAX
    return Part(slot.tokens, answered) if usable else _NOTHING


def _log_of(part: Part) -> float:
    return log(max(part.total / part.calls, _SMALLEST))


def _exp_of(scaled: float, count: int) -> float:  # noqa: ARG001 - one form for all scales
    return exp(min(scaled, 700.0))


def _angle_of(part: Part) -> float:
    """Anscombe's form of a part: its deviation is 1 / (2 √count), whatever the part is.

    Source: F. J. Anscombe, Biometrika 35 (1948), 246.
    """
    return asin(sqrt((part.total + 0.375) / (part.calls + 0.75)))


def _part_of(scaled: float, count: int) -> float:
    part = sin(min(max(scaled, 0.0), asin(1.0))) ** 2
    return min(max((part * (count + 0.75) - 0.375) / count, 0.0), 1.0)


class Signal(NamedTuple):
    """One signal.

    Attributes:
        part: What a slot adds to its mean.
        scaled: The mean on the scale on which it is watched, where noise is much the same at every level.
        unscaled: A value of that scale, and the number of calls behind it, as a mean.
        rises_only: Whether only a rise is unusual.
        floor: Least standard deviation of block means, on the scale.
        least_part: Least change that is told, as a part of what is expected.
        least_change: Least change that is told, in the unit of the signal.
    """

    part: Callable[[Slot], Part]
    scaled: Callable[[Part], float]
    unscaled: Callable[[float, int], float]
    rises_only: bool
    floor: float
    least_part: float
    least_change: float


SIGNALS: Final[dict[SignalName, Signal]] = {
    "latency": Signal(_latency, _log_of, _exp_of, True, 0.01, 0.2, 0.0),
    "error_rate": Signal(_errors, _angle_of, _part_of, True, 0.02, 0.0, 0.02),
    "tokens": Signal(_tokens, _log_of, _exp_of, False, 0.01, 0.2, 0.0),
}
"""Latency and tokens are watched by their logarithm, errors by an angle.

Faster calls and fewer errors are no reason to wake anybody; fewer tokens per call are one: answers that are
cut, or a retrieval that finds nothing. A change below a fifth, or of less than two failed calls in a hundred,
is not told, however sure it is. The floors are a twentieth to a third of what such a change is on the scale.
"""
