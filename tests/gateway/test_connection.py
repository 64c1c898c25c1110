"""A connection's numbering, its patience with a slow reader, and the frames it writes."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.gateway.connection import text_frame
from clawgw.protocol.frames import event_head
from tests.gateway.support import RecordingWire, make_connection, read_frames

TICK = event_head("tick", b'{"ts":1}')
EDGES = (0, 1, 125, 126, 127, 65534, 65535, 65536, 65537)


class FrameTests(SynchronousTestCase):
    """`text_frame`, read back as the RFC says."""

    @given(st.one_of(st.sampled_from(EDGES), st.integers(0, 200_000)))
    def test_any_length(self, size: int) -> None:
        payload = b"x" * size
        (message,) = read_frames(text_frame(payload))
        self.assertEqual((message.opcode, message.payload), (1, payload))

    def test_the_lengths_where_the_form_changes(self) -> None:
        heads = {0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10}
        for size, head in heads.items():
            frame = text_frame(bytes(size))
            self.assertEqual(len(frame), head + size)
            (message,) = read_frames(frame)
            self.assertEqual(len(message.payload), size)


class SlowReaderTests(SynchronousTestCase):
    """What a reader that does not read loses."""

    def setUp(self) -> None:
        self.wire = RecordingWire()
        self.connection = make_connection(self.wire)

    def send(self, *, droppable: bool, head: bytes = TICK) -> None:
        self.connection.send_event(head, {}, droppable=droppable)

    def seqs(self) -> list[int]:
        return [frame["seq"] for frame in self.wire.frames]

    def test_numbers_have_no_holes(self) -> None:
        for number in range(20):
            self.send(droppable=bool(number % 2))
        self.assertEqual(self.seqs(), list(range(1, 21)))

    def test_each_connection_counts_for_itself(self) -> None:
        other_wire = RecordingWire()
        other = make_connection(other_wire, conn_id="conn-2")
        self.send(droppable=False)
        other.send_event(TICK, {}, droppable=False)
        self.assertEqual([frame["seq"] for frame in other_wire.frames], [1])

    def test_responses_are_not_counted(self) -> None:
        self.send(droppable=False)
        self.connection.respond(b'{"type":"res","id":"1","ok":true,"payload":{}}')
        self.send(droppable=False)
        self.assertEqual([one.get("seq") for one in self.wire.frames], [1, None, 2])

    def test_a_slow_reader_loses_what_is_droppable_and_sees_the_hole(self) -> None:
        self.send(droppable=True)
        self.connection.reader_is_slow()
        self.send(droppable=True)
        self.send(droppable=False)
        self.send(droppable=True)
        self.assertEqual(self.seqs(), [1], "nothing is written to a reader that is slow")
        self.connection.reader_caught_up()
        self.send(droppable=True)
        self.assertEqual(self.seqs(), [1, 3, 5])
        self.assertEqual(self.wire.closes, [])

    def test_answers_wait_for_it_in_their_order(self) -> None:
        self.connection.reader_is_slow()
        for number in range(5):
            self.connection.respond(b"%d" % number)
        self.connection.reader_caught_up()
        self.assertEqual(self.wire.frames, [0, 1, 2, 3, 4])

    def test_a_reader_that_is_slow_again_gets_the_rest_later(self) -> None:
        self.connection.reader_is_slow()
        for number in range(4):
            self.connection.respond(b"%d" % number)
        take = self.wire.send_framed

        def one_and_no_more(frame: bytes) -> None:
            take(frame)
            self.connection.reader_is_slow()

        self.patch(self.wire, "send_framed", one_and_no_more)
        self.connection.reader_caught_up()
        self.assertEqual(self.wire.frames, [0])
        self.patch(self.wire, "send_framed", take)
        self.connection.reader_caught_up()
        self.assertEqual(self.wire.frames, [0, 1, 2, 3])

    def test_what_was_delivered_does_not_count_any_more(self) -> None:
        for _ in range(10):
            self.connection.reader_is_slow()
            self.connection.respond(bytes(900))
            self.connection.reader_caught_up()
        self.assertEqual(self.wire.closes, [])

    def test_too_much_waiting_closes_the_connection_once(self) -> None:
        self.connection.reader_is_slow()
        self.connection.respond(bytes(900))
        self.assertEqual(self.wire.closes, [], "900 of 1000 bytes may wait")
        for _ in range(3):
            self.connection.respond(bytes(200))
        self.assertEqual(self.wire.closes, [(1008, "slow consumer")])
        self.connection.reader_caught_up()
        self.assertEqual(self.wire.written, [], "it gets nothing more")

    def test_droppable_events_never_close_it(self) -> None:
        self.connection.reader_is_slow()
        for _ in range(1000):
            self.send(droppable=True)
        self.assertEqual(self.wire.closes, [])

    def test_memory_does_not_grow_with_what_it_does_not_read(self) -> None:
        self.connection.reader_is_slow()
        head = event_head("chat", b'"%b"' % (b"x" * 500))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            self.send(droppable=False, head=head)
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess(after - before, 100_000)
        self.assertEqual(len(self.wire.closes), 1)
