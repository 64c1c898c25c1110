"""All accounts: which one a request means, and what a changed configuration does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from clawgw.channels.adapter import Provider
from clawgw.channels.hub import STOP_SECONDS, Hub
from clawgw.channels.messages import Target
from clawgw.channels.providers import Configured
from clawgw.protocol.errors import RequestError
from tests.channels import support
from tests.channels.accounts import AccountCase
from tests.channels.support import TOY, ToyAdapter, ToySettings

OTHER = replace(TOY, id="other", label="Other")
BROKEN = replace(TOY, id="broken", label="Broken", adapter="tests.channels.missing:Adapter")


def one(name: str = "default", provider: Provider = TOY, **settings: Any) -> Configured:
    return Configured(provider, name, msgspec.convert(settings, ToySettings))


class Case(AccountCase):
    """A hub with toy accounts."""

    def setUp(self) -> None:
        super().setUp()
        self.hub = Hub(self.around())

    def begin(self, *configured: Configured) -> Deferred[None]:
        return Deferred.fromCoroutine(self.hub.apply(configured))

    def apply(self, *configured: Configured) -> None:
        self.successResultOf(self.begin(*configured))

    def names(self) -> list[tuple[str, str]]:
        return [account.id for account in self.hub]

    def adapter_of(self, name: str = "default", channel: str = "toy") -> ToyAdapter:
        account = self.hub.find(channel, name)
        assert account is not None
        assert isinstance(account.adapter, ToyAdapter)
        return account.adapter

    def running(self, name: str = "default", channel: str = "toy") -> bool:
        account = self.hub.find(channel, name)
        return account is not None and account.status.running


class Choosing(Case):
    """`choose`: the account that a request means."""

    def choose(self, channel: str | None = None, account: str | None = None) -> Any:
        return self.hub.choose(channel, account).id

    def refusal(self, channel: str | None = None, account: str | None = None) -> str:
        return str(self.assertRaises(RequestError, self.hub.choose, channel, account))

    def test_the_only_channel_there_is(self) -> None:
        self.apply(one("work"))
        self.assertEqual(self.choose(), ("toy", "work"))

    def test_of_several_channels_one_has_to_be_named(self) -> None:
        self.apply(one(), one(provider=OTHER))
        self.assertEqual(self.refusal(), "channel: expected one of toy, other")
        self.assertEqual(self.choose(" Other "), ("other", "default"))

    def test_of_none_there_is_nothing_to_choose(self) -> None:
        self.assertEqual(self.refusal(), "channel: none is configured; see clawgw channels add")
        self.assertEqual(self.refusal("toy"), "channel: 'toy' is not configured (none is)")

    def test_a_channel_that_is_not_configured(self) -> None:
        self.apply(one())
        self.assertEqual(self.refusal("telegram"), "channel: 'telegram' is not configured (toy)")
        self.assertLess(len(self.refusal("x" * 10_000)), 200)

    def test_of_several_accounts_the_default_one_is_meant(self) -> None:
        self.apply(one("work"), one("default"))
        self.assertEqual(self.choose("toy"), ("toy", "default"))
        self.assertEqual(self.choose("toy", " work "), ("toy", "work"))
        self.assertEqual(
            self.refusal("toy", "play"), "accountId: toy has no account 'play' (work, default)"
        )

    def test_or_the_first(self) -> None:
        self.apply(one("work"), one("play"))
        self.assertEqual(self.choose("toy"), ("toy", "work"))

    def test_by_a_target(self) -> None:
        self.apply(one("work"))
        target = Target(channel="toy", account="work", chat="7")
        self.assertIs(self.hub.of_target(target), self.hub.find("toy", "work"))
        self.assertIsNone(self.hub.of_target(msgspec.structs.replace(target, account="gone")))


class Applying(Case):
    """A configuration that changes."""

    def test_accounts_come(self) -> None:
        self.apply(one(), one("work"))
        self.assertTrue(self.running() and self.running("work"))

    def test_one_that_is_switched_off_does_not(self) -> None:
        self.apply(one(enabled=False))
        self.assertEqual(self.names(), [])

    def test_only_those_that_changed_are_started_anew(self) -> None:
        self.apply(one("a"), one("b"), one("c"))
        before = {name: self.adapter_of(name) for name in "abc"}
        self.apply(one("a"), one("b", token="other"), one("c", enabled=False), one("d"))
        self.assertIs(self.adapter_of("a"), before["a"])
        self.assertEqual(len(before["a"].lives), 1)
        self.assertIsNot(self.adapter_of("b"), before["b"])
        self.assertEqual(sorted(self.names()), [("toy", "a"), ("toy", "b"), ("toy", "d")])
        self.assertTrue(self.running("b") and self.running("d"))

    def test_one_that_is_gone_is_disconnected(self) -> None:
        self.apply(one())
        life = self.adapter_of().lives[0]
        self.apply()
        self.assertTrue(life.called)
        self.assertEqual(self.names(), [])

    def test_the_new_one_goes_on_with_what_the_old_one_did_not_send(self) -> None:
        self.apply(one())
        self.adapter_of().outcomes.append(Deferred())
        account = self.hub.find("toy", "default")
        assert account is not None
        seqs = [self.queue("a"), self.queue("b")]
        for seq in seqs:
            account.courier.take(seq, "7")
        changed = self.begin(one(token="other"))
        late = self.queue("late")
        account.courier.take(late, "7")  # while the old one stops
        self.clock.advance(STOP_SECONDS)
        self.successResultOf(changed)
        self.clock.advance(10)
        self.assertEqual(self.adapter_of().texts, ["a", "b", "late"])
        self.assertTrue(all(self.delivered(seq) for seq in (*seqs, late)))

    def test_there_is_an_account_at_every_moment_while_it_is_exchanged(self) -> None:
        self.apply(one("a"), one("b"))
        account = self.hub.find("toy", "a")
        assert account is not None
        self.adapter_of("a").outcomes.append(Deferred())
        account.courier.take(self.queue("slow"), "7")
        changed = self.begin(one("a", token="x"), one("b", token="x"))
        self.assertNoResult(changed)
        for name in ("a", "b"):
            self.assertIsNotNone(self.hub.find("toy", name))

    def test_changes_are_made_one_after_the_other(self) -> None:
        made: list[ToyAdapter] = []

        def make(name: str, *given: Any) -> ToyAdapter:
            adapter = ToyAdapter(name, *given)
            if name == "default":
                made.append(adapter)
            return adapter

        self.patch(support, "ToyAdapter", make)
        self.apply(one())
        account = self.hub.find("toy", "default")
        assert account is not None
        made[0].outcomes.append(Deferred())
        account.courier.take(self.queue("slow"), "7")
        changes = [
            self.begin(one(token="x")),
            self.begin(one(token="y"), one("work")),
        ]
        self.clock.pump([STOP_SECONDS] * 2)
        for change in changes:
            self.successResultOf(change)
        self.assertEqual([adapter.settings.token for adapter in made], ["t", "x", "y"])
        self.assertEqual([adapter.lives[-1].called for adapter in made], [True, True, False])
        self.assertTrue(self.running("work"))

    def test_nothing_is_connected_before_it_is_applied(self) -> None:
        self.hub.make([one()])
        self.assertEqual(self.adapter_of().lives, [])
        self.apply(one())
        self.assertEqual(len(self.adapter_of().lives), 1)


class Troubles(Case):
    """One that does not work."""

    def test_one_that_cannot_be_made_does_not_stop_the_others(self) -> None:
        self.apply(one(provider=BROKEN), one())
        self.assertTrue(self.running())
        self.assertEqual(len(self.flushLoggedErrors(ModuleNotFoundError)), 1)
        problem = self.hub.problems["broken", "default"]
        self.assertIn("could not be started: ModuleNotFoundError", problem)
        self.assertNotIn("library", problem)
        self.apply(one())
        self.assertEqual(self.hub.problems, {})

    def test_nor_one_that_cannot_start(self) -> None:
        (self.directory / "channels").write_text("in the way of the directory")
        self.apply(one("a"), one("b"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
        account = self.hub.find("toy", "a")
        assert account is not None
        self.assertIn("could not be started: ", str(account.status.last_error))

    def test_nor_one_that_cannot_stop(self) -> None:
        async def fails(seconds: float) -> None:
            raise ValueError("a mistake")

        self.apply(one("a"), one("b"))
        account = self.hub.find("toy", "a")
        assert account is not None
        self.patch(account.courier, "stop", fails)
        self.apply(one("b", token="other"))
        self.assertEqual(self.names(), [("toy", "b")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class Stopping(Case):
    """The Gateway stops."""

    def test_everything_is_disconnected_at_once(self) -> None:
        self.apply(one("a"), one("b"))
        self.do(self.hub.stop())
        self.assertFalse(self.running("a") or self.running("b"))

    def test_nothing_is_started_after_it(self) -> None:
        self.do(self.hub.stop())
        self.apply(one())
        self.assertEqual(self.names(), [])

    def test_nor_by_a_change_that_was_going_on(self) -> None:
        self.apply(one("a"))
        made: Deferred[Any] = Deferred()
        self.threads.append(made)
        changing = self.begin(one("a"), one("b"))
        self.do(self.hub.stop())
        made.callback(None)
        self.successResultOf(changing)
        self.assertFalse(self.running("b"))
