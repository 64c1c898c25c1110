"""Fetching: the files that come with a message, brought before the agent is given it.

A few are fetched at a time in each account; one that has to wait before it is tried again makes
room for others meanwhile. What cannot be fetched is a note in the message, which goes on without
it. After a crash a file is fetched again, to the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from clawgw.channels.account import Account
from clawgw.channels.adapter import SendLater, SendRefused, Unsupported
from clawgw.channels.media import MediaStore
from clawgw.channels.messages import Inbound, Media
from clawgw.store.inbox import InboxRow

TRIES = 4
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 30.0
SECONDS = 120.0
MEGABYTE = 1024 * 1024


class Fetcher:
    """Fetches files.

    Args:
        reactor: for pauses and time limits.
        media: where they are kept.
        accounts: the account of a row as it is now, None where there is none any more.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, media: MediaStore, accounts: Callable[[str, str], Account | None]
    ) -> None:
        self._reactor = reactor
        self._media = media
        self._accounts = accounts

    async def fetch(self, row: InboxRow, message: Inbound) -> Inbound:
        """A message with its files fetched, each with its `path` or its `problem`."""
        files = [
            media if media.path or media.problem else await self._file(row, number, media)
            for number, media in enumerate(message.media)
        ]
        return replace(message, media=tuple(files))

    async def _file(self, row: InboxRow, number: int, media: Media) -> Media:
        path = self._media.inbound(row.seq, number, media.name, media.mime_type)
        problem = "it could not be fetched"
        for attempt in range(TRIES):
            account = self._accounts(row.channel, row.account)
            if account is None:
                return replace(media, problem="its account is gone")
            if media.size > account.settings.media_max_mb * MEGABYTE:
                return replace(media, problem=f"larger than {account.settings.media_max_mb} MB")
            try:
                fetched = await account.fetches.run(self._once, account, media, path)
                return replace(fetched, path=str(path))
            except (SendRefused, Unsupported) as trouble:
                return replace(media, problem=str(trouble))
            except SendLater as trouble:
                problem = str(trouble)
                pause = trouble.retry_after or FIRST_PAUSE * 2**attempt
            except TimeoutError:
                problem, pause = "it did not come in time", FIRST_PAUSE
            except CancelledError:  # its settings have changed: the next one goes on
                problem, pause = "the account was stopped", FIRST_PAUSE
            except Exception as trouble:  # noqa: BLE001 - the message has to go on without it
                self.log.failure("{channel}: while fetching a file", channel=row.channel)
                return replace(media, problem=f"fetching failed: {type(trouble).__name__}")
            if attempt + 1 < TRIES:
                await deferLater(self._reactor, min(pause, LONGEST_PAUSE))
        return replace(media, problem=problem)

    def _once(self, account: Account, media: Media, path: Path) -> Deferred[Media]:
        most = account.settings.media_max_mb * MEGABYTE
        work = Deferred.fromCoroutine(account.adapter.fetch(media, path, most))
        return work.addTimeout(SECONDS, self._reactor)
