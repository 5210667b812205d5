"""A ledger, its pipeline and the engine of its rules, on a clock that the test sets."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from spanbudget.exporter.alerting.engine import AlertEngine
from spanbudget.exporter.alerting.starting import make_engine
from spanbudget.exporter.config import Config, load_config
from spanbudget.exporter.pipeline import Pipeline
from spanbudget.exporter.wiring import open_pipeline

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 20_700 * DAY + 8 * HOUR
"""08:00 UTC of some day."""

told: list[dict[str, Any]] = []
"""What the callback `scene:tell` was told."""


def tell(notification: Any) -> None:
    told.append(dict(notification))


@dataclass
class Clock:
    now_ns: int = START

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Scene:
    """One process."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    config: Config = field(init=False)
    pipeline: Pipeline = field(init=False)
    engine: AlertEngine = field(init=False)

    def __post_init__(self) -> None:
        self.config = load_config(self.path)
        self.pipeline = open_pipeline(self.config, clock_ns=self.clock)
        self.engine = make_engine(self.config, self.pipeline)
        self._tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.openai")

    def spend(
        self, cents: int = 10, model: str = "gpt-4o", *, error: bool = False, seconds: float = 1
    ) -> None:
        """A call that ends now: 10,000 tokens of output of gpt-4o are 10 cents."""
        now_ns = self.clock.now_ns
        span = self._tracer.start_span("chat", start_time=now_ns - int(seconds * SECOND))
        span.set_attribute("gen_ai.system", "openai")
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.request.model", model)
        span.set_attribute("gen_ai.response.model", model)
        span.set_attribute("gen_ai.usage.input_tokens", 0)
        span.set_attribute("gen_ai.usage.output_tokens", cents * 1_000)
        if error:
            span.set_status(StatusCode.ERROR)
        span.end(end_time=now_ns)
        self.pipeline.observe(span)  # type: ignore[arg-type]
        assert self.pipeline.flush()

    def step(self, ns: int = SECOND, times: int = 1) -> None:
        """Lets time pass, and the engine do what is due, `times` times."""
        for _ in range(times):
            self.clock.now_ns += ns
            self.engine.tick(self.clock.now_ns)
            deliver(self.engine)

    def stop(self) -> None:
        self.engine.stop()
        self.pipeline.shutdown()

    def vanish(self) -> None:
        """Ends as a killed process does: nothing is told and no lease is given back."""
        lead = self.engine._lead
        if lead is not None:
            lead.close(5)
        self.pipeline.shutdown()


def deliver(engine: AlertEngine) -> None:
    """Waits until the couriers have sent everything."""
    lead, store = engine._lead, engine._store
    if lead is None or store is None:
        return
    lead.delivery.wake()
    give_up_at = time.monotonic() + 30
    while any(store.waiting().values()):
        assert time.monotonic() < give_up_at, store.waiting()
        time.sleep(0.002)


def written(folder: Path, text: str, name: str = "budgets.yaml") -> Path:
    """A configuration on a ledger of its own, with the callback as its receiver."""
    path = folder / name
    body = re.sub(r"^\n", "", text)
    path.write_text(
        f"ledger: {{url: 'sqlite:///{folder}/ledger.db'}}\nmetrics: {{exporter: none}}\n"
        "receivers: [{name: team, callback: 'scene:tell', repeat_interval: 1d}]\n" + body,
        encoding="utf-8",
    )
    return path


def news() -> list[Any]:
    """What was told since the last time: (status, alert, what it is about)."""
    found = []
    for notification in told:
        for alert in notification["alerts"]:
            labels = alert["labels"]
            about = labels.get("llm_budget_threshold") or labels.get("llm_burn_window") or ""
            found.append((alert["status"], labels["alertname"], about))
    told.clear()
    return found
