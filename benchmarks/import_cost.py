"""What an import costs: CPU milliseconds of fresh processes, the median of each kind beside bare Python.

CPU time of the child (user and system), not the clock on the wall, so that a busy machine tells the same.
`BENCH_QUICK=1` takes three processes of each kind instead of fifteen.
"""

import os
import resource
import statistics
import subprocess
import sys

LIMIT_MS = 250  # above bare Python, for `import spanbudget`
ROUNDS = 3 if os.environ.get("BENCH_QUICK") else 15
PROGRAMS = {
    "bare Python": "pass",
    "import spanbudget": "import spanbudget",
    "spanbudget.BudgetSpanProcessor": "import spanbudget; spanbudget.BudgetSpanProcessor",
    "opentelemetry.sdk.trace alone": "import opentelemetry.sdk.trace",
    "every public name": "import spanbudget; [getattr(spanbudget, name) for name in spanbudget.__all__]",
}


def cpu_ms(code: str) -> float:
    """CPU time of one fresh process that runs the code, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Compiled files may be written: a user's second start reads them.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    for code in PROGRAMS.values():
        cpu_ms(code)  # the first one compiles
    measured: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, code in PROGRAMS.items():
            measured[name].append(cpu_ms(code))
    bare = statistics.median(measured["bare Python"])
    print(f"CPU ms, median of {ROUNDS} fresh processes, Python {sys.version.split()[0]}")
    print(f"{'':32}{'median':>8}{'above bare':>12}")
    for name, times in measured.items():
        median = statistics.median(times)
        limit = f"   limit {LIMIT_MS}" if name == "import spanbudget" else ""
        print(f"{name:32}{median:8.1f}{median - bare:12.1f}{limit}")


if __name__ == "__main__":
    main()
