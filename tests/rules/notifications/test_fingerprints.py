import pytest

from spanbudget.rules.labels import labels_of
from spanbudget.rules.notifications.fingerprints import fingerprint


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # Each as a running Alertmanager 0.25 shows it.
        ({}, "cbf29ce484222325"),
        ({"alertname": "X"}, "d2aeefc389ca7746"),
        ({"alertname": "LLMBudget80", "llm_budget_name": "prod", "severity": "warning"}, "25d6069ba3491039"),
        ({"alertname": "Ä€𝄞", "a": '"<&>"'}, "ba76b537259b54e3"),
    ],
)
def test_a_fingerprint_is_that_of_alertmanager(labels, expected) -> None:
    assert fingerprint(labels_of(labels)) == expected


def test_the_order_of_the_labels_does_not_matter() -> None:
    assert fingerprint((("b", "2"), ("a", "1"))) == fingerprint((("a", "1"), ("b", "2")))
