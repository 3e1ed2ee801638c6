"""A learned model as its owner sees it."""

from __future__ import annotations

from typing import Any

from node.learned import Learned
from protocol.updates import UNPROTECTED, open_update


def model_document(learned: Learned, model: str, features: str, now_ms: int) -> dict[str, Any]:
    """A model's state: its age, who taught it, whether the network helps, and what was promised about privacy."""
    row, ledger, releases = learned.find(model, features), learned.ledger(model), learned.releases(model)
    update = open_update(row.sealed) if row and row.sealed else None
    helps = None
    if row and row.report.judges and row.report.crowd_nodes > 1:
        helps = row.report.ranks == "network"
    return {
        "model": model,
        "features": features,
        "age": row.state.age if row else 0,
        "learned_seconds_ago": max(0, now_ms - row.at_ms) // 1000 if row else None,
        "users": row.report.users if row else 0,
        "nodes": row.report.crowd_nodes if row else 1,
        "ranks": row.report.ranks if row else "start",
        "network_helps": helps,
        "loss": {"network": row.report.network_loss, "start": row.report.start_loss} if row else None,
        "update_bytes": len(row.sealed) if row else 0,
        "epsilon": None if update is None or update.epsilon_milli == UNPROTECTED else update.epsilon_milli / 1000,
        "published": update is not None,
        "releases": len(releases),
        "ledger": {
            source: {
                "accepted": entry.accepted,
                "refused": entry.refused,
                "invalid": entry.invalid,
                "warm": round(entry.warm, 4),
                "cold": round(entry.cold, 4),
                "quarantined_seconds": max(0, entry.until_ms - now_ms) // 1000,
            }
            for source, entry in ledger.items()
        },
    }
