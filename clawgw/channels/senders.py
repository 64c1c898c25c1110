"""Strangers: who wrote without being on a list, the codes they were given, who was approved.

A stranger gets a code of eight letters to pass on to the operator, who approves it in the CLI or an
app; from then on their direct messages are answered, in that account alone. The code is a name for
the request, not a secret that lets anybody in: only an operator can use it. It is good for an hour,
and repeated writing does not make another one or say it again at once. So many may wait per
account; who comes later is told nothing, so that a flood of strangers costs no messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable

from clawgw.protocol.errors import invalid
from clawgw.store import channels as table
from clawgw.store.channels import SenderRow
from clawgw.store.database import Connection, Database

CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that look like others
CODE_LENGTH = 8
CODE_MS = 3_600_000
MOST_WAITING = 3

Account = tuple[str, str]


class SenderBook:
    """Knows strangers.

    Args:
        database: where they are kept.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._rows = {
            (row.channel, row.account, row.sender): row for row in database.read(table.senders)
        }
        self._approved: dict[Account, set[str]] = {}
        for row in self._rows.values():
            if row.approved_at is not None:
                self._approved.setdefault((row.channel, row.account), set()).add(row.sender)

    def approved(self, channel: str, account: str) -> Collection[str]:
        """The ids of those approved for an account."""
        return self._approved.get((channel, account), ())

    def waiting(self, channel: str | None = None) -> list[SenderRow]:
        """Those whose code still counts."""
        return [
            row
            for row in self._rows.values()
            if row.approved_at is None and self._counts(row) and channel in (None, row.channel)
        ]

    def accepted(self, channel: str | None = None) -> list[SenderRow]:
        """Those who were approved."""
        return [
            row
            for row in self._rows.values()
            if row.approved_at is not None and channel in (None, row.channel)
        ]

    def ask(self, stranger: SenderRow) -> SenderRow | None:
        """A code for a stranger; None: they have one, or too many wait.

        Whoever asks for it writes it down, and takes it back (`withdraw`) if that cannot be done.

        Args:
            stranger: without a code.
        """
        old = self._rows.get(stranger[:3])
        if old is not None and old.code and self._counts(old):
            return None
        account = stranger[:2]
        if len([row for row in self.waiting() if row[:2] == account]) >= MOST_WAITING:
            return None
        code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        row = stranger._replace(code=code, requested_at=self._now_ms())
        self._rows[row[:3]] = row
        return row

    def withdraw(self, asked: SenderRow) -> None:
        """A code of `ask` was never told to anybody."""
        if self._rows.get(asked[:3]) == asked:
            del self._rows[asked[:3]]

    async def approve(self, channel: str | None, code: str) -> SenderRow:
        """Let the holder of a code in.

        Raises:
            RequestError: nobody waits with that code.
        """
        row = self._find(channel, code)
        new = row._replace(code=None, approved_at=self._now_ms())
        await self._database.write(table.put_sender, new)
        self._rows[row[:3]] = new
        self._approved.setdefault(row[:2], set()).add(row.sender)
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
        row = self._rows.get((channel, account, sender))
        if row is None or row.approved_at is None:
            raise invalid(f"sender: {sender[:80]!r} is not approved for {channel} ({account})")
        await self._forget(row)
        return row

    async def prune(self) -> None:
        """Forget those who were never approved."""
        old: Iterable[SenderRow] = [
            row for row in self._rows.values() if row.approved_at is None and not self._counts(row)
        ]
        for row in old:
            await self._forget(row)

    async def _forget(self, row: SenderRow) -> None:
        def change(connection: Connection) -> None:
            table.remove_sender(connection, row.channel, row.account, row.sender)

        await self._database.write(change)
        self._rows.pop(row[:3], None)
        self._approved.get(row[:2], set()).discard(row.sender)

    def _find(self, channel: str | None, code: str) -> SenderRow:
        wanted = code.strip().upper()
        for row in self.waiting(channel):
            if row.code == wanted:
                return row
        where = f" on {channel}" if channel else ""
        raise invalid(f"code: nobody waits{where} with this code; it may have expired")

    def _counts(self, row: SenderRow) -> bool:
        return self._now_ms() - row.requested_at < CODE_MS
