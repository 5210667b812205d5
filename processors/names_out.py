"""Every metric, attribute and variable name that the outside sees, each spelled here and nowhere else.

A metric carries its unit word last and an annotation unit (`{USD}`), so that the Prometheus exporter of the
SDK and the OTLP receiver of Prometheus make the same name of it: `llm.cost.usd` → `llm_cost_usd_total`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """How the value of a metric moves."""

    COUNTER = "counter"
    """Only grows while a process lives, and starts at 0 with it; sum it over processes."""
    HISTOGRAM = "histogram"
    """Counts values by size; only grows, like a counter."""
    GAUGE = "gauge"
    """Goes up and down; those of budgets show shared state, so take the maximum over processes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Its OpenTelemetry name; the unit word is last, `ratio` is nowhere else and `total` nowhere.
        unit: An annotation unit.
        description: What it shows, for `# HELP` and dashboards.
        kind: Counter or gauge.
        divisor: What an integer inside is divided by to get the unit: 1e12 for pico-USD, 1e9 for nanoseconds.
        reason: The attribute that the reason in `health()` becomes.
    """

    name: str
    unit: str
    description: str
    kind: Kind
    divisor: int = 1
    reason: str = "spanbudget.reason"


def prometheus_name(metric: Metric) -> str:
    """The name that Prometheus has for a metric, scraped or by OTLP; a histogram's without `_bucket`."""
    name = metric.name.replace(".", "_")
    return f"{name}_total" if metric.kind is Kind.COUNTER else name


def prometheus_label(attribute: str) -> str:
    """The label that Prometheus has for an attribute of a data point."""
    text = "".join(
        character if character.isalnum() and character.isascii() else "_" for character in attribute
    )
    return f"_{text}" if text[:1].isdigit() else text


METER: Final = "spanbudget"
"""Name of the instrumentation scope of every metric."""

PICO: Final = 1_000_000_000_000
NANO: Final = 1_000_000_000

# Attributes of data points. `gen_ai.response.model` carries the model that was priced: the one that answered,
# or the one asked for where the answer does not tell. There is no second model attribute, so that a sum by
# model never splits one model in two.
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.response.model"
OPERATION: Final = "gen_ai.operation.name"
TIER: Final = "llm.service_tier"
OUTCOME: Final = "llm.outcome"
CONFIDENCE: Final = "llm.cost.confidence"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name, not a secret
REASON: Final = "spanbudget.reason"
BUDGET: Final = "llm.budget.name"
BUDGET_CHILD: Final = "llm.budget.child"

LABEL_ATTRIBUTES: Final[Mapping[str, str]] = {
    "service": "service.name",
    "environment": "deployment.environment.name",
    "user": "user.id",
    "session": "session.id",
}
"""The attribute of an attribution label; one that is not here is its own attribute (`team`, `feature`)."""

UNKNOWN: Final = "unknown"
"""Value of a dimension that the span does not tell."""
OTHER: Final = "other"
"""Value of a dimension for all values beyond the limit on distinct values."""
OUTCOME_OK: Final = "ok"
OUTCOME_ERROR: Final = "error"
TOKEN_TYPES: Final = ("input", "cache_read", "cache_write", "output")
"""Disjoint: `input` is the uncached prompt, `output` includes reasoning."""

# Attributes of outgoing spans.
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"
COST: Final = "gen_ai.usage.cost"
CURRENCY: Final = "USD"
SOURCE_LOCAL: Final = "local"
SOURCE_PROVIDER: Final = "provider"
REPORTED_PRICE: Final = "reported:"
"""The price id of a cost that the provider's API returned starts with this."""
TOLD_PRICE: Final = "told:application"
"""The price id of a cost that the application gave when it settled a reservation."""
HELD_PRICE: Final = "held:reservation"
"""The price id of a call that is charged with what was reserved for it, because nothing else is known."""

# Environment variables.
CONFIG_VARIABLE: Final = "SPANBUDGET_CONFIG"
"""Path of the configuration file."""
RUN_VARIABLE: Final = "SPANBUDGET_RUN"
"""Set in the processes of `spanbudget run`: the folder of the run."""
RERAISE_VARIABLE: Final = "SPANBUDGET_RERAISE"
"""Not empty in tests: faults of ours on the application's thread are raised instead of only counted."""

# What this process's own calls cost.
COST_USD: Final = Metric("llm.cost.usd", "{USD}", "Cost of LLM calls", Kind.COUNTER, PICO)
TOKENS: Final = Metric("llm.tokens", "{token}", "Tokens of LLM calls, in disjoint types", Kind.COUNTER)
REQUESTS: Final = Metric("llm.requests", "{request}", "LLM calls, each counted once", Kind.COUNTER)

# The state of budgets, as the shared ledger has it.
BUDGET_LIMIT_USD: Final = Metric(
    "llm.budget.limit.usd", "{USD}", "Limit of a budget in its current window", Kind.GAUGE, PICO
)
BUDGET_SPENT_USD: Final = Metric(
    "llm.budget.spent.usd", "{USD}", "Settled spend of a budget in its current window", Kind.GAUGE, PICO
)
BUDGET_RESERVED_USD: Final = Metric(
    "llm.budget.reserved.usd",
    "{USD}",
    "Money held for calls that have not been settled yet",
    Kind.GAUGE,
    PICO,
)
BUDGET_REMAINING_USD: Final = Metric(
    "llm.budget.remaining.usd",
    "{USD}",
    "Limit less spent less reserved; negative when overspent",
    Kind.GAUGE,
    PICO,
)
BUDGET_UTILIZATION: Final = Metric(
    "llm.budget.utilization.ratio", "{ratio}", "The fullest limit of a budget: 1 is used up", Kind.GAUGE
)
BUDGET_LIMIT_TOKENS: Final = Metric(
    "llm.budget.limit.tokens", "{token}", "Token limit of a budget in its current window", Kind.GAUGE
)
BUDGET_SPENT_TOKENS: Final = Metric(
    "llm.budget.spent.tokens", "{token}", "Tokens of a budget in its current window", Kind.GAUGE
)
BUDGET_LIMIT_REQUESTS: Final = Metric(
    "llm.budget.limit.requests", "{request}", "Request limit of a budget in its current window", Kind.GAUGE
)
BUDGET_SPENT_REQUESTS: Final = Metric(
    "llm.budget.spent.requests", "{request}", "Calls of a budget in its current window", Kind.GAUGE
)

# What the elected evaluator of rules works out about budgets.
BUDGET_PEAK: Final = Metric(
    "llm.budget.peak.ratio",
    "{ratio}",
    "The fullest that a budget has been in its current window, by its present limit",
    Kind.GAUGE,
)
BUDGET_ELAPSED: Final = Metric(
    "llm.budget.elapsed.ratio", "{ratio}", "The part of a budget's current window that has passed", Kind.GAUGE
)
BUDGET_PROJECTED_USD: Final = Metric(
    "llm.budget.projected.usd",
    "{USD}",
    "What a budget will have spent at the end of its window, by quantile",
    Kind.GAUGE,
)
BUDGET_EXHAUSTION: Final = Metric(
    "llm.budget.exhaustion.seconds",
    "{second}",
    "Time until the limit on money is reached, by the median; missing where the window ends before",
    Kind.GAUGE,
)
BUDGET_BURN_RATE: Final = Metric(
    "llm.budget.burn_rate",
    "{ratio}",
    "Spend of a trailing time over what the limit allows in that time: at 1 the limit lasts just as long as"
    " the window",
    Kind.GAUGE,
)
BUDGET_COST_USD: Final = Metric(
    "llm.budget.cost.usd", "{USD}", "Cost of the calls of a budget, of all processes", Kind.COUNTER, PICO
)
BUDGET_CALLS: Final = Metric(
    "llm.budget.calls", "{call}", "LLM calls of a budget, of all processes", Kind.COUNTER
)
REQUEST_DURATION: Final = Metric(
    "llm.request.duration.seconds", "{second}", "Duration of LLM calls", Kind.HISTOGRAM, NANO
)
BUDGET_REQUEST_DURATION: Final = Metric(
    "llm.budget.request.duration.seconds",
    "{second}",
    "Duration of the LLM calls of a budget, of all processes",
    Kind.HISTOGRAM,
    NANO,
)
BURN_WINDOW: Final = "llm.budget.burn_window"
"""Attribute: the length of the trailing time, `1h`."""
BURN_WINDOWS: Final[Mapping[str, int]] = {
    "10m": 600, "30m": 1_800, "1h": 3_600, "2h": 7_200, "6h": 21_600, "1d": 86_400, "3d": 259_200,
}  # fmt: skip
"""The trailing times, in seconds."""
QUANTILE: Final = "llm.projection.quantile"
"""Attribute: the projection is exceeded with the probability 1 less this."""
DURATION_BOUNDS_SECONDS: Final = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
"""Upper bounds of buckets. Source: OpenTelemetry's conventions for `gen_ai.client.operation.duration`."""

# What the watch for anomalies sees; the same process shows it.
ANOMALY_SCORE: Final = Metric(
    "llm.anomaly.score", "{ratio}", "How unusual a series is: above 1 it is an anomaly", Kind.GAUGE
)
ANOMALY_EXCESS_USD: Final = Metric(
    "llm.anomaly.excess.usd",
    "{USD}",
    "What an anomaly has cost so far beyond what was expected; below 0 where calls are missing",
    Kind.GAUGE,
)
ANOMALY_EXPECTED_USD: Final = Metric(
    "llm.anomaly.expected.usd", "{USD}", "What a series is expected to cost in ten minutes", Kind.GAUGE
)
ANOMALY_STATE: Final = Metric(
    "llm.anomaly.state", "{series}", "1 for the status that a watched series has", Kind.GAUGE
)
ANOMALY_METRICS: Final = (ANOMALY_SCORE, ANOMALY_EXCESS_USD, ANOMALY_EXPECTED_USD, ANOMALY_STATE)
ANOMALY_DIMENSION: Final = "llm.anomaly.dimension"
"""Attribute: what a series is the part of a budget by, `model`; absent for the budget's total."""
ANOMALY_VALUE: Final = "llm.anomaly.value"
"""Attribute: the value of that dimension."""
ANOMALY_SIGNAL: Final = "llm.anomaly.signal"
"""Attribute: `spend`, `cost_per_request`, `silence`, `latency`, `error_rate` or `tokens`."""
ANOMALY_BOUND: Final = "llm.anomaly.bound"
"""Attribute: `low`, `expected` or `high`."""
ANOMALY_STATUS: Final = "llm.anomaly.status"
"""Attribute: `learning`, `ok` or `anomalous`."""

ANOMALIES_SERIES: Final = Metric(
    "spanbudget.anomalies.series", "{series}", "Series that are watched for anomalies", Kind.GAUGE
)
ANOMALIES_LEFT_OUT: Final = Metric(
    "spanbudget.anomalies.left_out",
    "{series}",
    "Series with calls in the last ten minutes that are not watched, because others spend more",
    Kind.GAUGE,
)
ANOMALIES_OPEN: Final = Metric(
    "spanbudget.anomalies.open", "{episode}", "Anomalies that have not ended, by signal", Kind.GAUGE
)
ANOMALIES_BEHIND: Final = Metric(
    "spanbudget.anomalies.behind.seconds",
    "{second}",
    "How much of the past the watch for anomalies has still to read",
    Kind.GAUGE,
    NANO,
)
ANOMALIES_RELEARNED: Final = Metric(
    "spanbudget.anomalies.relearned",
    "{series}",
    "Series that learn anew because what was kept of them cannot be read",
    Kind.COUNTER,
)

# What becomes of rules and their alerts.
ALERTS_ACTIVE: Final = Metric(
    "spanbudget.alerts.active", "{alert}", "Alerts that fire or are pending", Kind.GAUGE
)
ALERT_NAME: Final = "alertname"
ALERT_STATE: Final = "alertstate"
ALERT_SEVERITY: Final = "severity"
"""Attributes of data points about alerts, as Prometheus has them in its series `ALERTS`."""
RULES_FAILED: Final = Metric(
    "spanbudget.rules.failures", "{failure}", "Evaluations of rules that failed, by group", Kind.COUNTER
)
RULES_EVALUATED: Final = Metric(
    "spanbudget.rules.evaluations", "{evaluation}", "Evaluations of rule groups", Kind.COUNTER
)
RULES_SECONDS: Final = Metric(
    "spanbudget.rules.last_evaluation.seconds",
    "{second}",
    "How long the last evaluation of all groups took",
    Kind.GAUGE,
    NANO,
)
RULES_SERIES: Final = Metric(
    "spanbudget.rules.series", "{series}", "Series that the evaluator of rules holds", Kind.GAUGE
)
RULES_LEADING: Final = Metric(
    "spanbudget.rules.leading", "{process}", "1 in the process that evaluates the rules", Kind.GAUGE
)
RULES_ERRORS: Final = Metric(
    "spanbudget.rules.errors", "{error}", "Failed uses of the store of alerts", Kind.COUNTER
)

NOTIFICATIONS_SENT: Final = Metric(
    "spanbudget.notifications.sent", "{notification}", "Notifications delivered, by receiver", Kind.COUNTER
)
NOTIFICATIONS_FAILED: Final = Metric(
    "spanbudget.notifications.failures",
    "{failure}",
    "Attempts to deliver that failed, by receiver; most are tried again",
    Kind.COUNTER,
)
NOTIFICATIONS_DEAD: Final = Metric(
    "spanbudget.notifications.dead",
    "{notification}",
    "Notifications that were given up, by receiver",
    Kind.COUNTER,
)
NOTIFICATIONS_WAITING: Final = Metric(
    "spanbudget.notifications.waiting",
    "{notification}",
    "Notifications that wait to be delivered, by receiver",
    Kind.GAUGE,
)

# How the program itself does.
SPANS_SEEN: Final = Metric("spanbudget.spans.seen", "{span}", "Spans handed over", Kind.COUNTER)
SPANS_COUNTED: Final = Metric(
    "spanbudget.spans.counted", "{span}", "Spans booked as one LLM call", Kind.COUNTER
)
SPANS_MERGED: Final = Metric(
    "spanbudget.spans.merged", "{span}", "Spans that describe a call which another span books", Kind.COUNTER
)
SPANS_SKIPPED: Final = Metric(
    "spanbudget.spans.skipped", "{span}", "Spans that are no LLM call", Kind.COUNTER
)
SPANS_REJECTED: Final = Metric("spanbudget.spans.rejected", "{span}", "Spans that were refused", Kind.COUNTER)
SPANS_LATE: Final = Metric(
    "spanbudget.spans.late", "{span}", "Spans that restated a closed window", Kind.COUNTER
)
SPANS_RESTATED: Final = Metric(
    "spanbudget.spans.restated", "{span}", "Booked calls that were reversed for a better span", Kind.COUNTER
)
SPANS_SPOOLED: Final = Metric(
    "spanbudget.spans.spooled",
    "{span}",
    "Spans written to the spool because the queue was full",
    Kind.COUNTER,
)
SPANS_LOST: Final = Metric("spanbudget.spans.lost", "{span}", "Spans that could not be kept", Kind.COUNTER)
CALLS_FORGOTTEN: Final = Metric(
    "spanbudget.calls.forgotten", "{call}", "Counted calls that memory forgot at its bound", Kind.COUNTER
)
ENTRIES_SPOOLED: Final = Metric(
    "spanbudget.entries.spooled", "{entry}", "Ledger entries written to the spool file", Kind.COUNTER
)
ENTRIES_LOST: Final = Metric(
    "spanbudget.entries.lost", "{entry}", "Entries that neither ledger nor spool could keep", Kind.COUNTER
)
ENTRIES_LOST_USD: Final = Metric(
    "spanbudget.entries.lost.usd", "{USD}", "Cost of lost entries", Kind.COUNTER, PICO
)
CALLS_UNPRICED: Final = Metric(
    "spanbudget.calls.unpriced", "{call}", "Calls without a price, by model", Kind.COUNTER, reason=MODEL
)
COST_CLAIMS: Final = Metric(
    "spanbudget.cost.claims",
    "{call}",
    "Costs that an emitter claimed and that ours contradicts",
    Kind.COUNTER,
)
LEDGER_ERRORS: Final = Metric(
    "spanbudget.ledger.errors", "{error}", "Failed uses of the ledger", Kind.COUNTER
)
PROCESSOR_FAILURES: Final = Metric(
    "spanbudget.processor.failures",
    "{failure}",
    "Faults of this program on the application's thread",
    Kind.COUNTER,
)
SERIES_OVERFLOWED: Final = Metric(
    "spanbudget.series.overflowed", "{call}", "Calls whose label value was over the limit", Kind.COUNTER
)
COUNTERS_HELD_USD: Final = Metric(
    "spanbudget.counters.held.usd",
    "{USD}",
    "Restated cost that monotonic counters still show; later spend of the same series covers it",
    Kind.GAUGE,
    PICO,
)
BUDGETS_HIDDEN: Final = Metric(
    "spanbudget.budgets.hidden",
    "{budget}",
    "Budget children left out of the metrics, least used first",
    Kind.GAUGE,
)
QUEUE_DEPTH: Final = Metric("spanbudget.queue.depth", "{span}", "Spans that wait to be counted", Kind.GAUGE)
UNFLUSHED_SECONDS: Final = Metric(
    "spanbudget.unflushed.age.seconds",
    "{second}",
    "Age of the oldest spend not in the ledger yet",
    Kind.GAUGE,
    NANO,
)
UNFLUSHED_USD: Final = Metric(
    "spanbudget.unflushed.usd", "{USD}", "Spend that is not in the ledger yet", Kind.GAUGE, PICO
)

# How calls fare before they are made.
RESERVATIONS_ENDED: Final = Metric(
    "spanbudget.reservations.ended", "{reservation}", "Reservations by how they ended", Kind.COUNTER
)
RESERVATIONS_REFUSED: Final = Metric(
    "spanbudget.reservations.refused", "{call}", "Calls refused before they were made", Kind.COUNTER
)
RESERVATIONS_CLAMPED: Final = Metric(
    "spanbudget.reservations.clamped", "{call}", "Calls whose answer was shortened to fit", Kind.COUNTER
)
RESERVATIONS_DOWNGRADED: Final = Metric(
    "spanbudget.reservations.downgraded",
    "{call}",
    "Calls sent to a cheaper model",
    Kind.COUNTER,
    reason=MODEL,
)
RESERVATIONS_UNHELD: Final = Metric(
    "spanbudget.reservations.unheld",
    "{call}",
    "Calls let pass without holding their worst case",
    Kind.COUNTER,
)
RESERVATIONS_ORPHANED: Final = Metric(
    "spanbudget.reservations.orphaned", "{reservation}", "Reservations that nobody settled", Kind.COUNTER
)
RESERVATIONS_OVERSHOT_USD: Final = Metric(
    "spanbudget.reservations.overshot.usd", "{USD}", "Cost above what was reserved", Kind.COUNTER, PICO
)
RESERVATIONS_OVERSHOOT_USD: Final = Metric(
    "spanbudget.reservations.overshoot.usd",
    "{USD}",
    "How much more than is reserved the calls in flight may cost",
    Kind.GAUGE,
    PICO,
)
RESERVATIONS_OPEN: Final = Metric(
    "spanbudget.reservations.open", "{reservation}", "Calls of this process in flight", Kind.GAUGE
)
GUARD_REFUSED: Final = Metric(
    "spanbudget.guard.refused", "{call}", "HTTP requests that the guard answered with 402", Kind.COUNTER
)
GUARD_UNREAD: Final = Metric(
    "spanbudget.guard.unread",
    "{request}",
    "Requests to language models that passed because their body is an iterator",
    Kind.COUNTER,
)
GUARD_FAULTS: Final = Metric(
    "spanbudget.guard.faults", "{failure}", "Faults of the guard; the calls passed", Kind.COUNTER
)
STORE_POLICY_USED: Final = Metric(
    "spanbudget.store_policy.used", "{call}", "Calls decided by on_store_error", Kind.COUNTER
)
JOURNAL_ERRORS: Final = Metric(
    "spanbudget.journal.errors", "{error}", "Lines of the journal that could not be written", Kind.COUNTER
)
LEASES_ORPHANED_USD: Final = Metric(
    "spanbudget.leases.orphaned.usd",
    "{USD}",
    "Charged for leases that nobody accounted for",
    Kind.COUNTER,
    PICO,
)
LEDGER_DRIFT_USD: Final = Metric(
    "spanbudget.ledger.drift.usd",
    "{USD}",
    "Sum of the entries of current windows less their running totals: 0, or something is wrong",
    Kind.GAUGE,
    PICO,
)

SELF_METRICS: Final = (
    SPANS_SEEN,
    SPANS_COUNTED,
    SPANS_MERGED,
    SPANS_SKIPPED,
    SPANS_REJECTED,
    SPANS_LATE,
    SPANS_RESTATED,
    SPANS_SPOOLED,
    SPANS_LOST,
    CALLS_FORGOTTEN,
    ENTRIES_SPOOLED,
    ENTRIES_LOST,
    ENTRIES_LOST_USD,
    CALLS_UNPRICED,
    COST_CLAIMS,
    LEDGER_ERRORS,
    PROCESSOR_FAILURES,
    SERIES_OVERFLOWED,
    COUNTERS_HELD_USD,
    BUDGETS_HIDDEN,
    QUEUE_DEPTH,
    UNFLUSHED_SECONDS,
    UNFLUSHED_USD,
    RESERVATIONS_ENDED,
    RESERVATIONS_REFUSED,
    RESERVATIONS_CLAMPED,
    RESERVATIONS_DOWNGRADED,
    RESERVATIONS_UNHELD,
    RESERVATIONS_ORPHANED,
    RESERVATIONS_OVERSHOT_USD,
    RESERVATIONS_OVERSHOOT_USD,
    RESERVATIONS_OPEN,
    GUARD_REFUSED,
    GUARD_UNREAD,
    GUARD_FAULTS,
    STORE_POLICY_USED,
    JOURNAL_ERRORS,
    LEASES_ORPHANED_USD,
    LEDGER_DRIFT_USD,
    RULES_FAILED,
    RULES_EVALUATED,
    RULES_SECONDS,
    RULES_SERIES,
    RULES_LEADING,
    RULES_ERRORS,
    ANOMALIES_SERIES,
    ANOMALIES_LEFT_OUT,
    ANOMALIES_OPEN,
    ANOMALIES_BEHIND,
    ANOMALIES_RELEARNED,
    NOTIFICATIONS_SENT,
    NOTIFICATIONS_FAILED,
    NOTIFICATIONS_DEAD,
    NOTIFICATIONS_WAITING,
)
"""What `health()` may report: (metric name, reason) → integer, in the unit times the divisor."""
