"""The page on PromQL says what there is: no more, no less."""

import re
from pathlib import Path

import pytest

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.promql.aggregations import REDUCTIONS
from spanbudget.rules.promql.context import SUBQUERY_SAMPLES_MAX, SUBQUERY_STEPS_MAX
from spanbudget.rules.promql.expression import SERIES_MAX, STEP_MS, parse_expression
from spanbudget.rules.promql.functions.table import NUMBER_FUNCTIONS, RANGE_FUNCTIONS, VECTOR_FUNCTIONS
from spanbudget.rules.promql.planning import DEPTH_MAX
from spanbudget.rules.promql.scanning import LENGTH_MAX, NESTING_MAX, OPERATORS_MAX
from spanbudget.rules.series import LOOK_BACK_MS, STEPS_MS

OF_EXPRESSIONS = {"absent", "absent_over_time", "timestamp"}
RANKED = {"topk", "bottomk", "quantile", "count_values"}
NOT_FUNCTIONS = {"anchored", "smoothed", "fill"}


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "rules" / "promql.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def first_column(text: str) -> str:
    return "\n".join(line.split(" | ")[0] for line in text.splitlines() if line.startswith("| "))


def test_the_page_names_every_function_and_no_other(page: str) -> None:
    named = quoted(first_column(section(page, "Functions")))
    assert len(named) == len(set(named))
    assert set(named) == {*RANGE_FUNCTIONS, *NUMBER_FUNCTIONS, *VECTOR_FUNCTIONS, *OF_EXPRESSIONS}


def test_the_page_names_every_aggregation_and_no_other(page: str) -> None:
    assert set(quoted(first_column(section(page, "Aggregations")))) == {*REDUCTIONS, *RANKED}


def test_every_example_of_the_page_is_read(page: str) -> None:
    examples = [
        *quoted(first_column(section(page, "Selectors"))),
        *quoted(first_column(section(page, "Operators"))),
        *quoted(section(page, "Operators").partition("\n\nVectors are matched")[2]),
        *quoted(section(page, "Aggregations").partition("\n\n|")[0]),
    ]
    assert len(examples) > 30
    for example in examples:
        parse_expression(example)


def test_every_function_that_the_page_refuses_is_refused(page: str) -> None:
    refused = {name for name in quoted(section(page, "Refused")) if name not in NOT_FUNCTIONS}
    assert refused
    assert not refused & {*RANGE_FUNCTIONS, *NUMBER_FUNCTIONS, *VECTOR_FUNCTIONS, *OF_EXPRESSIONS}
    arguments = ("", "a", "1, 2", "a[5m]", "1, a", 'a, "x"', "a[5m], 1, 1", 'a, "x", 1, 1')
    for name in refused:
        told = []
        for given in arguments:
            with pytest.raises(ExpressionError) as raised:
                parse_expression(f"{name}({given})")
            told.append(str(raised.value))
        assert any("not supported" in message for message in told), name


def test_the_limits_of_the_page_are_those_of_the_code(page: str) -> None:
    for limit in (LENGTH_MAX, SUBQUERY_STEPS_MAX, SUBQUERY_SAMPLES_MAX, SERIES_MAX):
        assert f"{limit:,}" in page
    assert f"{OPERATORS_MAX} operators, {NESTING_MAX} brackets or {DEPTH_MAX} parts" in page
    assert (LOOK_BACK_MS, STEP_MS) == (5 * 60_000, 60_000)
    assert STEPS_MS == ((86_400_000, 1_800_000), (7_200_000, 300_000), (600_000, 60_000))
