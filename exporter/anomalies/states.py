"""What a series has learnt, as bytes for the ledger."""

import json
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from spanbudget.processors.errors import AlertStoreError

_MAGIC: Final = b"SBA1"
"""Begins every state; its last digit grows where the form changes."""
_LENGTH: Final = struct.Struct("<I")


class Learnt(NamedTuple):
    """What is kept of a series.

    Attributes:
        definition: Stands for what the budget counts; what was learnt of other calls is worth nothing.
        weight: How much it spends, by which the series that are watched are chosen.
        marks: The marks that its detectors know, and until when, by their ids.
        parts: The states of its detectors, by name.
    """

    definition: str
    weight: float
    marks: Mapping[str, int]
    parts: Mapping[str, bytes]


def packed(learnt: Learnt) -> bytes:
    """A state as bytes."""
    lengths = [[name, len(part)] for name, part in learnt.parts.items()]
    told = {**learnt._asdict(), "parts": lengths}
    header = json.dumps(told, separators=(",", ":")).encode()
    return b"".join((_MAGIC, _LENGTH.pack(len(header)), header, *learnt.parts.values()))


def unpacked(state: bytes) -> Learnt:
    """A state from its bytes.

    Raises:
        AlertStoreError: They are damaged, or another version's.
    """
    try:
        if state[:4] != _MAGIC:
            raise AlertStoreError("the state of a watched series is of another version; it learns anew")
        (length,) = _LENGTH.unpack_from(state, 4)
        at = 4 + _LENGTH.size + length
        told = json.loads(state[4 + _LENGTH.size : at])
        parts: dict[str, bytes] = {}
        for name, size in told["parts"]:
            parts[str(name)] = state[at : at + size]
            at += size
        if at != len(state):
            raise AlertStoreError("the state of a watched series is cut; it learns anew")
        marks = {str(id_): int(until_ms) for id_, until_ms in told["marks"].items()}
        return Learnt(str(told["definition"]), float(told["weight"]), marks, parts)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise AlertStoreError("the state of a watched series is damaged; it learns anew") from error
