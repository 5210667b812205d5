"""Rules and their tests by chance: alerts that wait and linger over series that come, go and fail."""

import random
from typing import Any, Final

_DURATIONS: Final = ("0s", "30s", "1m", "90s", "2m", "3m", "5m")
_CONDITIONS: Final = (
    "x > 0", "x == 1", "x >= 2", "x > 0 and on(kind) y", 'absent(x{kind="a"})', "sum(x) > 2",
    "sum by (kind) (x) > 1", "rate(total[3m]) > 0.02", "increase(total[2m]) == 0",
    "x / ignoring(kind) group_left sum(x) > 0.4", "changes(x[4m]) > 2", "max_over_time(x[3m]) > 1",
    "x unless on(kind) y", "avg_over_time(x[2m:30s]) > 0.5", "r:sum > 3", "r:rate > 0.01",
    'count(ALERTS{alertstate="pending"}) > 1', "x offset 1m > 0", "resets(total[5m]) > 0",
    "time() % 240 < 120", "predict_linear(x[5m], 60) > 1", "absent_over_time(y[2m])",
    'label_replace(x > 0, "new", "$1", "kind", "(.)")',
)  # fmt: skip
_ANNOTATIONS: Final = (
    "{{ $value }}", "{{ $value | humanize }} of {{ $labels.kind }}", '{{ printf "%.2f" $value }}',
    "{{ $labels.kind | toUpper }}", "{{ $value | humanizePercentage }}",
    "{{ with $labels.kind }}{{ . }}{{ else }}none{{ end }}",
    '{{ query "sum(x)" | first | value | humanizeDuration }}',
    '{{ range query "x" | sortByLabel "kind" }}{{ .Value }};{{ end }}',
)  # fmt: skip
_VALUES: Final = (
    "0", "1", "2", "3", "_", "_", "stale", "0x2", "1x3", "2x2", "0+1x3", "3-1x2", "_x2", "_x6", "NaN", "0.5",
)  # fmt: skip
_COUNTS: Final = ("0+1x4", "5+0x3", "9+2x5", "_", "_x6", "0", "100+10x2", "stale")


def generated_rule_tests(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A file of rules, and a file of tests of them that asks for nothing yet."""
    rng = random.Random(seed)
    recorded = [
        {"record": "r:sum", "expr": "sum(x)"},
        {"record": "r:rate", "expr": "rate(total[2m])", "labels": {"from": "total"}},
    ]
    groups = [
        {"name": "alerts", "rules": [_alert(rng, number) for number in range(5)]},
        {"name": "records", "rules": recorded},
        {
            "name": "later",
            "rules": [_alert(rng, number) for number in range(5, 8)],
            "labels": {"group": "later"},
        },
    ]
    tests = {
        "rule_files": ["generated.rules.yaml"],
        "evaluation_interval": rng.choice(("30s", "1m", "1m", "2m")),
        "group_eval_order": ["records", "alerts", "later"],
        "tests": [_test(rng) for _ in range(2)],
    }
    return {"groups": groups}, tests


def _alert(rng: random.Random, number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": f"Alert{number}", "expr": rng.choice(_CONDITIONS)}
    if rng.random() < 0.7:
        rule["for"] = rng.choice(_DURATIONS)
    if rng.random() < 0.5:
        rule["keep_firing_for"] = rng.choice(_DURATIONS)
    if rng.random() < 0.5:
        rule["labels"] = {"severity": rng.choice(("page", "warning", "{{ $labels.kind }}", "{{ $value }}"))}
    if rng.random() < 0.8:
        rule["annotations"] = {"summary": rng.choice(_ANNOTATIONS)}
    return rule


def _test(rng: random.Random) -> dict[str, Any]:
    series = [
        *({"series": f'x{{kind="{kind}"}}', "values": _some(rng, _VALUES)} for kind in "abc"),
        {"series": 'y{kind="a"}', "values": _some(rng, _VALUES)},
        {"series": 'total{kind="a"}', "values": _some(rng, _COUNTS)},
        {"series": 'total{kind="b"}', "values": _some(rng, _COUNTS)},
    ]
    return {"interval": rng.choice(("15s", "30s", "1m", "1m", "90s")), "input_series": series}


def _some(rng: random.Random, values: tuple[str, ...]) -> str:
    return " ".join(rng.choice(values) for _ in range(12))
