"""The owner's mistake: one sentence that says what to change. The command line prints it and exits 2."""

from __future__ import annotations


class UserError(Exception):
    """Something the owner can mend: a wrong file, a wrong name, a missing option."""


class NotFoundError(UserError):
    """What is asked for is not here: over HTTP another status, on the command line the same mistake."""


class BusyError(UserError):
    """What is asked for can't be had just now, and can in a moment."""
