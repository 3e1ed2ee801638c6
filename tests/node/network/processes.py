"""What real nodes hold, read from their databases beside them."""

from __future__ import annotations

from node.config import Home
from node.database import Database
from node.replicas import Replicas
from node.store import Store
from protocol.heads import open_head


def roots(home: Home) -> dict[str, str]:
    """Publisher -> root of every version that is here whole."""
    database = Database(home.database)
    try:
        held = Replicas(database).held()
        return {one.publisher: open_head(one.head).root.hex() for one in held if one.head is not None}
    finally:
        database.close()


def contents(home: Home) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """(publisher, item) -> record hash and vector: everything that a catalog says."""
    database = Database(home.database)
    try:
        publishers = {one.catalog: one.publisher for one in Store(database).catalogs()}
        rows = database.rows(
            "SELECT e.catalog, i.packed, e.record, v.packed FROM entry e JOIN item i USING (slot)"
            " JOIN vector v USING (slot) ORDER BY e.catalog, e.key"
        )
        return {(publishers[row[0]], row[1]): (row[2], row[3]) for row in rows}  # type: ignore[index, misc]
    finally:
        database.close()
