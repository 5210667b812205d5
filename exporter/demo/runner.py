"""Runs the demo: the fake provider, the OTLP receiver and two applications that share one ledger."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spanbudget.exporter.budget_states import budget_states
from spanbudget.exporter.config import parse_config
from spanbudget.exporter.demo.provider import FakeProvider
from spanbudget.exporter.demo.receiver import Receiver
from spanbudget.exporter.demo.truth import Comparison, compare, standing
from spanbudget.exporter.ledger.sqlite_holds import SqliteHoldLedger
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import BudgetBook
from spanbudget.processors.names_out import CONFIG_VARIABLE

CONFIG: Final = Path(__file__).with_name("budgets.yaml")
LEDGER_VARIABLE: Final = "SPANBUDGET_DEMO_LEDGER"
"""What the demo's configuration takes the address of its ledger from."""
SUPPORT: Final = "support-desk"
RESEARCH: Final = "research-assistant"
LAUNCHER: Final = "opentelemetry-instrument"
GRACE_SECONDS: Final = 60
"""How much longer than asked an application may take, its start and its last export included."""

_APPS: Final = Path(__file__).with_name("apps")
_NEEDED: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "opentelemetry.distro": "opentelemetry-distro",
    "opentelemetry.instrumentation.genai.openai": "opentelemetry-instrumentation-genai-openai",
    "openinference.instrumentation.anthropic": "openinference-instrumentation-anthropic",
}
"""Module → the package that has it."""
_FOREIGN: Final = ("OTEL_", "SPANBUDGET_", "OPENAI_", "ANTHROPIC_")
"""Variables that would lead the applications elsewhere: to a real provider, with a real key."""


def missing_packages() -> list[str]:
    """The packages which the demo needs and which are not installed."""
    return [package for module, package in _NEEDED.items() if not _installed(module)]


def app_command(service: str, *, seconds: float, seed: int) -> list[str]:
    """The command line of an application; the support desk is run as an operator would run it, unchanged."""
    options = ["--seconds", str(seconds), "--seed", str(seed)]
    if service == RESEARCH:
        return [sys.executable, str(_APPS / "anthropic_app.py"), *options]
    return [_launcher(), sys.executable, str(_APPS / "openai_app.py"), *options]


def app_environ(service: str, *, provider_url: str, otlp_url: str, ledger_url: str) -> dict[str, str]:
    """The environment of an application: nothing of it leads out of this machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.upper().endswith("_PROXY")
    }
    return kept | {
        CONFIG_VARIABLE: str(CONFIG),
        LEDGER_VARIABLE: ledger_url,
        "OPENAI_BASE_URL": f"{provider_url}/v1",
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_BASE_URL": provider_url,
        "ANTHROPIC_API_KEY": "none",
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "spanbudget_otlp",
        "OTEL_METRICS_EXPORTER": "none",  # SpanBudget sends its own, as the configuration says
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }


@dataclass(slots=True)
class _App:
    """An application that was started."""

    service: str
    log: Path
    process: subprocess.Popen[bytes]

    def failure(self) -> str | None:
        """Why it did not end well; None where it did."""
        if self.process.returncode == 0:
            return None
        said = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        return f"{self.service} ended with {self.process.returncode}: {' | '.join(said) or 'it said nothing'}"


class Demo:
    """Everything that the demo runs, from the moment it is entered until it is left.

    Args:
        folder: Where the applications' logs go.
        ledger: The file of the ledger; it must not exist yet, or answers of two demos could be taken for one.
        seconds: How long the applications make calls.
        seed: Chooses the calls and their tokens.

    Attributes:
        provider: The fake provider; its log is the truth.
        receiver: The OTLP receiver.

    Raises:
        LedgerError: The ledger cannot be made.
    """

    def __init__(self, folder: Path, ledger: Path, *, seconds: float, seed: int) -> None:
        self.provider = FakeProvider(seed=seed)
        self.receiver = Receiver()
        self._folder = folder
        self._seconds = seconds
        self._seed = seed
        self._ledger_url = f"sqlite:///{ledger.absolute()}"
        config = parse_config(CONFIG.read_text(), str(CONFIG), {LEDGER_VARIABLE: self._ledger_url})
        self._budgets = BudgetBook(config.budgets)
        self._ledger = SqliteHoldLedger(ledger)
        self._stack = ExitStack()
        self._apps: list[_App] = []
        self._deadline = 0.0

    def __enter__(self) -> Self:
        """Starts everything."""
        with ExitStack() as stack:
            stack.callback(self._ledger.close)
            stack.enter_context(self.provider)
            stack.enter_context(self.receiver)
            self._deadline = time.monotonic() + self._seconds + GRACE_SECONDS
            stack.callback(self._stop_apps)
            for service in (SUPPORT, RESEARCH):
                self._apps.append(self._start(service))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops whatever still runs."""
        self._stack.close()

    def running(self) -> bool:
        """Whether an application still runs; one that takes much too long is stopped."""
        alive = [app for app in self._apps if app.process.poll() is None]
        if alive and time.monotonic() > self._deadline:
            self._stop_apps()
            return False
        return bool(alive)

    def failures(self) -> list[str]:
        """Why applications did not end well; empty where they did."""
        return [failure for app in self._apps if (failure := app.failure())]

    def states(self, now_ns: int) -> list[BudgetState]:
        """How full every budget is, read from the ledger.

        Args:
            now_ns: Nanoseconds since the epoch.
        """
        return budget_states(self._budgets, self._ledger, now_ns)

    def comparison(self) -> Comparison:
        """The ledger beside the provider's log."""
        return compare(standing(self._ledger.entries()), self.provider.answered)

    def _start(self, service: str) -> _App:
        log = self._folder / f"{service}.log"
        environ = app_environ(
            service, provider_url=self.provider.url, otlp_url=self.receiver.url, ledger_url=self._ledger_url
        )
        command = app_command(service, seconds=self._seconds, seed=self._seed)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                command, env=environ, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        return _App(service, log, process)

    def _stop_apps(self) -> None:
        for app in self._apps:
            if app.process.poll() is None:
                app.process.terminate()
        for app in self._apps:
            try:
                app.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                app.process.kill()
                app.process.wait()


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package above it is not there
        return False


def _launcher() -> str:
    """The path of `opentelemetry-instrument`, of this environment first."""
    own = Path(sysconfig.get_path("scripts")) / LAUNCHER
    return str(own) if own.exists() else shutil.which(LAUNCHER) or LAUNCHER
