"""What tests of the domain need instead of a disk, a network and a person.

`MemoryDatabase` is the store with the real schema, in memory, with writes done at once.
`RecordedEvents` is an event sink that remembers. `Device` is a device with a real Ed25519 key,
which signs `connect` requests as the protocol says, or wrongly where a test wants that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import UNSET
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from clawgw.protocol.base import given
from clawgw.protocol.connect import ClientInfo, ConnectAuth, ConnectParams, DeviceProof
from clawgw.protocol.frames import StateVersion
from clawgw.store.database import Connection, migrate
from clawgw.trust.signatures import device_id_of, encode_base64url

P = ParamSpec("P")
T = TypeVar("T")

START_MS = 1_800_000_000_000
"""When tests begin, in milliseconds since the epoch."""

NONCE = "nonce-of-this-connection"


class MemoryDatabase:
    """A `store.database.Database` on one connection; a write has happened when it returns.

    Attributes:
        fail_next: raised by the next write, which then changes nothing.
        writes: how many writes were asked for.
    """

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys=ON")
        migrate(self.connection)
        self.fail_next: Exception | None = None
        self.writes = 0

    def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See `Database.read`."""
        return query(self.connection, *args, **kwargs)

    def read_in_thread(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Database.read_in_thread`; here it is done at once."""
        return execute(query, self.connection, *args, **kwargs)

    def write(
        self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Database.write`."""
        self.writes += 1
        return execute(self._write, change, args, kwargs)

    def _write(self, change: Callable[..., T], args: Any, kwargs: Any) -> T:
        problem, self.fail_next = self.fail_next, None
        if problem is not None:
            raise problem
        self.connection.execute("BEGIN")
        try:
            result = change(self.connection, *args, **kwargs)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result


class Published(NamedTuple):
    """One event that was published."""

    name: str
    payload: Any
    v3: Any = None
    droppable: bool = False
    only_version: int | None = None


class RecordedEvents:
    """An `events.EventSink` that remembers what was published."""

    def __init__(self) -> None:
        self.published: list[Published] = []

    def publish(
        self,
        name: str,
        payload: Any,
        *,
        v3: Any = None,
        droppable: bool = False,
        cap: str | None = None,
        state_version: StateVersion | None = None,
        only_version: int | None = None,
    ) -> None:
        """See `EventSink.publish`."""
        self.published.append(Published(name, payload, v3, droppable, only_version))

    def named(self, name: str) -> list[Any]:
        """The payloads of all events of this name."""
        return [event.payload for event in self.published if event.name == name]


class MsClock(Clock):
    """A `Clock` that begins at `START_MS` and also tells milliseconds since the epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = START_MS / 1000

    def now_ms(self) -> int:
        """The time."""
        return round(self.rightNow * 1000)


@dataclass
class Caller:
    """A `methods.Caller`: by default an operator that may do everything."""

    conn_id: str = "conn-1"
    version: int = 4
    role: str = "operator"
    scopes: frozenset[str] = frozenset({"operator.admin"})
    caps: frozenset[str] = frozenset()
    device_id: str | None = None
    client: ClientInfo = field(default_factory=lambda: client_info())
    address: str = "127.0.0.1"
    host: str = "127.0.0.1:18789"
    bound_session: Any = None


def client_info(**changes: Any) -> ClientInfo:
    """What a client says of itself."""
    fields: dict[str, Any] = {"id": "test", "version": "1.0", "platform": "Linux", "mode": "test"}
    return ClientInfo(**(fields | changes))


def connect_params(**changes: Any) -> ConnectParams:
    """The parameters of a `connect` without a device."""
    fields: dict[str, Any] = {"min_protocol": 3, "max_protocol": 4, "client": client_info()}
    return ConnectParams(**(fields | changes))


class Device:
    """A device: a key and what follows from it. The same seed is the same device."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
        public = self._key.public_key()
        self.raw_key = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = encode_base64url(self.raw_key)
        self.pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.id = device_id_of(self.raw_key)

    def sign(self, text: str) -> str:
        """The signature over a text, as it goes over the wire."""
        return encode_base64url(self._key.sign(text.encode()))

    def signed_text(
        self, version: int, params: ConnectParams, nonce: str | None, signed_at_ms: int
    ) -> str:
        """The text of this version that belongs to the parameters."""
        auth = given(params.auth, ConnectAuth())
        tokens = (auth.token, auth.device_token, auth.bootstrap_token)
        parts: list[Any] = [
            f"v{version}",
            self.id,
            params.client.id,
            params.client.mode,
            given(params.role, "operator"),
            ",".join(given(params.scopes, [])),
            signed_at_ms,
            next((token for token in tokens if token is not UNSET), ""),
        ]
        if version >= 2:
            parts.append(nonce)
        if version >= 3:
            family = given(params.client.device_family, "")
            parts += [params.client.platform.strip().lower(), family.strip().lower()]
        return "|".join(map(str, parts))

    def connect(
        self,
        *,
        nonce: str | None = NONCE,
        signed_at_ms: int = START_MS,
        version: int = 3,
        proof: dict[str, Any] | None = None,
        **changes: Any,
    ) -> ConnectParams:
        """A signed `connect`.

        Args:
            nonce: of the challenge; None leaves it out, which goes with version 1.
            version: of the signed text.
            proof: fields of the `device` object to be other than they should be.
            changes: fields of the parameters.
        """
        params = connect_params(**changes)
        text = self.signed_text(version, params, nonce, signed_at_ms)
        fields: dict[str, Any] = {
            "id": self.id,
            "public_key": self.public_key,
            "signature": self.sign(text),
            "signed_at": signed_at_ms,
            "nonce": UNSET if nonce is None else nonce,
        }
        return connect_params(**changes, device=DeviceProof(**(fields | (proof or {}))))


def token_auth(token: str) -> ConnectAuth:
    """`auth` with the shared token."""
    return ConnectAuth(token=token)


def scopes(*names: str) -> Iterable[str]:
    """Scopes by their last word: `scopes("read", "write")`."""
    return tuple(f"operator.{name}" for name in names)
