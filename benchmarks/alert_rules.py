"""Rules at scale, and how long a crossing takes to arrive.

1,000 budgets and 20 rules over all of them, with a history of seven days: one evaluation on the wall clock,
with what it takes to bring the new samples in, and the memory of the whole process. Then the same with 20
rules that each budget asks for by its `alerts:`. Then the time from the end of the span that crosses a
threshold to the receiver, at the default interval. `BENCH_QUICK=1` takes 50 budgets and one crossing.
"""

import logging
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import arrivals
from measure import Figure, chosen, tell
from opentelemetry.sdk.trace import TracerProvider

import spanbudget
from spanbudget.exporter.alerting.evaluator import Evaluator
from spanbudget.exporter.alerting.needs import needs_of_groups
from spanbudget.exporter.alerting.replaying import STEPS, Stage, make_stage
from spanbudget.exporter.alerting.rule_sets import rule_groups
from spanbudget.exporter.config import load_config
from spanbudget.exporter.ledger.tallies import Tally
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.ledger import Spend
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.templates import Externals

BUDGETS = chosen(50, 1_000)
ROUNDS = chosen(3, 15)
CROSSINGS = chosen(1, 9)
DAY_NS = 86_400 * 10**9
NOW_NS = 20_700 * DAY_NS + DAY_NS // 2
BY = "by (llm_budget_name, llm_budget_child)"
COST, CALLS = "llm_budget_cost_usd_total", "llm_budget_calls_total"
LOW, UNPRICED = '{llm_projection_quantile="0.05"}', '{llm_cost_confidence="unpriced"}'
RULES = (
    *(f"max {BY} (llm_budget_peak_ratio) >= {part}" for part in (0.5, 0.8, 0.9, 1)),
    *(
        f'max {BY} (llm_budget_burn_rate{{llm_budget_burn_window="{long}"}}) > {rate}'
        f' and max {BY} (llm_budget_burn_rate{{llm_budget_burn_window="{short}"}}) > {rate}'
        for rate, long, short in ((10, "1h", "10m"), (4, "6h", "30m"), (2, "1d", "2h"), (1.5, "3d", "6h"))
    ),
    f"max {BY} (llm_budget_projected_usd{LOW}) > max {BY} (llm_budget_limit_usd)",
    f"max {BY} (llm_budget_utilization_ratio) > 0.95 and max {BY} (llm_budget_reserved_usd) > 1",
    f'sum {BY} (increase({CALLS}{{llm_outcome="error"}}[1h])) / sum {BY} (increase({CALLS}[1h])) > 0.05',
    f"sum {BY} (increase({CALLS}{UNPRICED}[1d])) / sum {BY} (increase({CALLS}[1d])) > 0.01",
    f"sum {BY} (increase({COST}[1h])) > 999 * sum {BY} (increase({COST}[7d])) / 168",
    f"sum {BY} (increase({COST}[1d])) > 20 * sum {BY} (increase({COST}[1d] offset 1d))",
    f"max_over_time(sum {BY} (rate({COST}[10m]))[1h:10m]) > 1",
    "avg_over_time(llm_budget_spent_usd[7d]) > 90",
    "predict_linear(llm_budget_spent_usd[6h], 3600) > llm_budget_limit_usd",
    f"sum {BY} (increase({CALLS}[30m])) == 0",
    f"max {BY} (llm_budget_remaining_usd) < 0",
    "changes(llm_budget_limit_usd[7d]) > 3",
)
OWN = (
    "{thresholds: [10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 100], burn: true, projected_overrun: true,"
)
OWN += " silence: 1h, unpriced_share: {above: 1}}"


def stretches() -> Iterator[tuple[int, int]]:
    """The moments of seven days, as restoring takes them: (when, how long ago at least)."""
    since = NOW_NS - 7 * DAY_NS
    for age_ns, step_ns in STEPS:
        until = NOW_NS - age_ns
        for at_ns in range(since + step_ns, until + 1, step_ns):
            yield at_ns, age_ns // 10**6
        since = max(since, until)


def states(stage: Stage, at_ns: int) -> list[BudgetState]:
    """Every fiftieth budget is full, the others are at up to 60 %; the gauges move at each moment."""
    move = at_ns // 10**9 % 1_000 / 1_000
    book = stage.replayed
    return [
        book.state_of(f"b{n}", Spend(int((100 if n % 50 == 0 else n % 60 + move) * 10**12)), at_ns)
        for n in range(BUDGETS)
    ]


def tallies(at_ns: int) -> list[Tally]:
    """One call of each budget."""
    return [
        Tally(
            at_ns, "openai", "gpt-4o", "gpt-4o", "gpt-4o", "chat", None, False, "exact", (("team", f"b{n}"),),
            1, 0, 10**9 * (n % 7 + 1), 100, 0, 0, 100, 10**9, (0,) * 7 + (1,) + (0,) * 7,
        )
        for n in range(BUDGETS)
    ]  # fmt: skip


def evaluated(folder: Path, *, own: bool) -> list[Figure]:
    alerts = f", alerts: {OWN}" if own else ""
    lines = [
        f"  - {{name: b{n}, match: {{team: b{n}}}, max_cost: 100, period: monthly{alerts}}}"
        for n in range(BUDGETS)
    ]
    path = folder / "budgets.yaml"
    path.write_text("\n".join(["" if own else "rules: [rules.yaml]", "budgets:", *lines]), encoding="utf-8")
    summary = "annotations: {summary: '{{ $labels.llm_budget_name }}: {{ $value | humanize }}'}"
    rules = [f"    - {{alert: Rule{n}, expr: '{text}', {summary}}}" for n, text in enumerate(RULES)]
    (folder / "rules.yaml").write_text(
        "\n".join(["groups:", "- name: g", "  rules:", *rules]), encoding="utf-8"
    )
    config = load_config(path)
    groups = rule_groups(config)
    needs = needs_of_groups(groups)
    stage = make_stage(config, config.budgets, needs, BudgetGauges(), NOW_NS - 7 * DAY_NS)
    evaluator = Evaluator(
        groups=groups,
        store=stage.store,
        kept={},
        interval_ms=1,
        externals=Externals(),
        now_ms=NOW_NS // 10**6,
    )
    for at_ns, age_ms in stretches():
        known = states(stage, at_ns) if stage.feed.reads_gauges(age_ms) else ()
        stage.feed.take(at_ns, tallies(at_ns), known, {}, age_ms=age_ms)
    took = []
    for number in range(ROUNDS + 2):
        at_ns = NOW_NS + (number + 1) * 15 * 10**9
        new, full = tallies(at_ns), states(stage, at_ns)
        started = time.perf_counter()
        stage.feed.take(at_ns, new, full, {})
        evaluator.evaluate(at_ns // 10**6, news=True)
        took.append(1_000 * (time.perf_counter() - started))
    if evaluator.errors:
        sys.exit(f"rules failed: {evaluator.errors}")
    what = f"{BUDGETS:,} budgets × {20 if own else len(RULES)} rules"
    kind = "from their `alerts:`" if own else "over all budgets, 7 days of history"
    ms = Figure(f"one evaluation: {what}, {kind}", "" if own else "≤ 200", statistics.median(took[2:]), "ms")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        ms,
        Figure(
            "memory of that process" if own else "memory of a process with all that",
            "" if own else "≤ 300",
            megabytes,
            "MB",
        ),
    ]


def crossings(folder: Path) -> Figure:
    """Seconds from the end of the span that crosses to the call of the receiver."""
    path = folder / "crossing.yaml"
    rest = "max_cost: 1, period: daily, alerts: {thresholds: [50]}"
    budgets = [f"  - {{name: c{n}, match: {{team: c{n}}}, {rest}}}" for n in range(CROSSINGS)]
    path.write_text(
        f"ledger: {{url: 'sqlite:///{folder}/ledger.db'}}\nmetrics: {{exporter: none}}\n"
        "receivers: [{name: here, callback: 'arrivals:arrived', group_by: ['...']}]\nbudgets:\n"
        + "\n".join(budgets),
        encoding="utf-8",
    )
    provider = TracerProvider(shutdown_on_exit=False)
    spanbudget.instrument(path, tracer_provider=provider)
    tracer = provider.get_tracer("opentelemetry.instrumentation.openai")
    took = []
    time.sleep(3)  # the engine takes the lead and comes to rest
    for number in range(CROSSINGS):
        with tracer.start_as_current_span("chat") as span:
            for name, value in {
                "system": "openai",
                "operation.name": "chat",
                "response.model": "gpt-4o",
            }.items():
                span.set_attribute(f"gen_ai.{name}", value)
            span.set_attribute("gen_ai.usage.input_tokens", 0)
            span.set_attribute("gen_ai.usage.output_tokens", 60_000)
            span.set_attribute("team", f"c{number}")
        ended = time.time_ns()
        give_up = time.monotonic() + 30
        while len(arrivals.times_ns) <= number and time.monotonic() < give_up:
            time.sleep(0.001)
        took.append((arrivals.times_ns[number] - ended) / 1e9)
        time.sleep(1.3)
    spanbudget.uninstrument()
    return Figure("longest from a span's end to the receiver, default interval", "≤ 2", max(took), "s", 2)


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        tell([crossings(Path(folder))])
        tell(evaluated(Path(folder), own=False))
        tell(evaluated(Path(folder), own=True))


if __name__ == "__main__":
    main()
