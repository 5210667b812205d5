"""What a user would get: sdist and wheel built from this tree, and an environment with that wheel in it."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel made from it; `make wheel` hands its own over."""
    if handed := os.environ.get("SPANBUDGET_DIST"):
        return ROOT / handed
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def sdist(dist: Path) -> Path:
    (found,) = dist.glob("*.tar.gz")
    return found


@pytest.fixture(scope="session")
def wheel_of_the_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip install .` makes: from the tree with its links, not by way of the sdist."""
    folder = tmp_path_factory.mktemp("direct")
    build(folder, "--wheel")
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The `bin` folder of a clean environment that holds the wheel.

    The dependencies are lent by a path file from the environment of the tests: quick, and without a network.
    Path files in a lent folder are not read, so the editable install of the tests stays invisible.
    """
    # Below a path with a space: people have such.
    folder = tmp_path_factory.mktemp("a user")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", wheel)
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def build(folder: Path, *options: str) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, *options, ROOT)


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
