"""`spanbudget advise` and `spanbudget efficiency`, from files of spans with planted waste to their words."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from planted_spans import CALL_USD, WHISPERED, queued, repeated, write_spans

from spanbudget.exporter.cli.main import main
from spanbudget.exporter.ledger import open_ledger

KEY = "0123456789abcdef0123456789abcdef"


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


def output(*arguments: object) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*arguments: object) -> Any:
    return json.loads(output(*arguments, "--json"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a budget for one of three users, a template for all, and one that nobody uses."""
    path = tmp_path / "budgets.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"},
                "budgets": [
                    {"name": "one", "match": {"user": "user-1"}, "max_cost": 10},
                    {"name": "each", "per": ["user"], "max_cost": 10},
                    {"name": "idle", "match": {"user": "nobody"}, "max_cost": 10},
                ],
            }
        ),
        encoding="utf-8",
    )
    return path


@pytest.fixture
def replayed(config: Path, tmp_path: Path) -> Any:
    def of(spans: Any, key: str | None = None) -> Path:
        options: list[object] = ["--db", tmp_path / "ledger.db"]
        if key is not None:
            keyed = tmp_path / "keyed.yaml"
            keyed.write_text(f"{config.read_text()}\nadvice: {{hash_key: '${{HASH_KEY}}'}}\n")
            options += ["--config", keyed]
        done = run("replay", write_spans(tmp_path / "spans.jsonl", spans), *options, HASH_KEY=key or "")
        assert done.exit_code == 0, done.output
        return config

    return of


def suggestion(found: Any, kind: str) -> Any:
    (one,) = [one for one in found["suggestions"] if one["kind"] == kind]
    return one


@pytest.mark.parametrize("contents", [False, True])
def test_planted_repetitions_are_found_to_the_cent(replayed, *, contents: bool) -> None:
    """40 different requests, and one of them 25 times more: 25 * 0.0225 = 0.5625 USD for nothing."""
    config = replayed(repeated(40, 25, contents=contents), KEY if contents else None)
    found = told("advise", "--config", config)
    assert Decimal(found["spent_usd"]) == 65 * CALL_USD
    one = suggestion(found, "duplicates")
    assert Decimal(one["saving_usd"]) == 25 * CALL_USD
    assert (one["calls"], one["confidence"], one["upper_bound"]) == (25, "exact", False)
    assert (one["group"]["provider"], one["group"]["service"]) == ("openai", "shop")
    assert all(int(span["trace_id"], 16) > 40 for span in one["evidence"])
    assert Decimal(found["counted_usd"]["exact"]) == 25 * CALL_USD


def test_without_the_key_contents_are_not_looked_at_and_it_is_said(replayed) -> None:
    config = replayed(repeated(40, 25, contents=True))
    found = told("advise", "--config", config)
    assert "duplicates" not in {one["kind"] for one in found["suggestions"]}
    assert {one["kind"]: one["calls"] for one in found["unexamined"]}["duplicates"] == 65


def test_calls_of_a_queue_are_found_by_their_ancestors_that_end_later(replayed) -> None:
    """40 calls below consumers; batch costs half of what they did: 40 * 0.0225 / 2 = 0.45 USD."""
    config = replayed(queued(40))
    one = suggestion(told("advise", "--config", config), "batch")
    assert Decimal(one["saving_usd"]) == 40 * CALL_USD / 2
    assert (one["calls"], one["confidence"]) == (40, "counterfactual")


def test_a_budget_and_a_child_see_their_own_calls_only(replayed) -> None:
    """Of 65 calls 22 are user-1's, and the 25 repetitions are of all three users."""
    config = replayed(repeated(40, 25))
    of_budget, of_child = (
        told("advise", "one", "--config", config),
        told("advise", "each", "--child", "user=user-1", "--config", config),
    )
    assert of_budget["calls"] == of_child["calls"] == 22
    assert of_budget["suggestions"] == of_child["suggestions"]
    assert Decimal(of_budget["spent_usd"]) == 22 * CALL_USD


def test_people_see_the_money_the_reason_and_the_evidence(replayed) -> None:
    config = replayed(repeated(40, 25))
    text = output("advise", "--config", config)
    assert "65 calls, $1.46," in text
    assert "$0.5625 was paid for nothing (exact)." in text
    assert "Answer repeated requests from a cache" in text
    assert "/00000000000000" in text
    assert "Not examined:" in text
    assert "\x1b" not in text
    assert WHISPERED not in text


def test_scores_are_told_with_their_parts(replayed) -> None:
    """(1 - 25/65) x 100 = 61.5: all calls succeeded."""
    config = replayed(repeated(40, 25))
    scores = {one["of"]: one for one in told("efficiency", "--config", config)["scores"]}
    assert scores.keys() == {"all calls", "one", "each", "idle"}
    whole = scores["all calls"]
    assert whole["score"] == pytest.approx(100 * (1 - 25 / 65))
    assert Decimal(whole["avoidable_usd"]) == 25 * CALL_USD
    assert (whole["calls"], whole["failed"], whole["success_rate"]) == (65, 0, 1.0)
    assert scores["each"]["score"] == whole["score"]
    assert (scores["idle"]["score"], scores["idle"]["calls"]) == (None, 0)
    by_user = told("efficiency", "--by", "user.id", "--config", config)["scores"]
    assert {one["of"]: one["calls"] for one in by_user} == {"user-0": 21, "user-1": 22, "user-2": 22}
    assert sum(Decimal(one["avoidable_usd"]) for one in by_user) == 25 * CALL_USD
    assert "61.5" in output("efficiency", "--config", config)


def test_too_many_calls_are_told(replayed) -> None:
    config = replayed(repeated(40, 25))
    assert told("advise", "--config", config, "--max-calls", 10)["complete"] is False
    assert "There are more: these are the newest 10;" in output(
        "advise", "--config", config, "--max-calls", 10
    )


@pytest.mark.parametrize("command", ["advise", "efficiency"])
def test_mistakes_are_one_clear_sentence(replayed, command: str, tmp_path: Path) -> None:
    config = replayed(repeated(5, 0))
    wrong = {
        ("nope",): "spanbudget: there is no budget 'nope'; known are one, each, idle",
        ("one", "--child", "user=a"): "spanbudget: budget 'one' has no children: it is not `per` any label",
    }
    for arguments, message in wrong.items():
        done = run(command, *arguments, "--config", config)
        assert (done.exit_code, done.stderr.strip()) == (2, message)
    assert "--child needs the name of its budget" in run(command, "--child", "a", "--config", config).stderr
    assert "there is no such file" in run(command, "--db", tmp_path / "no.db").stderr


def test_a_label_that_no_call_has_is_told(replayed) -> None:
    config = replayed(repeated(5, 0))
    done = run("efficiency", "--by", "usr", "--config", config)
    assert done.exit_code == 2
    assert "no call has the label 'usr'; there are provider, model, operation, tier," in done.stderr


@pytest.mark.parametrize("command", ["advise", "efficiency"])
def test_an_empty_window_says_so(replayed, command: str) -> None:
    config = replayed(repeated(5, 0))
    assert output(command, "--last", "1m", "--config", config) == "There is no call in this time.\n"
    assert told(command, "--last", "1m", "--config", config)["calls"] == 0
    of_idle = output(command, "idle", "--config", config)
    assert of_idle == "There is no call of idle in this time.\n"


def test_no_text_of_a_prompt_is_kept_anywhere(replayed, tmp_path: Path, caplog) -> None:
    """Hashes are in the ledger; neither a file nor a message has a word of what was asked."""
    config = replayed(repeated(40, 25, contents=True), KEY)
    with caplog.at_level("DEBUG"):
        said = output("advise", "--config", config) + output("efficiency", "--config", config)
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    calls = [one.priced.call for one in ledger.standing(0, time.time_ns(), limit=100)]
    ledger.close()
    assert len({call.prompt_hash for call in calls}) == 40
    files = [path.read_bytes() for path in tmp_path.iterdir() if path.suffix not in (".jsonl", ".yaml")]
    kept = b"".join(files).decode("latin-1") + said + caplog.text + repr(calls)
    for word in (*WHISPERED.split(), KEY):
        if len(word) > 3:
            assert word not in kept, word
