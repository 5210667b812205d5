"""Short names of label sets, the same as Alertmanager's."""

from typing import Final

from spanbudget.rules.labels import Labels

_OFFSET: Final = 14_695_981_039_346_656_037
_PRIME: Final = 1_099_511_628_211
_BITS: Final = 2**64 - 1
_SEPARATOR: Final = b"\xff"


def fingerprint(labels: Labels) -> str:
    """The 16 hexadecimal digits that Alertmanager has for a label set.

    Source: prometheus/common, model/signature.go, `labelSetToFingerprint`: FNV-1a of 64 bits.
    """
    text = b"".join(
        name.encode() + _SEPARATOR + value.encode() + _SEPARATOR for name, value in sorted(labels)
    )
    value = _OFFSET
    for byte in text:
        value = ((value ^ byte) * _PRIME) & _BITS
    return f"{value:016x}"
