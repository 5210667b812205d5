"""The watch: once, before the first import that matters, and nothing is imported twice."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanbudget.exporter.runs import start
from spanbudget.exporter.runs.start import Watch

NAMES = ("a_client", "a_client.part", "a_client_user")


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "a_client"
    package.mkdir()
    (package / "__init__.py").write_text("count = globals().get('count', 0) + 1\nimport a_client.part\n")
    (package / "part.py").write_text("")
    (tmp_path / "a_client_user.py").write_text("import a_client\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(start, "TRIGGERS", frozenset({"a_client", "a_client.absent"}))
    finders = list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in NAMES:
        sys.modules.pop(name, None)


def test_it_acts_once_before_the_import() -> None:
    seen: list[bool] = []
    watch = Watch(lambda: seen.append("a_client" in sys.modules))
    sys.meta_path.insert(0, watch)
    importlib.import_module("a_client_user")
    assert seen == [False]
    assert watch not in sys.meta_path


def test_what_the_act_imports_itself_is_the_same_module_afterwards() -> None:
    early: list[object] = []
    sys.meta_path.insert(0, Watch(lambda: early.append(importlib.import_module("a_client"))))
    late = importlib.import_module("a_client")
    assert early == [late]
    assert late.count == 1
    assert late.__spec__ is not None
    assert late.__spec__.origin is not None
    assert importlib.reload(late) is late


def test_finders_that_the_act_adds_are_asked() -> None:
    asked: list[str] = []

    class Added:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            asked.append(name)

    sys.meta_path.insert(0, Watch(lambda: sys.meta_path.insert(0, Added)))
    importlib.import_module("a_client")
    assert asked[0] == "a_client"


def test_a_failure_keeps_the_module_from_being_imported_each_time() -> None:
    def fail() -> None:
        raise SystemExit("no cap")

    sys.meta_path.insert(0, Watch(fail))
    for _ in range(2):
        with pytest.raises(SystemExit):
            importlib.import_module("a_client_user")
    assert "a_client" not in sys.modules


def test_a_module_that_is_not_there_is_not_there() -> None:
    sys.meta_path.insert(0, Watch(lambda: None))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("a_client.absent")
