"""`hello-ok`: what a client that was let in is told.

The snapshot shows what the client may see: without `operator.read` presence and health are empty,
without `operator.admin` the Gateway's paths stay unsaid. A tool of an agent is told the methods it
may call, and nothing of anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET, Raw, UnsetType

from clawgw.agents.prompts import MAX_ATTACHMENT_BYTES, MAX_IMAGE_BYTES
from clawgw.protocol import connect as wire
from clawgw.protocol.frames import StateVersion
from clawgw.trust import scopes as scope_rules
from clawgw.trust.connect import Admitted
from clawgw.trust.devices import IssuedToken
from clawgw.trust.session_tokens import BoundSession

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
        attachments=wire.AttachmentPolicy(
            max_bytes=MAX_ATTACHMENT_BYTES, max_image_bytes=MAX_IMAGE_BYTES
        ),
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
    methods_for: Callable[[BoundSession], list[str]]
    presence: Callable[[], bytes]
    health: Callable[[int], bytes]
    state_version: Callable[[], StateVersion]
    uptime_ms: Callable[[], int]
    session_defaults: Callable[[int], wire.SessionDefaults]
    canvas_url: Callable[[str], str | None] = lambda _: None  # by the Host the client came to

    def hello(
        self,
        admitted: Admitted,
        conn_id: str,
        events: frozenset[str],
        token: IssuedToken | None,
        host: str = "",
    ) -> wire.HelloOk:
        """The answer to a `connect` that was granted; `host` as in the client's request."""
        version, bound = admitted.version, admitted.bound_session
        canvas = self._canvas(admitted, host)
        return wire.HelloOk(
            protocol=version,
            server=wire.ServerInfo(
                version=self.server_version,
                conn_id=conn_id,
                host=self.host if version < 4 else UNSET,
                boot_id=UNSET if version < 4 else self.boot_id,
            ),
            features=wire.Features(
                methods=self.methods() if bound is None else self.methods_for(bound),
                events=sorted(events),
                capabilities=UNSET if version < 4 else [],
            ),
            snapshot=self._snapshot(admitted),
            policy=policy_of(version),
            auth=_auth(admitted, token),
            canvas_host_url=canvas if canvas and version < 4 else UNSET,
            plugin_surface_urls={"canvas": canvas} if canvas and version >= 4 else UNSET,
        )

    def _canvas(self, admitted: Admitted, host: str) -> str | None:
        """Where the canvas is, for those who may look at it: nodes, and operators who may read."""
        if admitted.role == scope_rules.OPERATOR and not scope_rules.covers(
            admitted.scopes, scope_rules.READ
        ):
            return None
        if admitted.bound_session is not None:
            return None
        return self.canvas_url(host)

    def _snapshot(self, admitted: Admitted) -> wire.Snapshot:
        version = admitted.version
        operator = admitted.role == scope_rules.OPERATOR
        told = operator and admitted.bound_session is None
        reads = told and scope_rules.covers(admitted.scopes, scope_rules.READ)
        admin = told and scope_rules.covers(admitted.scopes, scope_rules.ADMIN)
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
