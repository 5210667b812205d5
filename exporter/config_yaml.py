"""YAML as a tree in which every value knows its line and column, and every scalar is its text.

Numbers stay text, so that money never passes through a float, and `no`, `1e3` or `010` are not turned into
something that nobody wrote. Nothing is constructed: only syntax events are read, and each dimension of a file
is bounded.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

import yaml

BYTES_MAX: Final = 1 << 20
NODES_MAX: Final = 50_000
"""Values of a file, those behind aliases counted each time: a bomb of aliases stops here."""
DEPTH_MAX: Final = 20
_TEXT_SHOWN_MAX: Final = 60

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_VARIABLE: Final = re.compile(r"\$(\$\{|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}\n]*)?\}|\{)")
_MERGE: Final = "<<"
_VEIL: Final = 0xF0000
_VEILED: Final = re.compile("[\U000f0000-\U0010ffff]")

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value.

    Attributes:
        place: Where it starts.
        text: Its text after substitution; None where nothing is written (`~`, `null` or no text).
        substituted: True where the text comes from the environment and must not be shown.
    """

    place: Place
    text: str | None
    substituted: bool = False
    size: int = 1


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of values; `size` counts all values inside, and itself."""

    place: Place
    items: tuple["Node", ...]
    size: int


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping: key → place of the key, and the value; `size` counts all values inside, and itself."""

    place: Place
    items: Mapping[str, tuple[Place, "Node"]]
    size: int


Node: TypeAlias = Scalar | Sequence | Map


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where; `path` is () for the file as a whole."""

    place: Place
    path: Path
    text: str

    def line(self, source: str) -> str:
        """`budgets.yaml:12:5: budgets[2].max_cost: must be greater than 0, got -5`."""
        path = f"{path_text(self.path)}: " if self.path else ""
        return f"{source}:{self.place.line}:{self.place.column}: {path}{self.text}"


class _StopReading(Exception):  # noqa: N818 - it ends the reading and never leaves this file
    """The rest of the file cannot be read; the problem is noted already."""


def read_tree(text: str, environ: Mapping[str, str] | None) -> tuple[Node | None, list[Problem]]:
    """Reads one YAML document.

    Args:
        text: The file, at most `BYTES_MAX` bytes.
        environ: What `${NAME}` and `${NAME:-default}` in values stand for; `$${` is a plain `${`. None leaves
            all of them as they are: a rule file is Prometheus' own.

    Returns:
        The tree, None where the file is empty or cannot be read, and every problem that was met.
    """
    reader = _Reader(environ)
    try:
        return reader.document(text), reader.problems
    except _StopReading:
        return None, reader.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark) if mark else Place(1, 1)
        said = _unveil(error.problem or error.context or "")
        reader.problems.append(Problem(place, (), f"not valid YAML: {said}"))
    except yaml.reader.ReaderError as error:
        found = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        place = Place(text.count("\n", 0, error.position) + 1, 1)
        reader.problems.append(Problem(place, (), f"not valid YAML: character U+{found:04X} is not allowed"))
    except (yaml.YAMLError, ValueError, OverflowError):  # such as an escape beyond Unicode
        reader.problems.append(Problem(Place(1, 1), (), "not valid YAML: it holds an impossible character"))
    return None, reader.problems


def plain(node: Node | None) -> object:
    """The values alone: nested dict, list, str and None."""
    match node:
        case Map(items=items):
            return {key: plain(value) for key, (_, value) in items.items()}
        case Sequence(items=values):
            return [plain(value) for value in values]
        case Scalar(text=text):
            return text
    return None


def locate(root: Node | None, path: Path) -> tuple[Path, Place, Node | None]:
    """Follows a path as far as it exists.

    Returns:
        The part of the path that exists, where a person looks for it (the key, or the list's element), and
        the value there.
    """
    place, node = (root.place if root else Place(1, 1)), root
    for depth, part in enumerate(path):
        if isinstance(node, Map) and isinstance(part, str) and part in node.items:
            place, node = node.items[part]
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            place = node.place
        else:
            return path[:depth], place, node
    return path, place, node


def path_text(path: Path) -> str:
    """Writes a path as people do: `budgets[2].match["service.name"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += f".{part}" if text else part
        else:
            text += f"[{quoted(part)}]"
    return text


def shown(node: Node | None) -> str:
    """A value for a message; nothing from the environment, no URL (passwords), and no more than a line."""
    match node:
        case Map():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(substituted=True):
            return "a value from the environment"
        case Scalar(text=str(text)) if "://" in text:
            return quoted(text.partition("://")[0] + "://…")
        case Scalar(text=str(text)):
            return text if re.fullmatch(r"[\w.+:/-]{1,40}", text) else quoted(text)
    return "nothing"


def quoted(text: str) -> str:
    """A text in double quotes on one line, cut to 60 characters."""
    cut = text if len(text) <= _TEXT_SHOWN_MAX else text[:_TEXT_SHOWN_MAX] + "…"
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return f'"{escaped}"'


@dataclass(slots=True)
class _Reader:
    """Composes the tree from syntax events."""

    environ: Mapping[str, str] | None
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    nodes: int = 0

    def document(self, text: str) -> Node | None:
        private = _VEILED.search(text)
        if private:
            place = Place(text.count("\n", 0, private.start()) + 1, 1)
            self.stop(place, (), f"not valid YAML: character U+{ord(private[0]):04X} is not allowed")
        events: Iterator[yaml.Event] = yaml.parse(
            text if self.environ is None else _veil(text), Loader=yaml.SafeLoader
        )
        root = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                if root is not None:
                    self.stop(_place(event.start_mark), (), "a second document; one file holds one")
                root = self.node(event, events, ())
        return root

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Node:
        place = _place(event.start_mark)
        if len(path) > DEPTH_MAX:
            self.stop(place, (), f"nested deeper than {DEPTH_MAX} levels")
        if isinstance(event, yaml.AliasEvent):
            found = self.anchors.get(event.anchor or "")
            if found is None:
                self.stop(place, path, f"alias {quoted(f'*{event.anchor}')} has no anchor before it")
            self.count(found.size, place)
            return found
        self.count(1, place)
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.note(place, path, f"tags such as {quoted(tag)} are not supported")
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event, place, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(events, place, path)
        else:
            node = self.map(events, place, path)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def sequence(self, events: Iterator[yaml.Event], place: Place, path: Path) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.node(event, events, (*path, len(items))))
        return Sequence(place, tuple(items), 1 + sum(item.size for item in items))

    def map(self, events: Iterator[yaml.Event], place: Place, path: Path) -> Map:
        items: dict[str, tuple[Place, Node]] = {}
        merged: dict[str, tuple[Place, Node]] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key, key_place = self.key(event, path)
            value = self.node(next(events), events, (*path, key))
            if key == _MERGE:
                merged = self.merge(value, key_place, path) | merged
            elif key in items:
                line = items[key][0].line
                self.note(key_place, (*path, key), f"duplicate key, already given in line {line}")
            else:
                items[key] = (key_place, value)
        everything = merged | items
        return Map(place, everything, 1 + sum(value.size for _, value in everything.values()))

    def key(self, event: yaml.Event, path: Path) -> tuple[str, Place]:
        place = _place(event.start_mark)
        if not isinstance(event, yaml.ScalarEvent):
            self.stop(place, path, "a key must be plain text")
        self.count(1, place)
        if event.tag is not None or event.anchor is not None:
            self.note(place, path, "a key must have neither tag nor anchor")
        return self.encodable(_unveil(event.value), place, path), place

    def merge(self, value: Node, place: Place, path: Path) -> dict[str, tuple[Place, Node]]:
        sources = value.items if isinstance(value, Sequence) else (value,)
        merged: dict[str, tuple[Place, Node]] = {}
        for source in sources:
            if isinstance(source, Map):
                merged = {**source.items, **merged}
            else:
                self.note(place, path, "`<<` merges mappings only")
        return merged

    def scalar(self, event: yaml.ScalarEvent, place: Place, path: Path) -> Scalar:
        written = self.encodable(_unveil(event.value), place, path)
        text, substituted = (
            (written, False) if self.environ is None else self.substitute(written, self.environ, place, path)
        )
        empty = event.implicit[0] and text in _NULLS
        return Scalar(place, None if empty else text, substituted)

    def substitute(self, text: str, environ: Mapping[str, str], place: Place, path: Path) -> tuple[str, bool]:
        used = False

        def value_of(found: re.Match[str]) -> str:
            nonlocal used
            if found[1] == "${":
                return "${"
            used, name, default = True, found["name"], found["default"]
            value = environ.get(name, "") if name else ""
            if name is None:
                self.note(
                    place, path, "`${` must be `${NAME}` or `${NAME:-default}`; write `$${` for plain text"
                )
            elif default is not None:
                return value or default[2:]
            elif name not in environ:
                self.note(place, path, f"environment variable {name} is not set and has no default")
            return value

        return _VARIABLE.sub(value_of, text), used

    def encodable(self, text: str, place: Place, path: Path) -> str:
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.stop(place, path, "half of a surrogate pair is not a character")
        return text

    def count(self, nodes: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            self.stop(place, (), f"more than {NODES_MAX} values, those behind aliases counted each time")

    def note(self, place: Place, path: Path, text: str) -> None:
        self.problems.append(Problem(place, path, text))

    def stop(self, place: Place, path: Path, text: str) -> NoReturn:
        self.note(place, path, text)
        raise _StopReading


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _veil(text: str) -> str:
    """Hides the braces of `${NAME}` from YAML, which would read them as a mapping in `{url: ${NAME}}`."""
    return _VARIABLE.sub(
        lambda found: "".join(map(_shifted_up, found[0])) if found["name"] else found[0], text
    )


def _shifted_up(character: str) -> str:
    return chr(ord(character) + _VEIL) if ord(character) < 1 << 16 else character


def _unveil(text: str) -> str:
    return _VEILED.sub(lambda found: chr(ord(found[0]) - _VEIL), text)
