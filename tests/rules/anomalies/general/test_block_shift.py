"""Block-mean shifts against a naive computation over all points."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbudget.rules.anomalies.general.block_shift import BLOCKS_MIN, RELATIVE_FLOOR, BlockShift, Shape
from spanbudget.rules.anomalies.packing import BrokenStateError, Packer, Unpacker


def streamed(detector, values):
    shifts = []
    for value in values:
        shifts.append(detector.shift(value))
        detector.learn(value)
    return shifts


def naive(values, shape):
    """The definition, with all block means at once."""
    block, past = shape.block, shape.past
    values = np.asarray(values, float)
    means = np.array(
        [np.nan] * (block - 1)
        + [values[at - block + 1 : at + 1].mean() for at in range(block - 1, len(values))]
    )
    kept = means.astype(np.float32).astype(float)
    shifts = np.zeros(len(values))
    for at in range(len(values)):
        earlier = kept[max(block - 1, at - block - past + 1) : max(0, at - block + 1)]
        if len(earlier) >= BLOCKS_MIN * block:
            spread = max(earlier.std(), shape.floor, RELATIVE_FLOOR * abs(earlier.mean()))
            shifts[at] = (means[at] - earlier.mean()) / spread
    return shifts


@pytest.mark.parametrize("shape", [Shape(2, 6), Shape(4, 50), Shape(12, 60, 0.5), Shape(20, 400)])
def test_a_shift_is_what_its_definition_says(shape):
    values = 1_000 + np.random.default_rng(3).normal(0, 5, 700).cumsum() / 5
    assert streamed(BlockShift(shape), values.tolist()) == pytest.approx(naive(values, shape), abs=1e-6)


@settings(max_examples=40)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=40, max_size=120),
    st.integers(2, 6),
    st.integers(0, 30),
)
def test_any_values_shift_as_defined(values, block, more):
    shape = Shape(block, 3 * block + more, 1.0)
    assert streamed(BlockShift(shape), values) == pytest.approx(naive(values, shape), rel=1e-3, abs=1e-3)


def test_a_huge_value_leaves_no_trace_once_it_is_out_of_the_past():
    shape = Shape(4, 40)
    detector = BlockShift(shape)
    values = np.random.default_rng(4).normal(50, 1, 200).tolist()
    values[60] = 1e25
    assert streamed(detector, values)[120:] == pytest.approx(naive(values, shape)[120:], abs=1e-6)


def test_there_is_no_shift_before_there_are_enough_blocks():
    assert streamed(BlockShift(Shape(4, 40)), [1.0, 100.0] * 8) == [0.0] * 16


def test_a_constant_series_does_not_shift_by_what_rounding_leaves():
    shifts = streamed(BlockShift(Shape(4, 40)), [0.1] * 60 + [0.1 * (1 + 1e-6)])
    assert max(map(abs, shifts)) < 0.01


def test_a_constant_series_shifts_by_what_matters():
    assert streamed(BlockShift(Shape(4, 40)), [10.0] * 60 + [11.0])[-1] == pytest.approx(25, rel=1e-3)


def test_zeros_shift_infinitely_unless_there_is_a_floor():
    assert streamed(BlockShift(Shape(4, 40)), [0.0] * 60 + [1.0])[-1] == inf
    assert streamed(BlockShift(Shape(4, 40, 0.5)), [0.0] * 60 + [1.0])[-1] == pytest.approx(0.5)


@pytest.mark.parametrize("stop", [0, 3, 11, 44, 45, 200])
def test_a_restored_detector_goes_on_exactly(stop):
    shape = Shape(4, 40)
    values = np.random.default_rng(5).normal(7, 2, 300).tolist()
    running = BlockShift(shape)
    before = streamed(running, values[:stop])
    packer = Packer()
    running.pack(packer)
    restored = BlockShift(shape)
    restored.unpack(Unpacker(packer.packed()))
    assert len(before) == stop
    assert streamed(restored, values[stop:]) == streamed(running, values[stop:])


def test_damaged_bytes_are_refused():
    packer = Packer()
    packer.put("f", [1.0, 2.0])
    data = packer.packed()
    for broken in (b"", data[:3], data[:-1]):
        with pytest.raises(BrokenStateError):
            Unpacker(broken).take("f")
    with pytest.raises(BrokenStateError):
        Unpacker(data).take("f", 3)
    unread = Unpacker(data + b"x")
    unread.take("f")
    with pytest.raises(BrokenStateError):
        unread.end()
