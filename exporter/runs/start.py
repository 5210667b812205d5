"""Caps a Python process of a run, just before it imports something that can call a model.

Until then nothing else is imported: a process that never calls a model pays about a millisecond. What is
imported here at the top is in every Python process already, or small.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from spanbudget.exporter.runs.notes import own_notes

INSTRUMENTORS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "google.genai": ("google_genai", "google-genai"),
    "botocore": ("botocore", "bedrock"),
    "mistralai": ("mistralai",),
    "groq": ("groq",),
    "cohere": ("cohere",),
    "litellm": ("litellm",),
}
"""SDK → the names that OpenTelemetry, OpenInference and OpenLLMetry give to their instrumentations of it."""
TRIGGERS: Final = frozenset({"httpx", "httpx2", "opentelemetry.sdk.trace", *INSTRUMENTORS})
"""What programs import before they call a model or trace a call. The SDKs are among them because they must
not be half imported when they are patched."""
_OURS: Final = ("spanbudget.processors", "spanbudget.rules", "spanbudget.exporter.")
_LIGHT: Final = "spanbudget.exporter.runs"
_COMMAND_LINE: Final = "spanbudget.exporter.cli"


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
    except Exception as error:  # whatever it is, there is no cap
        told = f"spanbudget: process {os.getpid()} cannot be capped, and is ended: {error}"
        raise SystemExit(told) from error


class Watch(MetaPathFinder):
    """Calls a function before the first of `TRIGGERS` is imported; tries again where that failed.

    Args:
        act: The function.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._lock = threading.RLock()
        self._acting = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds nothing itself; but what the function has imported must not be imported twice."""
        if fullname == _COMMAND_LINE:  # it calls no model
            self._stop()
        if not _triggers(fullname) or self not in sys.meta_path:
            return None
        with self._lock:
            if self._acting:  # what the function imports is not looked at
                return None
            self._acting = True
            try:
                self._act()
                self._stop()
            finally:
                self._acting = False
        known = sys.modules.get(fullname)
        if known is not None:
            return Known(known).spec
        # The function has added finders: Python, which is in the middle of the list, would pass over them.
        specs = (finder.find_spec(fullname, path, target) for finder in list(sys.meta_path))
        return next((spec for spec in specs if spec is not None), None)

    def _stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)


def _triggers(name: str) -> bool:
    """Whether a module is one of `TRIGGERS`, or one of ours, which must not be half imported either."""
    return name in TRIGGERS or (name.startswith(_OURS) and not name.startswith(_LIGHT))


class Known(Loader):
    """Gives a module that has been imported while Python was looking for it, instead of loading it again.

    Args:
        module: The module.

    Attributes:
        spec: What to answer. The module has it too until it is given, because Python takes the module's own
            spec where the module has appeared in the meantime (`importlib._bootstrap._find_spec`).
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._own_spec = module.__spec__
        self.spec = module.__spec__ = ModuleSpec(module.__name__, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - as Python calls it
        """The module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module its own spec back."""
        module.__spec__ = self._own_spec
