"""`hello-ok`: what a client that was let in is told.

The snapshot shows what the client may see: without `operator.read` presence and health are empty,
without `operator.admin` the Gateway's paths stay unsaid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET, Raw, UnsetType

from clawgw.protocol import connect as wire
from clawgw.protocol.frames import StateVersion
from clawgw.trust import scopes as scope_rules
from clawgw.trust.connect import Admitted
from clawgw.trust.devices import IssuedToken

TICK_INTERVAL_MS = 30_000
_EMPTY_LIST = b"[]"
_EMPTY_OBJECT = b"{}"

MIB = 1024 * 1024


def policy_of(version: int) -> wire.Policy:
    """The limits of a connection; version 3 clients expect the smaller ones."""
    if version < 4:
        return wire.Policy(
            max_payload=512 * 1024,
            max_buffered_bytes=1536 * 1024,
            tick_interval_ms=TICK_INTERVAL_MS,
        )
    return wire.Policy(
        max_payload=25 * MIB,
        max_buffered_bytes=50 * MIB,
        tick_interval_ms=TICK_INTERVAL_MS,
        # base64 and the frame around it have to fit into max_payload
        attachments=wire.AttachmentPolicy(max_bytes=18 * MIB, max_image_bytes=6 * MIB),
    )


@dataclass(frozen=True)
class Greeter:
    """Writes `hello-ok`. The callables give the state of the moment, as JSON where they say so."""

    server_version: str
    host: str
    boot_id: str
    config_path: str
    state_dir: str
    auth_mode: str
    methods: Callable[[], list[str]]
    presence: Callable[[], bytes]
    health: Callable[[int], bytes]
    state_version: Callable[[], StateVersion]
    uptime_ms: Callable[[], int]
    session_defaults: Callable[[int], wire.SessionDefaults]

    def hello(
        self,
        admitted: Admitted,
        conn_id: str,
        events: frozenset[str],
        token: IssuedToken | None,
    ) -> wire.HelloOk:
        """The answer to a `connect` that was granted."""
        version = admitted.version
        return wire.HelloOk(
            protocol=version,
            server=wire.ServerInfo(
                version=self.server_version,
                conn_id=conn_id,
                host=self.host if version < 4 else UNSET,
                boot_id=UNSET if version < 4 else self.boot_id,
            ),
            features=wire.Features(
                methods=self.methods(),
                events=sorted(events),
                capabilities=UNSET if version < 4 else [],
            ),
            snapshot=self._snapshot(admitted),
            policy=policy_of(version),
            auth=_auth(admitted, token),
        )

    def _snapshot(self, admitted: Admitted) -> wire.Snapshot:
        version = admitted.version
        operator = admitted.role == scope_rules.OPERATOR
        reads = operator and scope_rules.covers(admitted.scopes, scope_rules.READ)
        admin = operator and scope_rules.covers(admitted.scopes, scope_rules.ADMIN)
        return wire.Snapshot(
            presence=Raw(self.presence() if reads else _EMPTY_LIST),
            health=Raw(self.health(version) if reads else _EMPTY_OBJECT),
            state_version=self.state_version(),
            uptime_ms=self.uptime_ms(),
            session_defaults=self.session_defaults(version),
            config_path=self.config_path if admin else UNSET,
            state_dir=self.state_dir if admin else UNSET,
            suspension=UNSET if version < 4 else wire.Suspension(phase="accepting"),
            auth_mode=self.auth_mode if admin and version >= 4 else UNSET,  # type: ignore[arg-type]
        )


def _auth(admitted: Admitted, token: IssuedToken | None) -> wire.HelloAuth | UnsetType:
    if admitted.version < 4:
        if token is None:
            return UNSET
        return wire.HelloAuth(
            role=admitted.role,
            scopes=list(token.scopes),
            device_token=token.token,
            issued_at_ms=token.issued_at_ms,
        )
    return wire.HelloAuth(
        role=admitted.role,
        scopes=list(admitted.scopes),
        method=admitted.method,
        device_token=UNSET if token is None else token.token,
        issued_at_ms=UNSET if token is None else token.issued_at_ms,
    )
