"""Approvals in chats: who is asked, and who may decide."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from clawgw.approvals.book import NOBODY
from clawgw.channels.messages import Chat, Press, Sender
from clawgw.protocol.approvals import ExecRequest
from tests.channels.conversation import OPEN, ConversationCase
from tests.channels.support import ALICE, BOB, ToyAdapter, direct

APPROVALS = {"execApprovals": {"enabled": True, "approvers": ["1002", 1003]}}


class Case(ConversationCase):
    """An agent that is answering Alice asks whether it may run something; Bob decides."""

    settings = {"default": OPEN | APPROVALS}  # noqa: RUF012

    def ask(self, command: str = "rm -rf build", approval_id: str = "a1", **fields: Any) -> Any:
        """The question; fires with its end."""
        if not self.turns:
            self.hear(direct(1, "clean up"))
        run = self.run_id()
        request = ExecRequest(command=command, agent_id="main", **({"run_id": run} | fields))
        self.do(self.approvals.ask(request, 60_000, NOBODY, approval_id))
        return Deferred.fromCoroutine(self.approvals.wait(approval_id))

    def run_id(self) -> str:
        (run_id,) = self.database.connection.execute(
            "SELECT run_id FROM runs ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        return str(run_id)

    def press(self, data: str, sender: Sender = BOB) -> str:
        press = Press(chat=Chat(id=sender.id), sender=sender, message_id="m1", data=data)
        answer: str = self.do(self.account().pressed(press))
        return answer

    def write(self, text: str, sender: Sender = BOB, number: int = 100) -> str:
        before = len(self.sent)
        self.hear(direct(number, text, sender))
        self.assertEqual(len(self.sent), before + 1)
        return self.sent[-1]

    def stands(self, question: Any) -> None:
        self.assertNoResult(question)

    def decision(self, question: Any) -> Any:
        return self.successResultOf(question).decision


class Asking(Case):
    """Who is asked, and how."""

    def test_each_approver_in_a_chat_of_their_own(self) -> None:
        self.ask(cwd="/srv")
        self.assertEqual([target.chat for target, _ in self.adapter.sent], ["1002", "1003"])
        _, part = self.adapter.sent[0]
        self.assertIn("May the agent main run this?", part.text)
        self.assertIn("/srv", part.text)
        self.assertIn("rm -rf build", part.text)
        ((*buttons,),) = part.buttons
        self.assertEqual(
            [(button.text, button.data, button.style) for button in buttons],
            [
                ("Allow once", "approve:a1:allow-once", "primary"),
                ("Always allow", "approve:a1:allow-always", ""),
                ("Deny", "approve:a1:deny", "danger"),
            ],
        )

    def test_only_the_decisions_that_there_are(self) -> None:
        self.ask(allowed_decisions=["allow-once", "deny"])
        _, part = self.adapter.sent[0]
        self.assertEqual(len(part.buttons[0]), 2)

    def test_where_there_are_no_buttons_with_words(self) -> None:
        can = msgspec.structs.replace(ToyAdapter.capabilities, buttons=False)
        self.patch(self.adapter, "capabilities", can)
        self.ask()
        text = " ".join(self.sent)
        self.assertIn("/approve a1 allow-once or allow-always or deny", text)

    def test_also_where_its_id_is_too_long_for_one(self) -> None:
        self.ask(approval_id="x" * 60)
        _, part = self.adapter.sent[0]
        self.assertEqual(part.buttons, ())
        self.assertIn("/approve " + "x" * 60, " ".join(self.sent))

    def test_a_long_command_is_cut_and_that_is_said(self) -> None:
        self.ask("echo " + "x" * 5000)
        text = "".join(self.sent)
        self.assertIn("longer than can be shown here", " ".join(text.split()))
        self.assertLess(text.count("x"), 2 * 1600)

    def test_a_command_cannot_step_out_of_its_box(self) -> None:
        self.ask("echo\n````\nAllowed by the operator.")
        _, part = self.adapter.sent[0]
        self.assertIn("```\nAllowed by the operator.", part.plain or part.text)
        self.assertNotIn("````\nAllowed", part.text)

    def test_an_approver_who_has_no_address_does_not_keep_the_others_from_it(self) -> None:
        both = {"execApprovals": {"enabled": True, "approvers": ["@bob", "1003"]}}
        self.settings = {"default": OPEN | both}
        self.do(self.channels.follow(self.parsed()))
        self.ask()
        self.assertEqual([target.chat for target, _ in self.adapter.sent], ["1003"])

    def test_once_though_the_question_is_put_again(self) -> None:
        self.ask()
        self.channels.asked(self.approvals.pending()[0])
        self.assertEqual(len(self.sent), 2)


class NotAsking(Case):
    """Who is not."""

    def test_off_by_default(self) -> None:
        self.settings = {"default": OPEN}
        self.do(self.channels.follow(self.parsed()))
        self.assertFalse(self.channels.approvals.can_be_asked())
        self.stands(self.ask())
        self.assertEqual(self.sent, [])

    def test_nor_with_nobody_to_ask(self) -> None:
        self.settings = {"default": OPEN | {"execApprovals": {"enabled": True}}}
        self.do(self.channels.follow(self.parsed()))
        self.account().connected()
        self.assertFalse(self.channels.approvals.can_be_asked())
        self.ask()
        self.assertEqual(self.sent, [])

    def test_a_question_that_came_up_elsewhere(self) -> None:
        self.hear(direct(1, "hello"))
        self.ask(run_id=None)
        self.ask(approval_id="a2", run_id="no such run")
        self.assertEqual(self.sent, [])

    def test_somebody_can_be_asked_while_it_is_connected(self) -> None:
        self.assertFalse(self.channels.approvals.can_be_asked())
        self.account().connected()
        self.assertTrue(self.channels.approvals.can_be_asked())


class Deciding(Case):
    """Who may."""

    def test_a_press_of_an_approver(self) -> None:
        question = self.ask()
        self.assertEqual(self.press("approve:a1:allow-once"), "Allowed, once.")
        approval = self.successResultOf(question)
        self.assertEqual((approval.decision, approval.resolved_by), ("allow-once", "Bob on Toy"))

    def test_a_press_of_anybody_else_decides_nothing_and_is_noted(self) -> None:
        lines: list[str] = []

        def note(event: Any) -> None:
            lines.append(formatEvent(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        question = self.ask()
        self.assertIn("Only an approver", self.press("approve:a1:allow-once", ALICE))
        self.stands(question)
        self.assertTrue(any("id 1001 tried to decide" in line for line in lines))

    def test_always(self) -> None:
        question = self.ask()
        self.assertEqual(self.press("approve:a1:allow-always"), "Allowed from now on.")
        self.assertEqual(self.decision(question), "allow-always")
        self.assertEqual([one.command for one in self.remembered], ["rm -rf build"])

    def test_words(self) -> None:
        for number, (word, decision, said) in enumerate(
            [
                ("allow-once", "allow-once", "Allowed, once."),
                ("ONCE", "allow-once", "Allowed, once."),
                ("always", "allow-always", "Allowed from now on."),
                ("no", "deny", "Denied."),
                ("deny", "deny", "Denied."),
            ]
        ):
            question = self.ask(approval_id=f"q{number}")
            self.assertEqual(self.write(f"/approve q{number} {word}", number=200 + number), said)
            self.assertEqual(self.decision(question), decision)

    def test_words_of_anybody_else(self) -> None:
        question = self.ask()
        self.assertIn("Only an approver", self.write("/approve a1 allow-once", ALICE))
        self.stands(question)

    def test_words_that_are_no_decision(self) -> None:
        question = self.ask()
        self.assertIn("Write: /approve", self.write("/approve", number=200))
        self.assertIn("Write: /approve", self.write("/approve a1", number=201))
        self.assertIn("expected allow-once", self.write("/approve a1 perhaps", number=202))
        self.assertIn("unknown or expired", self.write("/approve b9 deny", number=203))
        self.stands(question)

    def test_the_first_decision_counts(self) -> None:
        question = self.ask()
        self.press("approve:a1:deny")
        said = self.press("approve:a1:allow-once", Sender(id="1003", name="Carol"))
        self.assertIn("already resolved: deny by Bob on Toy", said)
        self.assertEqual(self.decision(question), "deny")

    def test_buttons_that_mean_nothing(self) -> None:
        question = self.ask()
        for data in ("", "approve", "approve:a1", "approve::deny", "other:a1:deny"):
            self.assertEqual(self.press(data), "That button means nothing any more.")
        self.stands(question)

    def test_an_approver_of_another_account_is_none_here(self) -> None:
        self.settings = {"default": OPEN | APPROVALS, "second": OPEN}
        self.do(self.channels.follow(self.parsed()))
        question = self.ask()
        press = Press(chat=Chat(id="1"), sender=BOB, message_id="m", data="approve:a1:allow-once")
        said = self.do(self.account("second").pressed(press))
        self.assertIn("Only an approver", said)
        self.stands(question)

    def test_a_name_that_is_shown_lets_nobody_decide(self) -> None:
        question = self.ask()
        impostor = Sender(id="666", name="1002")
        self.assertIn("Only an approver", self.press("approve:a1:allow-once", impostor))
        self.stands(question)
