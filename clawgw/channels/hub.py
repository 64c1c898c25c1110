"""All accounts of all channels: which there are, how they do, what goes out through them.

The configuration decides which there are, and may change while the Gateway runs: an account whose
settings have changed is stopped and made anew, the others do not notice. The old one answers for
its messages until the new one is there. What waits in the outbox waits for whoever has the
account's name.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.logger import Logger

from clawgw.channels.account import Account, AccountId, Surroundings
from clawgw.channels.messages import Target
from clawgw.channels.providers import Configured
from clawgw.protocol.errors import invalid

STOP_SECONDS = 3.0


class Hub:
    """The accounts.

    Args:
        around: what every account is given.

    Attributes:
        problems: why an account that is configured could not be made.
    """

    log = Logger()

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._accounts: dict[AccountId, Account] = {}
        self.problems: dict[AccountId, str] = {}
        self._changing = DeferredLock()
        self._stopping = False

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._accounts.values()))

    def find(self, channel: str, account: str) -> Account | None:
        """An account by its names."""
        return self._accounts.get((channel, account))

    def of_target(self, target: Target) -> Account | None:
        """The account that a message goes out through."""
        return self.find(target.channel, target.account)

    def choose(self, channel: str | None, account: str | None) -> Account:
        """The account that a request means.

        Args:
            channel: None: the only one there is.
            account: None: the channel's default one.

        Raises:
            RequestError: there is no such account, or more than one channel.
        """
        channels = list(dict.fromkeys(one.channel for one in self))
        if channel is None:
            if not channels:
                raise invalid("channel: none is configured; see clawgw channels add")
            if len(channels) > 1:
                raise invalid(f"channel: expected one of {', '.join(channels)}")
            channel = channels[0]
        mine = [one for one in self if one.channel == channel.strip().lower()]
        if not mine:
            known = ", ".join(channels) or "none is"
            raise invalid(f"channel: {channel[:40]!r} is not configured ({known})")
        if account is None:
            return default_of(mine)
        for one in mine:
            if one.name == account.strip():
                return one
        names = ", ".join(one.name for one in mine)
        raise invalid(f"accountId: {mine[0].channel} has no account {account[:40]!r} ({names})")

    # Life

    def make(self, configured: Iterable[Configured]) -> None:
        """Make the accounts that there are not yet; `apply` connects them."""
        self.problems.clear()
        for one in configured:
            if one.settings.enabled and (one.provider.id, one.name) not in self._accounts:
                self._make(one)

    async def apply(self, configured: Iterable[Configured]) -> None:
        """Make the accounts what the configuration says, one change of it after the other."""
        await self._changing.run(lambda: Deferred.fromCoroutine(self._apply(list(configured))))

    async def _apply(self, configured: list[Configured]) -> None:
        wanted = {(one.provider.id, one.name): one for one in configured if one.settings.enabled}
        gone = [
            account
            for account in self
            if account.id not in wanted or wanted[account.id].settings != account.settings
        ]
        await self._all(self._end, gone)
        if self._stopping:
            return
        for account in gone:
            del self._accounts[account.id]
        self.make(configured)
        await self._all(self._begin, [account for account in self if not account.begun])

    def _make(self, one: Configured) -> None:
        names = (one.provider.id, one.name)
        try:
            self._accounts[names] = Account(one.provider, one.name, one.settings, self._around)
        except Exception as problem:  # noqa: BLE001 - the others are to be made all the same
            self.log.failure("{account}: could not be made", account=" ".join(names))
            self.problems[names] = _words(problem)

    async def _begin(self, account: Account) -> None:
        try:
            await account.start()
        except Exception as problem:  # noqa: BLE001 - the others are to start all the same
            account.log.failure("could not be started")
            account.status.last_error = _words(problem)

    async def _end(self, account: Account) -> None:
        try:
            await account.stop(STOP_SECONDS)
            account.log.info("stopped")
        except Exception:  # noqa: BLE001 - the others are to stop all the same
            account.log.failure("while stopping")

    async def _all(
        self, work: Callable[[Account], Coroutine[Any, Any, None]], accounts: list[Account]
    ) -> None:
        await DeferredList([Deferred.fromCoroutine(work(account)) for account in accounts])

    async def stop(self) -> None:
        """Disconnect everywhere; what is to be sent waits for the next start."""
        self._stopping = True
        await self._all(self._end, list(self))


def _words(problem: Exception) -> str:
    return f"could not be started: {type(problem).__name__}; the Gateway's log says more"


def default_of(accounts: list[Account]) -> Account:
    """The account that is meant when none is named."""
    for account in accounts:
        if account.name == "default":
            return account
    return accounts[0]
