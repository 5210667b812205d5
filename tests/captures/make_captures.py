"""Makes the captures: real instrumentations, real clients, and a fake provider that knows the truth.

usage: make_captures.py NAME... | --all
"""

import argparse
import getpass
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from setups import SETUPS, Setup

from spanbudget.exporter.demo import Answered, FakeProvider

HERE = Path(__file__).parent
DATA = HERE / "data"
CACHE = Path(os.environ.get("CAPTURE_CACHE", Path(tempfile.gettempdir()) / "spanbudget-captures"))
INSTALL_SECONDS_MAX = 480
DRIVER_SECONDS_MAX = 240

Span = dict[str, Any]

# Resource attributes that are kept: the others describe the machine or the run.
_RESOURCE = {"service.name"}
_TRACEBACK = re.compile(r"stack_?trace", re.IGNORECASE)
# Attributes that hold nothing but prompts, answers and tools: no reader of usage needs them whole.
_CONTENT = re.compile(
    r"^(input\.value|gen_ai\.tool\.definitions|gen_ai\.task\.(in|out)put"
    r"|gen_ai\.prompt|traceloop\.entity\.\w+|model_request_parameters|logfire\.json_schema"
    r"|pydantic_ai\.all_messages|ai\.prompt.*|llm\.tools\..*|llm\.\w+\.(choices|messages|tools)|metadata"
    r"|hidden_params|langfuse\.observation\.(in|out)put|exception\.message)$"
)
_CONTENT_CHARACTERS_MAX = 40
# OpenInference's scopes whose `output.value` has usage that no other attribute has.
_TELLING_OUTPUTS = {"openinference.instrumentation.langchain", "openinference.instrumentation.smolagents"}
# Attributes that are left out: messages in pieces, and what LiteLLM's `metadata` has nothing to say about.
_MESSAGES = re.compile(
    r"^(llm\.(input|output)_messages\.|gen_ai\.(input|output)\.messages$|(in|out)put\.mime_type$)"
)
_METADATA = "metadata."
# Packages worth naming beside a capture.
_NAMED = re.compile(
    r"openai|anthropic|langchain|langsmith|langfuse|langgraph|litellm|opentelemetry|openinference|openlit"
    r"|pydantic-ai|genai|google-adk|logfire|agent-framework|boto|strands|smolagents|crewai|agno|^ai$|@ai-sdk"
)


def main() -> int:
    """Makes the captures named on the command line and returns 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SETUPS))
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(SETUPS))
    if unknown:
        parser.error(f"no such set-up: {', '.join(unknown)}")
    failed = 0
    for name in SETUPS if options.all else options.names:
        try:
            sys.stdout.write(f"{make_capture(name, SETUPS[name])}\n")
        except (subprocess.SubprocessError, ValueError) as error:
            failed += 1
            sys.stdout.write(f"{name}: {error}\n")
    return min(failed, 1)


def make_capture(name: str, setup: Setup) -> str:
    """Installs, runs and writes one capture; returns a line about it."""
    node = setup.driver.endswith(".mjs")
    home = node_environment(setup.requirements) if node else python_environment(setup.requirements)
    with FakeProvider() as provider, tempfile.TemporaryDirectory() as scratch:
        raw, starts = Path(scratch) / "spans.jsonl", Path(scratch) / "starts.jsonl"
        files = {"CAPTURE_SPANS": str(raw), "CAPTURE_STARTS": str(starts)}
        run_driver(setup, home, {"CAPTURE_NAME": name, "CAPTURE_URL": provider.url, **files})
        write_starts(name, starts)
        spans = [scrubbed(json.loads(line), home) for line in raw.read_text().splitlines()]
        truth = with_cases(provider.answered, spans)
    if all(span["scope"]["name"] == "testcase" and len(span["attributes"]) == 1 for span in spans):
        raise ValueError("no instrumentation emitted a span")
    write_lines(DATA / f"{name}.jsonl", spans)
    write_lines(DATA / f"{name}.expected.jsonl", truth)
    versions = node_versions(home) if node else python_versions(home)
    (DATA / f"{name}.versions.json").write_text(json.dumps(versions, indent=1) + "\n")
    refuse_machine_names(
        [DATA / f"{name}.jsonl", DATA / f"{name}.expected.jsonl", DATA / f"{name}.versions.json"]
    )
    return f"{name}: {len(spans)} spans, {len(truth)} calls"


def python_environment(requirements: Sequence[str]) -> Path:
    """Returns a virtual environment with the requirements, made once for each set of them."""
    home = CACHE / environment_name("py", requirements)
    if not (home / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=INSTALL_SECONDS_MAX)
        install = [str(home / "bin" / "pip"), "install", "--quiet", *requirements]
        subprocess.run(install, check=True, timeout=INSTALL_SECONDS_MAX)
        (home / "done").touch()
    return home


def node_environment(requirements: Sequence[str]) -> Path:
    """Returns a folder with the npm packages, made once for each set of them."""
    home = CACHE / environment_name("npm", requirements)
    if not (home / "done").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"type": "module"}')
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *requirements]
        subprocess.run(install, check=True, cwd=home, timeout=INSTALL_SECONDS_MAX)
        (home / "done").touch()
    return home


def environment_name(kind: str, requirements: Sequence[str]) -> str:
    """Returns a folder name that equal sets of requirements share."""
    digest = hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()
    return f"{kind}-{digest[:12]}"


def run_driver(setup: Setup, home: Path, capture: dict[str, str]) -> None:
    """Runs the driver; its standard error, which names the cases that failed, is passed on."""
    driver = HERE / "drivers" / setup.driver
    if driver.suffix == ".mjs":  # Node looks for packages beside the file that imports them
        placed = home / driver.name
        placed.write_text(driver.read_text())
        command = ["node", str(placed)]
    else:
        command = [str(home / "bin" / "python"), str(driver)]
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CAPTURE_INSTRUMENTORS": ",".join(setup.instrumentors),
        **capture,
        **setup.environment,
    }
    command += setup.arguments
    subprocess.run(command, check=True, env=variables, cwd=home, timeout=DRIVER_SECONDS_MAX)


def with_cases(answered: Iterable[Answered], spans: Iterable[Span]) -> list[dict[str, Any]]:
    """Returns the truth of each call, named after the case that had started last when it arrived."""
    roots = sorted(
        (span["start_ns"], span["attributes"]["test.case"])
        for span in spans
        if span["scope"]["name"] == "testcase"
    )
    rows = []
    for call in answered:
        started = [name for start_ns, name in roots if start_ns <= call.received_ns]
        rows.append({"test_case": started[-1] if started else None, **call.record()})
    return rows


def scrubbed(span: Span, home: Path) -> Span:
    """Returns the span without this machine's files, names and ports, and with long contents cut."""
    span["resource"] = {key: value for key, value in span["resource"].items() if key in _RESOURCE}
    for holder in (span, *span["events"]):
        holder["attributes"] = {
            key: shortened(key, value)
            for key, value in holder["attributes"].items()
            if not (_MESSAGES.match(key) or (key.startswith(_METADATA) and not value))
        }
    output = span["attributes"].get("output.value")
    if output and not tells_usage(span):
        span["attributes"]["output.value"] = cut(output)
    text = json.dumps(span).replace(str(home), "").replace(str(HERE), "")
    text = text.replace(socket.gethostname(), "host")
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:4010", text)
    text = re.sub(r"(/[\w.-]+)*/lib/(python[\d.]+/)?(site-packages/)?", "lib/", text)
    clean: Span = json.loads(text)
    return clean


def tells_usage(span: Span) -> bool:
    """Returns whether the span's `output.value` is worth keeping whole."""
    kind = span["attributes"].get("openinference.span.kind")
    return kind == "LLM" and span["scope"]["name"] in _TELLING_OUTPUTS


def shortened(key: str, value: Any) -> Any:
    """Returns the value of an attribute, without tracebacks and with the end of contents cut."""
    if _TRACEBACK.search(key):
        return "removed"
    return cut(value) if _CONTENT.match(key) else value


def cut(value: Any) -> Any:
    """Returns a text without its end, if it is long, and anything else as it is."""
    if isinstance(value, str) and len(value) > _CONTENT_CHARACTERS_MAX:
        return f"{value[:_CONTENT_CHARACTERS_MAX]} (cut)"
    return value


def refuse_machine_names(paths: Iterable[Path]) -> None:
    """Raises if a written file still shows where it was made.

    Raises:
        ValueError: Names the file and what it shows.
    """
    secrets = {
        str(Path.home()),
        str(CACHE),
        str(HERE),
        socket.gethostname(),
        f"/{getpass.getuser()}/",
        tempfile.gettempdir(),
    }
    for path in paths:
        text = path.read_text()
        shown = [secret for secret in secrets if secret in text]
        if shown:
            raise ValueError(f"{path.name} shows {shown}")


def write_starts(name: str, starts: Path) -> None:
    """Writes which attributes the spans of each scope start with; Node's driver keeps no such list."""
    if not starts.exists():
        return
    keys: dict[str, set[str]] = {}
    for line in starts.read_text().splitlines():
        row = json.loads(line)
        if row["scope"] != "testcase":
            keys.setdefault(f"{row['scope']} {row['name']}", set()).update(row["keys"])
    listed = {span: sorted(found) for span, found in sorted(keys.items())}
    (DATA / f"{name}.starts.json").write_text(json.dumps(listed, indent=1) + "\n")


def python_versions(home: Path) -> dict[str, Any]:
    """Returns the versions of Python and of the packages worth naming."""
    listed = subprocess.run(
        [home / "bin" / "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    packages = {
        row["name"]: row["version"] for row in json.loads(listed.stdout) if _NAMED.search(row["name"])
    }
    return {"python": ".".join(map(str, sys.version_info[:3])), "packages": packages}


def node_versions(home: Path) -> dict[str, Any]:
    """Returns the versions of Node and of the packages worth naming."""
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)
    locked = json.loads((home / "package-lock.json").read_text())["packages"]
    packages = {
        place.removeprefix("node_modules/"): entry["version"]
        for place, entry in locked.items()
        if _NAMED.search(place.removeprefix("node_modules/"))
    }
    return {"node": node.stdout.strip(), "packages": packages}


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes one JSON object a line."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
