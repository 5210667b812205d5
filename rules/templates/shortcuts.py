"""A quick way for what nearly all templates are: text, `$labels.x`, and `$value` through functions.

It gives the same text as an expansion. What it does not know, and what fails, is expanded as everything else.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from spanbudget.rules.labels import label_value
from spanbudget.rules.templates import humanize
from spanbudget.rules.templates.context import TemplateContext
from spanbudget.rules.templates.nodes import (
    Action,
    Command,
    Field,
    Identifier,
    Node,
    Nodes,
    Operand,
    String,
    Text,
    Variable,
)
from spanbudget.rules.templates.values import plain_text
from spanbudget.rules.templates.verbs import formatted

Part: TypeAlias = Callable[[TemplateContext], str]
_Change: TypeAlias = Callable[[Any], Any]

_CHANGES: Final = {
    "humanize": humanize.humanize,
    "humanize1024": humanize.humanize_1024,
    "humanizeDuration": humanize.humanize_duration,
    "humanizePercentage": humanize.humanize_percentage,
    "humanizeTimestamp": humanize.humanize_timestamp,
}


def shortcut_of(nodes: Nodes) -> tuple[Part, ...] | None:
    """What gives a template's text part by part; None where one of them is not known here."""
    parts: list[Part] = []
    for node in nodes:
        part = _part(node)
        if part is None:
            return None
        parts.append(part)
    return tuple(parts)


def _part(node: Node) -> Part | None:
    if isinstance(node, Text):
        text = node.text
        return lambda _: text
    if not isinstance(node, Action) or node.pipe.variables:
        return None
    first, *rest = node.pipe.commands
    name = _label_name(first.operands[0])
    if name is not None and len(first.operands) == 1 and not rest:
        return lambda context: label_value(context.labels, name)
    changes = _changes(first, rest)
    return None if changes is None else lambda context: _changed(context.value, changes)


def _changed(value: Any, changes: list[_Change]) -> str:
    for change in changes:
        value = change(value)
    return plain_text(value)


def _label_name(operand: Operand) -> str | None:
    """The label of `$labels.x` and `.Labels.x`."""
    if isinstance(operand, Variable) and operand.name == "$labels" and len(operand.names) == 1:
        return operand.names[0]
    if isinstance(operand, Field) and operand.names[0] == "Labels" and len(operand.names) == 2:
        return operand.names[1]
    return None


def _is_value(operand: Operand) -> bool:
    """Whether an operand is `$value` or `.Value`."""
    if isinstance(operand, Variable):
        return operand.name == "$value" and not operand.names
    return isinstance(operand, Field) and operand.names == ("Value",)


def _changes(first: Command, rest: list[Command]) -> list[_Change] | None:
    """The functions that `$value` goes through, as an argument or by a pipe."""
    changes: list[_Change] = []
    *function, last = first.operands
    if not _is_value(last):
        return None
    for operands in ([tuple(function)] if function else []) + [command.operands for command in rest]:
        change = _change(operands)
        if change is None:
            return None
        changes.append(change)
    return changes


def _change(operands: tuple[Operand, ...]) -> _Change | None:
    """A function that waits for its last argument."""
    match operands:
        case (Identifier(name=name),):
            return _CHANGES.get(name)
        case (Identifier(name="printf"), String(value=form)):
            return lambda value: formatted(form, (value,))
    return None
