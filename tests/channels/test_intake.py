"""What a link tells is stored in order and in batches; too much of it holds the link up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels import intake as module
from clawgw.channels.intake import Intake
from clawgw.channels.messages import Chat, Inbound, Sender
from clawgw.store.database import StoreError


def message(number: int) -> Inbound:
    return Inbound(
        message_id=str(number), chat=Chat(id="c"), sender=Sender(id="s"), sent_at=0, text="x"
    )


class Intakes(SynchronousTestCase):
    """With a store that answers when the test says so."""

    def setUp(self) -> None:
        self.commits: list[Deferred[None]] = []
        self.batches: list[tuple[list[str], object]] = []
        self.held: list[bool] = []
        self.intake = Intake(self.store, self.held.append)

    async def store(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None
    ) -> None:
        self.batches.append(([one.message_id for one in messages], cursor))
        self.commits.append(Deferred())
        await self.commits[-1]

    def test_one_batch_gathers_while_the_other_is_stored(self) -> None:
        running = Deferred.fromCoroutine(self.intake.run())
        for number in range(5):
            self.intake.put(message(number), {"at": str(number)})
        self.assertEqual(self.batches, [(["0"], {"at": "0"})])
        self.commits[0].callback(None)
        self.assertEqual(self.batches[1], (["1", "2", "3", "4"], {"at": "4"}))
        self.intake.finish()
        self.assertNoResult(running)
        self.commits[1].callback(None)
        self.successResultOf(running)

    def test_what_is_no_message_moves_the_cursor(self) -> None:
        self.intake.put(None, {"at": "1"})
        self.intake.put(None)
        self.intake.finish()
        running = Deferred.fromCoroutine(self.intake.run())
        self.assertEqual(self.batches, [([], {"at": "1"})])
        self.commits[0].callback(None)
        self.successResultOf(running)

    def test_nothing_at_all_is_not_stored(self) -> None:
        self.intake.put(None)
        self.intake.finish()
        self.successResultOf(Deferred.fromCoroutine(self.intake.run()))
        self.assertEqual(self.batches, [])

    def test_too_much(self) -> None:
        self.patch(module, "MOST_WAITING", 10)
        self.patch(module, "BATCH", 4)
        for number in range(11):
            self.intake.put(message(number))
        self.intake.put(message(11))
        self.assertEqual(self.held, [True])
        Deferred.fromCoroutine(self.intake.run())
        self.commits[0].callback(None)
        self.assertEqual(self.held, [True])
        self.commits[1].callback(None)
        self.assertEqual(self.held, [True, False])
        self.assertEqual([len(ids) for ids, _ in self.batches], [4, 4, 4])

    def test_a_store_that_fails(self) -> None:
        running = Deferred.fromCoroutine(self.intake.run())
        self.intake.put(message(1))
        self.commits[0].errback(StoreError("full"))
        self.failureResultOf(running, StoreError)

    def test_stopping(self) -> None:
        running = Deferred.fromCoroutine(self.intake.run())
        running.cancel()
        self.failureResultOf(running, CancelledError)
