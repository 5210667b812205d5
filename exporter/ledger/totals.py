"""Running totals as rows of the table `spend`."""

from collections.abc import Iterable, Sequence
from typing import Any

from spanbudget.exporter.ledger.rows import Value, plain
from spanbudget.processors.ledger import Entry, Spend, SpendKey
from spanbudget.processors.money import PICO_PER_USD


def split(entries: Iterable[Entry], fresh: set[tuple[int, bytes]]) -> tuple[list[Entry], frozenset[bytes]]:
    """Parts the entries to count, the first of each end and id in `fresh`, from the ids that came again."""
    left = set(fresh)
    counted, duplicates = [], set()
    for entry in entries:
        key = (entry.priced.call.end_ns, entry.id)
        if key in left:
            left.remove(key)
            counted.append(entry)
        else:
            duplicates.add(entry.id)
    return counted, frozenset(duplicates)


def change_rows(entries: Sequence[Entry]) -> list[tuple[Value, ...]]:
    """What entries add to their windows, one row for each window: see `entry_spend` for what one adds.

    Entries are first summed by the tuple of their windows, because most entries share one of a few.
    """
    groups: dict[tuple[SpendKey, ...], list[int]] = {}
    # Copied to plain tuples and unpacked: three times as fast as asking named tuples by name.
    for entry in entries:
        _, kind, priced, keys = entry[:]
        call, cost, _, _, _, _, _, confidence, _ = priced[:]
        uncached, read, write, _, _, output, _, _, _, _, _ = call[11][:]
        group = groups.get(keys)
        if group is None:
            group = groups[keys] = [0, 0, 0, 0, 0]
        sign = -1 if kind == "reversal" else 1
        # Unrolled from `Usage.total` and `entry_spend`: this runs for every entry.
        group[1] += sign * ((uncached or 0) + (read or 0) + (write or 0) + (output or 0))
        group[2] += sign
        if cost is None:
            group[4] += sign
            continue
        group[0] += sign * cost
        if confidence == "estimated":
            group[3] += sign * cost
    windows: dict[SpendKey, list[int]] = {}
    for keys, group in groups.items():
        for key in keys:
            total = windows.get(key)
            windows[key] = (
                group if total is None else [one + more for one, more in zip(total, group, strict=True)]
            )
    return [_row(key, *total) for key, total in windows.items()]


def _row(
    key: SpendKey, cost: int, tokens: int, requests: int, estimated: int, unpriced: int
) -> tuple[Value, ...]:
    # divmod rounds down, so a remainder is never negative, and whole USD may be.
    amounts = (*divmod(cost, PICO_PER_USD), *divmod(estimated, PICO_PER_USD))
    return (*key, *amounts, tokens, requests, unpriced)


def total_of(row: Sequence[Any]) -> tuple[SpendKey, Spend]:
    """Reads one row of `spend`."""
    budget, child, period, start_ns = map(plain, row[:4])
    usd, pico, estimated_usd, estimated_pico, tokens, requests, unpriced = row[4:]
    spend = Spend(
        usd * PICO_PER_USD + pico, tokens, requests, estimated_usd * PICO_PER_USD + estimated_pico, unpriced
    )
    return SpendKey(str(budget), str(child), str(period), int(start_ns or 0)), spend
