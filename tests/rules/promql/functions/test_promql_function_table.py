import math
from typing import Any

import promql_parser
import pytest

from spanbudget.rules.promql.functions.table import (
    DATE_FUNCTIONS,
    NAME_KEEPERS,
    NUMBER_FUNCTIONS,
    RANGE_FUNCTIONS,
    VECTOR_FUNCTIONS,
)

TABLES = (RANGE_FUNCTIONS, NUMBER_FUNCTIONS, VECTOR_FUNCTIONS)
VECTOR: Any = [((("a", "1"),), 2.0), ((("a", "2"),), math.nan), ((("a", "3"),), 1.0)]


def test_a_function_is_in_one_table_only() -> None:
    names = [name for table in TABLES for name in table]
    assert len(names) == len(set(names))
    assert set(NUMBER_FUNCTIONS) > DATE_FUNCTIONS
    assert set(names) > NAME_KEEPERS


@pytest.mark.parametrize("name", [name for table in TABLES for name in table])
def test_the_parser_knows_every_function(name: str) -> None:
    """It complains of the arguments, not of the name."""
    with pytest.raises(ValueError, match="expected") as raised:
        promql_parser.parse(f"{name}(1, 2, 3, 4, 5, 6, 7, 8, 9)")
    assert "unknown" not in str(raised.value)


@pytest.mark.parametrize("name", ["mad_over_time", "sort_by_label", "double_exponential_smoothing", "info"])
def test_experimental_functions_are_in_no_table(name: str) -> None:
    assert not any(name in table for table in TABLES)


def test_order_has_not_a_number_last_both_ways() -> None:
    for name, expected in (("sort", ["3", "1", "2"]), ("sort_desc", ["1", "3", "2"])):
        found: Any = VECTOR_FUNCTIONS[name]([VECTOR], 0)
        assert [dict(labels)["a"] for labels, _ in found] == expected


def test_a_scalar_is_the_value_of_a_vector_of_one() -> None:
    assert VECTOR_FUNCTIONS["scalar"]([VECTOR[:1]], 0) == 2
    several_and_none: Any = (VECTOR, [])
    for vector in several_and_none:
        found: Any = VECTOR_FUNCTIONS["scalar"]([vector], 0)
        assert math.isnan(found)


def test_a_vector_of_a_scalar_has_no_labels() -> None:
    assert VECTOR_FUNCTIONS["vector"]([2.5], 0) == [((), 2.5)]


def test_the_time_is_that_of_evaluation_in_seconds() -> None:
    assert VECTOR_FUNCTIONS["time"]([], 1_700_000_000_123) == 1_700_000_000.123
    assert VECTOR_FUNCTIONS["pi"]([], 0) == math.pi
