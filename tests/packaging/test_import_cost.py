"""What an import pulls in. The time it takes is printed by `benchmarks/import_cost.py`, never asserted."""

import subprocess
import sys

import pytest

HEAVY = {"pandas", "scipy", "numpy", "httpx", "httpx2", "sqlalchemy", "alembic", "genai_prices"}


@pytest.mark.parametrize(
    "code",
    [
        "import spanbudget",
        "import spanbudget; dir(spanbudget)",
        "import spanbudget; spanbudget.BudgetSpanProcessor",
    ],
)
def test_the_core_import_stays_light(code: str) -> None:
    program = f"import sys; {code}; print(*(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert HEAVY & set(loaded.split()) == set()
