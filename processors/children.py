"""Names of the children that a `per: [user]` template makes."""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

UNKNOWN_VALUE: Final = "(unknown)"
_VALUE_CHARS_MAX: Final = 160
"""Longer label values are cut and hashed, so that a child fits into a database index."""
_ESCAPED: Final = re.compile("[%,=~\\x00-\\x1f\\x7f\ud800-\udfff]|^\\(")


def child_text(per: tuple[str, ...], values: Mapping[str, str]) -> str:
    """The name of a template's child: `team=search,user=alice`; two different sets of values never share one.

    A call without a label is not exempt from the template: it belongs to the child `user=(unknown)`. A value
    that really is `(unknown)` is written `%28unknown)`; values over 160 characters are cut and hashed.
    """
    return ",".join(
        f"{_escape(name)}={_escape(values[name]) if name in values else UNKNOWN_VALUE}" for name in per
    )


def child_labels(child: str) -> tuple[tuple[str, str | None], ...]:
    """The labels of a child, for display and dashboards; None where the label was missing.

    A value that was cut keeps its first 160 characters and a `~`; `(other)` and "" have no labels.
    """
    pairs = [part.partition("=") for part in child.split(",")] if "=" in child else []
    return tuple(
        (_unescape(name), None if text == UNKNOWN_VALUE else _unescape(text)) for name, _, text in pairs
    )


def _escape(value: str) -> str:
    head = _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", value[:_VALUE_CHARS_MAX])
    if len(value) <= _VALUE_CHARS_MAX:
        return head
    return f"{head}~{blake2b(value.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"


def _unescape(text: str) -> str:
    head, cut, _ = text.partition("~")
    plain = re.sub("%(D[89A-F][0-9A-F]{2}|[0-7][0-9A-F])", lambda found: chr(int(found[1], 16)), head)
    return plain + cut
