"""The fake of `signal-cli`: it does what the documentation says, over a child and a socket."""

from __future__ import annotations

from typing import Any

from clawgw.channels.child import RpcLink, parse_address
from clawgw.jsonrpc import ProcessGone
from tests.channels.rpc_cases import FakeCase
from tests.channels.signal.fake import FakeSignal, unsuccessful

BOT = "+15550001111"


class FakeSignalTest(FakeCase):
    """Asked as an adapter would ask."""

    fake: FakeSignal

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor

        await self.start_fake(FakeSignal(reactor))
        self.fake.account(BOT)
        self.alice = self.fake.person("+15552222222", "Alice")
        self.heard: list[dict[str, Any]] = []

    async def link(self, *words: str, daemon: bool = False) -> RpcLink:
        where: Any = [*self.fake.command, *(words or ("-a", BOT, "jsonRpc"))]
        if daemon:
            where = parse_address(self.fake.listen_daemon())
        return await self.open(where, lambda _, params: self.heard.append(params))

    async def test_sending_and_receiving(self) -> None:
        for daemon in (False, True):
            self.heard.clear()
            link = await self.link(daemon=daemon)
            timestamp = self.fake.write(self.alice, "hi")
            await self.fake.until(lambda: bool(self.heard))
            self.assertEqual(self.heard[0]["envelope"]["dataMessage"]["timestamp"], timestamp)
            result = await link.request("send", {"recipient": [self.alice.number], "message": "yo"})
            self.assertEqual(self.fake.sent[-1].text, "yo")
            self.assertEqual(self.fake.sent[-1].timestamp, result["timestamp"])
            await link.stop()
        self.assertEqual(self.fake.complaints, [])

    async def test_what_the_documentation_refuses(self) -> None:
        link = await self.link()
        table: list[tuple[str, dict[str, Any], int, str]] = [
            ("nope", {}, -32601, "not implemented"),
            ("send", {"message": "x"}, -1, "No recipients"),
            ("send", {"recipient": [self.alice.number]}, -1, "empty message"),
            ("send", {"recipient": ["123"], "message": "x"}, -1, "Invalid phone number"),
            ("send", {"recipient": ["+15559999999"], "message": "x"}, -1, "Failed to send"),
            ("send", {"groupId": ["%%%"], "message": "x"}, -1, "Invalid group id"),
            ("send", {"groupId": ["AAAA"], "message": "x"}, -1, "Group not found"),
            (
                "send",
                {"recipient": [self.alice.number], "message": "x", "textStyle": ["0:1:LOUD"]},
                -1,
                "textStyle",
            ),
            ("sendReaction", {"recipient": [self.alice.number], "emoji": "👍"}, -1, "required"),
            ("getAttachment", {"id": "nope"}, -1, "Could not find"),
            ("finishLink", {"deviceLinkUri": "x"}, -32601, "not implemented"),
        ]
        for method, params, code, says in table:
            error = await self.refused(link.request(method, params))
            self.assertEqual((error.code, says in str(error)), (code, True), str(error))
        self.assertEqual(self.fake.sent, [])

    async def test_an_account_that_is_not_linked(self) -> None:
        link = await self.link("-a", "+4999", "jsonRpc")
        self.assertEqual(await link.ended, "it ended with exit code 1")

    async def test_linking(self) -> None:
        link = await self.link("jsonRpc", "--receive-mode", "manual")
        uri = (await link.request("startLink", {}))["deviceLinkUri"]
        finishing = link.request("finishLink", {"deviceLinkUri": uri})
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        self.fake.scan(uri, "+15553333333")
        self.assertEqual(await finishing, {"number": "+15553333333"})
        accounts = await link.request("listAccounts", {})
        self.assertEqual(accounts, [{"number": BOT}, {"number": "+15553333333"}])
        error = await self.refused(link.request("send", {"message": "x"}))
        self.assertEqual(error.code, -32602)

    async def test_what_was_not_written_is_handed_out_again(self) -> None:
        link = await self.link()
        await link.request("version", {})
        for number in range(20):
            self.fake.write(self.alice, f"m{number}")
        self.fake.cut()
        await link.ended
        again = await self.link()
        await again.request("version", {})
        texts = [params["envelope"]["dataMessage"]["message"] for params in self.heard]
        self.assertEqual(set(texts), {f"m{number}" for number in range(20)})

    async def test_manual_mode(self) -> None:
        link = await self.link("-a", BOT, "jsonRpc", "--receive-mode", "manual")
        self.fake.write(self.alice, "hi")
        await link.request("version", {})
        self.assertEqual(self.heard, [])
        subscription = await link.request("subscribeReceive", {})
        await self.fake.until(lambda: bool(self.heard))
        self.assertEqual(self.heard[0]["subscription"], subscription)
        await link.request("unsubscribeReceive", {"subscription": subscription})

    async def test_faults(self) -> None:
        link = await self.link()
        message = {"recipient": [self.alice.number], "message": "x"}
        throttled = unsuccessful({}, "RATE_LIMIT_FAILURE", retryAfterSeconds=9)
        self.fake.fault("send", "refuse", error=throttled)
        error = await self.refused(link.request("send", message))
        self.assertEqual(error.code, -5)
        self.assertEqual(self.fake.sent, [])
        self.fake.fault("send", "garbage")
        await link.request("send", message)
        self.fake.fault("send", "act-and-die")
        with self.assertRaises(ProcessGone):
            await link.request("send", message)
        self.assertEqual(len(self.fake.sent), 2)
