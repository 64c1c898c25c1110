"""The fake of the sidecar keeps its contract."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from clawgw.jsonrpc import JsonRpcProcess, ProcessGone, RpcError
from tests.channels.whatsapp.fake import FakeSidecar, jid

ANNA = "491701234567"
ID = "3EB0" + "0" * 16


class FakeTests(TestCase):
    """A client that starts it."""

    timeout = 120

    async def setUp(self) -> None:
        self.fake = FakeSidecar(reactor)
        await self.fake.start()
        self.addCleanup(self.fake.stop)
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def child(self) -> JsonRpcProcess:
        """A child that has been started."""
        child = JsonRpcProcess(
            reactor,
            "fake",
            on_request=lambda method, params: None,
            on_notification=lambda method, params: self.heard.append((method, params)),
        )
        self.addCleanup(child.stop)
        child.start(self.fake.command, env=os.environ)
        await child.request("start", {"authDir": self.directory}, timeout=20)
        return child

    def texts(self) -> list[str]:
        """The messages heard."""
        return [params["text"] for method, params in self.heard if method == "message"]

    async def test_a_message_is_repeated_until_it_is_confirmed(self) -> None:
        message = self.fake.write(ANNA, "hello")
        for _ in range(2):
            child = await self.child()
            await child.request("status", {}, timeout=20)
            await child.stop()
        self.assertEqual(self.texts(), ["hello", "hello"])
        child = await self.child()
        await child.request("confirm", {"seqs": [message["seq"]]}, timeout=20)
        self.assertEqual(self.fake.unconfirmed, [])

    async def test_an_id_is_shown_once(self) -> None:
        child = await self.child()
        await self.fake.until(lambda: bool(self.fake.sessions[0].state.get("open")))
        self.fake.fault("send", "act-and-die")
        params = {"to": jid(ANNA), "id": ID, "text": "hello"}
        await self.assertFailure(child.request("send", params, timeout=20), ProcessGone)
        child = await self.child()
        await self.fake.until(lambda: bool(self.fake.sessions[0].state.get("open")))
        await child.request("send", params, timeout=20)
        self.assertEqual((len(self.fake.shown), self.fake.copies), (1, 1))

    async def test_wrong_requests_are_refused(self) -> None:
        child = await self.child()
        await self.fake.until(lambda: bool(self.fake.sessions[0].state.get("open")))
        for method, params in (
            ("send", {"to": "nobody", "id": ID, "text": "x"}),
            ("send", {"to": jid(ANNA), "id": "x", "text": "x"}),
            ("send", {"to": jid(ANNA), "id": ID}),
            ("login", {"kind": "qr"}),
            ("dance", {}),
        ):
            await self.assertFailure(child.request(method, params, timeout=20), RpcError)
        self.assertEqual(self.fake.shown, [])
