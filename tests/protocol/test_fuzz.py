"""Hostile bytes at every door of the protocol: a value or a RemoteError, at once, and nothing left in memory.

Each case is drawn from its number alone, so a failure names the number that replays it. Signed things are broken both
as sent and inside a signature that is right, or no case would come past the signature. P2PREC_FUZZ is how many cases
to run.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from protocol import limits, wire
from protocol.announce import HeadBook
from protocol.card import DOMAIN as CARD_DOMAIN
from protocol.card import check_card_fresh, open_card
from protocol.checks import check_fill
from protocol.envelope import seal
from protocol.heads import DOMAIN as HEAD_DOMAIN
from protocol.heads import open_head, seal_head
from protocol.identity import Identity
from protocol.limits import RemoteError
from protocol.merkle import check_level, tree_depth
from protocol.messages import (
    ANSWERS,
    GOSSIP,
    QUESTIONS,
    Announce,
    AskFill,
    AskQuery,
    AskRecords,
    AskTree,
    AskVectors,
    Fill,
    Forked,
    Frame,
    Heads,
    QueryAnswer,
    Records,
    TreeLevels,
    VectorsAnswer,
    heads_digest,
    kind_name,
    pack_frame,
    parse_answer,
    parse_gossip,
    parse_question,
)
from protocol.query import (
    ANSWER_DOMAIN,
    QUERY_DOMAIN,
    check_fresh,
    open_answer,
    open_query,
    seal_query,
    verify_receipt,
)
from protocol.records import check_packed_item, check_vector, parse_item
from protocol.serving import answer_fill, answer_records, answer_tree, answer_vectors
from protocol.vectors import parse_vectors
from tests.protocol.replica import PUBLISHER, Replica, catalog
from tests.protocol.test_card import CARD
from tests.protocol.test_heads import ADA, HEAD
from tests.protocol.test_messages import EXAMPLES
from tests.protocol.test_query import ASKER, NOW, PEER, QUERY, SUBJECTS, exchange
from tests.protocol.test_records import DRESS_BYTES

CASES = int(os.environ.get("P2PREC_FUZZ", "200000"))
SLOW_SECONDS = 0.05
# How many blocks may stay for reasons of Python's own: caches, interned words, free lists.
BLOCKS_LEFT_MAX = 2_000
SIGNED = {"sealed head", "sealed query", "sealed answer", "sealed card", "receipt", "Announce", "AskQuery", "Forked"}
Door = Callable[[bytes], object]

REPLICA = Replica(catalog(60))
DEPTH = tree_depth(60)
TREE = REPLICA.tree()
ASK_FILL = AskFill(PUBLISHER, TREE.root, tuple((b, TREE.node((1 << DEPTH) + b)[:8], b"") for b in range(1 << DEPTH)))
ASK_TREE = AskTree(PUBLISHER, TREE.root, ((1, DEPTH),))
WANTED = tuple((key, one.vector_hash) for key, one in sorted(REPLICA.items.items())[:20])
ENTRIES = REPLICA.packed
ASK_RECORDS = AskRecords(PUBLISHER, tuple((ENTRIES[at : at + 16], ENTRIES[at + 16 : at + 48]) for at in (0, 48, 96)))


def enter(frame: Frame) -> None:
    """What a node goes on to do with a frame that parsed."""
    match frame:
        case Announce(head=head):
            HeadBook(ADA.public).hear(head, NOW)
        case Forked(one=one, other=other):
            HeadBook(ADA.public).hear_fork(one, other)
        case Heads(heads=heads, forks=forks):
            heads_digest(heads, forks)
        case TreeLevels(levels=levels):
            check_level(TREE.root, b"".join(levels[:1]), DEPTH)
        case Fill(buckets=buckets):
            for bucket, fill in enumerate(buckets[: 1 << DEPTH]):
                if fill is not None:
                    check_fill(DEPTH, (bucket, TREE.node((1 << DEPTH) + bucket)), b"", b"", fill, None)
        case VectorsAnswer(vectors=vectors):
            for vector in vectors:
                check_vector(vector, None)
            parse_vectors(vectors, 32)
        case Records(records=records):
            for packed, _ in records:
                item_door(packed)
        case AskTree():
            answer_tree(frame, TREE)
        case AskFill():
            answer_fill(frame, DEPTH, REPLICA.entries_at(DEPTH), REPLICA.stored)
        case AskVectors():
            answer_vectors(frame, REPLICA.stored)
        case AskRecords():
            answer_records(frame, REPLICA.stored)
        case AskQuery(query=query):
            check_fresh(open_query(query)[1], PEER.public, limits.NETWORK, NOW)
        case QueryAnswer(answer=answer):
            open_answer(answer)


def question_door(packed: bytes) -> None:
    enter(parse_question(packed))


def answer_door(packed: bytes) -> None:
    enter(parse_answer(packed))


def gossip_door(packed: bytes) -> None:
    enter(parse_gossip(packed))


def item_door(packed: bytes) -> None:
    try:
        item = parse_item(packed).item
    except RemoteError as error:
        with pytest.raises(RemoteError) as caught:
            check_packed_item(packed)
        assert caught.value.reason == error.reason
        raise
    assert check_packed_item(packed) == item


def inside(identity: Identity, domain: str, door: Door) -> Door:
    """The door for a body in a signature that is right."""
    return lambda body: door(seal(identity, domain, body))


def doors() -> dict[str, tuple[Door, list[bytes]]]:
    """name -> (what takes the bytes, bytes that it takes)"""
    head = seal_head(ADA, HEAD)
    queries = [
        seal_query(ASKER, type(QUERY)(**{**fields_of(QUERY), "kind": kind, "subject": subject}))
        for kind, subject in SUBJECTS.items()
    ]
    receipt = exchange()
    answer = wire.parse(receipt)[2]
    card = SUBJECTS["card"]
    frames: list[Frame] = [
        *EXAMPLES,
        Heads(heads_digest((head,), ((head, head),)), (head,), ((head, head),)),
        ASK_TREE,
        ASK_FILL,
        AskVectors(PUBLISHER, WANTED),
        ASK_RECORDS,
        answer_tree(ASK_TREE, TREE),
        answer_fill(ASK_FILL, DEPTH, REPLICA.entries_at(DEPTH), REPLICA.stored),
        answer_vectors(AskVectors(PUBLISHER, WANTED), REPLICA.stored),
        answer_records(ASK_RECORDS, REPLICA.stored),
        Announce(head),
        Forked(head, head),
        *map(AskQuery, queries),
        QueryAnswer(answer),
    ]
    found: dict[str, tuple[Door, list[bytes]]] = {}
    for kinds, door in ((QUESTIONS, question_door), (ANSWERS, answer_door), (GOSSIP, gossip_door)):
        for kind in kinds:
            found[kind.__name__] = (door, [pack_frame(frame) for frame in frames if type(frame) is kind])
    found["sealed head"] = (open_head, [head])
    found["sealed query"] = (open_query, queries)
    found["sealed answer"] = (open_answer, [answer])
    found["sealed card"] = (open_card, [card])
    found["receipt"] = (verify_receipt, [receipt])
    found["record"] = (item_door, [DRESS_BYTES, *(one.packed for one in REPLICA.items.values())])
    found["any value"] = (wire.parse, [receipt, DRESS_BYTES, head])
    for name, identity, domain, door, sealed in (
        ("head", ADA, HEAD_DOMAIN, open_head, [head]),
        ("query", ASKER, QUERY_DOMAIN, fresh_door, queries),
        ("answer", PEER, ANSWER_DOMAIN, open_answer, [answer]),
        ("card", PEER, CARD_DOMAIN, card_door, [card]),
    ):
        found[f"{name} inside"] = (inside(identity, domain, door), [wire.parse(one)[2] for one in sealed])
    return found


def fresh_door(sealed: bytes) -> None:
    query = open_query(sealed)[1]
    assert open_query(seal_query(ASKER, query))[1] == query
    check_fresh(query, PEER.public, limits.NETWORK, NOW)


def card_door(sealed: bytes) -> None:
    check_card_fresh(open_card(sealed)[1], CARD.issued_ms)


def fields_of(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


# -- how bytes are broken --------------------------------------------------------------------------------------------

# What announces a size: strings, bytes, lists, maps and extensions, each with the most it can say, and half of that.
SIZES = [bytes([head]) + size * b"\xff" for head, size in zip(range(0xC4, 0xCA), (1, 2, 4, 1, 2, 4), strict=True)]
SIZES += [bytes([head]) + size * b"\xff" for head, size in zip(range(0xD9, 0xE0), (1, 2, 4, 2, 4, 2, 4), strict=True)]
SIZES += [one[:1] + b"\x7f" + one[2:] for one in SIZES] + [one[:1] + b"\0" * len(one[1:]) for one in SIZES]
MARKS = bytes(range(0x80, 0x100))


def break_bytes(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """One way or several to damage bytes; `other` is some other thing's."""
    broken = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place = rng.randrange(len(broken)) if broken else 0
        way = rng.randrange(10)
        if way < 2 and broken:
            broken[place] ^= 1 << rng.randrange(8) if way else rng.randrange(1, 256)
        elif way == 2:
            del broken[place:]
        elif way == 3:
            broken[place:] = other[rng.randrange(len(other)) :]
        elif way == 4:
            broken[place : place + 4] = rng.choice(SIZES)
        elif way == 5:
            broken[place:place] = rng.choice((b"\x91", b"\x81\xa0", b"\x92\xc0")) * rng.choice((1, 7, 9, 600, 1500))
        elif way == 6:
            broken[place : place + 1] = bytes([rng.choice(MARKS)])
        elif way == 7:
            broken[place:place] = wire.pack(any_value(rng, 4))
        elif way == 8:
            end = place + rng.randrange(64)
            broken[place:place] = broken[place:end] * rng.choice((1, 2, 300))
        else:
            del broken[place : place + rng.randrange(1, 40)]
    return bytes(broken)


def change(value: object, rng: random.Random) -> object:
    """The same value but for one thing somewhere inside: still well-formed, so that it gets further."""
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        way = rng.random()
        if way < 0.05:
            return value[:place] + value[place + 1 :]
        if way < 0.1:
            return [*value, value[place]]
        return [*value[:place], change(value[place], rng), *value[place + 1 :]]
    if isinstance(value, dict) and value and rng.random() < 0.85:
        place = rng.choice(sorted(value))
        return {**value, place: change(value[place], rng)}
    if isinstance(value, bytes) and value and rng.random() < 0.85:
        try:
            # Things in things: a sealed body, a record in a frame.
            return wire.pack(change(wire.parse(value), rng)) if rng.random() < 0.5 else break_bytes(value, value, rng)
        except RemoteError:
            broken = bytearray(value)
            broken[rng.randrange(len(broken))] ^= rng.randrange(1, 256)
            return bytes(broken)
    if type(value) is int and rng.random() < 0.85:
        return rng.choice((value + 1, max(value - 1, 0), value << 8 & 2**63 - 1, 2**64 - 1, -value, float(value)))
    if isinstance(value, str) and rng.random() < 0.85:
        return value[: rng.randrange(len(value) + 1)] + rng.choice(("", "x", "\n", "\u00e9", "x" * 200, value * 3))
    return any_value(rng, 3)


def any_value(rng: random.Random, depth: int) -> object:
    """A random value of what msgpack knows."""
    way = rng.randrange(10 if depth else 8)
    if way < 8:
        leaves = (None, True, 0, -1, rng.getrandbits(63), rng.random(), rng.randbytes(rng.choice((0, 16, 32, 64))), "x")
        return leaves[way]
    inner = [any_value(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 3, 6)))]
    return inner if way == 8 else {str(place): value for place, value in enumerate(inner)}


def case(number: int, found: dict[str, tuple[Door, list[bytes]]], names: list[str]) -> tuple[str, bytes]:
    """The door and the bytes of a case."""
    rng = random.Random(number)
    name = names[number % len(names)]
    seeds = found[name][1]
    if rng.random() < 0.05:
        kind = rng.randrange(1, 17)
        return name, wire.pack([kind, *(any_value(rng, 4) for _ in range(rng.randrange(5)))])
    if rng.random() < 0.002:
        # As large as a frame may be, and nothing but what costs most to build.
        unit = rng.choice(
            (b"\x90", b"\x80", b"\x91\x90", b"\xa2ab", b"\xc4\x00", b"\xcb" + b"\1" * 8, b"\x9f" + b"\x90" * 15)
        )
        count = (limits.FRAME_BYTES_MAX - 64) // len(unit)
        return name, b"\x92" + bytes([rng.randrange(1, 16)]) + b"\xdd" + count.to_bytes(4, "big") + unit * count
    if rng.random() < 0.5:
        return name, wire.pack(change(wire.parse(rng.choice(seeds)), rng))
    other = rng.choice(found[rng.choice(names)][1])
    return name, break_bytes(rng.choice(seeds), other, rng)


def seconds_of(door: Door, packed: bytes) -> tuple[float, str]:
    """CPU time and outcome. Anything but a RemoteError propagates."""
    started = time.process_time()
    try:
        door(packed)
        outcome = "taken"
    except RemoteError as error:
        assert error.reason in limits.REASONS
        outcome = error.reason
    return time.process_time() - started, outcome


def test_the_seeds_are_what_each_door_takes() -> None:
    for name, (door, seeds) in doors().items():
        assert seeds, name
        if name not in {kind.__name__ for kind in (*QUESTIONS, *ANSWERS, *GOSSIP)}:
            assert [seconds_of(door, seed)[1] for seed in seeds] == ["taken"] * len(seeds), name


@pytest.mark.slow
def test_nothing_but_remote_errors_at_once_and_nothing_kept() -> None:
    found = doors()
    names = sorted(found)
    outcomes: Counter[str] = Counter()
    slowest, blocks, started = 0.0, 0, time.process_time()
    for number in range(CASES):
        if number == CASES // 4:
            gc.collect()
            blocks = sys.getallocatedblocks()
        name, packed = case(number, found, names)
        door = found[name][0]
        try:
            seconds, outcome = seconds_of(door, packed)
        except Exception as error:
            error.add_note(f"case {number}, {name}: {packed[:2000].hex()}")
            raise
        if seconds > SLOW_SECONDS:
            # A noisy machine is no slow parser: it has to be slow three times.
            seconds = min(seconds, *(seconds_of(door, packed)[0] for _ in range(2)))
        assert seconds <= SLOW_SECONDS, f"case {number}, {name}: {seconds:.3f} s for {len(packed)} bytes"
        slowest = max(slowest, seconds)
        outcomes[outcome] += 1
        assert kind_name(packed)
        if outcome == "taken" and name in SIGNED:
            assert packed in found[name][1], f"case {number}, {name}: not what was signed"
    gc.collect()
    left = sys.getallocatedblocks() - blocks
    seconds = time.process_time() - started
    print(f"{CASES} cases, {seconds:.1f} s, slowest {slowest * 1e3:.1f} ms, {left} blocks left")
    print(dict(outcomes.most_common()))
    assert left < BLOCKS_LEFT_MAX
    assert outcomes["taken"] > CASES / 1000, "some come through, or nothing behind the door was tried"
