"""Who ran when, as somebody measured it: a churn trace from a CSV file with the columns node, up_s, down_s.

A row is one session: that node ran from `up_s` until `down_s`, in seconds since the trace began. Such intervals are
what the Failure Trace Archive and most measurements of peer-to-peer networks publish (Kondo et al. 2010). Names of
nodes are anything; in the order in which they first appear they become nodes 0, 1, 2... of the simulation.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from node.errors import UserError

COLUMNS = ("node", "up_s", "down_s")
# A year.
SECONDS_MAX = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Trace:
    """`sessions[n]`: when node n runs, as (up, down) in seconds, in order and apart."""

    sessions: tuple[tuple[tuple[float, float], ...], ...]

    @property
    def seconds(self) -> float:
        """Until the last one goes."""
        return max(down for sessions in self.sessions for _, down in sessions)

    @property
    def away(self) -> float:
        """The share of all nodes' time that they were away."""
        up = sum(down - up for sessions in self.sessions for up, down in sessions)
        return 1 - up / (len(self.sessions) * self.seconds)

    def moments(self) -> list[float]:
        """When somebody comes or goes, in order, each once."""
        return sorted({moment for sessions in self.sessions for session in sessions for moment in session})

    def running(self, second: float) -> set[int]:
        """Who runs from that moment on."""
        return {
            number for number, sessions in enumerate(self.sessions) if any(up <= second < down for up, down in sessions)
        }


def read_trace(path: Path, nodes: int) -> Trace:
    """The first so many nodes of a file. Raises: UserError, one sentence, for what is no trace of that many."""
    try:
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no table of text in UTF-8") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f"{path} needs a first line {','.join(COLUMNS)}")
    found: dict[str, list[tuple[float, float]]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        try:
            node, up, down = row[0], float(row[1]), float(row[2])
        except (IndexError, ValueError):
            raise UserError(f"{path}, line {number}: not a node and two numbers of seconds") from None
        if not 0 <= up < down <= SECONDS_MAX:
            raise UserError(f"{path}, line {number}: a node comes before it goes, from 0 to {SECONDS_MAX} s")
        found.setdefault(node, []).append((up, down))
    if len(found) < nodes:
        raise UserError(f"{path} tells of {len(found)} nodes; {nodes} are simulated: see --nodes")
    chosen = [tuple(sorted(sessions)) for sessions in list(found.values())[:nodes]]
    if any(first[1] > second[0] for sessions in chosen for first, second in pairwise(sessions)):
        raise UserError(f"{path}: a node comes while it is there")
    return Trace(tuple(chosen))
