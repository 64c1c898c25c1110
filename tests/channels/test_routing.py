"""Which agent and session a message belongs to."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.messages import Chat, Sender
from clawgw.channels.routing import Binding, Match, Routes
from clawgw.sessions.keys import SessionKeys, chat_type
from tests.channels.support import BOB, direct, in_group

KEYS = SessionKeys("main", ("main", "work", "home"))


def key(message: Any, *bindings: Binding, channel: str = "toy", **more: Any) -> str:
    return Routes(KEYS, bindings, **more).session(channel, "default", message).key


class Keys(SynchronousTestCase):
    """How sessions are called."""

    def test_direct_messages_share_the_main_session(self) -> None:
        self.assertEqual(key(direct(1)), "agent:main:main")
        self.assertEqual(key(direct(1, sender=BOB)), "agent:main:main")

    def test_or_have_one_each(self) -> None:
        for scope, wanted in (
            ("per-peer", "agent:main:direct:1001"),
            ("per-channel-peer", "agent:main:toy:direct:1001"),
            ("per-account-channel-peer", "agent:main:toy:default:direct:1001"),
        ):
            self.assertEqual(key(direct(1), dm_scope=scope), wanted)

    def test_a_group_has_its_own(self) -> None:
        found = key(in_group(1))
        self.assertEqual(found, "agent:main:toy:group:-50")
        self.assertEqual(chat_type(found), "group")

    def test_so_has_a_thread(self) -> None:
        self.assertEqual(key(in_group(1, thread="7")), "agent:main:toy:group:-50:thread:7")
        topic = key(in_group(1, thread="7"), channel="telegram")
        self.assertEqual(topic, "agent:main:telegram:group:-50:topic:7")

    def test_a_channel_is_called_one(self) -> None:
        chat = Chat(id="C1", kind="channel")
        self.assertEqual(key(direct(1, chat=chat)), "agent:main:toy:channel:c1")

    def test_what_cannot_be_in_a_key_is_replaced_and_cut(self) -> None:
        strange = Sender(id="a\nb" + "x" * 1000)
        found = key(direct(1, sender=strange), dm_scope="per-peer")
        self.assertTrue(found.startswith("agent:main:direct:a_bx"))
        KEYS.parse(found)


class Bindings(SynchronousTestCase):
    """Which agent answers."""

    def test_the_default_one(self) -> None:
        other = Binding("work", Match(channel="slack"))
        self.assertEqual(key(in_group(1), other), "agent:main:toy:group:-50")

    def test_the_most_exact_binding_counts(self) -> None:
        bindings = (
            Binding("home", Match(channel="toy")),
            Binding("work", Match(channel="toy", chat="-50")),
            Binding("home", Match(channel="toy", account="default")),
        )
        self.assertEqual(key(in_group(1), *bindings), "agent:work:toy:group:-50")
        self.assertEqual(key(direct(1), *bindings), "agent:home:main")

    def test_of_equals_the_first(self) -> None:
        bindings = (Binding("home", Match(channel="toy")), Binding("work", Match(channel="toy")))
        self.assertEqual(key(direct(1), *bindings), "agent:home:main")

    def test_by_who_writes(self) -> None:
        binding = Binding("work", Match(channel="toy", chat="1001", chat_kind="direct"))
        self.assertEqual(key(direct(1), binding), "agent:work:main")
        self.assertEqual(key(direct(1, sender=BOB), binding), "agent:main:main")
        named = Binding("work", Match(channel="toy", chat="@alice"))
        self.assertEqual(key(direct(1), named), "agent:work:main")

    def test_by_another_account_or_enclosing_place(self) -> None:
        other = Binding("work", Match(channel="toy", account="second"))
        self.assertEqual(key(direct(1), other), "agent:main:main")
        guild = Binding("work", Match(channel="toy", parent="G1"))
        chat = Chat(id="C1", kind="channel", parents=("G1",))
        self.assertEqual(key(direct(1, chat=chat), guild), "agent:work:toy:channel:c1")
