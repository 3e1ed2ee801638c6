"""What a command answers: a JSON document, and the lines that a person reads instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from node.money import decimals
from protocol.records import Item


@dataclass(frozen=True, slots=True)
class Report:
    """A command's answer: the JSON document, and the lines that a person reads instead."""

    document: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    exit_code: int = 0


def item_document(publisher: str, platform: str, item: Item) -> dict[str, Any]:
    """An item as every command prints it; the price in the currency's major unit."""
    return {
        "item": item.item,
        "platform": platform,
        "publisher": publisher,
        "name": item.name,
        "price": None if item.price_minor is None else item.price_minor / 10 ** decimals(item.currency),
        "currency": item.currency or None,
    }


def item_line(document: dict[str, Any]) -> str:
    price = "" if document["price"] is None else f"  {document['price']:g} {document['currency']}"
    return f"{document['item']:>14}  {document['platform']:12} {document['name']}{price}"


def results_report(document: dict[str, Any]) -> Report:
    """A list, best first, for a person too."""
    lines = []
    for place, item in enumerate(document["items"], 1):
        lines.append(f"{place:3}. {item_line(item)}  [{item['score']:.3f}]")
        if "reason" in item:
            lines.append(f"       {item['reason']}")
    return Report(document, lines or ["nothing to show: the catalog is empty"])
