"""Caps a Python process of a run, once it imports something that can call a model.

Until then nothing else is imported: a process that never calls a model pays about a millisecond. What is
imported here at the top is in every Python process already.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from spanbudget.exporter.runs.notes import own_notes

TRIGGERS: Final = frozenset(
    {"httpx", "httpx2", "openai", "anthropic", "google.genai", "botocore", "opentelemetry.sdk.trace"}
)
"""What programs import before they call a model or trace a call: the HTTP libraries below the SDKs, the SDKs
that have others, and OpenTelemetry's own."""


def begin() -> None:
    """Waits for the first of `TRIGGERS`; does nothing outside of a run."""
    notes = own_notes()
    if notes is None:
        return
    notes.process(capped=True)
    if TRIGGERS & sys.modules.keys():
        _cap()
    else:
        sys.meta_path.insert(0, Watch(_cap))


def _cap() -> None:
    """Caps this process, or ends it: a program that is to be capped does not run without its cap."""
    try:
        from spanbudget.exporter.runs.capping import cap_process  # noqa: PLC0415 - 0.3 s, see above

        cap_process()
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no cap
        told = f"spanbudget: process {os.getpid()} cannot be capped, and is ended: {error}"
        raise SystemExit(told) from error


class Watch(MetaPathFinder):
    """Calls a function when the first of `TRIGGERS` has been imported, and before its importer goes on.

    Args:
        seen: The function; called once.
    """

    def __init__(self, seen: Callable[[], None]) -> None:
        self._seen = seen
        self._lock = threading.RLock()
        self._done = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds one of `TRIGGERS` as Python would, and has its import followed by the function."""
        if fullname not in TRIGGERS or self._done:
            return None
        spec = self._found(fullname, path, target)
        loader: Any = spec.loader if spec is not None else None
        if not hasattr(loader, "exec_module"):
            return None  # not installed, as it seems, or no module of Python's
        run = loader.exec_module

        def run_and_tell(module: ModuleType) -> None:
            loader.exec_module = run
            run(module)
            self._tell()

        loader.exec_module = run_and_tell
        return spec

    def _found(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                return spec
        return None

    def _tell(self) -> None:
        with self._lock:
            if self._done:
                return
            self._done = True  # what the function imports is not looked at
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            self._seen()
