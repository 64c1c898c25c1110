"""Whether an account would work, asked before it is written into the configuration.

The adapter itself asks its provider (`Adapter.check`), with a host that stores nothing and receives
nothing. A Gateway that is using the same account meanwhile does not notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from clawgw.channels.adapter import Fault, LoggedOut, Unsupported
from clawgw.channels.messages import Inbound, Press
from clawgw.channels.providers import Configured

CHECK_SECONDS = 60.0


class Found(NamedTuple):
    """What came of asking.

    Attributes:
        details: what the provider says of the account; empty where it cannot be asked.
        needs_login: somebody has to log in before it works.
    """

    details: dict[str, Any]
    needs_login: bool = False


async def check_account(
    one: Configured, reactor: Any, directory: Path, environ: Mapping[str, str]
) -> Found:
    """Ask the provider about an account.

    Args:
        directory: where the account's own files would be.
        environ: where secrets may be that the configuration does not have.

    Raises:
        Fatal: it would not work, and why.
        Fault: the provider could not be asked, or gave no answer in time.
    """
    adapter = one.provider.make(one.name, one.settings, _Host(reactor, directory, environ))
    asking = Deferred.fromCoroutine(adapter.check())
    asking.addTimeout(CHECK_SECONDS, reactor)
    try:
        details = dict(await asking)
    except LoggedOut:
        if adapter.capabilities.login:
            return Found({}, needs_login=True)
        raise
    except Unsupported:
        return Found({})
    except TimeoutError:
        raise Fault(f"{one.provider.label} gave no answer within {CHECK_SECONDS:.0f} s") from None
    finally:
        await adapter.close()
    return Found(details, needs_login=adapter.capabilities.login and not details)


class _Host:
    """A `Host` for asking only."""

    def __init__(self, reactor: Any, directory: Path, environ: Mapping[str, str]) -> None:
        self.reactor = reactor
        self.directory = directory
        self.environ = environ
        self.log = Logger(namespace="clawgw.channels.check")
        self.in_thread: Callable[..., Deferred[Any]] = partial(
            deferToThreadPool, reactor, reactor.getThreadPool()
        )

    async def received(
        self, messages: Sequence[Inbound], cursor: Mapping[str, str | None] | None = None
    ) -> None:
        raise Fault("nothing is received here")

    async def cursor(self) -> dict[str, str]:
        return {}

    async def remember(self, cursor: Mapping[str, str | None]) -> None:
        return

    async def pressed(self, press: Press) -> str:
        return ""

    def connected(self, **details: str) -> None:
        return

    def warn(self, message: str) -> None:
        return
