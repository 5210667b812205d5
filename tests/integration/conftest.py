"""The real programs that results are compared with."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_server import PrometheusServer, build_prometheus_3, debian_prometheus


def _or_say_what_is_missing(found: Path | None, missing: str) -> Path:
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def prometheus_3_folder() -> Path:
    """Where `prometheus` and `promtool` of version 3 are; the first time they are built."""
    return _or_say_what_is_missing(*build_prometheus_3())


@pytest.fixture(scope="session")
def prometheus_2_folder() -> Path:
    """Where `prometheus` and `promtool` of Debian are."""
    return _or_say_what_is_missing(*debian_prometheus())


def _running(folder: Path) -> Iterator[PrometheusServer]:
    server = PrometheusServer(folder / "prometheus")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def prometheus_3(prometheus_3_folder: Path) -> Iterator[PrometheusServer]:
    """A Prometheus 3 without series."""
    yield from _running(prometheus_3_folder)


@pytest.fixture
def prometheus_2(prometheus_2_folder: Path) -> Iterator[PrometheusServer]:
    """A Prometheus 2 without series."""
    yield from _running(prometheus_2_folder)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line past pytest's capture: how much was compared is to be seen where it passes too."""

    def line(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")  # noqa: T201

    return line
