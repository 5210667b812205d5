"""Rendered rules, and the packs' tests, in a real promtool: Debian's package `prometheus`."""

import shutil
import subprocess
from pathlib import Path

import pytest
from rendered_cases import BUDGETS, RULE_TEST

from spanbudget.exporter.config import parse_config
from spanbudget.exporter.rule_rendering.expanded import expanded_text
from spanbudget.exporter.rule_rendering.packs import pack_names, pack_path, pack_test_path

pytestmark = pytest.mark.server


def promtool(*arguments: object) -> str:
    program = shutil.which("promtool")
    assert program, "there is no promtool: apt-get install --no-install-recommends prometheus"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rendered_rules_and_says_what_they_cost(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(expanded_text(parse_config(BUDGETS, "b.yaml").budget_configs))
    (tmp_path / "test.yaml").write_text(RULE_TEST)
    assert "rules found" in promtool("check", "rules", tmp_path / "rules.yaml")
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "test.yaml")


@pytest.mark.parametrize("pack", pack_names())
def test_promtool_agrees_with_the_test_of_each_pack(pack: str):
    assert "SUCCESS" in promtool("check", "rules", pack_path(pack))
    assert "SUCCESS" in promtool("test", "rules", pack_test_path(pack))
