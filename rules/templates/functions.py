"""The functions of templates: Go's own ones, and those that Prometheus adds.

Source: Prometheus, template/template.go.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import re2

from spanbudget.processors.errors import SpanBudgetError
from spanbudget.rules.durations import parse_duration
from spanbudget.rules.templates import builtins, humanize
from spanbudget.rules.templates.context import TemplateContext
from spanbudget.rules.templates.values import (
    AnyMap,
    Html,
    QueryResult,
    QuerySample,
    TemplateError,
    string_map,
)
from spanbudget.rules.templates.verbs import formatted, quoted

ANY: Final = "interface {}"
REFLECTED: Final = "reflect.Value"
STRING: Final = "string"
RESULT: Final = "template.queryResult"
SAMPLE: Final = "*template.sample"
_NIL_POINTER: Final = "runtime error: invalid memory address or nil pointer dereference"
_REPLACEMENT: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")
_LETTER: Final = re.compile(r"[^\W\d_]")
_WORD: Final = re.compile(r"[^\W_]+(?:[_'.:\u00b7\u2019]+[^\W_]+)*")


class Function(NamedTuple):
    """A function.

    Attributes:
        call: What it does.
        parameters: The Go types of its arguments.
        rest: The type of any further ones, None where there are none.
        contextual: Whether `call` is given the context before the arguments.
    """

    call: Callable[..., Any]
    parameters: tuple[str, ...] = ()
    rest: str | None = None
    contextual: bool = False


def _query(context: TemplateContext, text: str) -> QueryResult:
    try:
        vector = context.query(text)
    except (SpanBudgetError, LookupError) as error:
        raise TemplateError(str(error)) from None
    return QueryResult(QuerySample(string_map(labels), value) for labels, value in vector)


def _first(samples: QueryResult) -> QuerySample:
    if not samples:
        raise TemplateError("first() called on vector with no elements")
    return samples[0]


def _label(name: str, sample: QuerySample | None) -> str:
    return _there(sample).Labels.get(name, "")


def _there(sample: QuerySample | None) -> QuerySample:
    if sample is None:
        raise TemplateError(_NIL_POINTER)
    return sample


def _sorted_by_label(name: str, samples: QueryResult) -> QueryResult:
    samples.sort(key=lambda sample: sample.Labels.get(name, "").encode())
    return samples


def _pattern(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        told = error.args[0]
        told = told.decode(errors="replace") if isinstance(told, bytes) else told
        raise TemplateError(f"error parsing regexp: {told}") from None


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(text) is not None


def _replaced(pattern: str, replacement: str, text: str) -> str:
    """All matches replaced, `$1` and `${name}` filled in; an empty match right behind another is none."""
    try:
        compiled = _pattern(pattern)
    except TemplateError as error:
        raise TemplateError(f"regexp: Compile({_in_ticks(pattern)}): {error}") from None
    parts: list[str] = []
    at = last = 0
    while at <= len(text) and (found := compiled.search(text, at)) is not None:
        start, end = found.span()
        parts.append(text[last:start])
        if end > last or start == 0:
            parts.append(_REPLACEMENT.sub(partial(_group, found), replacement))
        last = end
        at = max(at + 1, end)
    parts.append(text[last:])
    return "".join(parts)


def _in_ticks(text: str) -> str:
    return f"`{text}`" if text.isprintable() and "`" not in text else quoted(text)


def _group(found: Any, part: re.Match[str]) -> str:
    if part[1]:
        return "$"
    name = part[2] or part[3]
    try:
        return found.group(int(name) if name.isdecimal() else name) or ""
    except (IndexError, KeyError):
        return ""


def _titled(text: str) -> str:
    return _WORD.sub(lambda word: _LETTER.sub(lambda first: _mapped(first[0], str.title), word[0], 1), text)


def _mapped(text: str, change: Callable[[str], str]) -> str:
    """Changed letter by letter, as Go does: one that would become two stays."""
    return "".join(new if len(new := change(letter)) == 1 else letter for letter in text)


def _split_port(text: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort; None where it fails."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return None
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        return None if not bracket or rest or set(inner + port) & set("[]") else (inner, port)
    return None if set(host) & set(":[]") or set(port) & set("[]") else (host, port)


def _without_port(text: str) -> str:
    split = _split_port(text)
    return text if split is None else split[0]


def _without_domain(text: str) -> str:
    host, port = _split_port(text) or (text, "")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        name = host.partition(".")[0]
        name = f"[{name}]" if ":" in name and port else name
        return f"{name}:{port}" if port else name
    return text


def _seconds(text: str) -> float:
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    try:
        return sign * parse_duration(rest) / 1000
    except ValueError:
        raise TemplateError(_no_duration(rest)) from None


def _no_duration(text: str) -> str:
    units = re.findall(r"[^0-9]+", text) if re.fullmatch(r"(?:[0-9]+[^0-9]+)+", text) else []
    unknown = next((unit for unit in units if unit not in ("ms", "s", "m", "h", "d", "w", "y")), None)
    if unknown is not None:
        return f"unknown unit {quoted(unknown)} in duration {quoted(text)}"
    return f"not a valid duration string: {quoted(text)}" if text else "empty duration string"


def _external_url(context: TemplateContext) -> str:
    if context.externals.function_url is None:
        raise TemplateError(_NIL_POINTER)
    return context.externals.function_url


def _path_prefix(context: TemplateContext) -> str:
    """The path of the external URL."""
    rest = _external_url(context).partition("://")[2]
    path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    return path[1] + path[2]


def _link(tab: int) -> Callable[[str], str]:
    return lambda expression: f"/graph?g0.expr={builtins.query_escape(expression)}&g0.tab={tab}"


FUNCTIONS: Final[Mapping[str, Function]] = {
    # `and` and `or` are evaluated where they are called: they leave out what they need not look at.
    "and": Function(builtins.negated, (REFLECTED,), REFLECTED),
    "or": Function(builtins.negated, (REFLECTED,), REFLECTED),
    "not": Function(builtins.negated, (REFLECTED,)),
    "len": Function(builtins.length, (REFLECTED,)),
    "index": Function(builtins.indexed, (REFLECTED,), REFLECTED),
    "slice": Function(builtins.sliced, (REFLECTED,), REFLECTED),
    "eq": Function(builtins.equal, (REFLECTED,), REFLECTED),
    "ne": Function(builtins.unequal, (REFLECTED, REFLECTED)),
    "lt": Function(builtins.less, (REFLECTED, REFLECTED)),
    "le": Function(builtins.less_or_equal, (REFLECTED, REFLECTED)),
    "gt": Function(builtins.greater, (REFLECTED, REFLECTED)),
    "ge": Function(builtins.greater_or_equal, (REFLECTED, REFLECTED)),
    "print": Function(lambda *values: builtins.printed(values), (), ANY),
    "printf": Function(lambda form, *values: formatted(form, values), (STRING,), ANY),
    "println": Function(lambda *values: builtins.printed_line(values), (), ANY),
    "html": Function(builtins.html_escaped, (), ANY),
    "js": Function(builtins.js_escaped, (), ANY),
    "urlquery": Function(builtins.query_escaped, (), ANY),
    "query": Function(_query, (STRING,), contextual=True),
    "first": Function(_first, (RESULT,)),
    "label": Function(_label, (STRING, SAMPLE)),
    "value": Function(lambda sample: _there(sample).Value, (SAMPLE,)),
    "strvalue": Function(lambda sample: _label("__value__", sample), (SAMPLE,)),
    "sortByLabel": Function(_sorted_by_label, (STRING, RESULT)),
    "args": Function(
        lambda *values: AnyMap((f"arg{index}", value) for index, value in enumerate(values)), (), ANY
    ),
    "reReplaceAll": Function(_replaced, (STRING, STRING, STRING)),
    "match": Function(_matches, (STRING, STRING)),
    "safeHtml": Function(Html, (STRING,)),
    "title": Function(_titled, (STRING,)),
    "toUpper": Function(lambda text: _mapped(text, str.upper), (STRING,)),
    "toLower": Function(lambda text: _mapped(text, str.lower), (STRING,)),
    "graphLink": Function(_link(0), (STRING,)),
    "tableLink": Function(_link(1), (STRING,)),
    "stripPort": Function(_without_port, (STRING,)),
    "stripDomain": Function(_without_domain, (STRING,)),
    "humanize": Function(humanize.humanize, (ANY,)),
    "humanize1024": Function(humanize.humanize_1024, (ANY,)),
    "humanizeDuration": Function(humanize.humanize_duration, (ANY,)),
    "humanizePercentage": Function(humanize.humanize_percentage, (ANY,)),
    "humanizeTimestamp": Function(humanize.humanize_timestamp, (ANY,)),
    "toTime": Function(humanize.to_time, (ANY,)),
    "toDuration": Function(humanize.to_duration, (ANY,)),
    "now": Function(lambda context: context.at_ms / 1000, contextual=True),
    "pathPrefix": Function(_path_prefix, contextual=True),
    "externalURL": Function(_external_url, contextual=True),
    "parseDuration": Function(_seconds, (STRING,)),
    "urlQueryEscape": Function(builtins.query_escape, (STRING,)),
}
"""By name. `call` is missing: there is nothing in a template that it could call."""
TIMED: Final = frozenset(("now", "query"))
"""Functions whose result may change while the sample stays what it is."""
