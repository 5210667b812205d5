"""Runs the benchmarks in fresh processes, several times each, and prints one Markdown table of medians.

    python benchmarks/run.py [--quick] [--rounds N] [--memory] [TRACE...]

TRACE files are given to `azure_traces.py`. `--memory` adds the five million spans of `memory.py`, which take
ten minutes. `--quick` is for CI: one small round each, to see that everything runs.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import import_cost
from measure import Figure

HERE = Path(__file__).parent
ROUNDS = 5
SECONDS_MAX = 3_600  # of one benchmark

SEVERAL = ("on_end.py", "pricing.py", "throughput.py", "guard.py", "limits.py")


def figures_of(script: str, arguments: Sequence[str], *, quick: bool) -> list[Figure]:
    """The figures of one fresh process."""
    environment = {**os.environ, "BENCH_JSON": "1", **({"BENCH_QUICK": "1"} if quick else {})}
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS_MAX
    )
    return [Figure(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]


def medians(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Of each figure, the median of all runs."""
    return [
        same[0]._replace(value=statistics.median(figure.value for figure in same))
        for same in zip(*runs, strict=True)
    ]


def import_figure(rounds: int) -> Figure:
    """CPU time of `import spanbudget` above bare Python; the two kinds of process take turns."""
    codes = (import_cost.PROGRAMS["bare Python"], import_cost.PROGRAMS["import spanbudget"])
    for code in codes:
        import_cost.cpu_ms(code)  # the first one compiles
    bare, ours = zip(*(tuple(map(import_cost.cpu_ms, codes)) for _ in range(rounds)), strict=True)
    above = statistics.median(ours) - statistics.median(bare)
    return Figure(
        "`import spanbudget`, above bare Python", f"≤ {import_cost.LIMIT_MS}", above, "ms of CPU", 0
    )


def print_row(figure: Figure) -> None:
    print(
        f"| {figure.what} | {figure.bound} | {figure.value:,.{figure.digits}f} | {figure.unit} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small round each")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", action="store_true", help="five million spans too")
    parser.add_argument(
        "traces", nargs="*", metavar="TRACE", help="rows TIMESTAMP,ContextTokens,GeneratedTokens"
    )
    given = parser.parse_args()
    quick = given.quick or bool(os.environ.get("BENCH_QUICK"))
    rounds = 1 if quick else given.rounds
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, medians of {rounds} processes\n")
    print("| what | bound | measured | unit |\n| --- | --- | ---: | --- |", flush=True)
    for script in SEVERAL:
        for figure in medians([figures_of(script, (), quick=quick) for _ in range(rounds)]):
            print_row(figure)
    print_row(import_figure(3 if quick else 15))
    if given.memory or quick:
        for figure in figures_of("memory.py", (), quick=quick):
            print_row(figure)
    for script in (
        "alert_rules.py",
        "anomaly_watch.py",
        "general_recipe.py",
        "advice.py",
        "advice_loading.py",
    ):
        for figure in figures_of(script, (), quick=quick):
            print_row(figure)
    for script, arguments in (("replay.py", ()), ("azure_traces.py", tuple(given.traces))):
        for figure in figures_of(script, arguments, quick=quick):
            print_row(figure)


if __name__ == "__main__":
    main()
