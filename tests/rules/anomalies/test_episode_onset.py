"""An episode begins where the unusual money began, not where there was enough of it to be sure."""

import pytest

from spanbudget.rules.anomalies.episodes import Signal
from spanbudget.rules.anomalies.monitor import Sensitivity, SeriesMonitor
from spanbudget.rules.anomalies.onset import Onset
from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import HOUR_SLOTS, SLOT_MS, Slot

DAY = 144
USUAL = 1.0
CALLS = 50


def slots(since: int, until: int, cost: float) -> list[Slot]:
    return [Slot(at * SLOT_MS, cost * (1 + 0.02 * (at % 3 - 1)), CALLS) for at in range(since, until)]


def watched(signal: Signal, *costs: tuple[int, float]) -> tuple[SeriesMonitor, int | None]:
    """A monitor that has seen a week, then so many slots of such costs; the slot that was told first."""
    monitor = SeriesMonitor(Sensitivity(members=frozenset({signal})), "prod")
    at, first = 0, None
    for count, cost in ((7 * DAY, USUAL), *costs):
        for slot in slots(at, at + count, cost):
            if monitor.observe(slot).status == "anomalous" and first is None:
                first = slot.start_ms // SLOT_MS
        at += count
    return monitor, first


def test_a_dearer_model_cost_from_its_first_slot() -> None:
    """20 slots at 1.8 USD instead of 1: 16 USD too much, told some slots after the switch."""
    monitor, first = watched("cost_per_request", (20, 1.8 * USUAL))
    (episode,) = monitor.episodes()
    assert first is not None
    assert first > 7 * DAY
    assert episode.start_ms == 7 * DAY * SLOT_MS
    assert episode.excess_usd == pytest.approx(16 * USUAL, rel=0.05)


def test_what_was_usual_before_is_no_part_of_it() -> None:
    monitor, _ = watched("spend", (3, 60 * USUAL))
    (episode,) = monitor.episodes()
    assert episode.start_ms == 7 * DAY * SLOT_MS


def test_the_begin_is_where_the_excess_is_largest() -> None:
    onset = Onset()
    for cost in (1.0, 4.0, 1.0, 3.0, 5.0):
        onset.see(cost, 1.0, 1.0)
    began_ms, observed, expected = onset.before(Slot(100 * SLOT_MS), "cost_per_request")
    assert (began_ms, observed, expected) == (96 * SLOT_MS, 13.0, 4.0)


@pytest.mark.parametrize("signal", ["silence", "latency"])
def test_other_signals_begin_where_they_are_told(signal: str) -> None:
    onset = Onset()
    onset.see(9.0, 1.0, 1.0)
    assert onset.before(Slot(SLOT_MS), signal) == (SLOT_MS, 0.0, 0.0)


def test_spend_looks_back_over_its_own_hour_only() -> None:
    onset = Onset()
    for _ in range(4 * HOUR_SLOTS):
        onset.see(9.0, 1.0, 1.0)
    began_ms, _, expected = onset.before(Slot(100 * SLOT_MS), "spend")
    assert (began_ms, expected) == ((100 - HOUR_SLOTS + 1) * SLOT_MS, HOUR_SLOTS - 1.0)


def test_it_goes_on_from_its_state_and_forgets_when_told() -> None:
    onset, restored = Onset(), Onset()
    for cost in range(40):
        onset.see(float(cost), 1.0, 2.0)
    packer = Packer()
    onset.pack(packer)
    restored.unpack(Unpacker(packer.packed()))
    slot = Slot(100 * SLOT_MS)
    assert restored.before(slot, "spend") == onset.before(slot, "spend")
    onset.clear()
    assert onset.before(slot, "spend") == (slot.start_ms, 0.0, 0.0)
