"""The accounts that `signal-cli` has, and which of them is ours.

A `signal-cli` that runs for one account cannot be asked for others, nor link any; so it is started
another time for that, for no account in particular, receiving nothing. A daemon may be of either
kind: one for all accounts wants to be told with every request which of them is meant.
"""

from __future__ import annotations

from typing import Any

from clawgw.channels.adapter import Fatal, Fault, Host, LoggedOut
from clawgw.channels.child import Address, RpcLink, open_link, parse_address
from clawgw.channels.signal.settings import SignalAccount
from clawgw.jsonrpc import (
    METHOD_NOT_FOUND,
    OnNotification,
    ProcessGone,
    RpcError,
    RpcTimeout,
)

ASK_SECONDS = 30.0
CONNECT_SECONDS = 10.0

NOT_INSTALLED = "install signal-cli, or set channels.signal.cliPath"
_NOT_LINKED = "run `clawgw channels login signal` and scan the code"
_MANUAL = ("--receive-mode", "manual")


class Accounts:
    """Starts and asks `signal-cli`.

    Args:
        name: what the log calls it.
    """

    def __init__(self, settings: SignalAccount, host: Host, name: str) -> None:
        self._settings = settings
        self._host = host
        self._name = name

    async def open_daemon(self, heard: OnNotification) -> RpcLink:
        """A connection to the operator's daemon.

        Raises:
            ProcessGone, Fatal
        """
        return await self._open(_address(self._settings.socket or ""), heard)

    async def open_for_all(self) -> RpcLink:
        """A `signal-cli` for no account in particular, that receives nothing.

        Raises:
            Fault: the daemon does not answer.
            Fatal: there is no such program, or the address of the daemon is none.
        """
        if self._settings.socket is not None:
            try:
                return await self.open_daemon(_ignore)
            except ProcessGone as problem:
                raise Fault(str(problem)) from None
        try:
            return await self._open((*self._settings.words, "jsonRpc", *_MANUAL), _ignore)
        except ProcessGone as problem:
            raise Fatal(f"{problem}: {NOT_INSTALLED}") from None

    async def ours(self) -> str:
        """The number of our account.

        Raises:
            LoggedOut: there is none.
            Fatal: there are several.
            Fault
        """
        linked = (await self._host.cursor()).get("linked")
        number = self._settings.account or linked
        return number or _only(await self._numbers(), None)

    async def of_daemon(self, link: RpcLink) -> tuple[str, dict[str, Any]]:
        """Our number, and what goes with every request, where a `signal-cli` runs already.

        Raises:
            Fatal, LoggedOut, ProcessGone, RpcError, RpcTimeout
        """
        try:
            listed = await link.request("listAccounts", {}, timeout=ASK_SECONDS)
        except RpcError as problem:
            if problem.code != METHOD_NOT_FOUND:
                raise
            if self._settings.account is None:
                raise Fatal(
                    "the daemon does not tell its number: set channels.signal.account"
                ) from None
            return self._settings.account, {}
        number = _only(_numbers_in(listed), self._settings.account)
        return number, {"account": number}

    async def why_not(self, number: str, reason: str) -> Fault:
        """Why a `signal-cli` for an account ended before it was up."""
        if number not in await self._numbers():
            return LoggedOut(f"{number} is not linked: {_NOT_LINKED}")
        return Fault(f"signal-cli: {reason}")

    async def check(self) -> str:
        """Our number, if `signal-cli` is there and has it.

        Raises:
            Fault
        """
        link = await self.open_for_all()
        try:
            return (await self.of_daemon(link))[0]
        except (ProcessGone, RpcTimeout, RpcError) as problem:
            raise Fault(f"signal-cli: {problem}") from None
        finally:
            await link.stop()

    async def remove(self, number: str) -> None:
        """Have `signal-cli` forget an account, though it may still be linked.

        Raises:
            Fault
        """
        await self._once("deleteLocalAccountData", {"account": number, "ignoreRegistered": True})

    async def _numbers(self) -> list[str]:
        return _numbers_in(await self._once("listAccounts", {}))

    async def _once(self, method: str, params: dict[str, Any]) -> Any:
        link = await self.open_for_all()
        seconds = self._settings.startup_timeout_ms / 1000
        try:
            return await link.request(method, params, timeout=seconds)
        except (ProcessGone, RpcTimeout, RpcError) as problem:
            raise Fault(f"signal-cli: {problem}") from None
        finally:
            await link.stop()

    async def _open(self, where: Address | tuple[str, ...], heard: OnNotification) -> RpcLink:
        return await open_link(
            self._host.reactor, where, name=self._name, env=self._host.environ,
            on_request=nothing_to_ask, on_notification=heard, connect_timeout=CONNECT_SECONDS,
        )  # fmt: skip


def nothing_to_ask(method: str, params: dict[str, Any]) -> None:
    """`signal-cli` asks nothing."""
    raise RpcError(METHOD_NOT_FOUND, "nothing can be asked here")


def own_uuid(groups: Any, number: str) -> str | None:
    """Our UUID, where we are among the members of a group that `listGroups` tells of."""
    for group in groups if isinstance(groups, list) else ():
        members = group.get("members") if isinstance(group, dict) else None
        for member in members if isinstance(members, list) else ():
            if isinstance(member, dict) and member.get("number") == number:
                uuid = member.get("uuid")
                return uuid if isinstance(uuid, str) else None
    return None


def _only(listed: list[str], wanted: str | None) -> str:
    """The account that is wanted, or the only one."""
    if wanted is None and len(listed) > 1:
        raise Fatal("signal-cli has several accounts: set channels.signal.account to one of them")
    if wanted is None and listed:
        return listed[0]
    if wanted is None:
        raise LoggedOut(f"no account is linked: {_NOT_LINKED}")
    if wanted not in listed:
        raise LoggedOut(f"{wanted} is not linked: {_NOT_LINKED}")
    return wanted


def _numbers_in(accounts: Any) -> list[str]:
    listed = accounts if isinstance(accounts, list) else []
    found = [one.get("number") for one in listed if isinstance(one, dict)]
    return [number for number in found if isinstance(number, str)]


def _ignore(method: str, params: dict[str, Any]) -> None:
    """What is not for us."""


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as problem:
        raise Fatal(f"channels.signal.socket: {problem}") from None
