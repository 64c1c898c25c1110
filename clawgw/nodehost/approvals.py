"""The node's policy file on disk, ``exec-approvals.json``, and the commands that read and set it.

Who edits must have read: ``set`` carries the hash of the text it is based on, and is refused when
the file has changed since. A file that cannot be understood denies everything until it is set right
by hand or by ``set``; a missing one means the defaults. Access is one at a time, in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, structs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from clawgw.nodehost.calls import Call, CommandError, Gateway, Handler, Params, invalid, unavailable
from clawgw.nodehost.policy import (
    AgentPolicy,
    AllowEntry,
    Defaults,
    PolicyDocument,
    Socket,
    effective,
)
from clawgw.shield import shielded

__all__ = ["APPROVALS_NAME", "Approvals", "Snapshot"]

APPROVALS_NAME = "exec-approvals.json"
_LARGEST = 1024 * 1024
"""Bytes of a policy file."""

_NOTE_MS = 60_000
"""How exactly the last use is kept: each note changes the hash that an editor holds."""

T = TypeVar("T")
Entries = tuple[AllowEntry, ...]
_Change = Callable[[Entries], Entries]


@dataclass(frozen=True)
class Snapshot:
    """The file at one moment. ``document`` is what counts, also where the file is unreadable."""

    path: Path
    exists: bool
    hash: str
    document: PolicyDocument
    problem: str | None = None

    def to_wire(self, protocol: int) -> dict[str, Any]:
        """As the protocol shows it; without the secret of the socket."""
        document = self.document
        if document.socket:
            document = structs.replace(
                document, socket=structs.replace(document.socket, token=UNSET)
            )
        file = msgspec.to_builtins(document)
        file.setdefault("defaults", {})
        file.setdefault("agents", {})
        shown = {"path": str(self.path), "exists": self.exists, "hash": self.hash, "file": file}
        if protocol >= 4:
            common = effective(structs.replace(self.document, agents={}), "*")
            shown["resolvedDefaults"] = {
                "security": common.security,
                "ask": common.ask,
                "askFallback": common.ask_fallback,
                "autoAllowSkills": common.auto_allow_skills,
            }
        return shown


class _SetParams(Params, frozen=True):
    file: PolicyDocument
    base_hash: str | None = None


_NOTHING = PolicyDocument(version=1)
_DENY_ALL = PolicyDocument(version=1, defaults=Defaults(security="deny"))


class Approvals:
    """The policy of this node."""

    _log = Logger()

    def __init__(self, reactor: Any, path: Path, gateway: Gateway) -> None:
        self._reactor = reactor
        self._path = path
        self._gateway = gateway
        self._lock = DeferredLock()

    def handlers(self) -> dict[str, Handler]:
        """The commands of this family."""
        return {"system.execApprovals.get": self._get, "system.execApprovals.set": self._set}

    def snapshot(self) -> Deferred[Snapshot]:
        """The policy now; never fails."""
        return self._alone(self._read)

    def allow_always(self, agent: str, paths: Iterable[str], command: str) -> Deferred[None]:
        """Put programs on an agent's allowlist, because a person said so."""
        new = tuple(dict.fromkeys(paths))

        def add(entries: Entries) -> Entries:
            known = {entry.pattern for entry in entries if entry.arg_pattern is UNSET}
            return entries + tuple(
                _used(AllowEntry(pattern=path), command, path) for path in new if path not in known
            )

        return self._alone(self._change, (agent,), add)

    def used(self, agent: str, matched: Mapping[str, str], command: str) -> Deferred[None]:
        """Note when entries were last of use; ``matched``: resolved path by pattern."""

        def note(entries: Entries) -> Entries:
            return tuple(
                _used(entry, command, matched[entry.pattern])
                if entry.pattern in matched and entry.arg_pattern is UNSET and _is_stale(entry)
                else entry
                for entry in entries
            )

        return self._alone(self._change, (agent, "*"), note)

    async def _get(self, _call: Call) -> Any:
        return (await self.snapshot()).to_wire(self._gateway.protocol)

    async def _set(self, call: Call) -> Any:
        params = call.read(_SetParams)
        snapshot = await self._alone(self._replace, params)
        self._log.info("The policy for commands was set by the Gateway")
        return snapshot.to_wire(self._gateway.protocol)

    # In a thread, one at a time.

    def _alone(self, action: Callable[..., T], *args: Any) -> Deferred[T]:
        pool = self._reactor.getThreadPool()
        # Whoever waits may stop waiting; the file is not free before the thread is done with it.
        return shielded(self._lock.run(deferToThreadPool, self._reactor, pool, action, *args))

    def _read(self) -> Snapshot:
        try:
            with self._path.open("rb") as file:
                raw = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return Snapshot(self._path, False, _hash(b""), _NOTHING)
        except OSError as problem:
            return Snapshot(self._path, True, _hash(b""), _DENY_ALL, str(problem.strerror))
        try:
            if len(raw) > _LARGEST:
                raise msgspec.ValidationError("it is larger than 1 MiB")
            document = msgspec.json.decode(raw, type=PolicyDocument)
        except (msgspec.DecodeError, RecursionError) as problem:
            return Snapshot(self._path, True, _hash(raw), _DENY_ALL, str(problem))
        return Snapshot(self._path, True, _hash(raw), document)

    def _replace(self, params: _SetParams) -> Snapshot:
        current = self._read()
        if current.exists and params.base_hash is None:
            raise invalid("baseHash is missing; read the policy first and send its hash along")
        if params.base_hash is not None and params.base_hash != current.hash:
            raise invalid("the policy has changed since it was read; read it again and retry")
        self._write(_keep_socket(params.file, current.document))
        return self._read()

    def _change(self, names: Iterable[str], change: _Change) -> None:
        """Change the allowlists of some agents; what fails is logged, and no more."""
        current = self._read()
        if current.problem is not None:
            return
        agents = dict(current.document.agents or {})
        for name in names:
            policy = agents.get(name, AgentPolicy())
            before = policy.allowlist or ()
            after = change(before)
            if after != before:
                agents[name] = structs.replace(policy, allowlist=after)
        if agents == (current.document.agents or {}):
            return
        try:
            self._write(structs.replace(current.document, agents=agents))
        except CommandError as problem:
            self._log.warn("{problem}", problem=problem)

    def _write(self, document: PolicyDocument) -> None:
        text = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
        if len(text) > _LARGEST:
            raise invalid("file: a policy may have 1 MiB at most")
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as problem:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise unavailable(f"{self._path} cannot be written: {problem.strerror}") from problem


def _keep_socket(new: PolicyDocument, old: PolicyDocument) -> PolicyDocument:
    """Who edits never saw the socket's secret, and must not lose it for the app that has it."""
    if not old.socket:
        return new
    given = new.socket or Socket()
    kept = Socket(path=given.path or old.socket.path, token=given.token or old.socket.token)
    return structs.replace(new, socket=kept)


def _used(entry: AllowEntry, command: str, path: str) -> AllowEntry:
    return structs.replace(
        entry,
        last_used_at=int(time.time() * 1000),
        last_used_command=command[:500],
        last_resolved_path=path,
    )


def _is_stale(entry: AllowEntry) -> bool:
    return time.time() * 1000 - (entry.last_used_at or 0) > _NOTE_MS


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
