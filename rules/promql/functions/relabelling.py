"""`label_replace` and `label_join`: new labels out of those that are there."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, cast

import re2

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import Labels, label_value, quoted, shown, whole_match
from spanbudget.rules.promql.values import Value, Vector

_REMEMBERED_MAX: Final = 10_000
"""Values of a label of which one replacement remembers what it makes of them."""


def label_replace(args: Sequence[Value], _at_ms: int) -> Vector:
    """Sets a label to a template where the whole value of another one matches; the rest stays as it is.

    Args:
        args: The vector, the label to set, the template, the label to look at, the regular expression.

    Raises:
        EvaluationError: The expression cannot be read, a label has no name, or two series become one.
    """
    vector, target, template, source, pattern = cast("tuple[Vector, str, str, str, str]", tuple(args))
    _check_name(target, "destination", "label_replace")
    try:
        replacements = _replacements(template, pattern)
    except re2.error as error:
        message = (
            f"invalid regular expression in label_replace(): {quoted(pattern)}: {error}; use RE2's syntax"
        )
        raise EvaluationError(message) from error

    def replaced(labels: Labels) -> Labels:
        text = replacements[label_value(labels, source)]
        return labels if text is None else _with_label(labels, target, text)

    return _relabelled(vector, replaced)


def label_join(args: Sequence[Value], _at_ms: int) -> Vector:
    """Sets a label to the values of others with a separator between them.

    Args:
        args: The vector, the label to set, the separator, then the labels to join.

    Raises:
        EvaluationError: A label has no name, or two series become one.
    """
    vector, target, separator, *sources = cast("tuple[Vector, str, str, *tuple[str, ...]]", tuple(args))
    for source in sources:
        _check_name(source, "source", "label_join")
    _check_name(target, "destination", "label_join")

    def joined(labels: Labels) -> Labels:
        return _with_label(labels, target, separator.join(label_value(labels, name) for name in sources))

    return _relabelled(vector, joined)


def refuse_duplicates(vector: Vector) -> Vector:
    """The vector itself, if no label set is in it twice.

    Raises:
        EvaluationError: One is, as Prometheus words it.
    """
    seen: set[Labels] = set()
    for labels, _ in vector:
        if labels in seen:
            message = (
                f"vector cannot contain metrics with the same labelset: {shown(labels)} is there twice; "
                "keep a label that tells them apart, or aggregate first"
            )
            raise EvaluationError(message)
        seen.add(labels)
    return vector


def _relabelled(vector: Vector, relabel: Callable[[Labels], Labels]) -> Vector:
    return refuse_duplicates([(relabel(labels), value) for labels, value in vector])


def _with_label(labels: Labels, name: str, value: str) -> Labels:
    """The labels with one set; an empty value removes it."""
    pairs = [pair for pair in labels if pair[0] != name]
    if value:
        pairs.append((name, value))
        pairs.sort()
    return tuple(pairs)


class _Replacements(dict[str, str | None]):
    """Value of a label → what a template makes of it, None where the expression does not match.

    It computes what it does not hold, and forgets all when it holds too much: a rule meets the same values
    again at every evaluation, and the match is what costs.

    Args:
        template: The template.
        pattern: The regular expression.

    Raises:
        re2.error: It cannot be read.
    """

    def __init__(self, template: str, pattern: str) -> None:
        super().__init__()
        self._pieces = tuple(_pieces(template))
        self._compiled = whole_match(pattern)

    def __missing__(self, value: str) -> str | None:
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        found = self._compiled.fullmatch(value)
        text = self[value] = None if found is None else _expanded(self._pieces, found)
        return text


_replacements = lru_cache(maxsize=16)(_Replacements)
"""Those of the replacements used last, which are the same at every evaluation."""


def _check_name(name: str, role: str, function: str) -> None:
    if not name:
        message = f"invalid {role} label name in {function}(): {quoted(name)}; a label's name is not empty"
        raise EvaluationError(message)


def _pieces(template: str) -> Iterator[str | tuple[str | int]]:
    """A template of Go's `Regexp.Expand`: plain text, and (name or number,) for each `$name` and `${name}`.

    `$$` is a dollar, and so is a dollar before anything else. `$1x` names the group `1x`, not `1`.
    """
    before, dollar, rest = template.partition("$")
    while dollar:
        yield before
        if rest.startswith("$"):
            yield "$"
            rest = rest[1:]
        elif name := _leading_name(rest):
            yield (_group(name),)
            rest = rest[len(name) + 2 * rest.startswith("{") :]
        else:
            yield "$"
        before, dollar, rest = rest.partition("$")
    yield before


def _leading_name(text: str) -> str:
    """The name that `name…` or `{name}…` starts with; "" where there is none."""
    inner = text.removeprefix("{")
    # Letters and decimal digits of any script, as Go's unicode.IsLetter and IsDigit.
    name = "".join(takewhile(lambda sign: sign.isalpha() or sign.isdecimal() or sign == "_", inner))
    return "" if text.startswith("{") and not inner[len(name) :].startswith("}") else name


def _group(name: str) -> str | int:
    """The number of a group, or its name; a number with a leading zero is a name."""
    is_number = name.isascii() and name.isdecimal() and len(name) < 10 and (name == "0" or name[0] != "0")
    return int(name) if is_number else name


def _expanded(pieces: Sequence[str | tuple[str | int]], found: Any) -> str:
    """The template filled from a match; groups that there are not, or that matched nothing, are empty."""
    groups, names = found.groups(), found.groupdict()

    def text(piece: str | tuple[str | int]) -> str:
        if isinstance(piece, str):
            return piece
        (group,) = piece
        if isinstance(group, str):
            return names.get(group) or ""
        if group == 0:
            return str(found.group(0))
        return (groups[group - 1] or "") if group <= len(groups) else ""

    return "".join(map(text, pieces))
