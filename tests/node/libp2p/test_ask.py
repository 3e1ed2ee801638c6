"""Questions and answers between two transports over real sockets, and one outcome for each question."""

from __future__ import annotations

import trio
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from node import answering, asking
from node.frames import pack_frame
from node.transport import Answer, Answered, Asked, HangUp, Misbehaved, Unanswered
from protocol.limits import FRAME_BYTES_MAX
from tests.node.libp2p.rig import Peer, constants, eventually, running, victim


async def open_raw(peer: Peer, other: Peer) -> object:
    """A bare stream of the ask protocol, to say on it what an honest asker doesn't."""
    return await peer.transport._host.new_stream(ID.from_base58(other.id), [peer.transport.ask_protocol])


def test_questions_both_ways_small_and_as_large_as_a_frame() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            up = await a.dial(b.address)
            assert (up.address, a.ups(b.id)) == (b.address, 1)
            await b.is_up(a.id)
            assert b.events[0].address is None  # type: ignore[union-attr]
            for data in (b"x", bytes(70_000), bytes(range(256)) * (FRAME_BYTES_MAX // 256)):
                assert await a.ask(b.id, data) == Answered(a._token, data)
                assert await b.ask(a.id, data) == Answered(b._token, data)
            assert {one.peer for one in b.all(Asked)} == {a.id}

    trio.run(main)


def test_a_stream_is_kept_for_the_next_question() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        opened: list[str] = []
        async with running(a, b):
            await a.dial(b.address)
            open_stream = a.transport._asking._open_stream

            async def count(peer: str) -> object:
                opened.append(peer)
                return await open_stream(peer)

            a.transport._asking._open_stream = count  # type: ignore[assignment]
            for i in range(20):
                assert isinstance(await a.ask(b.id, b"%d" % i), Answered)
            assert opened == [b.id]

    trio.run(main)


def test_many_questions_at_once_use_sixteen_streams_and_all_come_back() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        waiting: list[Asked] = []
        b.answer = lambda data: None
        async with running(a, b):
            await a.dial(b.address)
            tokens = [a.begin_ask(b.id, b"%d" % i) for i in range(200)]
            for _ in range(200):
                await b.until(lambda: len(b.all(Asked)) > len(waiting))  # noqa: B023
                waiting = b.all(Asked)
                open_now = len(waiting) - len(a.all(Answered))
                assert open_now <= asking.STREAMS_MAX
                for one in waiting[len(a.all(Answered)) :]:
                    b.transport.carry_out(Answer(one.token, one.data))
                if len(waiting) == 200:
                    break
            await a.until(lambda: all(a.outcomes(token) for token in tokens))
            answers = [a.outcomes(token) for token in tokens]
            assert answers == [[Answered(token, b"%d" % i)] for i, token in enumerate(tokens)]

    trio.run(main)


def test_two_that_ask_much_of_each_other_at_once_do_not_wait_for_ever() -> None:
    """Both sockets are full: whoever reads a connection must not wait for its socket to take something."""

    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            await a.dial(b.address)
            await b.is_up(a.id)
            for turn in range(3):
                data = bytes(900_000)
                tokens = [(one, one.begin_ask(other.id, data)) for one, other in ((a, b), (b, a)) for _ in range(16)]
                await a.until(lambda: len(a.all(Answered)) >= 16 * (turn + 1), 8)  # noqa: B023
                await b.until(lambda: len(b.all(Answered)) >= 16 * (turn + 1), 8)  # noqa: B023
                assert all(isinstance(one.outcomes(token)[0], Answered) for one, token in tokens)

    trio.run(main)


def test_more_than_may_wait_is_told_at_once() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        b.answer = lambda data: None
        async with running(a, b):
            await a.dial(b.address)
            room = asking.WAITING_MAX
            tokens = [a.begin_ask(b.id, b"x") for _ in range(room + 50)]
            await a.until(lambda: a.outcomes(tokens[-1]))
            assert {one.why for one in a.all(Unanswered)} == {"reset"}
            assert 50 - asking.STREAMS_MAX <= len(a.all(Unanswered)) <= 50

    trio.run(main)


def test_nobody_answers() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        b.answer = lambda data: None if data == b"hold" else data
        async with running(a, b):
            assert await a.ask(b.id, b"x") == Unanswered(1, "unreachable")
            await a.dial(b.address)
            with constants(asking, ANSWER_SECONDS_MAX=0.5):
                assert await a.ask(b.id, b"hold") == Unanswered(2, "timeout")
            # an answer that comes too late is nobody's
            b.transport.carry_out(Answer(b.all(Asked)[-1].token, b"late"))
            assert isinstance(await a.ask(b.id, b"x"), Answered)
            with constants(answering, ANSWER_SECONDS_MAX=0.2):
                assert await a.ask(b.id, b"hold") == Unanswered(4, "reset")
            token = a.begin_ask(b.id, b"hold")
            await b.until(lambda: len(b.all(Asked)) == 4)
            a.transport.carry_out(HangUp(b.id))
            await a.until(lambda: a.outcomes(token))
            assert a.outcomes(token) == [Unanswered(token, "unreachable")]
            await a.until(lambda: a.downs(b.id))
            assert not a.all(Misbehaved) + b.all(Misbehaved)

    trio.run(main)


def test_giving_up_in_the_middle_of_a_large_question_leaves_the_connection_whole() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            await a.dial(b.address)
            for turn in range(20):
                with constants(asking, ANSWER_SECONDS_MAX=0.002 + turn * 0.001):
                    tokens = [a.begin_ask(b.id, bytes(FRAME_BYTES_MAX)) for _ in range(4)]
                    await a.until(lambda: all(a.outcomes(token) for token in tokens))  # noqa: B023
            assert a.all(Unanswered)
            assert {one.why for one in a.all(Unanswered)} <= {"timeout", "reset"}
            with trio.fail_after(5):
                while not isinstance(await a.ask(b.id, b"x"), Answered):
                    pass
            assert not a.downs(b.id) + b.downs(a.id)
            assert not a.all(Misbehaved) + b.all(Misbehaved)

    trio.run(main)


def test_who_does_not_read_answers_loses_the_streams_and_nothing_is_kept() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        # A stranger's window may hold a whole answer, and then the stream only idles.
        with constants(answering, IDLE_SECONDS_MAX=1.0):
            async with running(a, b):
                await a.dial(b.address)
                for _ in range(answering.STREAMS_PER_PEER_MAX):
                    stream = await open_raw(a, b)
                    await stream.write(pack_frame(bytes(FRAME_BYTES_MAX)))  # type: ignore[attr-defined]
                await b.until(lambda: len(b.all(Asked)) == answering.STREAMS_PER_PEER_MAX)
                await eventually(lambda: not b.transport._answering._streams)
                assert not b.transport._answering._slots
                assert isinstance(await a.ask(b.id, b"x"), Answered)
                assert not a.downs(b.id) + b.downs(a.id)

    trio.run(main)


def test_nothing_waits_for_a_peer_that_is_gone() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        b.answer = lambda data: None
        async with running(a, b):
            await a.dial(b.address)
            for _ in range(5):
                a.begin_ask(b.id, b"x")
            await b.until(lambda: len(b.all(Asked)) == 5)
            a.transport.carry_out(HangUp(b.id))
            await b.until(lambda: b.downs(a.id))
            await eventually(lambda: not b.transport._answering._slots, 5)
            b.transport.carry_out(Answer(b.all(Asked)[0].token, b"nobody's"))
            assert not b.transport._answering._streams

    trio.run(main)


def test_a_kept_stream_that_died_is_replaced_once() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            await a.dial(b.address)
            with constants(answering, IDLE_SECONDS_MAX=0.1):
                assert isinstance(await a.ask(b.id, b"x"), Answered)
                [line] = a.transport._asking._lines.values()
                await trio.testing.wait_all_tasks_blocked()
                # the serving side closes what idles; its FIN is here when our read of the stream would end
                kept = line.idle[0][0]
                with trio.fail_after(5):
                    assert not await kept.wait_frame()
                assert isinstance(await a.ask(b.id, b"y"), Answered)
            assert len(b.all(Asked)) == 2

    trio.run(main)


def test_frames_that_break_a_rule_cost_their_stream_and_are_told() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            await a.dial(b.address)
            for sent, reason in [
                (b"\x81\x80\x40", "too_big"),
                (b"\xff" * 20, "too_big"),
                (b"\x00", "malformed"),
                (b"\x80\x00", "malformed"),
                (pack_frame(b"one") + pack_frame(b"two"), "malformed"),
            ]:
                before = len(b.all(Misbehaved))
                stream = await open_raw(a, b)
                await stream.write(sent)  # type: ignore[attr-defined]
                await b.until(lambda before=before: len(b.all(Misbehaved)) > before)  # type: ignore[misc]
                assert b.all(Misbehaved)[-1] == Misbehaved(a.id, reason)  # type: ignore[arg-type]
            assert not b.all(Asked)
            # the other way: a server that answers with what is no frame

            async def lie(stream: object) -> None:
                await stream.read(100)  # type: ignore[attr-defined]
                await stream.write(b"\x81\x80\x40")  # type: ignore[attr-defined]

            b.transport._host.set_stream_handler(TProtocol("/p2prec/ask/1"), lie)  # type: ignore[arg-type]
            assert await a.ask(b.id, b"x") == Unanswered(1, "reset")
            await a.until(lambda: a.all(Misbehaved))
            assert a.all(Misbehaved) == [Misbehaved(b.id, "too_big")]

    trio.run(main)


def test_one_peer_has_sixteen_streams_and_giving_up_does_not_win_more() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        b.answer = lambda data: None
        async with running(a, b):
            await a.dial(b.address)
            streams = [await open_raw(a, b) for _ in range(answering.STREAMS_PER_PEER_MAX)]
            for stream in streams:
                await stream.write(pack_frame(b"x"))  # type: ignore[attr-defined]
            await b.until(lambda: len(b.all(Asked)) == len(streams))
            for stream in streams:
                await stream.reset()  # type: ignore[attr-defined]
            assert await a.ask(b.id, b"x") == Unanswered(1, "reset")
            # once answered, their places are free
            for one in b.all(Asked):
                b.transport.carry_out(Answer(one.token, b"y"))
            b.answer = lambda data: data
            with trio.fail_after(5):
                while not isinstance(await a.ask(b.id, b"x"), Answered):
                    pass

    trio.run(main)


def test_every_question_has_one_outcome_when_the_peer_is_killed() -> None:
    async def main() -> None:
        a = Peer(1)
        async with running(a), victim(2) as it:
            await a.dial(it.address)
            tokens = [a.begin_ask(it.id, b"hold" if i % 3 else bytes(1 << 20)) for i in range(60)]
            await it.until(lambda: len(it.told("Asked")) >= 12)
            it.process.kill()
            tokens += [a.begin_ask(it.id, b"late") for _ in range(5)]
            await a.until(lambda: all(a.outcomes(token) for token in tokens))
            await a.until(lambda: a.downs(it.id))
            tokens.append(a.begin_ask(it.id, b"too late"))
            await a.until(lambda: a.outcomes(tokens[-1]))
            assert all(len(a.outcomes(token)) == 1 for token in tokens)
            lost = a.all(Unanswered)
            assert {one.why for one in lost} <= {"reset", "unreachable"}
            assert len(lost) >= 46

    trio.run(main)
