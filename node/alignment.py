"""Rows that slipped: a cell too many or too few, put back where the columns' own kinds say.

A name with an unquoted comma pushes every later cell to the right; a lost cell pulls them to the left. Columns
that hold addresses and numbers show it, and a shift is undone only when every one of them fits again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.rows import Row

_ADDRESS = re.compile(r"(?i)\s*(?:https?:)?//\S")
_NUMBER = re.compile(r"[^\w\s]{0,3}\s*[0-9][0-9., ]*[^\w]{0,3}$")
# Stray delimiters that a text is believed to hold; a row with more is broken in another way.
_EXCESS_MAX = 8
# A column is of a kind when this share of its filled cells is.
_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Alignment:
    """The kinds of an export's columns, by their places, and how to straighten rows by them."""

    columns: tuple[str, ...]
    addresses: frozenset[int]
    numbers: frozenset[int]
    texts: tuple[int, ...]

    @classmethod
    def of(cls, columns: tuple[str, ...], texts: Sequence[str], sample: Sequence[Mapping[str, str]]) -> Alignment:
        """Learn the kinds from a sample of rows. `texts` are the columns most likely to hold a stray delimiter."""
        place = {column: at for at, column in enumerate(columns)}

        def mostly(pattern: re.Pattern[str], column: str) -> bool:
            filled = [value for cells in sample if (value := cells.get(column, "").strip())]
            return bool(filled) and sum(1 for value in filled if pattern.match(value)) >= _SHARE * len(filled)

        addresses = frozenset(at for column, at in place.items() if mostly(_ADDRESS, column))
        numbers = frozenset(at for column, at in place.items() if mostly(_NUMBER, column)) - addresses
        first = [place[column] for column in texts]
        rest = [at for at in range(len(columns)) if at not in addresses | numbers and at not in first]
        return cls(columns, addresses, numbers, (*first, *rest))

    def straighten(self, row: Row) -> tuple[Mapping[str, str] | None, bool]:
        """The row's cells under the right columns and whether that took a shift; None where no shift fits."""
        values = [row.cells.get(column, "") for column in self.columns]
        if not row.surplus and (self._addresses_fit(values) or not self._stray_address(values)):
            return row.cells, False
        for candidate in self._candidates([*values, *row.surplus]):
            if self._all_fit(candidate):
                return dict(zip(self.columns, candidate, strict=True)), True
        return (None if row.surplus else row.cells), False

    def _candidates(self, values: list[str]) -> list[list[str]]:
        width, excess = len(self.columns), len(values) - len(self.columns)
        joined = [self._joined(values, at, max(excess, 1)) for at in self.texts if at + max(excess, 1) < len(values)]
        if excess > 0:
            return joined if excess <= _EXCESS_MAX else []
        # With the right number of cells, one too many in front has pushed nothing but padding out at the end.
        pushed = [[*candidate, ""] for candidate in joined]
        # The latest place keeps most cells where they are.
        pulled = [[*values[:at], "", *values[at:-1]] for at in reversed(range(width)) if not values[-1].strip()]
        return [*pushed, *pulled]

    @staticmethod
    def _joined(values: list[str], at: int, excess: int) -> list[str]:
        return [
            *values[:at],
            ", ".join(value.strip() for value in values[at : at + excess + 1]),
            *values[at + excess + 1 :],
        ]

    def _addresses_fit(self, values: list[str]) -> bool:
        return all(not values[at].strip() or _ADDRESS.match(values[at]) for at in self.addresses)

    def _stray_address(self, values: list[str]) -> bool:
        return any(_ADDRESS.match(value) for at, value in enumerate(values) if at not in self.addresses)

    def _all_fit(self, values: list[str]) -> bool:
        numbers_fit = all(not values[at].strip() or _NUMBER.match(values[at].strip()) for at in self.numbers)
        return numbers_fit and self._addresses_fit(values) and not self._stray_address(values)
