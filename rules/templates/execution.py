"""Expanding a tree: text out.

Source: Go, text/template/exec.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from spanbudget.rules.templates.context import TemplateContext
from spanbudget.rules.templates.functions import ANY, FUNCTIONS, REFLECTED, STRING, Function
from spanbudget.rules.templates.nodes import (
    Action,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Jump,
    Nil,
    Node,
    Nodes,
    Number,
    Operand,
    Pipe,
    String,
    Text,
    Variable,
)
from spanbudget.rules.templates.times import method_of
from spanbudget.rules.templates.values import (
    AlertData,
    AnyMap,
    Html,
    QueryResult,
    QuerySample,
    StringMap,
    TemplateError,
    is_true,
    plain_text,
    type_name,
)

OUTPUT_MAX: Final = 1 << 20
"""Characters of one expansion."""
STEPS_MAX: Final = 100_000
"""Nodes that one expansion may go through, each turn of a `range` anew."""
CALLS_MAX: Final = 20
"""Templates that may be inside each other by `{{template}}`."""
_MISSING: Final = object()  # no value from the command before


class _Jumped(Exception):  # noqa: N818 - it leaves a loop and is no error
    """A `{{break}}` or `{{continue}}`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class ExpansionError(TemplateError):
    """An expansion failed.

    Attributes:
        node: Where.
        template: The name of the template that was being expanded, "" for the outermost.
    """

    def __init__(self, message: str, node: Any, template: str) -> None:
        super().__init__(message)
        self.node = node
        self.template = template


class Execution:
    """One expansion.

    Args:
        trees: The template's own tree under "", and those that it defines.
        context: What it is about.
    """

    __slots__ = (
        "_calls",
        "_context",
        "_length",
        "_node",
        "_out",
        "_steps",
        "_template",
        "_trees",
        "_variables",
    )

    def __init__(self, trees: Mapping[str, Nodes], context: TemplateContext) -> None:
        self._trees = trees
        self._context = context
        self._out: list[str] = []
        self._length = 0
        self._steps = 0
        self._calls = 0
        self._template = ""
        self._node: Any = None
        self._variables: list[tuple[str, Any]] = []

    def text(self, dot: AlertData) -> str:
        """The text of the outermost template.

        Raises:
            ExpansionError: It cannot be expanded.
        """
        self._variables = [
            ("$", dot),
            ("$labels", dot.Labels),
            ("$externalLabels", dot.ExternalLabels),
            ("$externalURL", dot.ExternalURL),
            ("$value", dot.Value),
        ]
        self._walk(dot, self._trees[""])
        return "".join(self._out)

    def _fail(self, message: str) -> NoReturn:
        raise ExpansionError(message, self._node, self._template)

    # Nodes.

    def _walk(self, dot: Any, nodes: Nodes) -> None:
        for node in nodes:
            self._steps += 1
            if self._steps > STEPS_MAX:
                self._fail(f"more than {STEPS_MAX} steps")
            self._node = node
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Action):
                value = self._pipe(dot, node.pipe)
                if not node.pipe.variables:
                    self._node = node
                    self._write(plain_text(value))
            elif isinstance(node, Branch):
                self._branch(dot, node)
            else:
                self._leave(dot, node)

    def _leave(self, dot: Any, node: Node) -> None:
        if isinstance(node, Jump):
            raise _Jumped(node.kind)
        if isinstance(node, Call):
            self._call_template(dot, node)

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > OUTPUT_MAX:
            self._fail(f"more than {OUTPUT_MAX} characters")
        self._out.append(text)

    def _branch(self, dot: Any, branch: Branch) -> None:
        known = len(self._variables)
        value = self._pipe(dot, branch.pipe)
        if branch.kind == "range":
            done = self._range(value, branch)
        else:
            done = is_true(value)
            if done:
                self._walk(value if branch.kind == "with" else dot, branch.body)
        if not done and branch.otherwise is not None:
            self._walk(dot, branch.otherwise)
        del self._variables[known:]

    def _range(self, value: Any, branch: Branch) -> bool:
        """Goes through all elements; False where there are none."""
        pipe, known = branch.pipe, len(self._variables)
        for index, element in self._elements(value, branch):
            names = (index, element) if len(pipe.variables) == 2 else (element,)
            for place, (variable, given) in enumerate(zip(pipe.variables, names, strict=False)):
                if pipe.assigns:
                    self._assign(variable.name, given)
                else:
                    self._variables[known - len(pipe.variables) + place] = (variable.name, given)
            try:
                self._walk(element, branch.body)
            except _Jumped as jump:
                if jump.kind == "break":
                    break
            finally:
                del self._variables[known:]
        return bool(value)

    def _elements(self, value: Any, branch: Branch) -> Sequence[tuple[Any, Any]] | enumerate[Any]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return enumerate(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if len(branch.pipe.variables) > 1:
                self._fail(f"can't use {value} to iterate over more than one variable")
            return [(None, number) for number in range(min(value, STEPS_MAX + 1))]
        if value is not None:
            self._fail(f"range can't iterate over {plain_text(value)}")
        return []

    def _call_template(self, dot: Any, call: Call) -> None:
        body = self._trees.get(call.name) if call.name else None
        if body is None:
            self._fail(f'template "{call.name}" not defined')
        if self._calls >= CALLS_MAX:
            self._fail(f"exceeded maximum template depth ({CALLS_MAX})")
        inner = self._pipe(dot, call.pipe) if call.pipe else None
        outer = self._variables, self._template
        # What is called sees no variable of the caller.
        self._variables, self._template = [("$", inner)], call.name
        self._calls += 1
        self._walk(inner, body)
        self._calls -= 1
        self._variables, self._template = outer

    # Pipelines.

    def _pipe(self, dot: Any, pipe: Pipe) -> Any:
        self._node = pipe
        value: Any = _MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for variable in pipe.variables:
            if pipe.assigns:
                self._assign(variable.name, value)
            else:
                self._variables.append((variable.name, value))
        return value

    def _assign(self, name: str, value: Any) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        self._fail(f"undefined variable: {name}")

    def _command(self, dot: Any, command: Command, final: Any) -> Any:
        operands = command.operands
        first = operands[0]
        if isinstance(first, Identifier):
            self._node = first
            return self._call(dot, FUNCTIONS[first.name], command, first.name, operands[1:], final)
        if isinstance(first, Field):
            self._node = first
            return self._fields(dot, dot, first, first.names, operands[1:], final)
        if isinstance(first, Chain):
            return self._fields(dot, self._chain(dot, first), first, first.names, operands[1:], final)
        if isinstance(first, Variable):
            self._node = first
            value = self._variable(first.name)
            if first.names:
                return self._fields(dot, value, first, first.names, operands[1:], final)
        if not isinstance(first, Pipe):
            self._node = first
        if len(operands) > 1 or final is not _MISSING:
            self._fail(f"can't give argument to non-function {first}")
        if isinstance(first, Nil):
            self._fail("nil is not a command")
        return self._value(dot, first)

    def _value(self, dot: Any, operand: Operand) -> Any:
        """The value of an operand where any type will do."""
        if isinstance(operand, Pipe):
            return self._pipe(dot, operand)
        self._node = operand
        match operand:
            case Variable():
                value = self._variable(operand.name)
                return (
                    self._fields(dot, value, operand, operand.names, (), _MISSING) if operand.names else value
                )
            case Field():
                return self._fields(dot, dot, operand, operand.names, (), _MISSING)
            case Chain():
                return self._fields(dot, self._chain(dot, operand), operand, operand.names, (), _MISSING)
            case Identifier():
                return self._call(dot, FUNCTIONS[operand.name], operand, operand.name, (), _MISSING)
            case Dot():
                return dot
            case Number() | String() | Bool():
                return operand.value
        return None

    def _chain(self, dot: Any, chain: Chain) -> Any:
        self._node = chain
        if isinstance(chain.operand, Nil):
            self._fail(f"indirection through explicit nil in {chain}")
        return self._value(dot, chain.operand)

    def _variable(self, name: str) -> Any:
        for own, value in reversed(self._variables):
            if own == name:
                return value
        return self._fail(f"undefined variable: {name}")

    def _fields(
        self,
        dot: Any,
        value: Any,
        node: Operand,
        names: Sequence[str],
        operands: Sequence[Operand],
        final: Any,
    ) -> Any:
        """`.A.B` of a value; the last one gets the arguments, if it is a method."""
        for name in names[:-1]:
            value = self._field(dot, value, node, name, (), _MISSING)
        return self._field(dot, value, node, names[-1], operands, final)

    def _field(
        self, dot: Any, value: Any, node: Any, name: str, operands: Sequence[Operand], final: Any
    ) -> Any:
        if value is None:
            return None
        try:
            method = method_of(value, name)
        except TemplateError as error:
            self._fail(str(error))
        if method is not None:
            function = Function(lambda *values: method.call(value, *values), method.parameters)
            return self._call(dot, function, node, name, operands, final)
        has_arguments = bool(operands) or final is not _MISSING
        if isinstance(value, StringMap | AnyMap):
            if has_arguments:
                self._fail(f"{name} is not a method but has arguments")
            return value.get(name, "" if isinstance(value, StringMap) else None)
        if isinstance(value, AlertData | QuerySample) and name in value.__slots__:
            if has_arguments:
                self._fail(f"{name} has arguments but cannot be invoked as function")
            return getattr(value, name)
        return self._fail(f"can't evaluate field {name} in type {type_name(value)}")

    # Functions.

    def _call(
        self, dot: Any, function: Function, node: Any, name: str, operands: Sequence[Operand], final: Any
    ) -> Any:
        parameters, rest = function.parameters, function.rest
        count = len(operands) + (final is not _MISSING)
        if rest is not None and count < len(parameters):
            self._fail(
                f"wrong number of args for {name}: want at least {len(parameters)} got {len(operands)}"
            )
        if rest is None and count != len(parameters):
            self._fail(f"wrong number of args for {name}: want {len(parameters)} got {count}")
        if name in ("and", "or"):
            return self._decided(dot, name == "or", operands, final)
        kinds = parameters + (rest or "",) * (count - len(parameters))
        arguments = [
            self._argument(dot, kind, operand) for kind, operand in zip(kinds, operands, strict=False)
        ]
        if final is not _MISSING:
            arguments.append(self._fitting(final, kinds[-1]))
        try:
            return (
                function.call(self._context, *arguments) if function.contextual else function.call(*arguments)
            )
        except TemplateError as error:
            self._node = node
            self._fail(f"error calling {name}: {error}")

    def _decided(self, dot: Any, wanted: bool, operands: Sequence[Operand], final: Any) -> Any:  # noqa: FBT001
        """`and`, `or`: the first value that decides, or else the last one."""
        value: Any = None
        for operand in operands:
            value = self._argument(dot, REFLECTED, operand)
            if is_true(value) is wanted:
                return value
        return value if final is _MISSING else final

    def _argument(self, dot: Any, kind: str, operand: Operand) -> Any:
        self._node = operand
        if isinstance(operand, Nil):
            if kind == STRING:
                self._fail(f"cannot assign nil to {kind}")
            return self._fitting(None, kind)
        if isinstance(operand, Number | String | Bool):
            if kind in (ANY, REFLECTED) or (kind == STRING and isinstance(operand, String)):
                return operand.value
            if kind == STRING:
                self._fail(f"expected string; found {operand}")
            self._fail(f"can't handle {operand} for arg of type {kind}")
        return self._fitting(self._value(dot, operand), kind)

    def _fitting(self, value: Any, kind: str) -> Any:
        """A value for a parameter of a type; nothing is an empty result where one is wanted."""
        if kind in (ANY, REFLECTED):
            return value
        if value is None:
            if kind == STRING:
                self._fail(f"invalid value; expected {kind}")
            return QueryResult() if kind == "template.queryResult" else None
        if type_name(value) != kind or isinstance(value, Html):
            self._fail(f"wrong type for value; expected {kind}; got {type_name(value)}")
        return value
