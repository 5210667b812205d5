"""What the atheris targets share: coverage-guided fuzzing, where atheris is installed.

    make fuzz
    python tests/fuzz/atheris_spans.py [libFuzzer options, such as -max_total_time=60]

The lane is optional, because atheris is not made for every Python and machine: without it a target says so
and ends well.
"""

import contextlib
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SECONDS = 60


def atheris_or_none() -> Any:
    """The module, None where it is not installed."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("atheris")
    sys.stderr.write("fuzzing skipped: atheris is not installed (`pip install atheris`)\n")
    return None


def fuzz(make_target: Callable[[Any], Callable[[bytes], None]], seeds: Iterable[bytes] = ()) -> None:
    """Fuzzes for a minute, or as the command line says; never returns where it could run.

    Args:
        make_target: Imports what is to be watched and makes the target, given the atheris module.
        seeds: Inputs to begin with.
    """
    atheris = atheris_or_none()
    if atheris is None:
        return
    with atheris.instrument_imports(include=["spanbudget"]):
        target = make_target(atheris)
    corpus = Path(tempfile.mkdtemp(prefix="spanbudget-corpus-"))
    for number, seed in enumerate(seeds):
        (corpus / f"{number:06}").write_bytes(seed)
    options = sys.argv[1:] or [f"-max_total_time={SECONDS}"]
    bounds = ["-rss_limit_mb=4096", "-max_len=65536", f"-artifact_prefix={corpus}-"]
    atheris.Setup([sys.argv[0], *bounds, *options, str(corpus)], target)
    atheris.Fuzz()
