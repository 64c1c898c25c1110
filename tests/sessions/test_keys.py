"""How clients name sessions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol.errors import RequestError
from clawgw.sessions.keys import MAX_KEY, SessionKeys, chat_type

words = st.sampled_from(["agent", ":", "main", "ops", "home", " ", "AGENT:", "\x00", "agent:ops:"])


class Keys(SynchronousTestCase):
    """Two agents; the default one is `main`, the main session is called `home`."""

    def setUp(self) -> None:
        self.keys = SessionKeys("main", ["main", "ops"], "home")

    def test_every_form(self) -> None:
        table: list[tuple[str, str | None, str, str]] = [
            ("main", None, "agent:main:home", "main"),
            ("home", None, "agent:main:home", "main"),
            (" main ", None, "agent:main:home", "main"),
            ("main", "ops", "agent:ops:home", "ops"),
            ("main", "OPS", "agent:ops:home", "ops"),
            ("notes", None, "agent:main:notes", "main"),
            ("notes", "ops", "agent:ops:notes", "ops"),
            ("two words", None, "agent:main:two words", "main"),
            ("telegram:group:-1", None, "agent:main:telegram:group:-1", "main"),
            ("agent:ops:notes", None, "agent:ops:notes", "ops"),
            ("agent:ops:main", None, "agent:ops:home", "ops"),
            ("agent:ops:notes", "ops", "agent:ops:notes", "ops"),
            ("AGENT:Ops:Notes", "Ops", "agent:ops:Notes", "ops"),
            ("agent:main:a:b:c", None, "agent:main:a:b:c", "main"),
            ("agents:x", None, "agent:main:agents:x", "main"),
            ("ключ", None, "agent:main:ключ", "main"),
            ("k" * MAX_KEY, None, "agent:main:" + "k" * MAX_KEY, "main"),
        ]
        for text, agent, key, owner in table:
            with self.subTest(text=text, agent=agent):
                self.assertEqual(self.keys.parse(text, agent), (key, owner))

    def test_a_full_key_means_itself(self) -> None:
        for text in ("main", "notes", "agent:ops:x", "agent:ops:main"):
            key = self.keys.parse(text).key
            self.assertEqual(self.keys.parse(key).key, key)

    def test_bad_ones(self) -> None:
        table = [
            ("", None, "sessionKey"),
            ("   ", None, "sessionKey"),
            ("a\nb", None, "sessionKey"),
            ("a\x00", None, "sessionKey"),
            ("a\u202eb", None, "sessionKey"),
            ("\ud800", None, "sessionKey"),
            ("k" * (MAX_KEY + 1), None, "sessionKey"),
            ("agent:", None, "sessionKey"),
            ("agent:main", None, "sessionKey"),
            ("agent:main:", None, "sessionKey"),
            ("agent::x", None, "unknown agent"),
            ("agent:nobody:x", None, "unknown agent"),
            ("main", "nobody", "unknown agent"),
            ("agent:main:x", "ops", "not of agentId"),
        ]
        for text, agent, says in table:
            with self.subTest(text=text, agent=agent):
                error = self.assertRaises(RequestError, self.keys.parse, text, agent)
                self.assertEqual(error.code, "INVALID_REQUEST")
                self.assertIn(says, error.message)
                self.assertLess(len(error.message), 200)

    def test_main_sessions(self) -> None:
        self.assertEqual(self.keys.main(), ("agent:main:home", "main"))
        self.assertEqual(self.keys.main("ops"), ("agent:ops:home", "ops"))
        for key, is_main in (
            ("agent:main:home", True),
            ("agent:ops:home", True),
            ("agent:ops:main", False),
            ("agent:ops:x:home", False),
            ("agent:ops", False),
        ):
            self.assertEqual(self.keys.is_main(key), is_main, key)

    def test_kinds(self) -> None:
        for key, kind in (
            ("agent:main:main", "direct"),
            ("agent:group:x", "direct"),
            ("agent:main:telegram:group:1", "group"),
            ("agent:main:discord:channel:1", "channel"),
            ("agent:main:groups", "direct"),
        ):
            self.assertEqual(chat_type(key), kind, key)

    @given(
        st.one_of(st.text(), st.lists(words).map("".join)), st.one_of(st.none(), st.text(), words)
    )
    def test_any_text_is_a_key_or_a_refusal(self, text: str, agent: str | None) -> None:
        try:
            name = self.keys.parse(text, agent)
        except RequestError as refusal:
            self.assertNotEqual(refusal.message, "")
            return
        self.assertIn(name.agent_id, self.keys.agents)
        self.assertTrue(name.key.startswith(f"agent:{name.agent_id}:"))
        self.assertTrue(name.key.isprintable())
        self.assertIn(chat_type(name.key), {"direct", "group", "channel"})
