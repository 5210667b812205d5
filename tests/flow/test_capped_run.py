"""`spanbudget run` around real programs with the real SDKs, which ask a fake provider.

A plain call of gpt-4o is 137 input and 53 output tokens at 2.50 and 10 USD per 1M:
0.0003425 + 0.00053 = 0.0008725 USD. Its worst case with `max_tokens=100` is the prompt's bytes and 100 tokens
of output, below 0.0015 USD.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spanbudget.exporter.demo.provider import FakeProvider

pytestmark = pytest.mark.server

CALL = Decimal("0.0008725")
AGENT = """
    import sys
    import openai
    from openai import OpenAI

    def ask(calls):
        client = OpenAI(max_retries=0)
        for _ in range(calls):
            client.chat.completions.create(
                model="gpt-4o", max_tokens=100, messages=[{"role": "user", "content": "scenario:plain"}]
            )

    if __name__ == "__main__" and len(sys.argv) > 1:
        ask(int(sys.argv[1]))
"""


@dataclass
class Runner:
    """Runs programs in a folder of its own, against one provider."""

    folder: Path
    provider: FakeProvider
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    @property
    def other_url(self) -> str:
        """The same provider under another name: prices go by the host."""
        return self.provider.url.replace("127.0.0.1", "localhost")

    def arguments(self, *options: str) -> list[str]:
        host = self.provider.url.partition("//")[2]
        hosts = ["--host", f"{host}=openai", "--host", f"{self.other_url.partition('//')[2]}=anthropic"]
        command = Path(sys.executable).with_name("spanbudget")
        return [str(command), "run", *hosts, "--json", str(self.folder / "outcome.json"), *options]

    @property
    def environ(self) -> dict[str, str]:
        foreign = ("OTEL_", "SPANBUDGET_", "OPENAI_", "ANTHROPIC_", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {
            "OPENAI_BASE_URL": f"{self.provider.url}/v1", "OPENAI_API_KEY": "k",
            "ANTHROPIC_BASE_URL": self.other_url, "ANTHROPIC_API_KEY": "k", **self.variables,
        }  # fmt: skip

    def start(self, *options: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.arguments(*options), env=self.environ, cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.arguments(*options), env=self.environ, cwd=self.folder, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def python(self, *arguments: str, options: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        return self.run(*options, "--", sys.executable, *arguments)

    @property
    def outcome(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "outcome.json").read_text())
        return found

    @property
    def spent(self) -> Decimal:
        return Decimal(self.outcome["budget"]["spent_usd"])

    @property
    def billed(self) -> Decimal:
        return CALL * sum(answered.billed for answered in self.provider.answered)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with FakeProvider() as provider:
        own = Runner(tmp_path, provider)
        own.write("agent.py", AGENT)
        yield own


def test_a_program_within_its_cap_runs_as_ever_and_its_cost_is_told(runner: Runner) -> None:
    """Two calls of OpenAI, and one of Anthropic: 219 · 3 + 84 · 15 USD per 1M = 0.001917 USD."""
    runner.write(
        "both.py",
        """
        import anthropic
        from agent import ask

        ask(2)
        anthropic.Anthropic().messages.create(
            model="claude-sonnet-4-5", max_tokens=100,
            messages=[{"role": "user", "content": "scenario:plain"}],
        )
        print("done")
        """,
    )
    done = runner.python("both.py", options=("--max-cost", "1"))
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert [(one["provider"], one["calls"], one["cost_usd"]) for one in runner.outcome["models"]] == [
        ("anthropic", 1, "0.001917"), ("openai", 2, "0.001745"),
    ]  # fmt: skip
    assert runner.spent == Decimal("0.003662")
    assert "Cap $1.00, spent $0.003662, left $0.9963" in done.stderr
    assert not list(runner.folder.glob("*.db*"))


def test_a_program_that_its_budget_stops_ends_with_4(runner: Runner) -> None:
    """0.004 USD pay for 3 calls (0.0026175); a 4th fits with its worst case or does not, a 5th never does."""
    done = runner.python("agent.py", "9", options=("--max-cost", "0.004"))
    assert done.returncode == 4, done.stderr
    assert 3 <= len(runner.provider.answered) <= 4
    assert runner.spent == runner.billed <= Decimal("0.004")
    outcome = runner.outcome
    assert (outcome["exit_code"], outcome["program_exit_code"]) == (4, 1)
    assert outcome["refused"]["by_reason"] == [{"budget": "run", "reason": "limit", "calls": 1}]
    assert "stopped by its budget" in done.stderr


def test_a_program_that_copes_with_a_refusal_keeps_its_own_exit_code(runner: Runner) -> None:
    runner.write(
        "coping.py",
        """
        import sys
        import openai
        from agent import ask
        try:
            ask(9)
        except openai.APIStatusError as error:
            print(error.status_code)
        """,
    )
    done = runner.python("coping.py", options=("--max-cost", "0.004"))
    assert (done.returncode, done.stdout) == (0, "402\n")
    assert runner.outcome["refused"]["calls"] == 1


FAMILY = """
    import multiprocessing, os, subprocess, sys
    from agent import ask

    if __name__ == "__main__":
        ask(1)
        subprocess.run([sys.executable, "agent.py", "1"], check=True)
        for way in ("spawn", "fork"):
            child = multiprocessing.get_context(way).Process(target=ask, args=(1,))
            child.start()
            child.join()
            assert child.exitcode == 0
        child = os.fork()
        if not child:
            ask(1)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""


def test_children_share_the_cap(runner: Runner) -> None:
    runner.write("family.py", FAMILY)
    done = runner.python("family.py", options=("--max-cost", "1"))
    assert done.returncode == 0, done.stderr
    assert runner.spent == runner.billed == 5 * CALL
    assert runner.outcome["models"][0]["calls"] == 5


def test_eight_processes_at_once_do_not_overspend(runner: Runner) -> None:
    """Each wants 30 calls, all together may spend 0.02 USD: 22 fit, and more than 15 must get through."""
    runner.write(
        "swarm.py",
        """
        import multiprocessing, sys
        from agent import ask
        children = [multiprocessing.get_context("fork").Process(target=ask, args=(30,)) for _ in range(8)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        sys.exit(max(child.exitcode for child in children))
        """,
    )
    done = runner.python("swarm.py", options=("--max-cost", "0.02", "--wait-ms", "500"))
    assert done.returncode == 4
    assert Decimal("0.013") < runner.billed <= Decimal("0.02")
    assert runner.spent == runner.billed
    assert runner.outcome["refused"]["calls"] == 8


def test_a_killed_program_is_told_of_all_the_same(runner: Runner) -> None:
    runner.write("victim.py", "import os\nfrom agent import ask\nask(2)\nos.kill(os.getpid(), 9)\n")
    done = runner.python("victim.py", options=("--max-cost", "1"))
    assert done.returncode == 128 + 9
    assert runner.spent == 2 * CALL
    assert "ended by signal 9" in done.stderr


def test_a_signal_is_passed_on(runner: Runner) -> None:
    runner.write(
        "waiting.py",
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(30)
        """,
    )
    with runner.start("--max-cost", "1", "--", sys.executable, "waiting.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 7
    assert runner.outcome["models"] == []


def test_a_program_that_calls_no_model_loads_nothing(runner: Runner) -> None:
    code = "import sys; print({'opentelemetry', 'wrapt', 'pydantic', 'sqlite3'} & set(sys.modules))"
    done = runner.python("-c", code, options=("--max-cost", "1"))
    assert done.stdout == "set()\n"
    assert "No call of a language model was seen." in done.stderr


def test_the_environments_own_sitecustomize_still_runs(runner: Runner) -> None:
    folder = runner.folder / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.customized = __file__\n")
    runner.variables["PYTHONPATH"] = str(folder)
    done = runner.python("-c", "import sys; print(sys.customized)", options=("--max-cost", "1"))
    assert done.stdout == f"{folder / 'sitecustomize.py'}\n"


TRACED = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from agent import ask

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    assert trace.get_tracer_provider() is provider
    ask(1)
    with trace.get_tracer("own").start_as_current_span("chat", attributes={
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}):
        pass
    print(*[span.name for span in exporter.get_finished_spans()], sep="|")
"""


def test_a_program_with_tracing_of_its_own_keeps_it_and_what_it_traces_is_counted(runner: Runner) -> None:
    runner.write("traced.py", TRACED)
    done = runner.python("traced.py", options=("--max-cost", "1"))
    assert (done.returncode, done.stdout) == (0, "chat gpt-4o|chat\n"), done.stderr
    assert runner.spent == CALL + Decimal("0.0035")


def test_a_program_under_opentelemetry_instrument_is_capped_too(runner: Runner) -> None:
    runner.variables |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    launcher = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    done = runner.run("--max-cost", "0.004", "--", launcher, sys.executable, "agent.py", "9")
    assert done.returncode == 4, done.stderr
    assert runner.spent == runner.billed <= Decimal("0.004")


def test_a_period_is_shared_by_the_runs_of_a_name(runner: Runner) -> None:
    options = ("--max-cost", "0.004", "--period", "total", "--name", "nightly")
    assert runner.python("agent.py", "2", options=options).returncode == 0
    done = runner.python("agent.py", "9", options=options)
    assert done.returncode == 4
    assert runner.spent == runner.billed <= Decimal("0.004")
    assert sum(model["calls"] for model in runner.outcome["models"]) == len(runner.provider.answered) - 2
    other = (*options[:-1], "hourly-report")
    assert runner.python("agent.py", "1", options=other).returncode == 0
    assert runner.spent == CALL


CONFIG = """
    ledger: {url: sqlite:///spend.db}
    prices: [{provider: openai, model: "gpt-4o*", input: 5, output: 20}]
    budgets:
      - {name: team, max_cost: "${TEAM_USD}", period: total, hard_limit: true}
"""


def test_budgets_prices_and_ledger_of_a_configuration_hold_too(runner: Runner) -> None:
    """Its prices are twice the table's: a call is 0.001745 USD, and `team` pays for 2, and maybe a 3rd."""
    runner.write("budgets.yaml", CONFIG)
    runner.variables["TEAM_USD"] = "0.006"
    elsewhere = runner.folder / "elsewhere"
    elsewhere.mkdir()
    runner.write("moving.py", f"import os\nos.chdir({str(elsewhere)!r})\nfrom agent import ask\nask(1)\n")
    options = ("--max-cost", "1", "--config", "budgets.yaml")
    assert runner.python("moving.py", options=options).returncode == 0
    done = runner.python("agent.py", "9", options=options)
    assert done.returncode == 4
    assert list(elsewhere.iterdir()) == []
    assert runner.outcome["refused"]["by_reason"][0]["budget"] == "team"
    assert runner.spent == (len(runner.provider.answered) - 1) * 2 * CALL
    assert str(runner.folder / "spend.db") in runner.outcome["ledger"]


def test_a_run_inside_a_run_obeys_both_caps(runner: Runner) -> None:
    inner = runner.arguments("--max-cost", "1", "--name", "inner", "--", sys.executable, "agent.py", "9")
    inner[inner.index("--json") + 1] = "inner.json"
    done = runner.run("--max-cost", "0.004", "--", *inner)
    assert done.returncode == 4, done.stderr
    assert runner.spent == runner.billed <= Decimal("0.004")
    told = json.loads((runner.folder / "inner.json").read_text())
    assert told["budget"]["spent_usd"] == str(runner.spent)
    assert told["refused"]["by_reason"] == [{"budget": "run", "reason": "limit", "calls": 1}]


def test_a_python_without_spanbudget_is_not_run_uncapped(runner: Runner) -> None:
    venv = runner.folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    done = runner.run("--max-cost", "1", "--", str(python), "-c", "print('ran')")
    assert (done.returncode, done.stdout) == (126, "")
    assert f"{python} -m pip install spanbudget" in done.stderr
    done = runner.run("--max-cost", "1", "--", "sh", "-c", f"{python} -c 'print(1)'; true")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert runner.outcome["python_processes"] == {"capped": 0, "not_capped": {str(python): 1}}
    assert "Not capped: 1 process of" in done.stderr


@pytest.mark.postgres
def test_the_cap_holds_in_a_ledger_on_a_server(runner: Runner, postgres_url: str) -> None:
    runner.write("budgets.yaml", "ledger: {url: '${LEDGER}'}")
    temporary = runner.folder / "tmp"
    (temporary / f"spanbudget-{os.getuid()}").mkdir(parents=True)
    runner.variables |= {"LEDGER": postgres_url, "TMPDIR": str(temporary)}
    options = ("--max-cost", "0.004", "--config", "budgets.yaml")
    for _ in range(2):  # without a period each run has a cap of its own
        done = runner.python("agent.py", "9", options=options)
        assert done.returncode == 4, done.stderr
        assert Decimal("0.0026") < runner.spent <= Decimal("0.004")
    assert runner.outcome["ledger"].startswith("postgresql://")
    assert "@" not in runner.outcome["ledger"]
