"""Checks of a field that msgpack gave: each takes any value and returns it typed, or raises RemoteError("malformed").

Made from one another, as the fields are: a list of rows of a number and some bytes. Types are compared exactly, so
that True is no number; and since every value inside is looked at, nothing is nested deeper than a check expects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from protocol.limits import RemoteError

Check: TypeAlias = Callable[[Any], Any]


def bytes_of(least: int, most: int) -> Check:
    """Bytes of a length from `least` to `most`."""

    def check(value: Any) -> bytes:
        if type(value) is not bytes or not least <= len(value) <= most:
            raise RemoteError("malformed", f"not {least} to {most} bytes")
        return value

    return check


def number_of(least: int, most: int) -> Check:
    """A whole number from `least` to `most`."""

    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise RemoteError("malformed", f"not a number from {least} to {most}")
        return value

    return check


def many_of(check_one: Check, most: int) -> Check:
    """A list of at most `most`, as a tuple."""

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise RemoteError("malformed", f"not a list of at most {most}")
        return tuple(check_one(one) for one in value)

    return check


def row_of(*checks: Check) -> Check:
    """A list with one value for each check, as a tuple."""

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(checks):
            raise RemoteError("malformed", f"not a row of {len(checks)}")
        return tuple(one(part) for one, part in zip(checks, value, strict=True))

    return check
