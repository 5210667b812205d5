"""The sentences of alerts, as templates that Prometheus fills in.

Money of a moment comes from `query`, in a block `{{ with … }}` of its own that falls away where there is no
such series, or no such function.
"""

from typing import Final

from spanbudget.processors import names_out as names
from spanbudget.processors.names_out import Metric, prometheus_name
from spanbudget.rules.expansion.promql_text import CHILD, NAME

USD_VALUE: Final = '{{ printf "$%.2f" $value }}'
PERCENT_VALUE: Final = "{{ $value | humanizePercentage }}"
TIMES_VALUE: Final = "{{ $value | humanize }}"


def subject(*, has_children: bool) -> str:
    """Which budget, and for a template which child."""
    child = f" ({{{{ $labels.{CHILD} }}}})" if has_children else ""
    return f"Budget {{{{ $labels.{NAME} }}}}{child}"


def usd_now(before: str, metric: Metric) -> str:
    """The text `before` and what a gauge of the alert's budget shows at the moment, in USD."""
    # %q writes a literal of Go, which is one of PromQL as well; an absent child is "", which matches it.
    query = f"max({prometheus_name(metric)}{{{NAME}=%q, {CHILD}=%q}})"
    found = f'printf "{query}" $labels.{NAME} $labels.{CHILD} | query'
    return f'{{{{ with {found} }}}}{before}{{{{ . | first | value | printf "$%.2f" }}}}{{{{ end }}}}'


def spent_of_limit() -> str:
    """`: $410.00 of $500.00`."""
    return usd_now(": ", names.BUDGET_SPENT_USD) + usd_now(" of ", names.BUDGET_LIMIT_USD)


def limit_now() -> str:
    """` of $500.00`."""
    return usd_now(" of ", names.BUDGET_LIMIT_USD)
