"""How unlikely a score is, judged by the tail of the scores before it."""

from array import array
from bisect import bisect_left
from math import ceil, log, log10
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import genpareto

from spanbudget.rules.anomalies.general.tape import Tape
from spanbudget.rules.anomalies.packing import Packer, Unpacker

KEPT: Final = 5_000
"""Scores that the tail is fitted to: 35 days of 10 minutes."""
TAIL_PART: Final = 0.02
"""Part of the scores that is the tail."""
TAIL_MIN: Final = 10
"""Fewest scores of a tail: mean and variance of fewer are noise."""
FIT_EACH: Final = 50
"""Points from one fit to the next."""
FIRST_FIT: Final = 100
"""Points before the first fit."""
XI_MAX: Final = 0.5
"""Heaviest tail: beyond it the variance, and with it the method of moments, does not exist."""
SIGMA_MIN: Final = 0.1
"""Least scale of a tail, in the standard deviations that scores are in: equal scores have none."""


def log_survival(excess: float, xi: float, sigma: float) -> float:
    """Natural logarithm of the chance that a generalised Pareto variable exceeds `excess`.

    Args:
        excess: How far beyond the threshold, at least 0.
        xi: Shape, from 0 (exponential) to `XI_MAX`.
        sigma: Scale, above 0.
    """
    return float(genpareto.logsf(excess, xi, scale=sigma))


class GeneralisedParetoTail:
    """The chance of a score as large as this one, from the last `KEPT` ones.

    Below the threshold of the tail it is the part of scores that are as large; beyond it a generalised Pareto
    distribution, fitted by moments: xi = (1 - m²/v) / 2 and sigma = m (1 - xi) for mean m and variance v of
    the excesses, with xi held to 0 … `XI_MAX`.
    Source: Hosking and Wallis, Technometrics 29 (1987), 339.
    """

    __slots__ = ("_ordered", "_scores", "_sigma", "_since", "_tail", "_threshold", "_xi")

    def __init__(self) -> None:
        self._scores = Tape(KEPT + FIT_EACH)
        self._since = 0
        self._ordered = array("d")
        self._tail = self._xi = self._threshold = 0.0
        self._sigma = 1.0

    def surprise(self, score: float) -> float:
        """-log10 of the chance of such a score, at least 0; 0 before the first fit."""
        ordered = self._ordered
        if not ordered:
            return 0.0
        if score > self._threshold:
            excess = score - self._threshold
            return -log10(self._tail) - log_survival(excess, self._xi, self._sigma) / log(10)
        as_large = len(ordered) - bisect_left(ordered, score)
        return -log10(as_large / len(ordered))

    def learn(self, score: float) -> None:
        """Takes a score, which is finite and at least 0."""
        self._scores.append(score)
        self._since += 1
        if self._since >= FIT_EACH and len(self._scores) >= FIRST_FIT:
            self._fit(self._scores.last(KEPT))
            self._since = 0

    def _fit(self, scores: npt.NDArray[np.float64]) -> None:
        ordered = np.sort(scores)
        count = max(TAIL_MIN, ceil(TAIL_PART * len(ordered)))
        self._tail = count / len(ordered)
        self._threshold = float(ordered[-count - 1])
        excess = ordered[-count:] - self._threshold
        mean, variance = float(excess.mean()), float(excess.var())
        self._xi = min(max((1 - mean * mean / variance) / 2, 0.0), XI_MAX) if variance > 0 else 0.0
        self._sigma = max(mean * (1 - self._xi), SIGMA_MIN)
        self._ordered = array("d", ordered.tobytes())

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        packer.put("I", (self._since, bool(self._ordered)))
        self._scores.pack(packer)

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        self._since, fitted = unpacker.integers("I", 2)
        self._scores.unpack(unpacker)
        if fitted:
            before = self._scores.last(KEPT + self._since)
            self._fit(before[: len(before) - self._since][-KEPT:])
