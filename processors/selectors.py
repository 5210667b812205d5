"""Which calls a budget counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from spanbudget.processors.call import LLMCall

LABEL_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "service.name": "service",
        "deployment.environment.name": "environment",
        "deployment.environment": "environment",
        "user.id": "user",
        "enduser.id": "user",
        "session.id": "session",
        "gen_ai.conversation.id": "session",
        "gen_ai.provider.name": "provider",
        "gen_ai.system": "provider",
        "gen_ai.request.model": "request_model",
        "gen_ai.response.model": "response_model",
        "gen_ai.operation.name": "operation",
    }
)
"""OpenTelemetry attribute → label; every other name is a label of that very name."""


class CallIdentity(NamedTuple):
    """What a selector can see of a call beside its labels; None where unknown."""

    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    tier: str | None = None
    operation: str | None = None


def identity_of(call: LLMCall) -> CallIdentity:
    """What a selector can see of a call beside its labels."""
    return CallIdentity(
        call.provider, call.model, call.request_model, call.response_model, call.tier, call.operation
    )


def canonical_label(name: str) -> str:
    """The label that an attribute name stands for: `user.id` → `user`, `tenant.id` → `tenant.id`."""
    return LABEL_ALIASES.get(name, name)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which calls a budget counts: every label must have one of its values.

    Attributes:
        terms: Label → allowed values, sorted by label. `*` in a value stands for any text. A call without
            the label does not match, not even `*`. No terms match every call.
    """

    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, match: Mapping[str, Iterable[str]]) -> "Selector":
        """Builds a selector from label or attribute names.

        Raises:
            ValueError: Two names stand for the same label, or a label has no value.
        """
        terms: dict[str, tuple[str, ...]] = {}
        for name, values in match.items():
            label = canonical_label(name)
            if label in terms:
                raise ValueError(f"{name!r} and another key both select the label {label!r}")
            terms[label] = tuple(values)
            if not terms[label]:
                raise ValueError(f"the label {label!r} has no allowed value")
        return cls(tuple(sorted(terms.items())))

    def matches(self, values: Mapping[str, str]) -> bool:
        """Whether a call with these labels is counted."""
        for label, patterns in self.terms:
            value = values.get(label)
            if value is None or not any(wildcard_match(pattern, value) for pattern in patterns):
                return False
        return True


def wildcard_match(pattern: str, value: str) -> bool:
    """Whether the whole value fits the pattern, where `*` is any text; in time linear in the pieces."""
    first, *rest = pattern.split("*")
    if not rest:
        return value == pattern
    *middle, last = rest
    if len(value) < len(first) + len(last) or not (value.startswith(first) and value.endswith(last)):
        return False
    at, end = len(first), len(value) - len(last)
    for piece in middle:
        at = value.find(piece, at, end) + len(piece)
        if at < len(piece):
            return False
    return True
