"""Tokens of sessions, and who is let in with one."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.methods import MethodTable
from clawgw.protocol.connect import ConnectAuth
from clawgw.protocol.errors import RequestError
from clawgw.trust.connect import Admitted, Refused, Secrets, decide
from clawgw.trust.peers import Peer
from clawgw.trust.session_tokens import BoundSession, SessionTokens
from tests.support.memory import Caller, connect_params, token_auth
from tests.trust.admission import (
    LOCAL,
    OUR_PAGE,
    READ,
    REMOTE,
    SECRETS,
    TOKEN,
    WRITE,
    AdmissionTestCase,
    through,
)

SIDE = BoundSession("agent:main:side", "main", frozenset({"chat.history"}), (READ,))


def bound(key: str = "agent:main:main", **fields: Any) -> BoundSession:
    """A session of the agent `main`."""
    return BoundSession(key, "main", **fields)


class Tokens(SynchronousTestCase):
    """Making them, and taking them away."""

    def setUp(self) -> None:
        self.revoked: list[str] = []
        self.tokens = SessionTokens(lambda one: self.revoked.append(one.key), limit=3)

    def test_a_token_stands_for_its_session(self) -> None:
        first, second = bound("agent:main:a"), bound("agent:main:b")
        tokens = [self.tokens.mint(first), self.tokens.mint(second)]
        self.assertEqual([self.tokens.find(one) for one in tokens], [first, second])
        self.assertEqual(len(set(tokens)), 2)
        for wrong in ("", "x", tokens[0][:-1], tokens[0] + "x", "x" * 100_000):
            self.assertIsNone(self.tokens.find(wrong))

    def test_one_per_session(self) -> None:
        old = self.tokens.mint(bound())
        new = self.tokens.mint(bound())
        self.assertIsNone(self.tokens.find(old))
        self.assertIsNotNone(self.tokens.find(new))
        self.assertEqual(self.revoked, ["agent:main:main"])

    def test_revoked_by_session_and_by_agent(self) -> None:
        first = self.tokens.mint(bound("agent:main:a"))
        second = self.tokens.mint(bound("agent:main:b"))
        third = self.tokens.mint(BoundSession("agent:other:a", "other"))
        self.tokens.revoke_session("agent:main:a")
        self.assertIsNone(self.tokens.find(first))
        self.tokens.revoke_agent("main")
        self.assertIsNone(self.tokens.find(second))
        self.assertIsNotNone(self.tokens.find(third))
        self.assertEqual(self.revoked, ["agent:main:a", "agent:main:b"])

    def test_their_number_is_bounded(self) -> None:
        tokens = [self.tokens.mint(bound(f"agent:main:{number}")) for number in range(5)]
        self.assertEqual(len(self.tokens), 3)
        known = [self.tokens.find(token) is not None for token in tokens]
        self.assertEqual(known, [False, False, True, True, True])
        self.assertEqual(self.revoked, ["agent:main:0", "agent:main:1"])

    def test_no_secret_is_shown(self) -> None:
        token = self.tokens.mint(bound())
        self.assertNotIn(token, f"{self.tokens!r} {vars(self.tokens)!r}")


class Sight(SynchronousTestCase):
    """Which sessions may be looked at."""

    def test_visibility(self) -> None:
        own, same, foreign = (
            ("agent:main:main", "main"), ("agent:main:side", "main"), ("agent:other:main", "other"),
        )  # fmt: skip
        table: dict[Any, tuple[bool, bool, bool]] = {
            "self": (True, False, False),
            "agent": (True, True, False),
            "all": (True, True, True),
        }
        for visibility, expected in table.items():
            one = bound(visibility=visibility)
            self.assertEqual(tuple(one.sees(*name) for name in (own, same, foreign)), expected)

    def test_the_refusal_is_the_same_for_a_session_there_is_not(self) -> None:
        messages = set()
        for key in ("agent:other:main", "agent:other:nothing"):
            error = self.assertRaises(RequestError, bound().check, key, "other")
            self.assertEqual(error.code, "FORBIDDEN")
            messages.add(error.message)
        self.assertEqual(len(messages), 1)


class Methods(SynchronousTestCase):
    """What a tool may call."""

    def setUp(self) -> None:
        self.table = MethodTable()
        self.table.add("chat.history", lambda *_: None, scope=READ, agents=True)
        self.table.add("chat.send", lambda *_: None, scope=WRITE)
        self.table.add("status", lambda *_: None, scope=None)
        self.table.add("sessions.list", lambda *_: None, scope=READ, agents=True)

    def caller(self, *methods: str, scopes: tuple[str, ...] = (READ, WRITE)) -> Caller:
        one = bound(methods=frozenset(methods))
        return Caller(scopes=frozenset(scopes), bound_session=one)

    def test_only_what_is_open_to_agents_and_granted(self) -> None:
        everything = ("chat.history", "chat.send", "status")
        caller = self.caller(*everything)
        self.table.find("chat.history").check(caller)
        for name in ("chat.send", "status", "sessions.list"):
            error = self.assertRaises(RequestError, self.table.find(name).check, caller)
            self.assertEqual(error.code, "FORBIDDEN", name)
            self.assertIn(name, error.message)
        self.assertEqual(self.table.names_for(caller.bound_session), ["chat.history"])

    def test_a_scope_is_needed_all_the_same(self) -> None:
        caller = self.caller("chat.history", scopes=())
        self.assertRaises(RequestError, self.table.find("chat.history").check, caller)


class Admission(AdmissionTestCase):
    """The decision over a connect that shows a session's token."""

    def setUp(self) -> None:
        super().setUp()
        self.tokens = SessionTokens(lambda _: None)
        self.token = self.tokens.mint(SIDE)

    def decided(self, params: Any, peer: Peer = LOCAL, **more: Any) -> Admitted:
        attempt = self.attempt(params, peer, **more)
        return decide(type(attempt)(**{**vars(attempt), "session_of": self.tokens.find}))

    def auth(self, session_token: str | None = None, **more: Any) -> ConnectAuth:
        return ConnectAuth(agent_runtime_identity_token=session_token or self.token, **more)

    def test_let_in_as_what_its_session_may_be(self) -> None:
        for secrets in (SECRETS, Secrets("none"), Secrets("password", password="p")):
            params = connect_params(auth=self.auth(), scopes=["operator.admin"])
            admitted = self.decided(params, secrets=secrets)
            found = (admitted.role, admitted.scopes, admitted.method, admitted.device_id)
            self.assertEqual(found, ("operator", (READ,), "session-token", None))
            self.assertIs(admitted.bound_session, SIDE)
            self.assertIsNone(admitted.pair_now)

    def test_who_is_not_let_in(self) -> None:
        tools_only = LOCAL._replace(tools_only=True)
        table = [
            ("a wrong token", connect_params(auth=self.auth("wrong")), LOCAL),
            ("the token from elsewhere", connect_params(auth=self.auth()), REMOTE),
            ("through a proxy", connect_params(auth=self.auth()),
             through({"host": "localhost", "x-forwarded-for": "203.0.113.9"})),
            ("from a page", connect_params(auth=self.auth()), OUR_PAGE),
            ("as a node", connect_params(auth=self.auth(), role="node"), LOCAL),
            ("with the shared token beside it", connect_params(auth=self.auth("no", token=TOKEN)),
             LOCAL),
            ("the shared token at the tools' port", connect_params(auth=token_auth(TOKEN)),
             tools_only),
            ("a device at the tools' port", self.signed(), tools_only),
            ("nothing at the tools' port", connect_params(), tools_only),
        ]  # fmt: skip
        for what, params, peer in table:
            with self.subTest(what=what):
                refused = self.assertRaises(Refused, self.decided, params, peer)
                self.assertEqual(refused.details["code"], "AUTH_UNAUTHORIZED")
                self.assertEqual((refused.close_code, refused.failed_auth), (1008, True))
                said = f"{refused.message} {refused.details} {refused!r}"
                self.assertNotIn(self.token, said)

    def test_the_tools_port_lets_tools_in(self) -> None:
        peer = LOCAL._replace(tools_only=True)
        admitted = self.decided(connect_params(auth=self.auth()), peer)
        self.assertIs(admitted.bound_session, SIDE)

    def test_back_off_comes_first(self) -> None:
        params = connect_params(auth=self.auth())
        refused = self.assertRaises(Refused, self.decided, params, wait_ms=5)
        self.assertEqual(refused.details["code"], "AUTH_RATE_LIMITED")

    def test_a_device_comes_in_by_what_it_has_itself(self) -> None:
        device = self.device
        admitted = self.decided(device.connect(auth=self.auth(token=TOKEN)), LOCAL)
        self.assertEqual(admitted.device_id, device.id)
        self.assertIsNone(admitted.bound_session)
        refused = self.assertRaises(Refused, self.decided, device.connect(auth=self.auth()), LOCAL)
        self.assertEqual(refused.details["code"], "AUTH_TOKEN_MISSING")

    def test_not_after_it_was_revoked(self) -> None:
        self.tokens.revoke_session(SIDE.key)
        params = connect_params(auth=self.auth())
        refused = self.assertRaises(Refused, self.decided, params)
        self.assertTrue(refused.failed_auth)
