"""Engines that learn together over the heap: what is sent, what is believed, and what a restart remembers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from models.factor_table import mistake_in
from models.interactions import History
from models.learning_round import AGE_MAX
from models.shared_factors import HEAD, table_of
from node.learned import Learned
from node.learner import RELEASE_USERS_MIN, TABLE_USERS_MIN
from node.learning_service import ACCOUNT, QUARANTINE_PERIODS, QUARANTINE_ROW, LearningPlan
from node.taught import taught_by
from node.transport import Answer, Asked
from protocol.identity import Identity
from protocol.limits import SKEW_MS, RemoteError
from protocol.messages import AskUpdate, UpdateAnswer, pack_frame, parse_answer, parse_question
from protocol.updates import UNPROTECTED, UPDATE_BYTES_MAX, ModelUpdate, open_update, seal_update
from tests.node.network.heap import Heap
from tests.node.network.homes import ENCODER, Node
from tests.node.network.learning_world import BASIS, FEATURES, PERIOD_MS, add_learner, items_of, learning_plan, users_of

SECONDS = PERIOD_MS / 1000
BOTH = ("taste_prior", "taste_prior.own")


def network(n_nodes: int, plan: LearningPlan, users: int = 8, seed: int = 0) -> tuple[Heap, list[Node]]:
    """Nodes that all know each other."""
    heap, items, nodes = Heap(), items_of(seed), []
    everybody = users_of(items, n_nodes * users, seed)
    for number in range(n_nodes):
        named = [one.peer for one in nodes]
        node = Node(number + 1, f"shop {number}", named=named, learning=plan)
        nodes.append(node)
        add_learner(heap, node, items, everybody[number * users : (number + 1) * users])
    return heap, nodes


def updates_said(heap: Heap) -> list[tuple[str, ModelUpdate]]:
    """Every update that left a node, in order."""
    found = []
    for sender, data in heap.said:
        for parse in (parse_question, parse_answer):
            try:
                frame = parse(data)
            except RemoteError:
                continue
            if isinstance(frame, AskUpdate | UpdateAnswer) and frame.update:
                found.append((sender, open_update(frame.update)))
    return found


def model_of(heap: Heap, node: Node) -> dict[str, object]:
    document = heap.command(node.peer, "status").document
    assert document is not None
    (one,) = document["models"]
    return dict(one)


def test_nodes_exchange_blocks_and_grow_alike() -> None:
    heap, nodes = network(4, learning_plan())
    heap.run(12 * SECONDS)
    values = []
    for node in nodes:
        row = Learned(node.database).find("taste_prior", FEATURES)
        assert row is not None and row.state.age >= 10
        values.append(row.state.values_V)
        status = model_of(heap, node)
        assert status["nodes"] == 4
        assert status["network_helps"] is True
        assert sum(entry["accepted"] for entry in status["ledger"].values()) > 10  # type: ignore[attr-defined]
    spread = np.std(values, axis=0).mean()
    assert spread < 0.2 * np.abs(np.mean(values, axis=0)).mean()


def test_nodes_make_one_item_factor_table() -> None:
    heap, nodes = network(4, learning_plan(("item_factors",)), users=TABLE_USERS_MIN)
    heap.run(25 * SECONDS)
    tables = []
    for node in nodes:
        row = Learned(node.database).find("item_factors", FEATURES)
        assert row is not None and row.report.ranks == "network"
        assert row.report.network_loss < 0.95 * row.report.start_loss
        tables.append(table_of(row.state.values_V))
        status = model_of(heap, node)
        assert sum(entry["refused"] for entry in status["ledger"].values()) == 0  # type: ignore[attr-defined]
    # Each node's users rated every item but a few; all know of all, and agree on who likes what.
    assert {len(table.keys_R) for table in tables} == {len(items_of(0))}
    likers = np.array([table.sums_RC[:, 2] for table in tables])
    assert likers.std(axis=0).mean() < 0.3 * likers.mean()


def test_who_has_few_users_tells_no_table_and_listens() -> None:
    heap, nodes = network(2, learning_plan(("item_factors",)), users=TABLE_USERS_MIN)
    small = Node(9, "small", named=[one.peer for one in nodes], learning=learning_plan(("item_factors",)))
    add_learner(heap, small, items_of(0), users_of(items_of(0), TABLE_USERS_MIN - 1, 5))
    heap.run(12 * SECONDS)
    assert {sender for sender, _ in updates_said(heap)} == {one.peer for one in nodes}
    status = model_of(heap, small)
    assert status["published"] is False and status["nodes"] == 3 and status["network_helps"] is True


@pytest.mark.parametrize(
    "damage",
    [
        lambda values_V: (
            np.where(np.arange(len(values_V)) < HEAD - 3, 0, values_V) * 1.0 + (values_V == values_V.max())
        ),
        lambda values_V: np.full_like(values_V, 1e300),
        lambda values_V: np.full_like(values_V, -1.0),
        lambda values_V: values_V[:-1],
    ],
)
def test_a_damaged_table_is_learned_anew(damage: Callable[[np.ndarray], np.ndarray]) -> None:
    heap, nodes = network(2, learning_plan(("item_factors",)), users=TABLE_USERS_MIN)
    heap.run(6 * SECONDS)
    learned = Learned(nodes[0].database)
    row = learned.find("item_factors", FEATURES)
    assert row is not None
    learned.write("item_factors", FEATURES, replace(row, state=replace(row.state, values_V=damage(row.state.values_V))))
    heap.run(6 * SECONDS)
    again = learned.find("item_factors", FEATURES)
    assert again is not None and again.report.ranks == "network"
    assert mistake_in(table_of(again.state.values_V)) is None and len(table_of(again.state.values_V).keys_R) > 60


def test_what_is_sent_is_small_signed_by_its_sender_and_names_nobody() -> None:
    heap, nodes = network(3, learning_plan())
    heap.run(6 * SECONDS)
    said = updates_said(heap)
    assert len(said) > 20
    for sender, update in said:
        assert Identity(next(node.identity.seed for node in nodes if node.peer == sender)).public == update.source
        assert len(update.values) < UPDATE_BYTES_MAX
        assert update.epsilon_milli == UNPROTECTED
        assert update.users_log2 == 3


def test_the_same_seed_is_the_same_run() -> None:
    runs = []
    for _ in range(2):
        heap, _ = network(3, learning_plan())
        heap.run(5 * SECONDS)
        runs.append(heap.said)
    assert runs[0] == runs[1]


def test_a_node_that_restarts_goes_on_where_it_was() -> None:
    heap, nodes = network(2, learning_plan())
    heap.run(6 * SECONDS)
    before = Learned(nodes[1].database).find("taste_prior", FEATURES)
    assert before is not None
    heap.remove(nodes[1].peer)
    items = items_of(0)
    add_learner(heap, nodes[1], items, users_of(items, 16, 0)[8:])
    asked = heap.command(nodes[1].peer, "status").document
    assert asked is not None and asked["models"][0]["age"] == before.state.age
    heap.run(3 * SECONDS)
    after = Learned(nodes[1].database).find("taste_prior", FEATURES)
    assert after is not None and after.state.age > before.state.age


def test_a_clock_that_was_set_back_does_not_silence_a_node() -> None:
    heap, nodes = network(2, learning_plan())
    heap.run(4 * SECONDS)
    heap.seats[nodes[1].peer].clock_ms = -60_000
    before = Learned(nodes[0].database).made_ms("taste_prior", nodes[1].peer)
    heap.run(4 * SECONDS)
    assert Learned(nodes[0].database).made_ms("taste_prior", nodes[1].peer) > before


def test_a_clock_that_was_a_year_ahead_silences_nobody_for_a_year() -> None:
    heap, nodes = network(2, learning_plan())
    heap.seats[nodes[1].peer].clock_ms = 365 * 86_400_000
    heap.run(3 * SECONDS)
    heap.seats[nodes[1].peer].clock_ms = 0
    heap.run(8 * SECONDS)
    assert Learned(nodes[0].database).made_ms("taste_prior", nodes[1].peer) > heap.now_ms - 4 * PERIOD_MS
    assert Learned(nodes[1].database).made_ms("taste_prior", nodes[0].peer) > heap.now_ms - 4 * PERIOD_MS


def test_users_who_cannot_judge_are_not_ranked_by_the_network() -> None:
    heap, items = Heap(), items_of(0)
    teacher = Node(1, "old shop", learning=learning_plan())
    add_learner(heap, teacher, items, users_of(items, 20, 0))
    young = Node(2, "new shop", named=[teacher.peer], learning=learning_plan())
    few = [History(one.items[:3], one.values[:3]) for one in users_of(items, 28, 0)[20:]]
    add_learner(heap, young, items, few)
    heap.run(8 * SECONDS)
    status = model_of(heap, young)
    assert status["nodes"] == 2
    assert (status["ranks"], status["network_helps"]) == ("start", None)


def test_own_blocks_are_kept_by_source_and_merged_by_nobody() -> None:
    heap, nodes = network(3, learning_plan(BOTH))
    heap.run(8 * SECONDS)
    own = []
    for node in nodes:
        learned = Learned(node.database)
        assert len(learned.blocks("taste_prior.own")) == 2
        taught = taught_by(learned, FEATURES, BASIS)
        assert taught is not None and taught.model == "taste_prior"
        assert set(taught.by_source) == {other.peer for other in nodes} - {node.peer}
        row = learned.find("taste_prior.own", FEATURES)
        assert row is not None
        own.append(row.state.values_V)
    merged = [Learned(node.database).find("taste_prior", FEATURES) for node in nodes]
    apart = np.std([row.state.values_V for row in merged if row], axis=0).mean()
    assert np.std(own, axis=0).mean() > 2 * apart


def test_a_node_without_users_passes_on_what_it_heard() -> None:
    heap, nodes = network(2, learning_plan())
    empty = Node(9, "visitor", named=[nodes[0].peer], learning=learning_plan())
    add_learner(heap, empty, items_of(0), [])
    heap.run(8 * SECONDS)
    row = Learned(empty.database).find("taste_prior", FEATURES)
    assert row is not None and row.report.users == 0
    status = model_of(heap, empty)
    assert sum(entry["accepted"] for entry in status["ledger"].values()) > 2  # type: ignore[attr-defined]


class TestLiars:
    """A peer whose updates are changed on their way out, and signed again: only the values lie."""

    def lying(self, heap: Heap, liar: Node, values: bytes | None = None, **changes: object) -> None:
        def lie(sealed: bytes) -> bytes:
            if not sealed:
                return sealed
            update = open_update(sealed)
            lies = {"values": values or update.values, **changes}
            return seal_update(liar.identity, replace(update, **lies))  # type: ignore[arg-type]

        def tamper(sender: str, receiver: str, data: bytes) -> bytes:
            if sender != liar.peer:
                return data
            for parse in (parse_question, parse_answer):
                try:
                    frame = parse(data)
                except RemoteError:
                    continue
                if isinstance(frame, AskUpdate | UpdateAnswer):
                    return pack_frame(replace(frame, update=lie(frame.update)))
            return data

        heap.tamper = tamper

    @pytest.mark.parametrize("values", [b"\x00", bytes(10_000), b"\xff" * 300])
    def test_what_is_no_block_is_counted_and_its_sender_not_heard(self, values: bytes) -> None:
        heap, nodes = network(2, learning_plan())
        self.lying(heap, nodes[1], values)
        heap.run(8 * SECONDS)
        status = heap.command(nodes[0].peer, "status").document
        assert status is not None
        assert status["models"][0]["ledger"][nodes[1].peer]["invalid"] >= QUARANTINE_ROW
        assert status["refused"]["bad_update"] >= QUARANTINE_ROW
        assert status["models"][0]["ledger"][nodes[1].peer]["quarantined_seconds"] > 0

    def test_an_update_over_another_encoder_is_not_stored(self) -> None:
        heap, nodes = network(2, learning_plan())
        self.lying(heap, nodes[1], encoder=b"\xee" * 32)
        heap.run(4 * SECONDS)
        assert Learned(nodes[0].database).blocks("taste_prior") == []
        assert Learned(nodes[1].database).blocks("taste_prior") != []

    def test_who_is_not_heard_any_more_is_heard_again_later(self) -> None:
        heap, nodes = network(2, learning_plan())
        self.lying(heap, nodes[1], b"\x00")
        heap.run((QUARANTINE_ROW + 3) * SECONDS)
        entry = Learned(nodes[0].database).ledger("taste_prior")[nodes[1].peer]
        assert entry.until_ms > heap.now_ms
        heap.tamper = lambda sender, receiver, data: data
        heap.run((QUARANTINE_PERIODS - 8) * SECONDS)
        assert Learned(nodes[0].database).ledger("taste_prior")[nodes[1].peer] == entry
        heap.run(12 * SECONDS)
        assert Learned(nodes[0].database).ledger("taste_prior")[nodes[1].peer].trusted

    def test_a_liar_about_its_age_stops_nobody(self) -> None:
        heap, nodes = network(3, learning_plan())
        self.lying(heap, nodes[2], age=2**31 - 1)
        heap.run(20 * SECONDS)
        for node in nodes[:2]:
            row = Learned(node.database).find("taste_prior", FEATURES)
            assert row is not None and row.state.age < 100

    @pytest.mark.parametrize(("off_ms", "kept"), [(SKEW_MS + 60_000, False), (-1, False), (0, True)])
    def test_an_update_of_the_future_or_older_than_what_is_held_is_not_taken(self, off_ms: int, kept: bool) -> None:
        heap, nodes = network(2, learning_plan())
        heap.run(3 * SECONDS)
        learned = Learned(nodes[0].database)
        (held,) = learned.blocks("taste_prior")
        made_ms = held.update.made_ms if off_ms < 0 else heap.now_ms
        update = replace(held.update, made_ms=made_ms + off_ms)
        question = pack_frame(AskUpdate("taste_prior", FEATURES, 0, seal_update(nodes[1].identity, update)))
        heap.seats[nodes[0].peer].engine.step([Asked(10_000, nodes[1].peer, question)], heap.now_ms)
        assert (learned.made_ms("taste_prior", nodes[1].peer) == update.made_ms) is kept

    def test_a_liar_about_its_users_does_not_drown_the_others(self) -> None:
        heap, nodes = network(3, learning_plan())
        self.lying(heap, nodes[2], None, users_log2=20)
        heap.run(6 * SECONDS)
        row = Learned(nodes[0].database).find("taste_prior", FEATURES)
        assert row is not None and 8 + 8 < row.report.crowd_users <= 8 + 8 + 4 * 8


def test_who_asks_too_often_gets_nothing_and_no_blame() -> None:
    heap, nodes = network(2, learning_plan())
    heap.run(2 * SECONDS)
    given = []
    seat = heap.seats[nodes[0].peer]
    for number in range(ACCOUNT + 5):
        question = pack_frame(AskUpdate("taste_prior", FEATURES, 0, b""))
        effects = seat.engine.step([Asked(10_000 + number, nodes[1].peer, question)], heap.now_ms)
        (answer,) = [one for one in effects if isinstance(one, Answer)]
        found = parse_answer(answer.data)
        assert isinstance(found, UpdateAnswer)
        given.append(bool(found.update))
    assert given[-4:] == [False] * 4
    assert given[: ACCOUNT - 6] == [True] * (ACCOUNT - 6)


@pytest.mark.parametrize(
    "question",
    [AskUpdate("two_tower", FEATURES, 0, b""), AskUpdate("taste_prior", "phi-1/random-99", 0, b"")],
    ids=["another model", "other features"],
)
def test_a_model_that_is_not_learned_here_has_no_update_and_is_no_fault(question: AskUpdate) -> None:
    heap, nodes = network(2, learning_plan())
    heap.run(3 * SECONDS)
    effects = heap.seats[nodes[0].peer].engine.step([Asked(10_000, nodes[1].peer, pack_frame(question))], heap.now_ms)
    (answer,) = [one for one in effects if isinstance(one, Answer)]
    assert parse_answer(answer.data) == UpdateAnswer(b"")


class TestPrivacy:
    """With an epsilon, what leaves is one release, told again."""

    def test_one_release_leaves_and_its_cost_stands_in_every_update(self) -> None:
        heap, nodes = network(2, learning_plan(epsilon=8.0), users=25)
        heap.run(6 * SECONDS)
        by_sender: dict[str, set[bytes]] = {}
        for sender, update in updates_said(heap):
            by_sender.setdefault(sender, set()).add(update.values)
            assert 7_900 <= update.epsilon_milli <= 8_000
        assert {sender: len(values) for sender, values in by_sender.items()} == {node.peer: 1 for node in nodes}
        status = model_of(heap, nodes[0])
        assert status["releases"] == 1
        assert 7.9 <= status["epsilon"] <= 8.0  # type: ignore[operator]

    def test_a_restart_does_not_publish_again(self) -> None:
        heap, nodes = network(2, learning_plan(epsilon=8.0), users=25)
        heap.run(4 * SECONDS)
        (release,) = Learned(nodes[1].database).releases("taste_prior")
        heap.remove(nodes[1].peer)
        items = items_of(0)
        add_learner(heap, nodes[1], items, users_of(items, 50, 0)[25:])
        heap.run(4 * SECONDS)
        assert Learned(nodes[1].database).releases("taste_prior") == [release]

    def test_many_more_users_are_not_published_when_the_budget_is_spent(self) -> None:
        heap, nodes = network(2, learning_plan(epsilon=8.0), users=25)
        heap.run(4 * SECONDS)
        heap.remove(nodes[1].peer)
        items = items_of(0)
        add_learner(heap, nodes[1], items, users_of(items, 80, 0))
        heap.run(4 * SECONDS)
        assert len(Learned(nodes[1].database).releases("taste_prior")) == 1
        assert "spent the budget" in str(model_of(heap, nodes[1])["stopped"])

    def test_too_few_users_publish_nothing(self) -> None:
        heap, nodes = network(2, learning_plan(epsilon=8.0), users=RELEASE_USERS_MIN - 1)
        heap.run(6 * SECONDS)
        assert updates_said(heap) == []
        assert model_of(heap, nodes[0])["published"] is False

    def test_age_and_users_tell_nothing_but_what_the_noise_left(self) -> None:
        heap, nodes = network(2, learning_plan(epsilon=8.0), users=25)
        heap.run(8 * SECONDS)
        said = updates_said(heap)
        assert {update.age for _, update in said} == {AGE_MAX}
        for node in nodes:
            (release,) = Learned(node.database).releases("taste_prior")
            told = {update.users_log2 for sender, update in said if sender == node.peer}
            assert told == {round(math.log2(release.users))}

    def test_a_raised_budget_is_spent_by_the_rest_of_it(self) -> None:
        heap, nodes = network(2, learning_plan(epsilon=4.0), users=25)
        heap.run(3 * SECONDS)
        heap.remove(nodes[1].peer)
        nodes[1].learning = learning_plan(epsilon=8.0)
        items = items_of(0)
        add_learner(heap, nodes[1], items, users_of(items, 80, 0))
        heap.run(3 * SECONDS)
        first, second = Learned(nodes[1].database).releases("taste_prior")
        assert first.epsilon <= 4 < second.epsilon <= 8
        assert second.epsilon > 7.9

    def test_what_is_learned_beside_stays_at_home(self) -> None:
        heap, nodes = network(2, learning_plan(BOTH, epsilon=8.0), users=25)
        heap.run(6 * SECONDS)
        assert {update.model for _, update in updates_said(heap)} == {"taste_prior"}
        assert Learned(nodes[0].database).find("taste_prior.own", FEATURES) is not None

    def test_after_a_time_without_noise_nothing_can_be_promised_and_nothing_leaves(self) -> None:
        heap, nodes = network(2, learning_plan(), users=25)
        heap.run(3 * SECONDS)
        heap.remove(nodes[1].peer)
        nodes[1].learning = learning_plan(epsilon=8.0)
        items = items_of(0)
        add_learner(heap, nodes[1], items, users_of(items, 50, 0)[25:])
        heap.said.clear()
        heap.run(6 * SECONDS)
        assert {sender for sender, _ in updates_said(heap)} == {nodes[0].peer}
        assert "--epsilon none" in str(model_of(heap, nodes[1])["stopped"])


def test_an_update_of_another_node_is_misdirected() -> None:
    heap, nodes = network(2, learning_plan())
    heap.run(1)
    stranger = Identity(b"\x77" * 32)
    update = ModelUpdate(stranger.public, "taste_prior", FEATURES, ENCODER, 1, heap.now_ms, 0, UNPROTECTED, b"values")
    question = AskUpdate("taste_prior", FEATURES, 0, seal_update(stranger, update))
    effects = heap.seats[nodes[0].peer].engine.step([Asked(10_000, nodes[1].peer, pack_frame(question))], heap.now_ms)
    (answer,) = [one for one in effects if isinstance(one, Answer)]
    assert getattr(parse_answer(answer.data), "reason", "") == "misdirected"
