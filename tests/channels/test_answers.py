"""Answers: what an agent says goes back, once, whatever happens in between."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from clawgw.agents.acp import AgentUnavailable
from clawgw.agents.delivery import Wanted
from clawgw.agents.outcomes import Outcome
from clawgw.agents.runs import RESTARTED
from clawgw.channels import answers, chunks
from clawgw.channels.adapter import SendLater, Unsupported
from clawgw.channels.answers import answer_of
from clawgw.protocol.errors import RequestError
from clawgw.sessions.keys import SessionName
from clawgw.store.database import StoreError
from tests.channels.conversation import OPEN, ConversationCase
from tests.channels.support import direct

LONG = "It is a long story, and it begins like this."


class Case(ConversationCase):
    """A person who says hello."""

    def begin(self, text: str = "hello") -> Any:
        """The agent's turn."""
        self.hear(direct(len(self.inbox()) + 1, text))
        return self.turns[-1]

    def drafts(self) -> list[tuple[str, str]]:
        rows = self.database.connection.execute("SELECT run_id, message_id FROM drafts")
        return list(rows.fetchall())


class Delivering(Case):
    """When a run has ended."""

    def test_an_answer(self) -> None:
        self.begin().end("good day")
        self.assertEqual(self.sent, ["good day"])
        self.assertEqual([state for _, state in self.outbox()], ["delivered"])

    def test_in_as_many_parts_as_it_needs(self) -> None:
        words = " ".join(f"word{number}" for number in range(100))
        self.begin().end(words)
        self.assertGreater(len(self.sent), 1)
        self.assertEqual(" ".join(self.sent), words)

    def test_nothing_to_say(self) -> None:
        for text in ("NO_REPLY", " NO_REPLY\n", "", "  "):
            self.begin().end(text)
        self.assertEqual((self.sent, self.outbox()), ([], []))

    def test_the_word_in_an_answer_is_an_answer(self) -> None:
        self.begin().end("I never say NO_REPLY")
        self.assertEqual(self.sent, ["I never say NO_REPLY"])

    def test_an_error_is_said(self) -> None:
        self.begin().fail(AgentUnavailable("the model is on fire"))
        self.assertEqual(self.sent, ["⚠️ I could not answer: the model is on fire"])

    def test_and_what_was_said_before_it(self) -> None:
        turn = self.begin()
        turn.say("I think that")
        turn.fail(AgentUnavailable("the model is on fire"))
        self.assertEqual(self.sent, ["I think that\n\n⚠️ I could not answer: the model is on fire"])

    def test_no_internals_of_a_mistake(self) -> None:
        self.begin().fail(ValueError("with a secret"))
        self.assertEqual(self.sent, ["⚠️ I could not answer: the run failed: ValueError"])
        self.flushLoggedErrors(ValueError)

    def test_one_that_was_stopped_says_what_it_had(self) -> None:
        self.begin().say("I think that")
        self.do(self.runs.abort("agent:main:main", None))
        self.assertEqual(self.sent, ["I think that"])
        self.begin()
        self.do(self.runs.abort("agent:main:main", None))
        self.assertEqual(len(self.sent), 1)

    def test_the_words(self) -> None:
        for state, text, error, said in (
            ("ok", "a", None, "a"),
            ("aborted", "a", None, "a"),
            ("timeout", "", "too slow", "⚠️ I could not answer: too slow"),
            ("error", "NO_REPLY", None, "⚠️ I could not answer: the run failed"),
        ):
            self.assertEqual(answer_of(text, Outcome(state, error=error)), said)

    def test_while_the_account_is_away_it_waits(self) -> None:
        turn = self.begin()
        adapter = self.adapter
        self.do(self.account().stop(1.0))
        turn.end("good day")
        self.assertEqual([state for _, state in self.outbox()], ["queued"])
        self.open()
        self.assertEqual(self.sent, ["good day"])
        self.assertIsNot(self.adapter, adapter)


class Crashing(Case):
    """A crash around the end of a run."""

    def test_the_answer_is_queued_in_the_transaction_that_ends_the_run(self) -> None:
        turn = self.begin()
        self.database.fail_next = StoreError("disk full")
        turn.end("good day")
        self.assertEqual((self.run_states(), self.outbox()), (["running"], []))
        self.clock.advance(2)
        self.assertEqual((self.run_states(), len(self.outbox())), (["ok"], 1))
        self.assertEqual(self.sent, ["good day"])

    def test_after_it_the_answer_is_sent(self) -> None:
        turn = self.begin()
        self.account().courier.open(False)
        turn.end("good day")
        self.assertEqual(self.sent, [])
        self.open()
        self.assertEqual(self.sent, ["good day"])

    def test_a_run_that_was_interrupted_says_so(self) -> None:
        self.begin().say("I think that")
        self.open()
        self.assertEqual(self.sent, [f"⚠️ I could not answer: {RESTARTED}"])
        self.open()
        self.assertEqual(self.sent, [])  # once
        self.assertEqual(len(self.outbox()), 1)

    def test_one_that_had_not_begun_is_answered(self) -> None:
        self.begin("one")
        self.hear(direct(2, "two"))
        self.open()
        self.assertEqual(len(self.turns), 1)
        self.turns[0].end("two it is")
        self.assertEqual(self.sent[-1], "two it is")


class Typing(Case):
    """What is seen while the agent thinks."""

    def test_somebody_types_until_the_answer_is_there(self) -> None:
        turn = self.begin()
        self.assertEqual(self.adapter.typed, 1)
        self.clock.advance(4)
        self.clock.advance(4)
        self.assertEqual(self.adapter.typed, 3)
        turn.end("good day")
        self.clock.advance(40)
        self.assertEqual(self.adapter.typed, 3)

    def test_not_for_ever(self) -> None:
        self.begin()
        self.patch(self.runs._answering, "_timeout_seconds", 0)
        self.clock.pump([4.0] * 145)
        self.assertLessEqual(self.adapter.typed, answers.TYPING_SECONDS_AT_MOST / 4)

    def test_that_it_fails_is_no_trouble(self) -> None:
        troubles: list[Any] = [
            SendLater("slow down"), Unsupported("cannot"), Deferred(), ValueError("a mistake"),
        ]  # fmt: skip

        async def fail(target: Any) -> None:
            trouble = troubles.pop(0) if troubles else SendLater("slow down")
            if isinstance(trouble, Deferred):
                await trouble
            raise trouble

        self.patch(self.adapter, "typing", fail)
        turn = self.begin()
        self.clock.pump([4.0] * 3)
        self.clock.advance(answers.TYPING_CALL_SECONDS - 5)
        turn.end("good day")
        self.clock.advance(answers.TYPING_CALL_SECONDS)
        self.assertEqual(self.sent, ["good day"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_an_account_that_stops_types_no_more(self) -> None:
        self.begin()
        adapter = self.adapter
        self.do(self.account().stop(1.0))
        self.clock.pump([4.0] * 5)
        self.assertEqual(adapter.typed, 1)


class Drafts(Case):
    """The answer as it grows."""

    settings = {"default": OPEN | {"stream": True}}  # noqa: RUF012

    def draft(self, text: str = LONG) -> Any:
        """A turn whose first words are shown."""
        turn = self.begin()
        turn.say(text)
        self.clock.advance(1)
        return turn

    def test_the_first_words_the_growing_answer_and_the_end(self) -> None:
        turn = self.draft()
        self.assertEqual(self.sent, [f"{LONG} …"])
        turn.say(" Once there was a crab.")
        self.clock.advance(1)
        self.assertEqual(self.adapter.edited, [("m1", f"{LONG} Once there was a crab. …")])
        turn.end(" It lived.")
        (_, draft), (_, last) = self.adapter.sent
        self.assertEqual((draft.edit, last.edit), (None, "m1"))
        self.assertEqual(last.text, f"{LONG} Once there was a crab. It lived.")
        self.assertEqual(self.drafts(), [])

    def test_not_before_there_is_something_to_show(self) -> None:
        turn = self.draft("Well.")
        self.assertEqual(self.sent, [])
        turn.end()
        self.assertEqual([(part.text, part.edit) for _, part in self.adapter.sent],
                         [("Well.", None)])  # fmt: skip

    def test_not_faster_than_the_provider_bears(self) -> None:
        turn = self.draft()
        for _ in range(10):
            turn.say(" more")
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.adapter.edited), 1)

    def test_what_stays_the_same_is_not_sent_again(self) -> None:
        self.draft()
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.adapter.edited, [])

    def test_off_unless_it_is_configured(self) -> None:
        self.settings = {"default": OPEN}
        self.do(self.channels.follow(self.parsed()))
        self.draft()
        self.assertEqual(self.sent, [])

    def test_one_that_arrives_late_is_waited_for_a_little(self) -> None:
        arrives: Deferred[str] = Deferred()
        self.adapter.outcomes.append(arrives)
        turn = self.draft()
        turn.end(" The end.")
        self.assertEqual(len(self.sent), 1)
        arrives.callback("m9")
        _, last = self.adapter.sent[-1]
        self.assertEqual((last.text, last.edit), (f"{LONG} The end.", "m9"))

    def test_but_not_for_ever(self) -> None:
        self.adapter.outcomes.append(Deferred())
        turn = self.draft()
        turn.end(" The end.")
        self.clock.advance(answers.SETTLE_SECONDS)
        _, last = self.adapter.sent[-1]
        self.assertEqual((last.text, last.edit), (f"{LONG} The end.", None))

    def test_one_that_fails_does_not_keep_the_answer(self) -> None:
        for problem in (SendLater("slow down", 9.0), Unsupported("no"), ValueError("a mistake")):
            self.adapter.outcomes.append(problem)
            self.draft().end(" The end.")
            _, last = self.adapter.sent[-1]
            self.assertEqual((last.text, last.edit), (f"{LONG} The end.", None))
            self.assertEqual(self.run_states()[-1], "ok")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_nor_does_one_that_cannot_be_cut(self) -> None:
        cut = chunks.chunks

        def fail(text: str, *args: Any, **kw: Any) -> Any:
            if text.endswith("…"):
                raise RecursionError("too deep")
            return cut(text, *args, **kw)

        self.patch(chunks, "chunks", fail)
        self.draft().end(" The end.")
        self.assertEqual((self.sent, self.run_states()), ([f"{LONG} The end."], ["ok"]))
        self.assertEqual(len(self.flushLoggedErrors(RecursionError)), 1)

    def test_an_edit_that_fails_neither(self) -> None:
        async def fail(*_: Any) -> None:
            raise ValueError("a mistake")

        self.patch(self.adapter, "edit", fail)
        turn = self.draft()
        turn.say(" More.")
        self.clock.advance(1)
        turn.end(" The end.")
        _, last = self.adapter.sent[-1]
        self.assertEqual((last.text, last.edit), (f"{LONG} More. The end.", "m1"))
        self.flushLoggedErrors(ValueError)

    def test_an_answer_that_outgrows_a_message(self) -> None:
        turn = self.draft()
        more = " ".join(f"word{number}" for number in range(100))
        turn.say(f" {more}")
        self.clock.advance(1)
        self.assertEqual(self.adapter.edited, [])
        turn.end()
        parts = [part for _, part in self.adapter.sent[1:]]
        self.assertGreater(len(parts), 1)
        self.assertEqual([part.edit for part in parts], ["m1"] + [None] * (len(parts) - 1))
        self.assertEqual(" ".join(part.text for part in parts), f"{LONG} {more}")

    def test_after_a_crash_the_draft_stays_and_the_reason_follows(self) -> None:
        self.draft()
        self.assertEqual(len(self.drafts()), 1)
        self.open()
        ((_, part),) = self.adapter.sent
        self.assertIn(RESTARTED, part.text)
        self.assertIsNone(part.edit)
        self.assertEqual(self.drafts(), [])

    def test_a_stop_leaves_what_was_said(self) -> None:
        self.draft()
        self.do(self.runs.abort("agent:main:main", None))
        _, last = self.adapter.sent[-1]
        self.assertEqual((last.text, last.edit), (LONG, "m1"))


class Wanting(Case):
    """A client's run whose answer is to go to a channel."""

    def place(self, **wanted: Any) -> bytes:
        name = SessionName("agent:main:main", "main")
        return self.channels._answers.place(name, Wanted(**wanted))

    def test_where_it_is_told(self) -> None:
        self.assertIn(b'"chat":"77"', self.place(channel="toy", to="77"))

    def test_or_where_somebody_last_wrote_from(self) -> None:
        self.assertRaises(RequestError, self.place)
        self.begin().end("yes")
        self.assertIn(b'"chat":"1001"', self.place())
        self.assertIn(b'"chat":"1001"', self.place(channel="toy"))
        problem = self.assertRaises(RequestError, self.place, channel="other")
        self.assertIn("to: expected", str(problem))
