"""The fake of `imsg rpc`: it does what the documentation says."""

from __future__ import annotations

from typing import Any

from clawgw.channels.child import RpcLink
from tests.channels.imessage.fake import FakeMessages
from tests.channels.rpc_cases import FakeCase


class FakeMessagesTest(FakeCase):
    """Asked as an adapter would ask."""

    fake: FakeMessages

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor

        await self.start_fake(FakeMessages(reactor))
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.alice = self.fake.direct("+15552222222", "Alice")

    async def link(self, *words: str) -> RpcLink:
        where = [*self.fake.command, *(words or ("rpc",))]
        return await self.open(where, lambda *told: self.heard.append(told))

    async def test_watching_from_a_row_on(self) -> None:
        for number in range(4):
            self.fake.write(self.alice, f"m{number}")
        link = await self.link()
        answer = await link.request("watch.subscribe", {"since_rowid": 2})
        await self.fake.until(lambda: len(self.heard) == 2)
        self.fake.write(self.alice, "live")
        await self.fake.until(lambda: len(self.heard) == 3)
        messages = [params["message"] for _, params in self.heard]
        self.assertEqual([m["text"] for m in messages], ["m2", "m3", "live"])
        self.assertEqual([m["id"] for m in messages], [3, 4, 5])
        await link.request("watch.unsubscribe", answer)
        self.fake.write(self.alice, "unheard")
        await link.request("chats.list", {})
        self.assertEqual(len(self.heard), 3)

    async def test_without_a_row_it_begins_at_the_newest(self) -> None:
        for params in ({}, {"since_rowid": 0}):
            self.fake.write(self.alice, "old")
            link = await self.link()
            await link.request("watch.subscribe", params)
            self.fake.write(self.alice, "new")
            await self.fake.until(lambda: bool(self.heard))
            self.assertEqual(self.heard.pop()[1]["message"]["text"], "new")
            self.assertEqual(self.heard, [])
            await link.stop()

    async def test_from_the_very_first_row_on(self) -> None:
        self.fake.write(self.alice, "the first")
        link = await self.link()
        await link.request("watch.subscribe", {"since_rowid": -1})
        await self.fake.until(lambda: bool(self.heard))
        self.assertEqual(self.heard[0][1]["message"]["text"], "the first")

    async def test_sending_makes_a_row_of_ours(self) -> None:
        link = await self.link()
        await link.request("watch.subscribe", {})
        result = await link.request("send", {"chat_id": self.alice.id, "text": "yo"})
        await self.fake.until(lambda: bool(self.heard))
        message = self.heard[0][1]["message"]
        self.assertEqual((message["is_from_me"], message["guid"]), (True, result["guid"]))
        history = await link.request("messages.history", {"chat_id": self.alice.id, "limit": 1})
        self.assertEqual(history["messages"][0]["text"], "yo")
        await link.request("send", {"to": "+15553333333", "text": "hello"})
        self.assertEqual(self.fake.chats[-1].identifier, "+15553333333")

    async def test_what_the_documentation_refuses(self) -> None:
        link = await self.link()
        for method, params, code, says in (
            ("nope", {}, -32601, "nope"),
            ("send", {"text": "x"}, -32602, "to is required"),
            ("send", {"to": "+1", "chat_id": 1, "text": "x"}, -32602, "not both"),
            ("send", {"to": "+1"}, -32602, "text or file"),
            ("send", {"to": "+1", "text": "x", "service": "fax"}, -32602, "invalid service"),
            ("send", {"chat_id": 99, "text": "x"}, -32602, "unknown chat_id 99"),
            ("messages.history", {}, -32602, "chat_id is required"),
        ):
            error = await self.refused(link.request(method, params))
            self.assertEqual(error.code, code)
            self.assertIn(says, error.data)
        self.fake.denied = "Full Disk Access"
        error = await self.refused(link.request("chats.list", {}))
        self.assertEqual((error.code, error.data), (-32603, "Full Disk Access"))

    async def test_one_request_after_the_other(self) -> None:
        link = await self.link()
        self.fake.fault("send", "delay", seconds=0.2)
        slow = link.request("send", {"to": "+15553333333", "text": "x"})
        order: list[str] = []
        slow.addCallback(lambda _: order.append("send"))
        await link.request("chats.list", {}).addCallback(lambda _: order.append("list"))
        self.assertEqual(order, ["send", "list"])

    async def test_anything_but_rpc(self) -> None:
        link = await self.link("chats")
        self.assertEqual(await link.ended, "it ended with exit code 64")
