"""When an episode began: unusual spend is there before there is enough of it to be sure."""

from typing import Final

from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, SLOT_MS, Slot
from spanbudget.rules.anomalies.unit_cost import SLOW_SLOTS

_COLUMNS: Final = 3
_BACK: Final = {"spend": HOUR_SLOTS - 1, "cost_per_request": SLOW_SLOTS - 1}
"""Slots before the one that alerts, which were part of what alerted."""
_SLACK: Final = 1.5
"""What a slot may cost and still be usual, in units of what was expected: a doubling, half way (CUSUM's
reference value)."""


class Onset:
    """The last slots before an episode: what each cost, and what it should have cost.

    The episode begins where the excess from there on is largest, as in Page's CUSUM.
    Source: E. S. Page, Continuous inspection schemes, Biometrika 41 (1954).
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: list[tuple[float, float, float]] = []

    def see(self, cost_usd: float, expected_usd: float, usual_usd: float) -> None:
        """Takes a slot in that is over.

        Args:
            cost_usd: What it cost.
            expected_usd: What was expected of it.
            usual_usd: What its requests cost at the usual rate.
        """
        self._slots.append((cost_usd, expected_usd, usual_usd))
        del self._slots[: 1 - SLOW_SLOTS]

    def clear(self) -> None:
        """What was before belongs to no episode that comes."""
        self._slots.clear()

    def before(self, slot: Slot, signal: str) -> tuple[int, float, float]:
        """What an episode that alerts in a slot has behind it.

        Returns:
            Its begin in milliseconds since the epoch; what the slots from there up to this one cost; what
            they should have cost.
        """
        began_ms, observed, expected = slot.start_ms, 0.0, 0.0
        column = 2 if signal == "cost_per_request" else 1
        back = self._slots[-_BACK[signal] :] if signal in _BACK else []
        cost = usual = most = 0.0
        for number, one in enumerate(reversed(back), 1):
            cost += one[0]
            usual += one[column]
            beyond = cost - _SLACK * usual
            if beyond > most:
                most = beyond
                began_ms, observed, expected = slot.start_ms - number * SLOT_MS, cost, usual
        return began_ms, observed, expected

    def pack(self, packer: Packer) -> None:
        """Writes what is needed to go on."""
        for column in range(_COLUMNS):
            packer.put("d", (slot[column] for slot in self._slots))

    def unpack(self, unpacker: Unpacker) -> None:
        """Goes on from what `pack` wrote."""
        costs = unpacker.take("d")
        expected, usual = (unpacker.take("d", len(costs)) for _ in range(_COLUMNS - 1))
        self._slots = list(zip(costs, expected, usual, strict=True))[1 - SLOW_SLOTS :]
