"""Templates give the text that Prometheus gives: checked against what promtool made of them."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import labels_of
from spanbudget.rules.promql.expression import Vector, parse_expression
from spanbudget.rules.recording import instant_vector
from spanbudget.rules.series import SeriesStore
from spanbudget.rules.templates import Externals, TemplateContext, compile_template

KNOWN: dict[str, Any] = json.loads(Path(__file__).with_name("expansions.json").read_text())
VALUES: list[str] = KNOWN["values"]
CASES = [(text, value, expected) for text, found in KNOWN["cases"] for value, expected in found.items()]
EXTERNALS = Externals((("c", "d"),), "http://h:1/p/q?x", function_url=None)


def sample_labels(index: int):
    return labels_of({"__name__": "v", "a": "x", "host": "h.example.com:9100", "n": str(index)})


@pytest.fixture(scope="module")
def store() -> SeriesStore:
    store = SeriesStore()
    for index, value in enumerate(VALUES):
        store.append(sample_labels(index), 0, float(value))
    return store


def context(labels=(), value: float = 1.0, **more: Any) -> TemplateContext:
    return TemplateContext(labels_of(labels), value, **more)


@pytest.mark.parametrize(("text", "value", "expected"), CASES)
def test_an_expansion_is_the_one_that_promtool_makes(store, text: str, value: str, expected: str) -> None:
    def query(expression: str) -> Vector:
        return instant_vector(parse_expression(expression), store, 0)

    labels = sample_labels(VALUES.index(value))
    given_context = TemplateContext(labels, float(value), 0, EXTERNALS, query)
    assert compile_template(text, name_of(expected)).expand(given_context) == expected


def name_of(expected: str) -> str:
    """The template's name in an error, which counts the alerts of the file that promtool read."""
    _, found, rest = expected.partition("error executing template ")
    return rest.partition(":")[0] if found else "template"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ $lables.a }}", 'undefined variable "$lables"'),
        ("{{ nope 1 }}", 'function "nope" not defined'),
        ("{{ if true }}x", "unexpected EOF"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ $value", "unclosed action"),
        ("{{ (1 }}", "unclosed left paren"),
        ("{{ 1) }}", "unexpected right paren"),
        ("{{ }}", "missing value for command"),
        ("{{ 1 | 2 }}", "non executable command in pipeline stage 2"),
        ('{{ "a }}', "unterminated quoted string"),
        ("{{ `a }}", "unterminated raw quoted string"),
        ("{{/* a }}", "unclosed comment"),
        ("{{ break }}", "{{break}} outside {{range}}"),
        ("{{ 99999999999999999999 }}", 'integer overflow: "99999999999999999999"'),
        ("{{ $x, $y := 1 }}", "too many declarations in command"),
        ("{{ range $labels }}{{ else }}{{ else }}{{ end }}", "expected end; found {{else}}"),
        ("{{ 1.5.a }}", "unexpected . after term"),
        ("{{ 1a }}", "bad number syntax"),
        ("{{ 1+2i }}", "complex numbers are not supported"),
        ('{{ define "a" }}x{{ end }}{{ define "a" }}y{{ end }}', "multiple definition of template"),
        ("a\nb\n{{ nope }}", ':3: function "nope" not defined'),
    ],
)
def test_a_wrong_template_is_refused_with_its_problem(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match="template: __alert_A:") as raised:
        compile_template(text, "__alert_A")
    assert problem in str(raised.value)


def test_the_line_of_a_wrong_template_is_told() -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_template("a\nb\n{{ nope }}")
    assert raised.value.line == 3


@pytest.mark.parametrize(
    ("text", "varies"),
    [
        ("plain", "never"),
        ("{{ 1 | humanize }}", "never"),
        ("{{ $labels.a }} {{ .Labels.b }}", "labels"),
        ("{{ range $labels }}x{{ end }}", "labels"),
        ("{{ $value | humanize }}", "value"),
        ("{{ .Value }}", "value"),
        ("{{ with $labels }}{{ . }}{{ end }}", "value"),  # in doubt more
        ("{{ $.Labels.a }}", "labels"),
        ("{{ printf `%v` $ }}", "value"),
        ("{{ if (gt .Value 1.0) }}x{{ end }}", "value"),
        ("{{ define `x` }}{{ .Value }}{{ end }}{{ template `x` $ }}", "value"),
        ("{{ (query `up` | first).Labels.a }}", "time"),
        ("{{ now }}", "time"),
    ],
)
def test_a_template_knows_what_its_text_depends_on(text: str, varies: str) -> None:
    assert compile_template(text).varies == varies


NUMBERS = st.floats() | st.sampled_from([0.0, 1e6, 0.5, -3.0, math.nan])
PARTS = st.sampled_from(
    [
        "text ", "{{ $labels.a }}", "{{ .Labels.b }}", "{{ $value }}", "{{ .Value | humanize }}",
        "{{ humanize1024 $value }}", "{{ $value | humanizePercentage }}", "{{ printf `%.2f` $value }}",
        "{{ $value | humanizeDuration | printf `%8s` }}", "{{ $value | printf `%d` | humanize }}",
        "{{ $value | humanizeTimestamp }}",
    ]
)  # fmt: skip


@given(st.lists(PARTS, max_size=5), NUMBERS, st.text(max_size=5))
def test_the_quick_way_gives_what_an_expansion_gives(parts: list[str], value: float, label: str) -> None:
    template = compile_template("".join(parts))
    assert template._shortcut is not None
    given_context = context({"a": label}, value)
    whole = replace(template, _shortcut=None) if template._trees else template
    assert template.expand(given_context) == whole.expand(given_context)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ range 1000000 }}{{ range 1000000 }}x{{ end }}{{ end }}", "more than 100000 steps"),
        (
            "{{ define `a` }}{{ template `a` }}{{ end }}{{ template `a` }}",
            "exceeded maximum template depth (20)",
        ),
        ("{{ printf `%99999999d` 1 }}", "a width or precision of more than 10000 is not supported"),
        ("{{ range 2000 }}{{ printf `%10000d` 1 }}{{ end }}", "more than 1048576 characters"),
    ],
)
def test_a_template_without_end_is_stopped(text: str, problem: str) -> None:
    expanded = compile_template(text, "t").expand(context())
    assert expanded.startswith("<error expanding template: error executing template t: ")
    assert problem in expanded


@pytest.mark.parametrize("text", ["{{ if true }}" * 200, "{{ " + "(" * 500 + "1" + ")" * 500 + " }}"])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="nested deeper than 50 levels"):
        compile_template(text)


def test_a_template_beyond_all_measure_is_refused() -> None:
    with pytest.raises(ExpressionError, match="longer than 100000 characters"):
        compile_template("{{ 1 }}" + "x" * 100_000)


@given(st.text(alphabet="{}$.-| ()\"'`abn=:,/*1\n\\", max_size=40))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        template = compile_template("{{" + text)
    except ExpressionError:
        return
    assert isinstance(template.expand(context({"a": "b"})), str)


def test_an_external_url_can_be_told() -> None:
    externals = Externals((), "https://x:9/a/b", "https://x:9/a/b")
    text = "{{ externalURL }} {{ pathPrefix }} {{ $externalURL }}"
    expanded = compile_template(text).expand(context(externals=externals))
    assert expanded == "https://x:9/a/b /a/b https://x:9/a/b"
