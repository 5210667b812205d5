"""`spanbudget rules render`."""

import pytest
import yaml
from click.testing import CliRunner

from spanbudget.exporter.cli.rules_render import render
from spanbudget.processors.errors import ConfigurationError, InputError


@pytest.fixture
def config(tmp_path):
    (tmp_path / "own.yaml").write_text('groups: [{name: own, rules: [{alert: Mine, expr: "up == 0"}]}]\n')
    path = tmp_path / "budgets.yaml"
    path.write_text(
        f"rules: ['{tmp_path}/own.yaml', 'pack:silence']\n"
        "budgets: [{name: day, max_cost: 5, period: daily, alerts: true}]\n"
    )
    return path


def run(*arguments):
    return CliRunner().invoke(render, [str(argument) for argument in arguments], catch_exceptions=False)


def names(text):
    return [group["name"] for group in yaml.safe_load(text)["groups"]]


def test_it_prints_packs_files_and_budgets_and_tells_what_was_left_out(config):
    done = run("--config", config)
    assert done.exit_code == 0
    assert sorted(names(done.stdout)) == ["budget:day", "own", "spanbudget-silence"]
    assert "budget day: burn 4x over 6h: left out" in done.stderr


def test_it_tells_once_what_was_left_out_of_several_budgets(tmp_path):
    path = tmp_path / "budgets.yaml"
    kinds = [
        f"{{name: b{n}, max_cost: 5, period: daily, match: {{team: t{n}}}, alerts: true}}" for n in range(5)
    ]
    path.write_text(
        f"budgets: [{', '.join(kinds)}, {{name: c, max_cost: 1, period: daily, alerts: {{burn: true}}}}]\n"
    )
    done = run("--config", path)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "budgets b0, b1, b2 and 3 more"
    ] * 3
    first, second = names(done.stdout)
    assert (first[:8], second) == ("budgets:", "budget:c")


def test_files_and_packs_may_be_named(config):
    assert names(run("pack:silence", config.parent / "own.yaml").stdout) == ["spanbudget-silence", "own"]


def test_it_writes_a_file(config, tmp_path):
    out = tmp_path / "out.yaml"
    done = run("--config", config, "--output", out, "--target", "grafana", "--folder", "LLM")
    assert done.stdout == ""
    assert "groups for grafana" in done.stderr
    assert {group["folder"] for group in yaml.safe_load(out.read_text())["groups"]} == {"LLM"}


def test_labels_of_manifests_are_pairs(config):
    done = run("--config", config, "--target", "prometheus-operator", "--label", "release=kube")
    assert all(one["metadata"]["labels"]["release"] == "kube" for one in yaml.safe_load_all(done.stdout))
    assert run("--label", "release").exit_code == 2


def test_no_rules_are_an_error(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("budgets: [{name: a, max_cost: 1}]\n")
    with pytest.raises(InputError, match="there are no rules"):
        run("--config", path)


def test_an_unknown_pack_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigurationError, match="known are budget, pipeline, reliability, silence, spend"):
        run("pack:budgets")
