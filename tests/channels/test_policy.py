"""Who may speak to the agent through a channel."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.messages import Chat
from clawgw.channels.policy import Policy, is_heard, judge, may_decide, silence
from clawgw.channels.settings import AccountSettings
from tests.channels.support import ALICE, BOB, direct, in_group


def policy(**settings: Any) -> Policy:
    return msgspec.convert(settings, AccountSettings).policy()


class DirectMessages(SynchronousTestCase):
    """`dmPolicy`."""

    def act(self, approved: tuple[str, ...] = (), **settings: Any) -> str:
        return judge(direct(1), policy(**settings), approved).act

    def test_by_default_a_stranger_is_told_a_code(self) -> None:
        self.assertEqual(self.act(), "pair")

    def test_a_list_that_names_nobody_is_remarked_on(self) -> None:
        self.assertIn('write "*" there', silence(policy(dmPolicy="open")) or "")
        self.assertIn("no direct message", silence(policy(dmPolicy="allowlist")) or "")
        for settings in ({}, {"dmPolicy": "disabled"}, {"dmPolicy": "open", "allowFrom": ["*"]}):
            self.assertIsNone(silence(policy(**settings)), settings)

    def test_who_was_approved_is_answered(self) -> None:
        self.assertEqual(self.act(approved=("1001",)), "answer")
        self.assertEqual(self.act(approved=("1002",)), "pair")

    def test_who_is_listed_is_answered_by_id_or_name(self) -> None:
        for entry in (1001, "1001", "telegram:1001", "@Alice", "tg:1001", " 1001 "):
            self.assertEqual(self.act(allowFrom=[entry]), "answer", entry)

    def test_a_display_name_lets_nobody_in(self) -> None:
        self.assertEqual(self.act(dmPolicy="allowlist", allowFrom=["Alice"]), "drop")

    def test_an_allowlist_drops_the_others_and_ignores_approvals(self) -> None:
        settings = {"dmPolicy": "allowlist", "allowFrom": ["7"]}
        self.assertEqual(self.act(approved=("1001",), **settings), "drop")

    def test_open_needs_a_star(self) -> None:
        self.assertEqual(self.act(dmPolicy="open"), "drop")
        self.assertEqual(self.act(dmPolicy="open", allowFrom=["*"]), "answer")
        self.assertEqual(self.act(dmPolicy="open", allowFrom=["7"]), "drop")

    def test_a_star_means_nothing_to_the_other_policies(self) -> None:
        self.assertEqual(self.act(dmPolicy="pairing", allowFrom=["*"]), "pair")
        self.assertEqual(self.act(dmPolicy="allowlist", allowFrom=["*"]), "drop")

    def test_disabled_means_nobody(self) -> None:
        self.assertEqual(self.act(dmPolicy="disabled", allowFrom=["1001"]), "drop")

    def test_own_messages_are_never_answered(self) -> None:
        found = judge(direct(1, own=True), policy(dmPolicy="open", allowFrom=["*"]), ())
        self.assertEqual(found.act, "drop")

    def test_a_notice_is_heard_from_those_who_may_speak(self) -> None:
        notice = direct(1, kind="notice")
        self.assertEqual(judge(notice, policy(allowFrom=["1001"]), ()).act, "hear")
        self.assertEqual(judge(notice, policy(), ()).act, "drop")


class Groups(SynchronousTestCase):
    """`groupPolicy`, `groups`, mentions."""

    def act(self, message: Any = None, approved: tuple[str, ...] = (), **settings: Any) -> str:
        message = message or in_group(1, mentioned=True)
        return judge(message, policy(**settings), approved).act

    def test_by_default_nobody_is_heard(self) -> None:
        self.assertEqual(self.act(), "drop")

    def test_an_approved_stranger_has_no_say_in_groups(self) -> None:
        self.assertEqual(self.act(approved=("1001",)), "drop")

    def test_a_listed_sender_is_answered(self) -> None:
        self.assertEqual(self.act(groupAllowFrom=["1001"]), "answer")
        self.assertEqual(self.act(groupAllowFrom=["1002"]), "drop")

    def test_without_a_list_for_groups_that_of_direct_messages_counts(self) -> None:
        self.assertEqual(self.act(allowFrom=["1001"]), "answer")
        self.assertEqual(self.act(allowFrom=["1001"], groupAllowFrom=["1002"]), "drop")

    def test_open_groups_hear_everybody(self) -> None:
        self.assertEqual(self.act(groupPolicy="open"), "answer")

    def test_where_groups_are_listed_others_are_not_heard(self) -> None:
        self.assertEqual(self.act(groupPolicy="open", groups={"-51": {}}), "drop")
        self.assertEqual(self.act(groupPolicy="open", groups={"-50": {}}), "answer")
        self.assertEqual(self.act(groupPolicy="open", groups={"*": {}}), "answer")

    def test_listing_a_group_lets_nobody_speak_by_itself(self) -> None:
        self.assertEqual(self.act(groups={"-50": {}}), "drop")
        self.assertEqual(self.act(groups={"-50": {"allowFrom": ["1001"]}}), "answer")
        self.assertEqual(self.act(groups={"-50": {"allowFrom": ["*"]}}), "answer")
        settings: Any = {"groups": {"-50": {"allowFrom": ["7"]}}, "groupPolicy": "open"}
        self.assertEqual(self.act(**settings), "drop")

    def test_a_group_can_be_disabled(self) -> None:
        self.assertEqual(self.act(groupPolicy="open", groups={"-50": {"enabled": False}}), "drop")
        self.assertEqual(self.act(groupPolicy="disabled", groupAllowFrom=["1001"]), "drop")

    def test_without_a_mention_it_is_kept_for_later(self) -> None:
        message = in_group(1)
        self.assertEqual(self.act(message, groupPolicy="open"), "hear")
        self.assertEqual(self.act(message), "drop")

    def test_a_group_may_need_no_mention(self) -> None:
        message = in_group(1)
        self.assertEqual(self.act(message, groupPolicy="open", requireMention=False), "answer")
        groups: Any = {"-50": {"requireMention": False}, "*": {"requireMention": True}}
        self.assertEqual(self.act(message, groupPolicy="open", groups=groups), "answer")

    def test_the_rule_of_a_thread_goes_before_that_of_its_group(self) -> None:
        groups: Any = {"-50": {"requireMention": True}, "-50:7": {"requireMention": False}}
        settings: Any = {"groupPolicy": "open", "groups": groups}
        self.assertEqual(self.act(in_group(1, thread="7"), **settings), "answer")
        self.assertEqual(self.act(in_group(1, thread="8"), **settings), "hear")

    def test_the_rule_of_an_enclosing_place_counts(self) -> None:
        chat = Chat(id="55", kind="channel", parents=("guild-1",))
        message = direct(1, chat=chat, mentioned=True)
        settings: Any = {"groups": {"guild-1": {"allowFrom": ["1001"]}}}
        self.assertEqual(self.act(message, **settings), "answer")

    def test_the_operator_says_something_of_the_group(self) -> None:
        groups: Any = {"-50": {"systemPrompt": "Be brief."}}
        found = judge(in_group(1, mentioned=True), policy(groupPolicy="open", groups=groups), ())
        self.assertEqual(found.system_prompt, "Be brief.")


class Deciding(SynchronousTestCase):
    """Who may begin a conversation anew."""

    def test_only_those_the_operator_chose(self) -> None:
        anybody = policy(dmPolicy="open", allowFrom=["*"])
        self.assertFalse(may_decide(ALICE, anybody, ()))
        self.assertTrue(may_decide(ALICE, anybody, ("1001",)))
        self.assertTrue(may_decide(BOB, policy(allowFrom=["@bob"]), ()))

    def test_in_a_group_those_listed_for_it(self) -> None:
        group, other = Chat(id="-50", kind="group"), Chat(id="-60", kind="group")
        mine = policy(
            groupAllowFrom=["@bob"], groups={"-50": {"allowFrom": ["1001", "*"]}, "*": {}}
        )
        self.assertTrue(may_decide(ALICE, mine, (), group))
        self.assertFalse(may_decide(BOB, mine, (), group))
        self.assertTrue(may_decide(BOB, mine, (), other))
        self.assertFalse(may_decide(ALICE, mine, (), other))
        self.assertFalse(may_decide(BOB, mine, (), Chat(id="1002")))
        everybody = policy(groupPolicy="open", groupAllowFrom=["@bob"])
        self.assertFalse(may_decide(ALICE, everybody, (), group))
        self.assertTrue(may_decide(BOB, everybody, (), group))


class Hearing(SynchronousTestCase):
    """Where there is anybody to listen to."""

    def heard(self, chat: Chat, **settings: Any) -> bool:
        return is_heard(chat, policy(**settings))

    def test_directly(self) -> None:
        chat = Chat(id="1")
        self.assertTrue(self.heard(chat))
        self.assertFalse(self.heard(chat, dmPolicy="disabled", allowFrom=["7"]))
        for dm_policy in ("allowlist", "open"):
            self.assertFalse(self.heard(chat, dmPolicy=dm_policy))
            self.assertTrue(self.heard(chat, dmPolicy=dm_policy, allowFrom=["7"]))

    def test_in_groups(self) -> None:
        chat = Chat(id="g1", kind="group", parents=("server",))
        self.assertFalse(self.heard(chat))
        self.assertTrue(self.heard(chat, groupPolicy="open"))
        self.assertTrue(self.heard(chat, allowFrom=["7"]))
        self.assertTrue(self.heard(chat, groupAllowFrom=["7"]))
        self.assertFalse(self.heard(chat, groupPolicy="disabled", groupAllowFrom=["7"]))

    def test_in_the_groups_that_are_meant(self) -> None:
        chat = Chat(id="g1", kind="group", parents=("server",))
        self.assertFalse(self.heard(chat, groupPolicy="open", groups={"g2": {}}))
        self.assertTrue(self.heard(chat, groupPolicy="open", groups={"server": {}}))
        self.assertTrue(self.heard(chat, groups={"g1": {"allowFrom": ["7"]}}))
        self.assertFalse(self.heard(chat, groups={"g1": {"allowFrom": []}}, allowFrom=["7"]))
        closed = {"g1": {"enabled": False}, "*": {}}
        self.assertFalse(self.heard(chat, groupPolicy="open", groups=closed))
