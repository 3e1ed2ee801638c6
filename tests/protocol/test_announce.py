"""Heads told in any order, again and again, by anybody: the same is believed in the end, and no fork stays hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import announce
from protocol.announce import VERSIONS_KEPT, HeadBook
from protocol.heads import CatalogHead, open_head, seal_head
from protocol.identity import Identity
from protocol.limits import ANNOUNCE_MS, CATALOG_ITEMS_MAX, HEADS_MAX, RemoteError

ME, ADA, EVE = Identity(b"m" * 32), Identity(b"a" * 32), Identity(b"e" * 32)
NOW = 1_700_000_000_000


def sealed(identity: Identity, version: int, root: int = 0, count: int = 10) -> bytes:
    return seal_head(identity, CatalogHead(identity.public, "Shop", version, bytes([root]) * 32, count, b"f" * 32, NOW))


PUBLISHERS = (ME, ADA, EVE)
# Every head that the property tests tell: three publishers, as many versions as are remembered, two roots.
HEADS = {
    (number, version, root): sealed(identity, version, root)
    for number, identity in enumerate(PUBLISHERS)
    for version in range(1, VERSIONS_KEPT + 1)
    for root in range(2)
}
told = st.lists(st.sampled_from(sorted(HEADS)), max_size=25)
# Mostly honest, so that a fork is not in every case.
honest = told.map(lambda names: [(number, version, 0) for number, version, _ in names])


def hear_all(heads: list[bytes], book: HeadBook | None = None) -> HeadBook:
    """As a node does: a fork found is kept."""
    book = book or HeadBook(ME.public)
    for head in heads:
        heard = book.hear(head, NOW)
        assert (heard.fork is not None) == (heard.verdict == "fork")
        if heard.fork is not None:
            assert book.hear_fork(*heard.fork) == heard.head.publisher
    return book


def state(book: HeadBook) -> tuple[tuple[bytes, ...], set[bytes]]:
    return book.heads(), {one.public for one in PUBLISHERS if book.is_quarantined(one.public)}


@given(st.one_of(told, honest), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(names: list[tuple[int, int, int]], rng: object) -> None:
    heads = [HEADS[name] for name in names]
    shuffled = list(heads)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert state(hear_all(heads)) == state(hear_all(shuffled))


@given(told)
def test_every_fork_is_found_and_the_newest_of_the_others_is_kept(names: list[tuple[int, int, int]]) -> None:
    book = hear_all([HEADS[name] for name in names])
    for number, identity in enumerate(PUBLISHERS):
        mine = {(version, root) for who, version, root in names if who == number}
        forked = any((version, 1 - root) in mine for version, root in mine)
        assert book.is_quarantined(identity.public) == forked
        newest = book.newest(identity.public)
        if forked or not mine:
            assert newest is None
            assert book.version_of(identity.public) == 0
        else:
            assert newest is not None
            assert newest.sealed == HEADS[(number, *max(mine))]
            assert newest.head == open_head(newest.sealed)
            assert book.version_of(identity.public) == max(mine)[0]
    for one, other in book.forks():
        assert HeadBook(ME.public).hear_fork(one, other) is not None


@given(told)
def test_replays_do_nothing(names: list[tuple[int, int, int]]) -> None:
    heads = [HEADS[name] for name in names]
    book = hear_all(heads)
    before = state(book), book.forks()
    for head in heads:
        assert book.hear(head, NOW).verdict in ("known", "older", "quarantined")
    for fork in book.forks():
        assert book.hear_fork(*fork) is None
    assert (state(book), book.forks()) == before


@given(told)
def test_what_was_stored_restores_the_book(names: list[tuple[int, int, int]]) -> None:
    book = hear_all([HEADS[name] for name in names])
    restored = HeadBook(ME.public)
    for fork in book.forks():
        restored.hear_fork(*fork)
    assert state(hear_all(list(book.heads()), restored)) == state(book)


def test_verdicts() -> None:
    book = HeadBook(ME.public)
    verdicts = [
        book.hear(head, NOW).verdict
        for head in (
            sealed(ADA, 2),
            sealed(ADA, 2),
            sealed(ADA, 1),
            sealed(ADA, 1),
            sealed(ADA, 3),
            sealed(ADA, 2),
            sealed(ADA, 1, root=1),
        )
    ]
    assert verdicts == ["newer", "known", "older", "older", "newer", "older", "fork"]
    assert not book.is_quarantined(ADA.public), "until the proof is kept"


def test_a_head_of_ones_own_key_from_before_a_restore_is_learnt() -> None:
    book = HeadBook(ME.public)
    assert book.hear(sealed(ME, 4), NOW).verdict == "own"
    assert book.hear(sealed(ME, 4), NOW).verdict == "known"
    later = book.hear(sealed(ME, 9), NOW)
    assert (later.verdict, later.head.version) == ("own", 9)
    assert book.hear(sealed(ME, 10), NOW).verdict == "own"
    assert book.version_of(ME.public) == 10
    assert book.hear(sealed(ME, 9), NOW).verdict == "older"


def test_a_signature_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    book, head, looked_at = HeadBook(ME.public), sealed(ADA, 2), []
    monkeypatch.setattr(announce, "open_head", lambda one: looked_at.append(one) or open_head(one))
    for _ in range(5):
        book.hear(head, NOW)
    assert looked_at == [head]


def test_only_so_many_versions_are_remembered() -> None:
    book = HeadBook(ME.public)
    for version in range(1, 100):
        book.hear(sealed(ADA, version), NOW)
    assert book.hear(sealed(ADA, 99 - VERSIONS_KEPT, root=1), NOW).verdict == "older"
    assert book.hear(sealed(ADA, 100 - VERSIONS_KEPT, root=1), NOW).verdict == "fork"
    assert len(book._seen) == VERSIONS_KEPT


@pytest.mark.parametrize("bad", [b"", b"\x93", sealed(ADA, 1)[:-1], sealed(ADA, 1) + b"\0", bytes(5000)])
def test_what_is_no_head_is_refused(bad: bytes) -> None:
    book = HeadBook(ME.public)
    with pytest.raises(RemoteError):
        book.hear(bad, NOW)
    with pytest.raises(RemoteError):
        book.hear_fork(bad, sealed(ADA, 1))
    assert state(book) == ((), set())


def test_a_forged_head_is_refused_and_changes_nothing() -> None:
    book = HeadBook(ME.public)
    book.hear(sealed(ADA, 1), NOW)
    forged = sealed(ADA, 2)
    with pytest.raises(RemoteError) as caught:
        book.hear(forged[:-1] + bytes([forged[-1] ^ 1]), NOW)
    assert caught.value.reason == "bad_signature"
    assert book.version_of(ADA.public) == 1


def test_catalogs_over_the_limit_are_refused_whatever_was_heard_before() -> None:
    book = HeadBook(ME.public)
    book.hear(sealed(ADA, 1, count=CATALOG_ITEMS_MAX), NOW)
    for version in (1, 2):
        with pytest.raises(RemoteError) as caught:
            book.hear(sealed(ADA, version, count=CATALOG_ITEMS_MAX + 1), NOW)
        assert caught.value.reason == "over_limit"
    assert book.version_of(ADA.public) == 1


def test_proofs_come_from_anybody_and_prove_something() -> None:
    book = HeadBook(ME.public)
    one, other = sealed(ADA, 1), sealed(ADA, 1, root=1)
    for false in ((one, one), (one, sealed(ADA, 2)), (one, sealed(EVE, 1, root=1))):
        with pytest.raises(RemoteError) as caught:
            book.hear_fork(*false)
        assert caught.value.reason == "bad_proof"
    assert book.hear_fork(other, one) == ADA.public
    assert book.hear_fork(one, other) is None
    assert book.forks() == (tuple(sorted((one, other))),)
    assert book.hear(sealed(ADA, 5), NOW).verdict == "quarantined"
    assert book.heads() == ()


def test_publishers_are_bounded_and_one_place_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_unsigned(sealed: bytes) -> CatalogHead:
        return replace(open_head(template), publisher=sealed[:32], version=sealed[32])

    template = sealed(ADA, 1)
    monkeypatch.setattr(announce, "open_head", open_unsigned)
    book = HeadBook(ME.public)
    for number in range(HEADS_MAX - 1):
        book.hear(number.to_bytes(32, "big") + b"\1", NOW)
    for full in (lambda: book.hear(ADA.public + b"\1", NOW), lambda: book.hear(ADA.public + b"\2", NOW)):
        with pytest.raises(RemoteError) as caught:
            full()
        assert caught.value.reason == "too_many"
    assert book.hear(bytes(32) + b"\2", NOW).verdict == "newer"
    assert book.hear(ME.public + b"\1", NOW).verdict == "own"
    assert len(book.heads()) == HEADS_MAX


def test_ones_own_head_is_told_again_in_time() -> None:
    book = HeadBook(ME.public)
    assert not book.announcement_due(NOW)
    book.hear(sealed(ADA, 1), NOW)
    assert not book.announcement_due(NOW + ANNOUNCE_MS), "others tell theirs"
    book.hear(sealed(ME, 1), NOW)
    assert not book.announcement_due(NOW + ANNOUNCE_MS - 1)
    assert book.announcement_due(NOW + ANNOUNCE_MS)
    assert not book.announcement_due(NOW + ANNOUNCE_MS + 1)
    book.hear(sealed(ME, 2), NOW + ANNOUNCE_MS + 50)
    assert not book.announcement_due(NOW + 2 * ANNOUNCE_MS + 49)
    assert book.announcement_due(NOW + 2 * ANNOUNCE_MS + 50)
