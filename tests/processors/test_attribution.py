"""Who a call belongs to."""

import json

import pytest
from made_spans import GENAI_OPENAI, genai, reader, span

from spanbudget.processors.attribution import LABEL_MAX, Attribution, label_text
from spanbudget.processors.dialects import LABEL_SPELLINGS


def labels(attributes=None, resource=None, attribution=None) -> dict[str, str]:
    one = span(1, {**genai(), **(attributes or {})}, scope=GENAI_OPENAI, resource=resource)
    call = reader(attribution=attribution).read(one)
    assert call is not None
    assert list(call.labels) == sorted(call.labels)
    return dict(call.labels)


@pytest.mark.parametrize(
    ("key", "label"),
    [(key, label) for label, keys in LABEL_SPELLINGS.items() for key in keys]
    + [
        ("traceloop.association.properties.user_id", "user"), ("ai.telemetry.metadata.userId", "user"),
        ("langsmith.metadata.thread_id", "session"), ("langfuse.trace.metadata.team", "team"),
        ("langfuse.observation.metadata.feature", "feature"),
        ("ai.telemetry.metadata.sessionId", "session"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_label_is_read(key, label) -> None:
    assert labels({key: "x"}) == {label: "x"}


def test_the_earlier_spelling_wins_in_any_order() -> None:
    one = {"enduser.id": "end", "user.id": "user", "llm.user": "llm"}
    assert labels(one) == labels(dict(reversed(one.items()))) == {"user": "user"}


def test_service_and_environment_come_from_the_resource_and_the_rest_from_the_span() -> None:
    resource = {
        "service.name": "shop",
        "deployment.environment.name": "prod",
        "team": "base",
        "user.id": "host",
    }
    told = labels({"service.name": "other", "deployment.environment": "other", "team": "search"}, resource)
    assert told == {"service": "shop", "environment": "prod", "team": "search", "user": "host"}


def test_configured_keys_go_first_and_also_for_service() -> None:
    attribution = Attribution({"user": ["app.customer"], "service": ["app.part"], "tenant": ["app.tenant"]})
    told = labels(
        {"user.id": "u", "app.customer": "c", "app.part": "p", "app.tenant": "t"},
        {"service.name": "shop"},
        attribution,
    )
    assert told == {"user": "c", "service": "p", "tenant": "t"}


def test_any_key_becomes_a_label_under_its_own_name() -> None:
    attribution = Attribution(extra=["cost.center", "gen_ai.request.model"])
    assert labels({"cost.center": 7}, attribution=attribution) == {
        "cost.center": "7",
        "gen_ai.request.model": "gpt-5",
    }
    assert labels(resource={"cost.center": "base"}, attribution=attribution)["cost.center"] == "base"


def test_openinferences_metadata_is_read_and_attributes_go_before_it() -> None:
    metadata = json.dumps(
        {"user_id": "meta", "team": "search", "tenant": "t1", "feature": {"a": 1}, "thread_id": ""}
    )
    attribution = Attribution(extra=["tenant"])
    assert labels({"metadata": metadata}, attribution=attribution) == {
        "user": "meta",
        "team": "search",
        "tenant": "t1",
    }
    assert labels({"metadata": metadata, "user.id": "span"}, attribution=attribution)["user"] == "span"


@pytest.mark.parametrize("metadata", ["", "x", "[1]", "{", 5, ["a"], {"user_id": "x"}])
def test_metadata_of_another_form_breaks_nothing(metadata) -> None:
    assert "team" not in labels({"metadata": metadata, "user.id": "u"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("alice", "alice"), (7, "7"), (1.5, "1.5"), (True, "true"), (False, "false"), (["a"], "['a']"),
        ("x" * (LABEL_MAX - 1), "x" * (LABEL_MAX - 1)), ("x" * LABEL_MAX, "x" * LABEL_MAX),
        ("x" * (LABEL_MAX + 1), "x" * LABEL_MAX),
    ],
)  # fmt: skip
def test_a_value_becomes_text_of_bounded_length(value, text) -> None:
    assert label_text(value) == text
    assert labels({"user.id": value}) == {"user": text}


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_value_is_no_label(value) -> None:
    assert labels({"user.id": value}) == {}
    assert labels({"user.id": value, "llm.user": "u"}) == {"user": "u"}


def test_labels_of_one_resource_are_not_given_to_another() -> None:
    one = reader()
    told = []
    for n in range(50):
        call = one.read(span(n + 1, genai(), scope=GENAI_OPENAI, resource={"service.name": f"s{n % 5}"}))
        told.append(call.label("service") if call else None)
    assert told == [f"s{n % 5}" for n in range(50)]


def test_the_memory_for_labels_is_bounded() -> None:
    attribution = Attribution()
    one = reader(attribution=attribution)
    for n in range(1, 10_000):
        call = one.read(span(n, {**genai(), "user.id": f"u{n}"}, scope=GENAI_OPENAI))
        assert call is not None
        assert call.label("user") == f"u{n}"
    assert max(len(attribution._seen), len(attribution._sets), len(attribution._resources)) <= 4096
