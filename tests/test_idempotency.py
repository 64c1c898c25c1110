"""The same key never acts twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.idempotency import digest, earlier
from clawgw.protocol.chat import ChatSendParams
from clawgw.protocol.errors import RequestError
from clawgw.store import idempotency as table
from tests.support.memory import START_MS, MemoryDatabase

PARAMS = ChatSendParams(session_key="main", message="hi", idempotency_key="k")


class Recognising(SynchronousTestCase):
    """What is the same call, and what is another."""

    def test_the_order_of_fields_does_not_matter(self) -> None:
        self.assertEqual(digest("m", {"a": 1, "b": [2]}), digest("m", {"b": [2], "a": 1}))

    def test_anything_else_does(self) -> None:
        calls = [
            ("m", {"a": 1}), ("n", {"a": 1}), ("m", {"a": 2}), ("m", {"a": "1"}), ("m", {}),
            ("m", {"a": [1]}), ("m", {"a": 1, "b": None}), ("chat.send", PARAMS),
            ("chat.send", ChatSendParams(session_key="main", message="ho", idempotency_key="k")),
        ]  # fmt: skip
        self.assertEqual(len({digest(*call) for call in calls}), len(calls))
        self.assertEqual(digest("chat.send", PARAMS), digest("chat.send", PARAMS))

    @given(st.dictionaries(st.text(), st.one_of(st.integers(-(2**60), 2**60), st.text())))
    def test_any_order(self, params: dict[str, object]) -> None:
        other = dict(reversed(params.items()))
        self.assertEqual(digest("m", params), digest("m", other))


class Claims(SynchronousTestCase):
    """Inside a write."""

    def setUp(self) -> None:
        self.connection = MemoryDatabase().connection
        self.call = digest("m", {"a": 1})

    def test_the_first_time(self) -> None:
        self.assertIsNone(earlier(self.connection, "k", "m", self.call, START_MS))

    def test_the_same_again_while_it_runs_and_after(self) -> None:
        table.claim(self.connection, "k", "m", self.call, START_MS)
        claim = earlier(self.connection, "k", "m", self.call, START_MS)
        self.assertEqual(claim and claim.result, None)
        self.assertIsNotNone(claim)
        table.settle(self.connection, "k", b"1")
        claim = earlier(self.connection, "k", "m", self.call, START_MS)
        self.assertEqual(claim and claim.result, b"1")

    def test_something_else_under_the_same_key(self) -> None:
        table.claim(self.connection, "k", "m", self.call, START_MS)
        for method, params in (("m", {"a": 2}), ("n", {"a": 1})):
            error = self.assertRaises(
                RequestError,
                earlier,
                self.connection,
                "k",
                method,
                digest(method, params),
                START_MS,
            )
            self.assertEqual(error.shape.details, {"code": "IDEMPOTENCY_KEY_REUSED"})
            self.assertIn("idempotencyKey", error.message)

    def test_after_a_day_a_key_is_new(self) -> None:
        table.claim(self.connection, "k", "m", self.call, START_MS)
        later = START_MS + table.LIFETIME_MS
        self.assertIsNone(earlier(self.connection, "k", "n", b"other", later))
