"""Strangers: who wrote without being on a list, the codes they were given, who was approved.

A stranger gets a code of eight letters to pass on to the operator, who approves it in the CLI or an
app; from then on their direct messages are answered, in that account alone. The code is a name for
the request, not a secret that lets anybody in: only an operator can use it. It is good for an hour,
and repeated writing does not make another one or say it again at once. So many may wait per
account; who comes later is told nothing, so that a flood of strangers costs no messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

from clawgw.protocol.errors import invalid
from clawgw.store import channels as table
from clawgw.store.channels import SenderRow
from clawgw.store.database import Connection, Database

CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that look like others
CODE_LENGTH = 8
CODE_MS = 3_600_000
MOST_WAITING = 3

Account = tuple[str, str]
Who = tuple[str, str, str]


class SenderBook:
    """Knows strangers.

    Args:
        database: where they are kept.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._asking: dict[Who, SenderRow] = {}  # few, however many were approved
        self._approved: dict[Account, dict[str, SenderRow]] = {}
        for row in database.read(table.senders):
            self._keep(row)

    def _keep(self, row: SenderRow) -> None:
        if row.approved_at is None:
            self._asking[row[:3]] = row
        else:
            self._approved.setdefault(row[:2], {})[row.sender] = row

    def approved(self, channel: str, account: str) -> Collection[str]:
        """The ids of those approved for an account."""
        return self._approved.get((channel, account), ())

    def waiting(self, channel: str | None = None) -> list[SenderRow]:
        """Those whose code still counts."""
        return [
            row
            for row in self._asking.values()
            if self._counts(row) and channel in (None, row.channel)
        ]

    def accepted(self, channel: str | None = None) -> list[SenderRow]:
        """Those who were approved."""
        return [
            row
            for rows in self._approved.values()
            for row in rows.values()
            if channel in (None, row.channel)
        ]

    def ask(self, stranger: SenderRow) -> SenderRow | None:
        """A code for a stranger; None: they have one, or too many wait.

        Whoever asks for it writes it down, and takes it back (`withdraw`) if that cannot be done.

        Args:
            stranger: without a code.
        """
        old = self._asking.get(stranger[:3])
        if old is not None and self._counts(old):
            return None
        account = stranger[:2]
        if len([row for row in self.waiting() if row[:2] == account]) >= MOST_WAITING:
            return None
        code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        row = stranger._replace(code=code, requested_at=self._now_ms())
        self._keep(row)
        return row

    def withdraw(self, asked: SenderRow) -> None:
        """A code of `ask` counts no more, or was never told to anybody."""
        if self._asking.get(asked[:3]) == asked:
            del self._asking[asked[:3]]

    async def approve(self, channel: str | None, code: str) -> SenderRow:
        """Let the holder of a code in.

        Raises:
            RequestError: nobody waits with that code.
        """
        row = self._find(channel, code)
        new = row._replace(code=None, approved_at=self._now_ms())
        await self._database.write(table.put_sender, new)
        self._asking.pop(row[:3], None)
        self._keep(new)
        return new

    async def reject(self, channel: str | None, code: str) -> SenderRow:
        """Forget the holder of a code.

        Raises:
            RequestError: nobody waits with that code.
        """
        row = self._find(channel, code)
        await self._forget(row)
        return row

    async def remove(self, channel: str, account: str, sender: str) -> SenderRow:
        """Take an approval back.

        Raises:
            RequestError: there is none.
        """
        row = self._approved.get((channel, account), {}).get(sender)
        if row is None:
            raise invalid(f"sender: {sender[:80]!r} is not approved for {channel} ({account})")
        await self._forget(row)
        return row

    async def prune(self) -> None:
        """Forget those who were never approved."""
        for row in list(self._asking.values()):
            if not self._counts(row) and self._asking.get(row[:3]) is row:
                await self._forget(row)

    async def _forget(self, row: SenderRow) -> None:
        def change(connection: Connection) -> None:
            table.remove_sender(connection, row.channel, row.account, row.sender)

        await self._database.write(change)
        self.withdraw(row)  # unless they have asked again meanwhile
        self._approved.get(row[:2], {}).pop(row.sender, None)

    def _find(self, channel: str | None, code: str) -> SenderRow:
        wanted = code.strip().upper()
        for row in self.waiting(channel):
            if row.code == wanted:
                return row
        where = f" on {channel}" if channel else ""
        raise invalid(f"code: nobody waits{where} with this code; it may have expired")

    def _counts(self, row: SenderRow) -> bool:
        return self._now_ms() - row.requested_at < CODE_MS
