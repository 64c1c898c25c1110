"""All accounts of all channels: which there are, how they do, what goes out through them.

The configuration decides which there are, and may change while the Gateway runs: an account whose
settings have changed is stopped and made anew, the others do not notice. What waits in the outbox
waits for whoever has the account's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from clawgw.channels.account import Account, Surroundings
from clawgw.channels.messages import Target
from clawgw.channels.providers import Configured
from clawgw.protocol.errors import invalid

STOP_SECONDS = 3.0


class Hub:
    """The accounts.

    Args:
        around: what every account is given.
    """

    log = Logger()

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._accounts: dict[tuple[str, str], Account] = {}
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
            if len(channels) != 1:
                known = ", ".join(channels) or "there is none; see clawgw channels add"
                raise invalid(f"channel: expected one of those configured ({known})")
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

    async def apply(self, configured: Iterable[Configured]) -> None:
        """Make the accounts what the configuration says."""
        wanted = {(one.provider.id, one.name): one for one in configured if one.settings.enabled}
        gone = [
            account
            for account in self
            if account.id not in wanted or wanted[account.id].settings != account.settings
        ]
        for account in gone:
            await account.stop(STOP_SECONDS)
            del self._accounts[account.id]
            self.log.info("{channel} ({name}): stopped", channel=account.channel, name=account.name)
        for names, one in wanted.items():
            if names not in self._accounts and not self._stopping:
                await self._begin(one)

    async def _begin(self, one: Configured) -> None:
        try:
            account = Account(one.provider, one.name, one.settings, self._around)
            self._accounts[account.id] = account
            await account.start()
        except Exception:  # noqa: BLE001 - one account must not keep the others from starting
            self.log.failure(
                "{channel} ({name}): could not be started", channel=one.provider.id, name=one.name
            )

    async def stop(self) -> None:
        """Disconnect everywhere; what is to be sent waits for the next start."""
        self._stopping = True
        await DeferredList([Deferred.fromCoroutine(account.stop(STOP_SECONDS)) for account in self])


def default_of(accounts: list[Account]) -> Account:
    """The account that is meant when none is named."""
    for account in accounts:
        if account.name == "default":
            return account
    return accounts[0]
