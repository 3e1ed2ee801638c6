"""What must be so once faults have stopped: everybody holds the same, nothing waits, nothing dropped has come back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sim.checkers import is_whole, quarantined
from sim.seat import Seat


def unsettled(seats: Sequence[Seat], stolen: Iterable[str] = ()) -> list[str]:
    """What differs between these nodes that should be the same once faults have stopped; nothing, if all is well.

    `stolen` are the publishers whose keys somebody else has: nobody else forks.
    """
    complaints = []
    running = [seat for seat in seats if seat.engine is not None]
    proven = {publisher for seat in running for publisher in quarantined(seat)}
    own = {seat.peer: seat.whole()[seat.peer] for seat in running if seat.peer in seat.whole()}
    complaints += [f"node {seat.number} has not signed what it sells" for seat in running if seat.unsigned]
    for seat in running:
        whole = seat.whole()
        for publisher, sealed in own.items():
            if publisher not in proven and whole.get(publisher) != sealed:
                complaints.append(f"node {seat.number} has another version of {publisher}, or none")
        held = seat.replicas.held()
        complaints += [f"node {seat.number} still waits for {one.publisher}" for one in held if one.target is not None]
        blamed = sorted(quarantined(seat) - set(stolen))
        complaints += [f"node {seat.number} says that {publisher} forked, which did not" for publisher in blamed]
        unheard = sorted(proven - quarantined(seat))
        complaints += [f"node {seat.number} has not heard that {publisher} forked" for publisher in unheard]
    if not complaints:
        for seat in running:
            here = [one for one in seat.replicas.held() if one.head is not None]
            lies = [one.publisher for one in here if not is_whole(seat, one.catalog, one.head or b"")]
            complaints += [f"node {seat.number} does not hold what {publisher} signed" for publisher in lies]
    return complaints


def resurrected(seats: Sequence[Seat], publisher: Seat, items: Iterable[str]) -> list[str]:
    """Which of these removed items any node still holds."""
    gone = set(items)
    found = []
    for seat in seats:
        held = {one.item.item for one in seat.store.items(publisher=publisher.peer)}
        found += [f"{item} at node {seat.number}" for item in sorted(gone & held)]
    return found
