"""`exec-approvals.json` in the state directory: read when needed, replaced as a whole.

People edit it too, with an editor or with the CLI. So nothing of it is kept in memory, a change
names the hash of what it was made from, and a file with a mistake in it is neither used nor
replaced: whoever wrote it is told where the mistake is, and until it is corrected a person decides
everything.

The hash leaves out when an entry was last used: that an agent worked while somebody edited is no
reason to refuse the edit. The file's socket token is a secret; it is in no answer, and stays when
a new file does not bring one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred, DeferredLock

from clawgw.approvals import policy
from clawgw.programs import find_program
from clawgw.protocol.approvals import AllowlistEntry, PolicyDefaults, PolicyFile, PolicySocket
from clawgw.protocol.base import given
from clawgw.protocol.errors import invalid, unavailable
from clawgw.protocol.validate import ParamsDecoder, ParamsRejected, explain

NAME = "exec-approvals.json"
MAX_BYTES = 4 * 1024 * 1024

T = TypeVar("T")
InThread = Callable[..., Deferred[Any]]


class PolicyUnusable(Exception):
    """The file is there but cannot be used; the message says why, and repeats nothing of it."""


class Loaded(NamedTuple):
    """The policy as it is on the disk."""

    file: PolicyFile
    exists: bool
    hash: str


class PolicyStore:
    """The file.

    Args:
        path: where it is, or will be when first written.
        in_thread: runs a function that touches the disk.
        home: what `~` in a pattern stands for.
    """

    def __init__(self, path: Path, in_thread: InThread, home: Path) -> None:
        self.path = path
        self._in_thread = in_thread
        self.home = str(home)
        self._lock = DeferredLock()

    async def read(self) -> Loaded:
        """The policy; the empty one where there is no file.

        Raises:
            PolicyUnusable: the file has a mistake in it.
        """
        loaded: Loaded = await self._in_thread(self._read)
        return loaded

    async def replace(self, file: PolicyFile, base_hash: str | None) -> Loaded:
        """Write a new policy.

        Raises:
            RequestError: it means nothing, or the one on the disk is not what it was made from.
            PolicyUnusable: the one on the disk has a mistake in it.
        """
        wrong = policy.mistakes(file)
        if wrong:
            raise invalid(f"file: {'; '.join(wrong[:8])}")

        def change(now: Loaded) -> PolicyFile:
            if now.exists and base_hash != now.hash:
                why = "is needed" if base_hash is None else "is not that of the file as it is now"
                raise invalid(
                    f"baseHash: {why}; read the policy with exec.approvals.get and try again"
                )
            return _with_socket_of(file, now.file)

        return await self._change(change)

    async def amend(self, change: Callable[[PolicyFile], PolicyFile]) -> None:
        """Change the policy as it is on the disk.

        Raises:
            PolicyUnusable: it has a mistake in it, or cannot be written.
        """
        await self._change(lambda now: change(now.file))

    async def resolve(
        self, names: Sequence[str] | None, cwd: str | None, search_path: str
    ) -> tuple[str, ...] | None:
        """Where these programs are; None if one of them is nowhere."""
        if names is None:
            return None
        found: tuple[str, ...] | None = await self._in_thread(_resolve, names, cwd, search_path)
        return found

    async def _change(self, change: Callable[[Loaded], PolicyFile]) -> Loaded:
        def job() -> Loaded:
            self._write(change(self._read()))
            return self._read()

        return await self._lock.run(self._in_thread, job)

    def _read(self) -> Loaded:
        try:
            with self.path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return Loaded(policy.EMPTY, False, _hash(policy.EMPTY))
        except OSError as problem:
            raise PolicyUnusable(f"{self.path} cannot be read: {problem.strerror}") from None
        file = self._parse(content)
        return Loaded(file, True, _hash(file))

    def _parse(self, content: bytes) -> PolicyFile:
        if len(content) > MAX_BYTES:
            raise PolicyUnusable(f"{self.path} is larger than {MAX_BYTES} bytes")
        decoder = ParamsDecoder(PolicyFile)
        try:
            file = decoder.decode(content)
        except ParamsRejected as rejected:
            wrong = explain("policy", decoder.schema, rejected.value)
            raise PolicyUnusable(f"{self.path}: {wrong}; correct it by hand") from None
        except ValueError as problem:
            raise PolicyUnusable(f"{self.path}: {problem}; correct it by hand") from None
        mistakes = policy.mistakes(file)
        if mistakes:
            raise PolicyUnusable(f"{self.path}: {'; '.join(mistakes[:8])}; correct it by hand")
        return file

    def _write(self, file: PolicyFile) -> None:
        text = msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"
        try:
            _replace(self.path, text)
        except OSError as problem:
            raise PolicyUnusable(f"{self.path} cannot be written: {problem.strerror}") from None


def shown(file: PolicyFile) -> PolicyFile:
    """The policy without its secret; `defaults` and `agents` are always there, as recorded."""
    socket = given(file.socket, None)
    return msgspec.structs.replace(
        file,
        socket=UNSET if socket is None else PolicySocket(path=socket.path),
        defaults=given(file.defaults, PolicyDefaults()),
        agents=given(file.agents, {}),
    )


def unusable(problem: PolicyUnusable) -> Exception:
    """The refusal of a request that needs the policy."""
    return unavailable(f"the approval policy cannot be used: {problem}")


def _hash(file: PolicyFile) -> str:
    agents = given(file.agents, {})
    unused = {
        name: agent
        if agent.allowlist is UNSET
        else msgspec.structs.replace(
            agent, allowlist=[_without_use(one) for one in given(agent.allowlist, [])]
        )
        for name, agent in agents.items()
    }
    plain = msgspec.structs.replace(file, agents=unused) if agents else file
    encoded = msgspec.json.Encoder(order="deterministic").encode(plain)
    return hashlib.sha256(encoded).hexdigest()


def _without_use(entry: AllowlistEntry) -> AllowlistEntry:
    return msgspec.structs.replace(
        entry, last_used_at=UNSET, last_used_command=UNSET, last_resolved_path=UNSET
    )


def _with_socket_of(file: PolicyFile, old: PolicyFile) -> PolicyFile:
    before, after = given(old.socket, PolicySocket()), given(file.socket, PolicySocket())
    socket = PolicySocket(
        path=before.path if after.path is UNSET else after.path,
        token=before.token if after.token is UNSET else after.token,
    )
    if socket == PolicySocket():
        return file
    return msgspec.structs.replace(file, socket=socket)


def _resolve(names: Sequence[str], cwd: str | None, search_path: str) -> tuple[str, ...] | None:
    """Blocks for a few looks at the disk."""
    found = [path for name in names if (path := find_program(name, search_path, cwd))]
    return tuple(found) if len(found) == len(names) else None


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner only, on the disk when this returns."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def search_path_of(environ: Mapping[str, str]) -> str:
    """Where a program of this environment looks for others."""
    return environ.get("PATH", os.defpath)
