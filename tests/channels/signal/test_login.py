"""Linking Signal to a phone, and giving it up, through the adapter and against the fake."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from clawgw.channels.adapter import Fatal, Fault, LoggedOut, LoginProblem, Unsupported
from clawgw.jsonrpc import JsonRpcProcess
from clawgw.store.database import StoreError
from tests.channels.fake_host import Running
from tests.channels.signal.cases import BOT, SignalCase


class Linking(SignalCase):
    """The login."""

    async def test_a_code_is_shown_and_scanned(self) -> None:
        self.fake.accounts.clear()
        adapter = self.adapter(account=None)
        self.assertIsInstance(await Running(adapter).ended(), LoggedOut)
        step = await adapter.login_start(force=False)
        assert step.qr is not None
        self.assertTrue(step.qr.startswith("sgnl://linkdevice?"))
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        self.assertIsInstance(await Running(adapter).ended(), Fault)  # not now
        waiting = Deferred.fromCoroutine(adapter.login_wait(30, step.qr))
        self.fake.scan(step.qr, "+15553333333")
        done = await waiting
        self.assertEqual((done.connected, done.qr), (True, None))
        await self.start(adapter)
        self.assertEqual((await adapter.probe())["number"], "+15553333333")
        again = await adapter.login_start(force=False)
        self.assertTrue(again.connected)
        await self.fails(adapter.login_start(force=True), LoginProblem)

    async def test_a_code_that_ran_out_is_replaced(self) -> None:
        adapter = self.adapter()
        step = await adapter.login_start(force=False)
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        assert step.qr is not None
        self.fake.expire_link(step.qr)
        another = await adapter.login_wait(30, step.qr)
        self.assertNotEqual(another.qr, step.qr)
        unchanged = await adapter.login_wait(0.05, another.qr)
        self.assertEqual(unchanged, another)
        await self.fake.until(lambda: len(self.fake.called("finishLink")) == 2)
        waiting = Deferred.fromCoroutine(adapter.login_wait(30))  # it can show no other code
        assert another.qr is not None
        self.fake.expire_link(another.qr)
        await self.fake.until(lambda: len(self.fake.called("finishLink")) == 3)
        self.assertNoResult(waiting)
        self.fake.scan(self.fake.links[-1], "+15553333333")
        said = await self.fails(waiting, LoginProblem)
        self.assertIn("channels.signal.account is", str(said))

    async def test_signal_cli_ends_in_the_middle(self) -> None:
        adapter = self.adapter()
        step = await adapter.login_start(force=False)
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        self.fake.cut()
        said = await self.fails(adapter.login_wait(30, step.qr), LoginProblem)
        self.assertIn("was not linked", str(said))

    async def test_another_number_than_configured(self) -> None:
        adapter = self.adapter(account="+4915111111111")
        step = await adapter.login_start(force=False)
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        assert step.qr is not None
        self.fake.scan(step.qr, "+15553333333")
        said = await self.fails(adapter.login_wait(30, step.qr), LoginProblem)
        self.assertIn("channels.signal.account is +4915111111111", str(said))

    async def test_beginning_again_gives_up_the_first(self) -> None:
        adapter = self.adapter()
        first = await adapter.login_start(force=False)
        second = await adapter.login_start(force=False)
        self.assertNotEqual(first.qr, second.qr)
        self.fake.cut()
        await self.fails(adapter.login_wait(30, second.qr), LoginProblem)

    async def test_the_program_is_not_there(self) -> None:
        adapter = self.adapter(command=("no-such-program-here",))
        said = await self.fails(adapter.login_start(force=False), LoginProblem)
        self.assertIn("install signal-cli", str(said))

    async def test_a_daemon_that_is_not_there(self) -> None:
        adapter = self.adapter(socket="tcp:127.0.0.1:1")
        said = await self.fails(adapter.login_start(force=False), LoginProblem)
        self.assertIn("nothing answers at tcp:127.0.0.1:1", str(said))
        self.assertNotIn("install", str(said))
        problem = await self.fails(adapter.check(), Fault)
        self.assertNotIsInstance(problem, Fatal)

    async def test_it_cannot_be_remembered(self) -> None:
        adapter = self.adapter()
        step = await adapter.login_start(force=False)
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        self.patch(adapter.host, "remember", self.cannot)
        assert step.qr is not None
        self.fake.scan(step.qr, "+15553333333")
        said = await self.fails(adapter.login_wait(30, step.qr), LoginProblem)
        self.assertIn("the disk is full", str(said))

    async def cannot(self, _: Any) -> None:
        raise StoreError("the disk is full")

    async def test_what_is_linked_is_remembered_also_when_it_is_closed_at_that_moment(self) -> None:
        self.fake.accounts.clear()
        adapter = self.adapter(account=None)
        step = await adapter.login_start(force=False)
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        assert step.qr is not None
        stopping: Deferred[JsonRpcProcess] = Deferred()
        stop = JsonRpcProcess.stop

        def slowly(child: JsonRpcProcess) -> Deferred[None]:
            self.patch(JsonRpcProcess, "stop", stop)
            stop(child)
            self.reactor.callLater(0, stopping.callback, child)
            return Deferred()

        self.patch(JsonRpcProcess, "stop", slowly)
        self.fake.scan(step.qr, "+15553333333")
        child = await stopping
        await adapter.close()
        self.assertEqual(self.values.get("linked"), "+15553333333")
        await stop(child)

    async def test_closing_gives_it_up_and_leaves_no_child(self) -> None:
        adapter = self.adapter()
        await adapter.login_start(force=False)
        await self.fake.until(lambda: bool(self.fake.called("finishLink")))
        await adapter.close()
        await self.fake.until(lambda: not self.fake.sessions)
        await self.fails(adapter.login_wait(30), LoginProblem)

    async def test_nothing_runs_while_an_account_is_given_up(self) -> None:
        self.values["linked"] = BOT
        adapter, _ = await self.connected(account=None)
        leaving = Deferred.fromCoroutine(adapter.logout())
        problem = await Running(adapter).ended()
        self.assertIn("waiting for the logout", str(problem))
        self.assertTrue(await leaving)

    async def test_logging_out(self) -> None:
        await self.fails(self.adapter().logout(), Unsupported)
        self.values["linked"] = BOT
        adapter = self.adapter(account=None)
        running = await self.start(adapter)
        self.assertTrue(await adapter.logout())
        self.assertIsNone(await running.ended())
        self.assertIsInstance(await Running(adapter).ended(), LoggedOut)
        self.assertEqual(self.fake.accounts, {})
