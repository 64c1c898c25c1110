"""What the tests of the fakes and adapters of `signal-cli` and `imsg` begin with."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from clawgw.channels.adapter import Adapter
from clawgw.channels.child import RpcLink, open_link
from clawgw.jsonrpc import OnNotification, RpcError
from clawgw.store.database import StoreError
from tests.channels.fake_host import AdapterCase
from tests.channels.fake_rpc import FakeRpc


class WithFake(TestCase):
    """A test with a fake."""

    fake: Any

    async def start_fake(self, fake: FakeRpc) -> None:
        """Start it, and stop it when the test is over."""
        self.fake = fake
        await fake.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(fake.stop()))


class FakeCase(WithFake):
    """A fake, asked as an adapter would ask it."""

    timeout = 240

    async def open(self, where: Any, heard: OnNotification) -> RpcLink:
        """A link to a fake; `heard` is told what it says."""

        def hear(method: str, params: dict[str, Any]) -> None:
            heard(method, params)
            self.fake.changed()

        link = await open_link(
            self.fake.reactor,
            where,
            name="fake",
            env={"PATH": os.environ["PATH"]},
            on_request=lambda *_: None,
            on_notification=hear,
            connect_timeout=60,
        )
        self.addCleanup(link.stop)
        return link

    async def refused(self, work: Awaitable[Any]) -> RpcError:
        """The error answer to a request."""
        with self.assertRaises(RpcError) as caught:
            await work
        return caught.exception


class RpcAdapterCase(AdapterCase, WithFake):
    """An adapter against such a fake, which has nothing to complain of in the end."""

    async def tearDown(self) -> None:
        self.assertEqual(self.fake.complaints, [])

    def adapter(self, **settings: Any) -> Adapter[Any]:
        """An adapter with these settings that starts the fake."""
        raise NotImplementedError

    async def connected(self, **settings: Any) -> tuple[Any, Any]:
        """An adapter that is connected, and its host."""
        adapter = self.adapter(**settings)
        await self.start(adapter)
        return adapter, adapter.host

    async def check_a_full_disk(self, write: Callable[[str], object]) -> None:
        """What could not be stored ends the adapter, and is there in its next life.

        Args:
            write: has somebody write a text.
        """
        adapter = self.adapter()
        host: Any = adapter.host
        running = await self.start(adapter)
        host.broken = True
        write("kept")
        self.assertIsInstance(await running.ended(), StoreError)
        host.broken = False
        await self.start(adapter)
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.texts, ["kept"])
