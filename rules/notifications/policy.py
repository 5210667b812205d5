"""How one receiver wants to be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spanbudget.rules.labels import Labels
from spanbudget.rules.notifications.time_intervals import TimeInterval

BY_ALL_LABELS: Final = "..."
"""In `group_by`: each alert is a group of its own."""
_SHORT: Final[Mapping[str, str]] = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    "\v": "\\v",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReceiverPolicy:
    """What a receiver is told together, and how often.

    Attributes:
        name: The receiver.
        group_by: Alerts that are equal in these labels are told together; `...` is all labels.
        group_wait_ms: How long the first alert of a group waits for others.
        group_interval_ms: How soon after a notification the next change of the group is told.
        repeat_interval_ms: After how long alerts that still fire are told again.
        send_resolved: Whether the end of an alert is told.
        resolve_hold_ms: How long an alert must stay resolved before that is told. One that fires again
            within this time is the same incident, of which nothing more is told.
        mute: While one of these intervals holds, nothing is told; what holds at its end is told then.
    """

    name: str
    group_by: tuple[str, ...] = ("alertname",)
    group_wait_ms: int = 0
    group_interval_ms: int = 0
    repeat_interval_ms: int = 14_400_000
    send_resolved: bool = True
    resolve_hold_ms: int = 300_000
    mute: tuple[TimeInterval, ...] = ()

    def group_labels(self, labels: Labels) -> Labels:
        """The labels that name the group of an alert; those that the alert has not are left out."""
        if BY_ALL_LABELS in self.group_by:
            return labels
        return tuple(pair for pair in labels if pair[0] in self.group_by)


def group_key(group_labels: Labels) -> str:
    """The text that Alertmanager has for a group below its topmost route: `{}:{alertname="X"}`."""
    return "{}:{" + ", ".join(f"{name}={_go_quoted(value)}" for name, value in group_labels) + "}"


def _go_quoted(text: str) -> str:
    """A string literal of Go, as `strconv.Quote` writes it."""
    return '"' + "".join(map(_go_escaped, text)) + '"'


def _go_escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
