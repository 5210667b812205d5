"""The alerts of many budgets: those that want the same share rules.

Each rule looks at all of its budgets at once and aggregates by their names, so that it has the alerts that
rules of each budget's own would have. A thousand budgets of one kind are then a hundred rules, not 20,000.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from spanbudget.rules.expansion.expand import Expansion, Written, expand, written
from spanbudget.rules.expansion.promql_text import literal
from spanbudget.rules.expansion.rule_text import GroupText
from spanbudget.rules.expansion.sugar import BudgetAlerts
from spanbudget.rules.labels import quoted

SHARED_PREFIX: Final = "budgets:"
"""A group of several budgets is named after what its rules say, behind this."""
NAMES_MAX: Final = 200
"""Budgets of one group; more of one kind are several groups."""
CHARS_MAX: Final = 8_000
"""Characters of their names in a selector: a rule repeats it up to four times, of 64 KiB that it may have."""
_DIGEST_CHARS: Final = 8
_NAMED: Final = 3
"""Budgets that a note names before it counts the others."""


def expand_all(budgets: Sequence[BudgetAlerts]) -> Expansion:
    """Writes the rules of budgets, in the order in which the first one of each kind stands.

    A budget whose alerts are like no other's has a group of its own, `budget:NAME`. The name of a group that
    budgets share depends on what its rules say, not on which budgets there are.

    Args:
        budgets: What the budgets say about their alerts; each name once.
    """
    groups: list[GroupText] = []
    left_out: dict[str, list[str]] = {}
    for made, alike in _kinds(budgets):
        for reason in made.left_out:
            left_out.setdefault(reason, []).extend(one.budget for one in alike)
        if len(alike) == 1:
            groups += expand(alike[0]).groups
        elif made.rules:
            groups += _shared(made, alike)
    return Expansion(tuple(groups), tuple(_note(reason, names) for reason, names in left_out.items()))


def _kinds(budgets: Iterable[BudgetAlerts]) -> Iterator[tuple[Written, list[BudgetAlerts]]]:
    """What rules say, with a name left empty, and the budgets that want them.

    Settings that differ may say the same, such as periods of different time zones.
    """
    by_settings: dict[BudgetAlerts, list[BudgetAlerts]] = {}
    for budget in budgets:
        by_settings.setdefault(replace(budget, budget=""), []).append(budget)
    by_text: dict[Written, list[BudgetAlerts]] = {}
    for settings, alike in by_settings.items():
        by_text.setdefault(written(settings), []).extend(alike)
    yield from by_text.items()


def _shared(made: Written, alike: Sequence[BudgetAlerts]) -> Iterator[GroupText]:
    digest = sha256(repr(made.rules).encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    for number, (first, *others) in enumerate(_chunks(sorted(one.budget for one in alike)), start=1):
        name = f"{SHARED_PREFIX}{digest}" + (f":{number}" if number > 1 else "")
        yield GroupText(name, written(replace(alike[0], budget=first, others=tuple(others))).rules)


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    chars = 0
    for name in names:
        own = len(quoted(literal(name)))
        if chunk and (len(chunk) == NAMES_MAX or chars + own > CHARS_MAX):
            yield chunk
            chunk, chars = [], 0
        chunk.append(name)
        chars += own
    if chunk:
        yield chunk


def _note(reason: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"budget {names[0]}: {reason}"
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"budgets {', '.join(names[:_NAMED])}{more}: {reason}"
