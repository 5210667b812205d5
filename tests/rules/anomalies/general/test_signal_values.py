"""How slots become values of a signal."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.anomalies.general.rates import POOL_MS, Pool
from spanbudget.rules.anomalies.general.signals import SIGNALS, Part
from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import SLOT_MS, Slot

CALLS = Slot(0, 1.5, requests=10, failed=2, tokens=4_000, duration_s=25.0)


@pytest.mark.parametrize(
    ("signal", "part"),
    [("latency", Part(25.0, 10)), ("error_rate", Part(2, 10)), ("tokens", Part(4_000, 8))],
)
def test_a_slot_adds_its_part(signal, part):
    assert SIGNALS[signal].part(CALLS) == part


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    "slot",
    [Slot(0), Slot(0, requests=-1, failed=-1, tokens=-1, duration_s=-1.0), CALLS._replace(requests=10**400)],
)
def test_no_calls_are_no_value(signal, slot):
    assert SIGNALS[signal].part(slot).calls == 0


@pytest.mark.parametrize("duration_s", [0.0, -1.0, nan, inf])
def test_calls_of_unknown_duration_have_no_latency(duration_s):
    assert SIGNALS["latency"].part(CALLS._replace(duration_s=duration_s)).calls == 0


@pytest.mark.parametrize(
    "slot", [CALLS._replace(tokens=0), CALLS._replace(failed=10), CALLS._replace(failed=12)]
)
def test_calls_without_tokens_say_nothing_of_tokens(slot):
    assert SIGNALS["tokens"].part(slot).calls == 0


@pytest.mark.parametrize(("failed", "counted"), [(-3, 0), (0, 0), (12, 10)])
def test_failed_calls_are_some_of_all_calls(failed, counted):
    assert SIGNALS["error_rate"].part(CALLS._replace(failed=failed)) == Part(counted, 10)


@given(st.sampled_from(sorted(SIGNALS)), st.integers(1, 10**6), st.floats(0, 1))
def test_a_scaled_mean_comes_back(name, calls, share):
    signal = SIGNALS[name]
    part = Part(max(share, 1e-5) * calls if name != "error_rate" else round(share * calls), calls)
    assert signal.unscaled(signal.scaled(part), calls) == pytest.approx(part.total / calls, abs=1e-9)


@given(st.sampled_from(sorted(SIGNALS)), st.floats(-1e30, 1e30), st.integers(1, 10**15))
def test_any_scaled_value_is_a_mean(name, scaled, calls):
    mean = SIGNALS[name].unscaled(scaled, calls)
    assert 0 <= mean < inf
    if name == "error_rate":
        assert mean <= 1


def test_a_pool_waits_for_enough_calls_and_forgets_after_an_hour():
    pool = Pool(20)
    assert pool.add(0, Part(1.0, 12)) is None
    assert pool.add(SLOT_MS, Part(0.0, 0)) is None
    assert pool.add(2 * SLOT_MS, Part(3.0, 8)) == Part(4.0, 20)
    assert pool.add(3 * SLOT_MS, Part(1.0, 12)) is None
    assert pool.add(3 * SLOT_MS + POOL_MS, Part(2.0, 12)) is None
    assert pool.add(4 * SLOT_MS + POOL_MS, Part(2.0, 12)) == Part(4.0, 24)


def test_a_slot_with_enough_calls_is_a_value_of_its_own():
    pool = Pool(20)
    assert [pool.add(at * SLOT_MS, Part(at, 20)) for at in range(3)] == [
        Part(0, 20),
        Part(1, 20),
        Part(2, 20),
    ]


def test_a_restored_pool_goes_on():
    pool, restored = Pool(20), Pool(20)
    pool.add(0, Part(1.5, 12))
    pool.add(SLOT_MS, Part(2.5, 3))
    packer = Packer()
    pool.pack(packer)
    restored.unpack(Unpacker(packer.packed()))
    assert restored.add(2 * SLOT_MS, Part(1.0, 5)) == Part(5.0, 20)
