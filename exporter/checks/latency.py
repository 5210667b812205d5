"""How long a ledger takes to hold, to settle and to append, measured beside the real one."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from spanbudget.exporter.entry_store import SharedLedger
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.holds import Owner, Settlement
from spanbudget.processors.ledger import Entry, SpendKey, entry_id
from spanbudget.processors.limits import Amount, Demand, Limits, Pot

ROUNDS: Final = 200
_KEY: Final = SpendKey("doctor", "", "total", 0)
_POT: Final = Pot("doctor")
_UNIT: Final = Amount(1_000_000, 10, 1)


class Latency(NamedTuple):
    """How long something takes, milliseconds."""

    p50: float
    p99: float


def latency_of(work: Callable[[int], object], rounds: int = ROUNDS) -> Latency:
    """Measures some work.

    Args:
        work: Given the number of the round.
        rounds: How often it is done, 100 or more for a p99 that means something.
    """
    times = []
    for number in range(rounds):
        started = time.perf_counter_ns()
        work(number)
        times.append(time.perf_counter_ns() - started)
    times.sort()
    return Latency(times[rounds // 2] / 1e6, times[min(rounds - 1, rounds * 99 // 100)] / 1e6)


def measure(ledger: SharedLedger, now_ns: int) -> Mapping[str, Latency]:
    """Measures a scratch ledger: holds, settlements and plain entries of made-up calls.

    Args:
        ledger: It holds nothing that matters.
        now_ns: Nanoseconds since the epoch.

    Raises:
        LedgerError: It cannot be written.
    """
    owner = os.urandom(16)
    ledger.join(Owner(owner, "", now_ns + 600 * 10**9, 0, {}))
    demand = Demand(_POT, "total", 0, 0, Limits(cost=10**15), _UNIT, _UNIT)
    reserve = latency_of(lambda _: ledger.take(owner, [demand], now_ns))
    settle = latency_of(
        lambda number: ledger.settle(Settlement(owner, number + 1, _entries(number, now_ns), {_POT: _UNIT}))
    )
    append = latency_of(lambda number: ledger.append(_entries(ROUNDS + number, now_ns)))
    return {"reserve": reserve, "settle": settle, "append": append}


def _entries(number: int, now_ns: int) -> Sequence[Entry]:
    call = LLMCall(
        trace_id=number + 1, span_id=number + 1, parent_id=0, scope="spanbudget.doctor", provider="openai",
        model="doctor", request_model="doctor", response_model=None, operation="chat", aggregate=False,
        tier=None, usage=Usage(input=10, output=0), usage_confidence="exact", reasons=(), start_ns=now_ns,
        end_ns=now_ns, failed=False, response_id=None, labels=(),
    )  # fmt: skip
    priced = PricedCall(call, _UNIT.cost, _UNIT.cost, 0, 0, 0, "doctor", "exact", ())
    return (Entry(entry_id(call), "call", priced, (_KEY,)),)
