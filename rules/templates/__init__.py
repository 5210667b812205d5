"""Templates of alerts: the part of Go's text/template that needs no Go, and Prometheus' functions."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.templates.context import Externals, TemplateContext
from spanbudget.rules.templates.execution import Execution, ExpansionError
from spanbudget.rules.templates.functions import FUNCTIONS, TIMED
from spanbudget.rules.templates.nodes import (
    Chain,
    Dot,
    Field,
    Identifier,
    Nodes,
    Text,
    Variable,
    operands_of,
)
from spanbudget.rules.templates.parser import parse_template
from spanbudget.rules.templates.shortcuts import Part, shortcut_of
from spanbudget.rules.templates.values import AlertData, TemplateError, string_map

__all__ = ["Externals", "Template", "TemplateContext", "compile_template"]

TEXT_MAX: Final = 100_000
"""Characters of one template."""
_DEFINITIONS: Final = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
    "{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
"""What Prometheus puts before every template, so that positions in messages count it."""
_DEFINED: Final = 4

Varies: TypeAlias = Literal["never", "labels", "value", "time"]


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template.

    Attributes:
        text: As it was written.
        name: What messages call it.
        varies: What its expansion depends on: nothing, the sample's labels, also its value, or also the time.
    """

    text: str
    name: str
    varies: Varies
    _trees: dict[str, Nodes] = field(repr=False, compare=False)
    _shortcut: tuple[Part, ...] | None = field(repr=False, compare=False)

    def expand(self, context: TemplateContext) -> str:
        """The text for a sample; one that cannot be expanded says so, as in Prometheus, raising nothing."""
        if self._shortcut is not None:
            try:
                return "".join([part(context) for part in self._shortcut])
            except TemplateError:
                pass  # and again below, which tells where it failed
        externals = context.externals
        data = AlertData(
            string_map(context.labels), string_map(externals.labels), externals.url, context.value
        )
        try:
            return Execution(self._trees, context).text(data)
        except RecursionError:
            return f"<error expanding template: error executing template {self.name}: nested too deeply>"
        except ExpansionError as error:
            return f"<error expanding template: error executing template {self.name}: {self._told(error)}>"

    def _told(self, error: ExpansionError) -> str:
        before = (_DEFINITIONS + self.text)[: error.node.position]
        line, column = before.count("\n") + 1, len(before[before.rfind("\n") + 1 :].encode())
        inside = error.template or self.name
        return f'template: {self.name}:{line}:{column}: executing "{inside}" at <{error.node}>: {error}'


def compile_template(text: str, name: str = "template") -> Template:
    """Reads a template and checks what can be checked before it is expanded.

    Args:
        text: The template.
        name: What messages call it; Prometheus says `__alert_` and the alert's name.

    Raises:
        ExpressionError: It is wrong, or longer than `TEXT_MAX`.
    """
    if "{{" not in text:
        return Template(text, name, "never", {}, (lambda _: text,))
    if len(text) > TEXT_MAX:
        raise ExpressionError(f"template: {name}: longer than {TEXT_MAX} characters")
    trees = parse_template(_DEFINITIONS + text, name, FUNCTIONS)
    trees[""] = trees[""][_DEFINED:]
    return Template(text, name, _varies(trees), trees, shortcut_of(trees[""]))


def _varies(trees: dict[str, Nodes]) -> Varies:
    """What the operands of a template look at; in doubt more."""
    found: Varies = "never"
    for nodes in trees.values():
        for operand in operands_of(nodes):
            if isinstance(operand, Identifier):
                if operand.name in TIMED:
                    return "time"
            elif _looks_at_value(operand):
                found = "value"
            elif isinstance(operand, Field | Variable | Chain | Dot) and found == "never":
                found = "labels"
    return found if found != "never" or not all(isinstance(n, Text) for n in trees[""]) else "never"


def _looks_at_value(operand: object) -> bool:
    if isinstance(operand, Variable):
        return operand.name == "$value" or (operand.name == "$" and operand.names[:1] not in _LABEL_FIELDS)
    if isinstance(operand, Field):
        return operand.names[:1] not in _LABEL_FIELDS and operand.names[0] == "Value"
    return isinstance(operand, Dot)


_LABEL_FIELDS: Final = (("Labels",), ("ExternalLabels",), ("ExternalURL",))
