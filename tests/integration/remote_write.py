"""The body of Prometheus' remote-write request 1.0: protocol buffers in Snappy's block format, by hand.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/ and Snappy's format_description.txt.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from spanbudget.rules.labels import Labels

Sample: TypeAlias = tuple[int, float]
"""(milliseconds since the epoch, value); a stale mark is a value like any other."""

_LITERAL_MAX: Final = 65_536
_LITERAL_WITH_TWO_BYTES: Final = 61 << 2


def write_request(series: Iterable[tuple[Labels, Sequence[Sample]]]) -> bytes:
    """The body for some series, each with its samples in order of time."""
    return _snappy(b"".join(_field(1, _time_series(labels, samples)) for labels, samples in series))


def _time_series(labels: Labels, samples: Sequence[Sample]) -> bytes:
    pairs = (_field(1, name.encode()) + _field(2, value.encode()) for name, value in labels)
    points = (b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at) for at, value in samples)
    return b"".join(_field(1, pair) for pair in pairs) + b"".join(_field(2, point) for point in points)


def _field(number: int, content: bytes) -> bytes:
    """A field of type LEN."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _snappy(content: bytes) -> bytes:
    """Snappy allows a block that is made of literals only: nothing is compressed."""
    parts = [_varint(len(content))]
    for first in range(0, len(content), _LITERAL_MAX):
        piece = content[first : first + _LITERAL_MAX]
        parts += [bytes([_LITERAL_WITH_TWO_BYTES]), struct.pack("<H", len(piece) - 1), piece]
    return b"".join(parts)
