"""Addresses at Signal, and what the answers to `send` mean."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.adapter import SendLater, SendRefused, SendUnknown
from clawgw.channels.messages import Part
from clawgw.channels.signal import sending
from clawgw.jsonrpc import RpcError

UUID = "11111111-1111-4111-8111-111111111111"
GROUP = "Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI="

PLUS = "+mpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI="


class Addresses(SynchronousTestCase):
    """As people write them, and as `send` wants them."""

    def test_what_is_understood(self) -> None:
        for text, chat, params in (
            ("+1 (555) 123-4567", "+15551234567", {"recipient": ["+15551234567"]}),
            ("signal:+15551234567", "+15551234567", {"recipient": ["+15551234567"]}),
            (f"uuid:{UUID.upper()}", UUID, {"recipient": [UUID]}),
            (UUID, UUID, {"recipient": [UUID]}),
            (f"signal:group:{GROUP}", GROUP, {"groupId": [GROUP]}),
            (GROUP, GROUP, {"groupId": [GROUP]}),
            (f"group:{PLUS}", PLUS, {"groupId": [PLUS]}),
            (PLUS, PLUS, {"groupId": [PLUS]}),
            ("username:alice.42", "username:alice.42", {"username": ["alice.42"]}),
        ):
            self.assertEqual(sending.address(text), chat)
            self.assertEqual(sending.recipient(chat), params)

    def test_what_is_not(self) -> None:
        for text in (
            "",
            "alice",
            "+12",
            "+١٥٥٥١٢٣٤٥٦٧",
            "uuid:1",
            "group:",
            "group:AAAA",
            "5551234567",
        ):
            with self.assertRaises(ValueError) as caught:
                sending.address(text)
            self.assertIn("expected a phone number", str(caught.exception))


class Parameters(SynchronousTestCase):
    """Of a send."""

    def test_all_of_them(self) -> None:
        part = Part(key="k", text="hi", styles=("0:2:BOLD",), reply_to=f"{UUID}:900")
        self.assertEqual(
            sending.params_of(UUID, part, "what you said"),
            {
                "recipient": [UUID],
                "message": "hi",
                "textStyle": ["0:2:BOLD"],
                "quoteAuthor": UUID,
                "quoteTimestamp": 900,
                "quoteMessage": "what you said",
            },
        )

    def test_a_reply_to_something_of_another_channel_is_no_quote(self) -> None:
        for reply_to in ("900", "abc:def", "", ":5"):
            params = sending.params_of(UUID, Part(key="k", text="x", reply_to=reply_to), "")
            self.assertEqual(params, {"recipient": [UUID], "message": "x"})


class Failures(SynchronousTestCase):
    """Error answers."""

    def error(self, code: int, *results: dict[str, Any], text: str = "Failed\nto send") -> RpcError:
        data = {"response": {"timestamp": 1, "results": list(results)}} if results else None
        return RpcError(code, text, data)

    def test_a_group_whose_members_failed_in_different_ways(self) -> None:
        for kinds, kind in (
            (("IDENTITY_FAILURE", "NETWORK_FAILURE"), SendLater),
            (("UNREGISTERED_FAILURE", "NETWORK_FAILURE", "RATE_LIMIT_FAILURE"), SendLater),
            (("RATE_LIMIT_FAILURE", "UNREGISTERED_FAILURE"), SendLater),
            (("UNREGISTERED_FAILURE", "IDENTITY_FAILURE"), SendRefused),
            (("INVALID_PRE_KEY_FAILURE",), SendRefused),
        ):
            problem = self.error(-1, *({"type": one} for one in kinds))
            self.assertIs(type(sending.failure_of(problem)), kind, kinds)

    def test_what_goes_wrong_inside(self) -> None:
        for text, kind in (
            ("Failed to send message: closed (WebSocketUnavailableException) (X)", SendLater),
            ("Failed to send message: No prekeys available (IOException), maybe (X)", SendLater),
            ("Failed to send message: a.b: no (AttachmentInvalidException) (X)", SendRefused),
            ("Index 0 out of bounds (IndexOutOfBoundsException)", SendUnknown),
        ):
            problem = self.error(-32603, text=text)
            self.assertIs(type(sending.failure_of(problem)), kind, text)
            self.assertEqual(sending.leaves_open(problem), kind is SendUnknown)

    def test_whom_it_did_not_reach(self) -> None:
        results = [{"type": "SUCCESS"}, {"type": "NETWORK_FAILURE"}, {"type": "IDENTITY_FAILURE"}]
        missed = sending.missed({"timestamp": 1, "results": results})
        self.assertEqual(missed, ["NETWORK_FAILURE", "IDENTITY_FAILURE"])
        for answer in (None, {}, {"results": 7}, {"results": [7]}, {"results": results[:1]}):
            self.assertEqual(sending.missed(answer), [])

    def test_what_they_mean(self) -> None:
        for problem, kind in (
            (self.error(-1, {"type": "UNREGISTERED_FAILURE"}), SendRefused),
            (self.error(-1, {"type": "NETWORK_FAILURE"}), SendLater),
            (self.error(-1, {"type": "IDENTITY_FAILURE"}), SendRefused),
            (self.error(-1, {"type": "RATE_LIMIT_FAILURE"}), SendLater),
            (self.error(-1), SendRefused),
            (self.error(-3), SendLater),
            (self.error(-4), SendRefused),
            (self.error(-5), SendLater),
            (self.error(-32602), SendRefused),
            (self.error(-32603), SendUnknown),
            (self.error(7), SendUnknown),
        ):
            self.assertIs(type(sending.failure_of(problem)), kind, str(problem.code))

    def test_how_long_to_wait(self) -> None:
        waits = [{"retryAfterSeconds": 30}, {"retryAfterSeconds": 90}, {"retryAfterSeconds": "x"}]
        later = sending.failure_of(self.error(-5, *waits))
        assert isinstance(later, SendLater)
        self.assertEqual((later.retry_after, later.account_wide), (90.0, True))
        later = sending.failure_of(self.error(-5))
        assert isinstance(later, SendLater)
        self.assertEqual(later.retry_after, sending.RATE_LIMIT_SECONDS)

    def test_damaged_results(self) -> None:
        for data in ("x", {"response": 1}, {"response": {"results": 1}}, {"response": {}}):
            self.assertIsInstance(sending.failure_of(RpcError(-5, "x", data)), SendLater)
            self.assertIsNone(sending.challenge_in(RpcError(-5, "x", data)))

    def test_the_words_are_one_line(self) -> None:
        self.assertEqual(str(sending.failure_of(self.error(-1))), "signal-cli says: Failed to send")
