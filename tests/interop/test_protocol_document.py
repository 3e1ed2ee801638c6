"""docs/protocol.md against the code: every kind, field, limit, reason and domain, and the hex of its example."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from node import answering, asking, catalog_service, libp2p_guards, libp2p_pubsub, targets, teller
from node.frames import pack_frame as framed
from node.peers import POINTS
from protocol import (
    announce,
    card,
    envelope,
    factor_rows,
    heads,
    limits,
    merkle,
    messages,
    query,
    sync,
    updates,
    weights,
    wire,
)
from protocol.heads import CatalogHead, seal_head
from protocol.identity import Identity
from protocol.merkle import leaf_hash, node_hash
from protocol.messages import ANSWERS, FRAMES, GOSSIP, QUESTIONS, Announce, AskHeads, heads_digest, pack_frame
from protocol.records import BYTES_MAX, FIELDS, GENDERS, Item, item_key, pack_item, record_hash, vector_hash

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text("utf-8")
# What each file has of numbers that a peer must know; of limits.py it is all of them.
SHOWN: dict[ModuleType, str] = {
    limits: r".*",
    merkle: r".*(_MAX|_BYTES)$",
    messages: r"(DIGEST|LEAF_PREFIX)_BYTES$",
    envelope: r"OVERHEAD_BYTES$",
    heads: r"(HEAD_BYTES|VERSION|COUNT|AT_MS)_MAX$",
    announce: r"VERSIONS_KEPT$",
    query: r"(NONCE_BYTES|(?!CARD|AT_MS).*_MAX)$",
    card: r"(NONCE_BYTES|(CARD|CONSENT)_BYTES_MAX|LIFETIME_MS_MAX)$",
    weights: r"(CHUNK|SCALE_MAX)$",
    updates: r"(?!AT_MS).*_MAX$",
    factor_rows: r"(FACTORS|KEY_BYTES|ROWS_MAX)$",
    sync: r"(.*_LEVELS|BUCKETS_ASKED)$",
    catalog_service: r"(ASKS|FORGIVE)_.*",
    targets: r"AIM_MS$",
    teller: r"(ASKS|HEADS_MS|REST)_.*",
    libp2p_pubsub: r"(MESSAGES_.*|RPC_BYTES_MAX|STALE_SECONDS)$",
    libp2p_guards: r"(INBOUND_STREAMS_MAX|PULSE_SECONDS|PONG_SECONDS_MAX)$",
    answering: r"(STREAMS.*|.*_SECONDS)_MAX$",
    asking: r".*_SECONDS_MAX$",
}


def section(title: str) -> str:
    """The text under a heading."""
    return re.split(rf"^## \d+\. {title}.*$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def numbers() -> dict[str, int | float]:
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": value
        for module, shown in SHOWN.items()
        for name, value in vars(module).items()
        if name.isupper() and type(value) in (int, float) and re.match(shown, name)
    }


def test_every_limit_is_in_the_table_with_its_number_and_no_other() -> None:
    said = {row[0].strip("`"): row[1] for row in rows(section("Limits"))[2:]}
    assert said == {name: f"{value:,}".removesuffix(".0") for name, value in numbers().items()}


def test_every_kind_is_in_the_table_in_its_place_with_its_fields() -> None:
    said = {row[0]: row for row in rows(section("Frames")) if row[0].isdigit()}
    assert list(said) == [str(kind) for kind in FRAMES]
    place = {**dict.fromkeys(QUESTIONS, "Q"), **dict.fromkeys(ANSWERS, "A"), **dict.fromkeys(GOSSIP, "G")}
    for kind, (frame, _) in FRAMES.items():
        row = said[str(kind)]
        assert row[1:3] == [f"`{frame.__name__}`", place[frame]]
        assert [one.split(":")[0].strip() for one in row[3].split(";")] == [field.name for field in fields(frame)]


def test_every_reason_is_in_the_table_with_its_points() -> None:
    said = {row[0].strip("`"): row[2] for row in rows(section("Refusals and faults"))[2:]}
    points = dict.fromkeys(limits.REASONS, 0.0) | {str(reason): count for reason, count in POINTS.items()}
    assert said == {reason: f"{count:.0f}" for reason, count in points.items()}


def test_every_domain_is_in_the_table_with_its_size() -> None:
    said = {row[0].strip("`"): row[2] for row in rows(section("Sealed envelopes"))[2:]}
    sizes = {
        heads.DOMAIN: heads.HEAD_BYTES_MAX,
        query.QUERY_DOMAIN: query.QUERY_BYTES_MAX + envelope.OVERHEAD_BYTES,
        query.ANSWER_DOMAIN: query.ANSWER_BYTES_MAX + envelope.OVERHEAD_BYTES,
        card.DOMAIN: card.CARD_BYTES_MAX,
        updates.DOMAIN: updates.UPDATE_BYTES_MAX,
    }
    assert said == {domain: f"{size:,} bytes" for domain, size in sizes.items()}


def test_every_field_of_an_item_is_in_the_table_in_order_with_its_limit() -> None:
    said = {name: row[2] for row in rows(section("Items"))[2:] for name in re.findall(r"`(\w+)`", row[0])}
    assert tuple(said) == FIELDS
    for name, bytes_max in BYTES_MAX.items():
        assert name == "gender" or f"{bytes_max:,} bytes" in said[name], name
    assert re.findall(r"`(\w+)`", said["gender"]) == list(GENDERS[1:])


@pytest.mark.parametrize(
    ("title", "record"),
    [
        ("Heads", heads.CatalogHead),
        ("Queries", query.Query),
        ("Queries", query.Answer),
        ("Queries", card.Card),
        ("Updates", updates.ModelUpdate),
    ],
)
def test_every_field_of_a_signed_record_is_in_a_table(title: str, record: type) -> None:
    said = {word.strip("` ") for row in rows(section(title)) for word in row[0].split(",")}
    assert {field.name for field in fields(record)} <= said


def example() -> dict[str, str]:
    """What the example's lines must say, as the code makes it."""
    identity = Identity(bytes(range(32)))
    packed = pack_item(Item(item="sku-1", name="Blue shirt", colour="blue", price_minor=1999, currency="GBP"))
    vector = bytes.fromhex("7f00c401")
    entries = item_key("sku-1") + record_hash(packed, vector)
    root = leaf_hash(0, 0, entries)
    head = CatalogHead(identity.public, "Asolo", 1_700_000_000_000, root, 1, b"\xab" * 32, 1_700_000_000_000)
    sealed = seal_head(identity, head)
    _, signature, body = wire.parse(sealed)
    ask = bytes.fromhex(json.loads((ROOT / "tests" / "vectors" / "frames.json").read_text())["AskHeads"])
    assert ask == pack_frame(AskHeads(b"d" * 32))
    made: dict[str, bytes | str] = {
        "seed": identity.seed,
        "public key": identity.public,
        "peer id": identity.peer_id,
        "packed item": packed,
        "item key": item_key("sku-1"),
        "vector": vector,
        "vector hash": vector_hash(vector),
        "record hash": record_hash(packed, vector),
        "root": root,
        "head body": body,
        "head signature": signature,
        "sealed head": sealed,
        "Announce frame": pack_frame(Announce(sealed)),
        "Heads digest": heads_digest((sealed,), ()),
        "two empty leaves": node_hash(leaf_hash(1, 0, b""), leaf_hash(1, 1, b"")),
        "AskHeads frame": ask,
        "on a stream": framed(ask),
    }
    return {name: value if isinstance(value, str) else value.hex() for name, value in made.items()}


def test_the_example_is_what_the_code_makes() -> None:
    block = section("A worked example").split("```text\n")[1].split("```")[0]
    said = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in block.splitlines())}
    assert said == example()
