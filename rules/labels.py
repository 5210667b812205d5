"""Label sets, and the matchers that choose among them, as Prometheus has them."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import re2

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) pairs sorted by name, each name once, no empty value; the metric's name is one of them."""

METRIC_NAME: Final = "__name__"
BUCKET: Final = "le"
EMPTY: Final[Labels] = ()

MatchOperator: TypeAlias = Literal["=", "!=", "=~", "!~"]


def labels_of(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """The label set of some pairs; those with an empty value are as good as absent."""
    named: dict[str, str] = dict(pairs)
    return tuple(sorted((name, value) for name, value in named.items() if value))


def label_value(labels: Labels, name: str) -> str:
    """The value of a label, "" where it is absent."""
    for own, value in labels:
        if own == name:
            return value
    return ""


def shown(labels: Labels) -> str:
    """The text that Prometheus writes: `name{a="b"}`."""
    pairs = ", ".join(f"{name}={quoted(value)}" for name, value in labels if name != METRIC_NAME)
    name = label_value(labels, METRIC_NAME)
    return f"{name}{{{pairs}}}" if pairs or not name else name


def quoted(value: str) -> str:
    """A string literal of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class Matcher(NamedTuple):
    """One condition on a label; an absent label has the value "".

    Attributes:
        name: The label.
        operator: How it is compared; a regular expression must match the whole value.
        value: What it is compared with.
    """

    name: str
    operator: MatchOperator
    value: str

    def matches(self, value: str) -> bool:
        """Whether a value of the label meets the condition."""
        if self.operator == "=":
            return value == self.value
        if self.operator == "!=":
            return value != self.value
        texts = alternatives(self.value)
        found = whole_match(self.value).fullmatch(value) is not None if texts is None else value in texts
        return found is (self.operator == "=~")

    @property
    def texts(self) -> Iterable[str] | None:
        """The only values that meet the condition, each once; None where they cannot be listed."""
        if self.operator == "=":
            return (self.value,)
        return alternatives(self.value) if self.operator == "=~" else None


_SPECIAL: Final = r"\.+*?()|[]{}^$"


@lru_cache(maxsize=1_000)
def alternatives(pattern: str) -> Mapping[str, None] | None:
    """The texts that `a|b|c` matches, in that order; None for any other regular expression.

    Looking a text up is much quicker than matching it, and an index finds what has it.

    Source: Prometheus, model/labels/regexp.go, `findSetMatches`.
    """
    texts, text, escaped = [], "", False
    for one in pattern:
        if escaped and one not in _SPECIAL:
            return None  # a class such as \d, or no regular expression at all
        if not escaped and one == "|":
            texts.append(text)
            text = ""
        elif not escaped and one == "\\":
            escaped = True
            continue
        elif not escaped and one in _SPECIAL:
            return None
        else:
            text += one
        escaped = False
    return None if escaped else dict.fromkeys([*texts, text])


def whole_match(pattern: str) -> Any:
    """A compiled regular expression in which the dot also stands for a line end; RE2 keeps the last ones.

    Linear in the length of its input, whoever wrote the pattern; its syntax is that of Prometheus.
    """
    options = re2.Options()
    options.log_errors = False  # they are raised; RE2 would write them to standard error as well
    return re2.compile(f"(?s:{pattern})", options)
