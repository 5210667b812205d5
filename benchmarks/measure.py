"""Figures, and how a benchmark tells them: a line each for people, or JSON for `run.py`.

A machine that does other work at the same time makes every time longer, so speed is told as a ratio to one
OTel span with 15 attributes, measured in turns with it in one process, as thread time where that is fair. It
is never asserted in a test.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

QUICK: Final = bool(os.environ.get("BENCH_QUICK"))
"""Whether one small round is enough: to see that it runs, not how fast."""
JSON: Final = bool(os.environ.get("BENCH_JSON"))
"""Whether figures go out as JSON, for `run.py`."""

FIFTEEN: Final = {f"gen_ai.attribute.{n}": n if n % 2 else f"value {n}" for n in range(15)}


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        what: What was measured.
        bound: What it is held to, as text; "" where nothing is promised.
        value: The measure.
        unit: Its unit.
        digits: Digits behind the point.
    """

    what: str
    bound: str
    value: float
    unit: str
    digits: int = 0


def tell(figures: Iterable[Figure]) -> None:
    """Prints figures."""
    for figure in figures:
        if JSON:
            print(json.dumps(figure._asdict()), flush=True)
        else:
            bound = f"   ({figure.bound})" if figure.bound else ""
            print(f"{figure.what:72} {figure.value:>12,.{figure.digits}f} {figure.unit}{bound}", flush=True)


def chosen(quick: int, full: int) -> int:
    """How much of something: less with `BENCH_QUICK`."""
    return quick if QUICK else full


def thread_us(work: Callable[[], object], count: int) -> float:
    """Microseconds of this thread's own time for one of `count` things that `work` does."""
    before = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - before) / count / 1_000


class Yardstick:
    """One OTel span with 15 attributes: started, given them, ended, with nobody listening."""

    def __init__(self) -> None:
        self._tracer = TracerProvider(shutdown_on_exit=False).get_tracer("benchmark", "1")

    def make(self, count: int) -> None:
        """Makes spans."""
        start = self._tracer.start_span
        for _ in range(count):
            start("chat gpt-5", kind=SpanKind.CLIENT, attributes=FIFTEEN).end()

    def us(self, count: int = 1_000) -> float:
        """Microseconds of thread time of one span, now."""
        return thread_us(lambda: self.make(count), count)


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of measures, each divided by what was measured beside it."""
    return statistics.median(one / beside for one, beside in pairs)
