"""What a simulation leaves: figures, curves, traffic, and what was asserted. Plain values, told by `sim.reports`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

#: One line of the table: "setting", "model", "platform" and "slice" say of what, every other key is a figure (or None).
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a scenario claims, whether it held, and the figures that say so."""

    claim: str
    held: bool
    figures: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """All frames between two nodes (places in `names`), one direction."""

    sender: int
    receiver: int
    frames: int
    bytes: int


@dataclass(slots=True)
class Outcome:
    """One run. Times of curves are virtual seconds since the start; latencies are virtual milliseconds."""

    scenario: str
    seed: int
    digest: str = ""
    """Of the whole trace, hexadecimal: the same seed gives the same."""
    nodes: int = 0
    events: int = 0
    virtual_seconds: float = 0.0
    wall_seconds: float = 0.0
    replay: str = ""
    """The command that runs it again; empty: the scenario's name, nodes and seed say it."""
    rows: list[Row] = field(default_factory=list)
    asserted: list[Assertion] = field(default_factory=list)
    curves: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    """Title -> line -> points: what converged, and when."""
    bytes_by_kind: dict[str, int] = field(default_factory=dict)
    frames_by_kind: dict[str, int] = field(default_factory=dict)
    latencies_ms: dict[str, list[int]] = field(default_factory=dict)
    """What was waited for -> every wait."""
    names: list[str] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    """Who talked to whom; only the busiest where there are many."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the reader: what was modelled, what was remembered, what bounds it."""

    @property
    def held(self) -> bool:
        """Whether everything that was asserted held."""
        return all(one.held for one in self.asserted)
