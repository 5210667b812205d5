"""The verdicts on what is not as it must be."""

from dataclasses import replace

import pytest

from spanbudget.exporter.checks.clock import skew
from spanbudget.exporter.checks.latency import latency_of
from spanbudget.exporter.checks.limits import Spent, judge
from spanbudget.exporter.checks.tracing import _processor_order, _sampler_order, _sampling
from spanbudget.processors.span_processor import BudgetSpanProcessor

USD = 10**12
HELD = Spent(
    "cost", limit=500 * USD, unit=10 * USD, admitted=50, refused="limit", spent=500 * USD, reserved=0
)


def test_a_limit_that_held_passes() -> None:
    finding = judge("team", HELD)
    assert (finding.verdict, finding.numbers["spent"]) == ("pass", "500")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"admitted": 51, "spent": 510 * USD}, "more was spent than the limit allows"),
        ({"admitted": 49, "spent": 490 * USD}, "calls were refused that the limit pays for"),
        ({"refused": ""}, "the call after the last one was not refused"),
        ({"spent": 490 * USD}, "the ledger does not have what was spent"),
        ({"reserved": 1}, "money is still held"),
    ],
)
def test_a_limit_that_did_not_hold_fails(changes: dict[str, object], told: str) -> None:
    finding = judge("team", replace(HELD, **changes))
    assert finding.verdict == "fail"
    assert told in finding.told


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0.0, "pass"), (-0.9, "pass"), (1.0, "warn"), (-59.0, "warn"), (60.0, "fail")]
)
def test_a_server_may_be_a_second_off(seconds: float, verdict: str) -> None:
    assert skew("db", seconds).verdict == verdict


def test_a_call_that_is_missed_or_exported_fails() -> None:
    assert _sampling(0, 0, recorded=True).verdict == "fail"
    assert _sampling(1, 1, recorded=True).verdict == "fail"


def test_a_sampler_that_is_not_ours_fails() -> None:
    assert _sampler_order([object()], recorded=True).verdict == "fail"


def test_a_processor_that_is_not_first_fails() -> None:
    class Sink:
        def observe(self, span: object) -> None: ...
        def flush(self, timeout_seconds: float = 30.0) -> bool:
            return True

        def shutdown(self, timeout_seconds: float = 30.0) -> None: ...

    first, second = BudgetSpanProcessor(Sink()), BudgetSpanProcessor(Sink())
    assert _processor_order((first, second), second).verdict == "fail"
    assert _processor_order((first, second), first).verdict == "pass"


def test_latencies_are_percentiles() -> None:
    found = latency_of(lambda _: None, 100)
    assert 0 <= found.p50 <= found.p99
