"""Runs at the start of every Python process of `spanbudget run`, and then what would have run without it."""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs every process 10 ms


def _run_module(name: str, path: str) -> ModuleType | None:
    """Loads a file as a module that nobody else knows."""
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _begin() -> None:
    try:
        from spanbudget.exporter.runs.start import begin  # noqa: PLC0415 - it may not be installed
    except ImportError:
        _tell_of_uncapped()
    else:
        begin()


def _tell_of_uncapped() -> None:
    """This environment has no SpanBudget: the program is not started; what it starts itself is only noted."""
    notes = _run_module("spanbudget_notes", os.path.join(os.path.dirname(_HERE), "notes.py"))  # noqa: PTH118, PTH120
    own = notes.own_notes() if notes is not None else None
    if notes is None or own is None:
        return
    own.process(capped=False)
    if os.environ.get(notes.PARENT_VARIABLE) == str(os.getppid()):
        told = f"spanbudget: {sys.executable} has no SpanBudget and cannot be capped; install it there: "
        sys.stderr.write(f"{told}{sys.executable} -m pip install spanbudget\n")
        sys.stderr.flush()
        os._exit(126)


def _go_on() -> None:
    """Runs the `sitecustomize` that this one stands in front of, if there is one."""
    others = [folder for folder in sys.path if os.path.abspath(folder) != _HERE]  # noqa: PTH100
    spec = PathFinder.find_spec(__name__, others)
    if spec is not None and spec.loader is not None:
        sys.modules[__name__] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


_begin()
_go_on()
