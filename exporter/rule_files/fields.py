"""Reading a tree of YAML strictly: every problem is noted with its place, and reading goes on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from spanbudget.exporter import config_yaml as tree
from spanbudget.exporter.config_problems import meant
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.durations import parse_duration

_WHOLE: Final = re.compile(r"[+-]?(?:0|[1-9][0-9_]{0,17})")


@dataclass(slots=True)
class Reading:
    """One file that is being read.

    Attributes:
        source: What problems call the file.
        lines: Its text, line by line.
        root: Its tree, None where it is empty or cannot be read.
        problems: What was found so far.
    """

    source: str
    lines: list[str]
    root: tree.Node | None = None
    problems: list[tree.Problem] = field(default_factory=list)

    def note(self, place: tree.Place, path: tree.Path, text: str) -> None:
        """Notes a problem."""
        self.problems.append(tree.Problem(place, path, text))

    def finish(self) -> None:
        """Ends the reading.

        Raises:
            ConfigurationError: There are problems; all of them, in the order of the lines.
        """
        if self.problems:
            self.problems.sort(key=lambda problem: (problem.place.line, problem.place.column))
            raise ConfigurationError(
                list(dict.fromkeys(problem.line(self.source) for problem in self.problems))
            )


def read(text: str, source: str) -> Reading:
    """Reads the YAML of a text; `${NAME}` in it stays what it is.

    Raises:
        ConfigurationError: The text is too large.
    """
    if len(text) > tree.BYTES_MAX or len(text.encode(errors="surrogatepass")) > tree.BYTES_MAX:
        raise ConfigurationError([f"{source}:1:1: larger than {tree.BYTES_MAX >> 20} MiB"])
    root, problems = tree.read_tree(text, None)
    return Reading(source, text.split("\n"), root, problems)


def text_of(path: FilePath) -> str:
    """The text of a file, at most a little more than can be read.

    Raises:
        ConfigurationError: It cannot be read, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            return file.read(tree.BYTES_MAX + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(error.object) > tree.BYTES_MAX:  # cut in the middle of a character
            return " " * (tree.BYTES_MAX + 1)
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}:1: not UTF-8 text"]) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise ConfigurationError([f"{path}: cannot be read: {told}"]) from None


class Keys:
    """The keys of one mapping.

    Args:
        reading: The file.
        node: The mapping; anything else is a problem and has no keys.
        path: Where it is.
        known: The keys that it may have.
    """

    def __init__(
        self, reading: Reading, node: tree.Node | None, path: tree.Path, known: tuple[str, ...]
    ) -> None:
        self.reading = reading
        self.path = path
        self.start = node.place if node is not None else tree.Place(1, 1)
        self._items = node.items if isinstance(node, tree.Map) else {}
        if node is not None and not isinstance(node, tree.Map) and not _is_null(node):
            reading.note(node.place, path, f"must be a mapping, got {tree.shown(node)}")
        for key, (place, _) in self._items.items():
            if key not in known:
                hint = meant(key, known) or f"; known are {', '.join(known)}"
                reading.note(place, (*path, key), f"unknown key{hint}")

    def note(self, key: str, text: str) -> None:
        """Notes a problem of a key's value, or of the mapping where the key is missing."""
        place, path = (
            (self.start, self.path) if key not in self._items else (self.place(key), (*self.path, key))
        )
        self.reading.note(place, path, text)

    def node(self, key: str) -> tree.Node | None:
        """The value of a key; None where it is missing or nothing."""
        node = self._items[key][1] if key in self._items else None
        return None if node is None or _is_null(node) else node

    def place(self, key: str) -> tree.Place:
        """Where the value of a key starts."""
        return self._items[key][1].place if key in self._items else self.start

    def text(self, key: str) -> str:
        """A value as text, "" where it is missing."""
        node = self.node(key)
        if node is None:
            return ""
        if isinstance(node, tree.Scalar):
            return node.text or ""
        self.note(key, f"must be text, got {tree.shown(node)}")
        return ""

    def duration_ms(self, key: str) -> int | None:
        """A duration, None where it is missing or wrong."""
        text = self.text(key)
        if not text:
            if self.node(key) is not None and isinstance(self.node(key), tree.Scalar):
                self.note(key, 'must be a duration such as 30s, 5m or 1h30m, got ""')
            return None
        try:
            return parse_duration(text)
        except ValueError as error:
            self.note(key, str(error))
            return None

    def whole(self, key: str) -> int:
        """A whole number, 0 where it is missing or wrong."""
        text = self.text(key)
        if not text:
            return 0
        if not _WHOLE.fullmatch(text):
            self.note(key, f"must be a whole number, got {tree.shown(self.node(key))}")
            return 0
        return int(text.replace("_", ""))

    def flag(self, key: str) -> bool:
        """`true` or `false`, false where it is missing or wrong."""
        text = self.text(key)
        if text and text.lower() not in ("true", "false"):
            self.note(key, f"must be true or false, got {tree.shown(self.node(key))}")
        return text.lower() == "true"

    def texts(self, key: str) -> dict[str, str]:
        """A mapping of names to texts; nothing is the text ""."""
        node = self.node(key)
        if node is None:
            return {}
        if not isinstance(node, tree.Map):
            self.note(key, f"must be a mapping, got {tree.shown(node)}")
            return {}
        found = {}
        for name, (_, value) in node.items.items():
            if isinstance(value, tree.Scalar):
                found[name] = value.text or ""
            else:
                path = (*self.path, key, name)
                self.reading.note(value.place, path, f"must be text, got {tree.shown(value)}")
        return found

    def inner_place(self, key: str, name: str) -> tree.Place:
        """Where the value of a name in a mapping starts."""
        node = self.node(key)
        return node.items[name][1].place if isinstance(node, tree.Map) else self.place(key)

    def elements(self, key: str) -> Iterator[tuple[tree.Path, tree.Node]]:
        """The elements of a list with their paths; none where it is missing or wrong."""
        node = self.node(key)
        if isinstance(node, tree.Sequence):
            for index, element in enumerate(node.items):
                yield (*self.path, key, index), element
        elif node is not None:
            self.note(key, f"must be a list, got {tree.shown(node)}")

    def element_texts(self, key: str) -> list[tuple[tree.Path, tree.Place, str]]:
        """The texts of a list, with their paths and places."""
        found = []
        for path, element in self.elements(key):
            if isinstance(element, tree.Scalar) and element.text is not None:
                found.append((path, element.place, element.text))
            else:
                self.reading.note(element.place, path, f"must be text, got {tree.shown(element)}")
        return found


def _is_null(node: tree.Node) -> bool:
    return isinstance(node, tree.Scalar) and node.text is None
