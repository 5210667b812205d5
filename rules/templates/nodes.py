"""The tree of a template. Each node's `str()` is what errors show of it.

Source: Go, text/template/parse/node.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text."""

    position: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Number:
    """A number: `value` where any type will do; `whole` as an integer, None if it is none."""

    position: int
    text: str
    value: int | float
    whole: int | None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String:
    """A string: `quoted` as written, `value` as meant."""

    position: int
    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(frozen=True, slots=True)
class Bool:
    """`true` or `false`."""

    position: int
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Nil:
    """`nil`."""

    position: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`."""

    position: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B`."""

    position: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.A.B`: the variable's name with its `$`, then fields."""

    position: int
    name: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


@dataclass(frozen=True, slots=True)
class Identifier:
    """The name of a function."""

    position: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).A.B`."""

    position: int
    operand: "Operand"
    names: tuple[str, ...]

    def __str__(self) -> str:
        operand = f"({self.operand})" if isinstance(self.operand, Pipe) else str(self.operand)
        return ".".join((operand, *self.names))


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function and its arguments."""

    position: int
    operands: tuple["Operand", ...]

    def __str__(self) -> str:
        return " ".join(f"({part})" if isinstance(part, Pipe) else str(part) for part in self.operands)


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each of which gets the value of the one before; the last value may go into variables."""

    position: int
    variables: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        commands = " | ".join(map(str, self.commands))
        if not self.variables:
            return commands
        sign = "=" if self.assigns else ":="
        return f"{', '.join(map(str, self.variables))} {sign} {commands}"


@dataclass(frozen=True, slots=True)
class Action:
    """`{{pipeline}}`."""

    position: int
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Branch:
    """`{{if}}`, `{{with}}` or `{{range}}`; `otherwise` is None without an `{{else}}`."""

    position: int
    kind: Literal["if", "with", "range"]
    pipe: Pipe
    body: "Nodes"
    otherwise: "Nodes | None"

    def __str__(self) -> str:
        otherwise = "" if self.otherwise is None else f"{{{{else}}}}{_joined(self.otherwise)}"
        return f"{{{{{self.kind} {self.pipe}}}}}{_joined(self.body)}{otherwise}{{{{end}}}}"


@dataclass(frozen=True, slots=True)
class Call:
    """`{{template "name" pipeline}}`."""

    position: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        pipe = f" {self.pipe}" if self.pipe else ""
        return f'{{{{template "{self.name}"{pipe}}}}}'


@dataclass(frozen=True, slots=True)
class Jump:
    """`{{break}}` or `{{continue}}`."""

    position: int
    kind: Literal["break", "continue"]

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


Operand: TypeAlias = Number | String | Bool | Nil | Dot | Field | Variable | Identifier | Chain | Pipe
Node: TypeAlias = Text | Action | Branch | Call | Jump
Nodes: TypeAlias = tuple[Node, ...]


def _joined(nodes: Nodes) -> str:
    return "".join(map(str, nodes))


def operands_of(nodes: Nodes) -> Iterator[Operand]:
    """Every operand below some nodes."""
    for node in nodes:
        if isinstance(node, Action | Branch | Call) and node.pipe is not None:
            yield from _operands_of_pipe(node.pipe)
        if isinstance(node, Branch):
            yield from operands_of(node.body)
            yield from operands_of(node.otherwise or ())


def _operands_of_pipe(pipe: Pipe) -> Iterator[Operand]:
    for command in pipe.commands:
        for operand in command.operands:
            yield operand
            inner = operand.operand if isinstance(operand, Chain) else operand
            if inner is not operand:
                yield inner
            if isinstance(inner, Pipe):
                yield from _operands_of_pipe(inner)
