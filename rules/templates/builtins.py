"""The functions that every Go template has.

Source: Go, text/template/funcs.go.
"""

from collections.abc import Sequence
from typing import Any, Final

from spanbudget.rules.templates.values import (
    AnyMap,
    Byte,
    Html,
    QueryResult,
    StringMap,
    TemplateError,
    is_true,
    plain_text,
    type_name,
)

_NO_TYPE: Final = "reflect: call of reflect.Value.Type on zero Value"
_HTML: Final = {"'": "&#39;", '"': "&#34;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "�"}
_JS: Final = {
    "\\": r"\\",
    "'": r"\'",
    '"': r"\"",
    "<": r"\u003C",
    ">": r"\u003E",
    "&": r"\u0026",
    "=": r"\u003D",
}


def negated(value: Any) -> bool:
    """`not`."""
    return not is_true(value)


def length(item: Any) -> int:
    """`len`: of a string in bytes."""
    if isinstance(item, str):
        return len(item.encode())
    if isinstance(item, dict | list):
        return len(item)
    raise TemplateError(_NO_TYPE if item is None else f"len of type {type_name(item)}")


def indexed(item: Any, *indexes: Any) -> Any:
    """`index`: `index x 1 "a"` is x[1]["a"]."""
    if item is None:
        raise TemplateError("index of untyped nil")
    for index in indexes:
        item = _at(item, index)
    return item


def _at(item: Any, index: Any) -> Any:
    if isinstance(item, StringMap | AnyMap):
        if not isinstance(index, str) or isinstance(index, Html):
            told = "value is nil; should be of type string"
            raise TemplateError(
                told if index is None else f"value has type {type_name(index)}; should be string"
            )
        return item.get(index, "" if isinstance(item, StringMap) else None)
    if isinstance(item, str):
        data = item.encode()
        return Byte(data[_position(index, len(data), last=False)])
    if isinstance(item, list):
        return item[_position(index, len(item), last=False)]
    if item is None:
        raise TemplateError("index of nil pointer")
    raise TemplateError(f"can't index item of type {type_name(item)}")


def _position(index: Any, size: int, *, last: bool) -> int:
    if index is None:
        raise TemplateError("cannot index slice/array with nil")
    if not isinstance(index, int) or isinstance(index, bool):
        raise TemplateError(f"cannot index slice/array with type {type_name(index)}")
    if index < 0 or index > size:
        raise TemplateError(f"index out of range: {index}")
    if index == size and not last:
        raise TemplateError("reflect: slice index out of range")
    return int(index)


def sliced(item: Any, *indexes: Any) -> Any:
    """`slice`: `slice x 1 2` is x[1:2]; of a string in bytes."""
    if item is None:
        raise TemplateError("slice of untyped nil")
    if len(indexes) > 3:
        raise TemplateError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, str | list):
        raise TemplateError(f"can't slice item of type {type_name(item)}")
    if len(indexes) == 3 and isinstance(item, str):
        raise TemplateError("cannot 3-index slice a string")
    data = item.encode() if isinstance(item, str) else item
    places = [_position(index, len(data), last=True) for index in indexes]
    first, end = places[0] if places else 0, places[1] if len(places) > 1 else len(data)
    if first > end:
        raise TemplateError(f"invalid slice index: {first} > {end}")
    part = data[first:end]
    return part.decode(errors="replace") if isinstance(part, bytes) else QueryResult(part)


def _kind(value: Any) -> str:
    for kinds, name in ((bool, "bool"), (Byte, "uint"), (int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, kinds):
            return name
    return ""


_WHOLE: Final = frozenset(("int", "uint"))


def equal(first: Any, *others: Any) -> bool:
    """`eq`: whether the first value is one of the others."""
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def _equal(first: Any, other: Any) -> bool:
    kinds = _kind(first), _kind(other)
    if kinds[0] != kinds[1]:
        if _WHOLE.issuperset(kinds):
            return bool(first == other)
        if first is not None and other is not None:
            raise TemplateError(
                f"incompatible types for comparison: {type_name(first)} and {type_name(other)}"
            )
        return False
    if not kinds[0] and first is not None and other is not None:
        if type(first) is not type(other):
            raise TemplateError(
                f"non-comparable types {plain_text(first)}: {type_name(first)}, "
                f"{type_name(other)}: {plain_text(other)}"
            )
        if isinstance(other, dict | list):
            raise TemplateError(f"non-comparable type {plain_text(other)}: {type_name(other)}")
    return bool(first == other)


def unequal(first: Any, other: Any) -> bool:
    """`ne`."""
    return not _equal(first, other)


def less(first: Any, other: Any) -> bool:
    """`lt`."""
    kinds = _kind(first), _kind(other)
    if not all(kinds):
        raise TemplateError("invalid type for comparison")
    if kinds[0] != kinds[1] and not _WHOLE.issuperset(kinds):
        raise TemplateError(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")
    if kinds[0] == "bool":
        raise TemplateError("invalid type for comparison")
    if kinds[0] == "string":
        return bool(first.encode() < other.encode())
    return bool(first < other)


def less_or_equal(first: Any, other: Any) -> bool:
    """`le`."""
    return less(first, other) or _equal(first, other)


def greater(first: Any, other: Any) -> bool:
    """`gt`: the inverse of `le`, so that it is true where one value is not a number."""
    return not less_or_equal(first, other)


def greater_or_equal(first: Any, other: Any) -> bool:
    """`ge`: the inverse of `lt`."""
    return not less(first, other)


def printed(values: Sequence[Any]) -> str:
    """`print`: with a space between two values of which neither is a string."""
    text = ""
    for index, value in enumerate(values):
        before = values[index - 1] if index else ""
        # Go looks at the kind: `template.HTML` is a string, too.
        text += " " if not isinstance(value, str) and not isinstance(before, str) else ""
        text += plain_text(value, nested=True)
    return text


def printed_line(values: Sequence[Any]) -> str:
    """`println`."""
    return " ".join(plain_text(value, nested=True) for value in values) + "\n"


def _one_text(values: Sequence[Any]) -> str:
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return printed(["<no value>" if value is None else value for value in values])


def html_escaped(*values: Any) -> str:
    """`html`."""
    return "".join(_HTML.get(character, character) for character in _one_text(values))


def js_escaped(*values: Any) -> str:
    """`js`."""
    text = _one_text(values)
    return "".join(_JS.get(c, c if c.isprintable() else f"\\u{ord(c):04X}") for c in text)


def query_escaped(*values: Any) -> str:
    """`urlquery`."""
    return query_escape(_one_text(values))


def query_escape(text: str) -> str:
    """Go's url.QueryEscape."""
    return "".join(_query_byte(byte) for byte in text.encode())


def _query_byte(byte: int) -> str:
    character = chr(byte)
    if character.isascii() and (character.isalnum() or character in "-_.~"):
        return character
    return "+" if character == " " else f"%{byte:02X}"
