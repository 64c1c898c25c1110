"""`twistd clawgw`: the options, and the one place where all objects are wired together.

`makeService` runs before twistd goes into the background. Whatever is wrong with the options, the
configuration, the state directory or the port is said there, in one sentence, on the terminal.
The service itself opens the store and listens when twistd starts it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from msgspec import UNSET, Raw
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from clawgw import __version__
from clawgw import config as configuration
from clawgw.agents.acp import AcpAgent, refuse_permission
from clawgw.agents.methods import AgentMethods
from clawgw.agents.roster import Roster
from clawgw.agents.runs import RunManager
from clawgw.gateway.admission import AdmissionCount
from clawgw.gateway.broadcast import Broadcaster
from clawgw.gateway.connect_log import ConnectLog
from clawgw.gateway.connection import Connection
from clawgw.gateway.handshake import Gatekeeper
from clawgw.gateway.hello import TICK_INTERVAL_MS, Greeter
from clawgw.gateway.port import SharedPortFactory
from clawgw.gateway.router import Router
from clawgw.gateway.site import load_pages, make_site
from clawgw.gateway.websocket import ApiFactory, Edge
from clawgw.health import HealthService
from clawgw.lock import AlreadyRunning, StateLock, listener_pid
from clawgw.methods import MethodTable
from clawgw.presence import Presence
from clawgw.protocol.connect import SessionDefaults
from clawgw.protocol.frames import StateVersion
from clawgw.protocol.system import PresenceEvent, ShutdownEvent, TickEvent
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionKeys
from clawgw.sessions.methods import ChatMethods, SessionMethods
from clawgw.store import idempotency as idempotency_table
from clawgw.store import runs as run_table
from clawgw.store.database import Connection as StoreConnection
from clawgw.store.database import SqliteDatabase, StoreError, check_store
from clawgw.system_methods import SystemMethods
from clawgw.trust.backoff import AuthBackoff, BackoffPolicy
from clawgw.trust.connect import Secrets
from clawgw.trust.devices import DeviceRegistry
from clawgw.trust.methods import DeviceMethods
from clawgw.trust.peers import PeerPolicy, is_loopback
from clawgw.trust.tokens import TokenMint, load_token_key

STORE_NAME = "clawgw.sqlite"
TOKEN_KEY_NAME = "device-token.key"  # noqa: S105 - a file name
SHUTDOWN_SECONDS = 5.0
PRESENCE_GATHER_SECONDS = 0.05
HEALTH_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
BACKLOG = 1024
GOING_AWAY = 1012


class Options(UsageOptions):
    """The options of `twistd clawgw`."""

    synopsis = "[options]"
    longdesc = (
        "The clawgw Gateway. Without options it listens on 127.0.0.1:18789 and keeps its state in "
        "~/.clawgw; open http://127.0.0.1:18789/ to chat."
    )
    optParameters = [  # noqa: RUF012 - Twisted reads this attribute
        ["state-dir", None, None, "Where state is kept (CLAWGW_STATE_DIR, ~/.clawgw)"],
        ["config", None, None, "The configuration file (config.json in the state directory)"],
        ["port", None, None, "The TCP port (18789)"],
        ["bind", None, None, "loopback, lan (every interface), or an IP address (loopback)"],
        ["token", None, None, "The token clients must know; better in CLAWGW_GATEWAY_TOKEN"],
        ["password", None, None, "The password clients must know, instead of a token"],
    ]


@dataclass(frozen=True)
class Plan:
    """Everything decided before the start: configuration, environment and options together."""

    config: configuration.Config
    state_dir: Path
    config_path: Path
    port: int
    addresses: tuple[str, ...]
    secrets: Secrets
    secret_source: str
    environ: Mapping[str, str] = field(repr=False)  # it may hold secrets

    @property
    def exposed(self) -> bool:
        """Whether other hosts can reach the port."""
        return not all(is_loopback(address) for address in self.addresses)


def make_plan(options: Mapping[str, Any], environ: Mapping[str, str]) -> Plan:
    """What to start.

    Raises:
        ConfigError: something does not fit; one sentence says what to change.
    """
    state_dir = options.get("state-dir")
    directory = (
        Path(state_dir).expanduser() if state_dir else configuration.default_state_dir(environ)
    ).absolute()
    config_option = options.get("config")
    config_path = (
        Path(config_option).expanduser()
        if config_option
        else (directory / configuration.CONFIG_NAME)
    )
    if config_option and not config_path.exists():
        raise configuration.ConfigError(f"there is no configuration file {config_path}")
    config = configuration.load_config(config_path)
    secrets, source = _secrets(options, environ, config.gateway.auth)
    plan = Plan(
        config=config,
        state_dir=directory,
        config_path=config_path,
        port=_port(options.get("port"), config.gateway.port),
        addresses=_addresses(options.get("bind") or config.gateway.bind),
        secrets=secrets,
        secret_source=source,
        environ=environ,
    )
    _check_exposure(plan)
    return plan


def _port(option: str | None, configured: int) -> int:
    if option is None:
        return configured
    if not option.isdecimal() or int(option) > 65535:
        raise configuration.ConfigError("--port: expected a number from 0 to 65535")
    return int(option)


def _addresses(bind: str) -> tuple[str, ...]:
    if bind == "loopback":
        return ("127.0.0.1", "::1")
    if bind == "lan":
        return ("0.0.0.0",)  # noqa: S104 - what the operator asked for, and guarded below
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, bind)
        except OSError:
            continue
        return (bind,)
    raise configuration.ConfigError("bind: expected loopback, lan, or an IP address")


def _secrets(
    options: Mapping[str, Any], environ: Mapping[str, str], auth: configuration.Auth
) -> tuple[Secrets, str]:
    """The shared secret, and where it came from, for the log."""
    variables = configuration.TOKEN_VARIABLES, configuration.PASSWORD_VARIABLES
    tokens = (options.get("token"), configuration.first_of(environ, variables[0]), auth.token)
    passwords = (
        options.get("password"), configuration.first_of(environ, variables[1]), auth.password,
    )  # fmt: skip
    sources = ("the command line", "the environment", "the configuration")
    token = next((pair for pair in zip(tokens, sources, strict=True) if pair[0]), (None, ""))
    password = next((pair for pair in zip(passwords, sources, strict=True) if pair[0]), (None, ""))
    mode = auth.mode
    if options.get("token"):
        mode = "token"
    elif options.get("password"):
        mode = "password"
    mode = mode or ("token" if token[0] else "password" if password[0] else "none")
    if mode == "token" and not token[0]:
        raise configuration.ConfigError(
            "gateway.auth.mode is token, but there is none: set CLAWGW_GATEWAY_TOKEN, "
            "gateway.auth.token or --token"
        )
    if mode == "password" and not password[0]:
        raise configuration.ConfigError(
            "gateway.auth.mode is password, but there is none: set CLAWGW_GATEWAY_PASSWORD, "
            "gateway.auth.password or --password"
        )
    source = {"token": token[1], "password": password[1], "none": ""}[mode]
    return Secrets(mode, token[0], password[0]), source


def _check_exposure(plan: Plan) -> None:
    tls = plan.config.gateway.tls
    pinned = tls.enabled and tls.client_auth == "pinned" and bool(tls.client_fingerprints)
    if plan.exposed and plan.secrets.mode == "none" and not pinned:
        raise configuration.ConfigError(
            "refusing to listen beyond loopback without authentication: set a token "
            "(CLAWGW_GATEWAY_TOKEN), a password, or gateway.tls.clientAuth pinned with "
            "clientFingerprints, or use bind loopback"
        )


def _check_port(plan: Plan) -> None:
    """Find out now, while there is a terminal, whether the port is free."""
    if plan.port == 0:
        return
    address = plan.addresses[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, plan.port))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise configuration.ConfigError(
                    f"cannot listen on {address} port {plan.port}: {problem.strerror}; choose "
                    "another --bind or --port"
                ) from None
            pid = listener_pid(plan.port)
            holder = f"pid {pid}" if pid else "another program"
            raise AlreadyRunning(
                f"port {plan.port} on {address} is taken by {holder} ({problem.strerror}); stop "
                "it first, or give this Gateway another --port"
            ) from None


def makeService(options: Mapping[str, Any]) -> Service:
    """The Gateway as a service; called by twistd.

    Raises:
        UsageError: it cannot be started; one sentence says why.
    """
    from twisted.internet import reactor

    # pyOpenSSL and x509 are not needed without TLS, and cost start-up time.
    from clawgw.gateway.tls import TlsConfigurationError, load_server_tls

    try:
        plan = make_plan(options, dict(os.environ))
        configuration.ensure_state_dir(plan.state_dir)
        lock = StateLock(plan.state_dir)
        _check_port(plan)
        check_store(plan.state_dir / STORE_NAME)
        settings = plan.config.gateway.tls
        tls = load_server_tls(settings, plan.state_dir) if settings.enabled else None
    except (
        configuration.ConfigError,
        AlreadyRunning,
        TlsConfigurationError,
        StoreError,
        OSError,
    ) as problem:
        raise UsageError(str(problem)) from None
    cast(Any, reactor).callWhenRunning(_stop_cleanly_on_signals, reactor)
    return GatewayService(reactor, plan, lock, tls)


def _stop_cleanly_on_signals(reactor: Any) -> None:
    """A Gateway that was asked to stop, and did, ends with exit code 0.

    Twisted's own handlers would have twistd kill itself by the same signal after a clean stop,
    which a supervisor takes for a failure.
    """

    def stop() -> None:
        with contextlib.suppress(ReactorNotRunning):  # asked twice
            reactor.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reactor.callFromThread(stop))


class GatewayService(Service):
    """The running Gateway.

    Args:
        reactor: the one reactor.
        plan: what to start.
        lock: the state directory's.
        tls: the certificate, None for plain connections.
    """

    log = Logger()
    name = "clawgw"

    def __init__(self, reactor: Any, plan: Plan, lock: StateLock, tls: Any) -> None:
        self._reactor = reactor
        self._plan = plan
        self._lock = lock
        self._tls = tls
        self._ports: list[Any] = []
        self._loops: list[LoopingCall] = []
        self._presence_call: Any = None
        self._ready = False

    # Starting

    def privilegedStartService(self) -> None:
        """Open the store, wire everything, listen."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._wire()
        self._listen()

    def startService(self) -> None:
        """Take up work that waited, start the clocks, say where we are."""
        super().startService()  # type: ignore[no-untyped-call]
        self._announce()
        self._every(TICK_INTERVAL_MS / 1000, self._tick)
        self._every(HEALTH_SECONDS, self._publish_health)
        self._every(PRUNE_SECONDS, self._prune)
        done = self.runs.recover()
        done.addErrback(lambda failure: self.log.failure("while taking up waiting runs", failure))
        self._ready = True

    def _wire(self) -> None:
        plan, reactor = self._plan, self._reactor
        config = plan.config
        now_ms = self._now_ms
        instance = str(uuid.uuid4())
        reactor.suggestThreadPoolSize(4)
        database = self.database = SqliteDatabase(
            reactor, reactor.getThreadPool(), plan.state_dir / STORE_NAME
        )
        events = self.broadcaster = Broadcaster()
        roster = Roster(config, plan.state_dir, plan.environ)
        keys = SessionKeys(roster.default_id, roster.ids, config.session.main_key)
        defaults = config.agents.defaults
        self.agents = {
            agent_id: AcpAgent(
                reactor, roster.spec(agent_id), defaults.idle_seconds, refuse_permission
            )
            for agent_id in roster.ids
        }
        runs = self.runs = RunManager(
            reactor, database, self.agents, events, defaults.timeout_seconds, now_ms
        )
        book = runs.book = SessionBook(
            database,
            keys,
            str(plan.state_dir / STORE_NAME),
            roster.model_info,
            runs.active_sessions,
            events,
            now_ms,
        )
        devices = DeviceRegistry(
            database, TokenMint(load_token_key(plan.state_dir / TOKEN_KEY_NAME)), now_ms
        )
        presence = self.presence = Presence(now_ms, __version__, instance, self._presence_changed)
        health = self.health = HealthService(
            book,
            [(spec.id, spec.name or None) for spec in roster.summaries()],
            now_ms,
            runs.counts,
            lambda: len(events),
            __version__,
            now_ms(),
        )
        table = MethodTable()
        SystemMethods(health, presence, events, now_ms).register(table)
        AgentMethods(roster, runs, book, self._in_thread).register(table)
        ChatMethods(database, book, runs, events, self._in_thread, now_ms).register(table)
        SessionMethods(database, book, runs, self._forget_agent_session, now_ms).register(table)
        self.device_methods = DeviceMethods(
            devices, events, events.has_device, self._disconnect, now_ms
        )
        self.device_methods.register(table)

        limits = config.gateway.auth.rate_limit
        gatekeeper = Gatekeeper(
            plan.secrets,
            devices,
            AuthBackoff(BackoffPolicy(limits.max_attempts, limits.window_ms, limits.max_delay_ms)),
            events,
            now_ms,
        )
        greeter = Greeter(
            server_version=__version__,
            host=socket.gethostname() or "gateway",
            boot_id=instance,
            config_path=str(plan.config_path),
            state_dir=str(plan.state_dir),
            auth_mode=plan.secrets.mode,
            methods=table.names,
            presence=presence.encoded,
            health=lambda _: health.encoded(),
            state_version=self._state_version,
            uptime_ms=health.uptime_ms,
            session_defaults=lambda version: _session_defaults(keys, roster, version),
        )
        self._edge = Edge(
            reactor=reactor,
            gatekeeper=gatekeeper,
            greeter=greeter,
            router=Router(table, self._in_thread),
            broadcaster=events,
            peer_policy=PeerPolicy(
                config.gateway.trusted_proxies,
                config.gateway.control_ui.allowed_origins,
                (socket.gethostname(),),
            ),
            in_thread=self._in_thread,
            connect_log=ConnectLog(reactor, self.log.info),
            on_arrival=self._arrived,
            on_departure=presence.left,
            now_ms=now_ms,
        )

    def _listen(self) -> None:
        pages = load_pages() if self._plan.config.gateway.control_ui.enabled else {}
        secure = self._tls is not None
        api = ApiFactory(self._edge, AdmissionCount(), secure=secure)
        site = make_site(self._reactor, pages, lambda: self._ready)
        factory = SharedPortFactory(self._reactor, api, site)
        port = self._plan.port
        for number, address in enumerate(self._plan.addresses):
            try:
                listening = self._listen_on(address, port, factory)
            except CannotListenError:
                if number == 0:
                    raise
                continue  # a host without IPv6 has no ::1
            self._ports.append(listening)
            port = listening.getHost().port
        self.port = port

    def _listen_on(self, address: str, port: int, factory: SharedPortFactory) -> Any:
        if self._tls is None:
            return self._reactor.listenTCP(port, factory, backlog=BACKLOG, interface=address)
        return self._reactor.listenSSL(
            port, factory, self._tls.context_factory, backlog=BACKLOG, interface=address
        )

    def _announce(self) -> None:
        plan = self._plan
        scheme = "s" if self._tls else ""
        host = "127.0.0.1" if not plan.exposed else plan.addresses[0]
        shown = socket.gethostname() if host == "0.0.0.0" else host  # noqa: S104
        shown = f"[{shown}]" if ":" in shown else shown
        fingerprint = self._tls.fingerprint if self._tls else None
        self._lock.write(
            pid=os.getpid(),
            url=f"ws{scheme}://{'127.0.0.1' if host == '0.0.0.0' else shown}:{self.port}",  # noqa: S104
            tlsFingerprint=fingerprint,
            startedAt=self._now_ms(),
        )
        self.log.info(
            "WebChat is at http{s}://{host}:{port}/", s=scheme, host=shown, port=self.port
        )
        self.log.info("{auth}", auth=_auth_words(plan))
        self.log.info("State is in {path}", path=str(plan.state_dir))
        if fingerprint:
            self.log.info("TLS fingerprint to pin: {pin}", pin=fingerprint)

    # Running

    def _now_ms(self) -> int:
        return int(self._reactor.seconds() * 1000)

    def _in_thread(self, function: Any, *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *args)

    def _every(self, seconds: float, work: Any) -> None:
        loop = LoopingCall(work)
        loop.clock = self._reactor
        done = loop.start(seconds, now=False)
        done.addErrback(lambda failure: self.log.failure("in a periodic task", failure))
        self._loops.append(loop)

    def _state_version(self) -> StateVersion:
        return StateVersion(presence=self.presence.edition, health=self.health.edition)

    def _tick(self) -> None:
        self.presence.refresh()
        self.device_methods.expire()
        self.broadcaster.publish("tick", TickEvent(ts=self._now_ms()), droppable=True)

    def _publish_health(self) -> None:
        payload = Raw(self.health.encoded())
        self.broadcaster.publish(
            "health", payload, droppable=True, state_version=self._state_version()
        )

    def _presence_changed(self) -> None:
        """Several people coming at once are one event."""
        if self._presence_call is None:
            self._presence_call = self._reactor.callLater(
                PRESENCE_GATHER_SECONDS, self._publish_presence
            )

    def _publish_presence(self) -> None:
        self._presence_call = None
        payload = PresenceEvent(presence=self.presence.entries())
        self.broadcaster.publish(
            "presence", payload, droppable=True, state_version=self._state_version()
        )

    def _prune(self) -> None:
        def change(connection: StoreConnection) -> None:
            now = self._now_ms()
            idempotency_table.prune(connection, now)
            run_table.prune(connection, now)

        self.database.write(change).addErrback(
            lambda failure: self.log.failure("while pruning the store", failure)
        )

    def _arrived(self, connection: Connection) -> None:
        self.presence.arrived(connection)

    def _disconnect(self, device_id: str, role: str, spare: str | None) -> None:
        for connection in self.broadcaster:
            if (connection.device_id, connection.role) != (device_id, role):
                continue
            if connection.conn_id != spare:
                connection.close(1008, "device token changed")

    def _forget_agent_session(self, agent_id: str, session_id: str) -> None:
        self.agents[agent_id].forget_session(session_id)

    # Stopping

    async def _stop(self) -> None:
        self._ready = False
        for loop in self._loops:
            loop.stop()
        self.broadcaster.publish("shutdown", ShutdownEvent(reason="service stopping"))
        for port in self._ports:
            port.stopListening()
        self.runs.stop()
        await self._at_most(SHUTDOWN_SECONDS, self.runs.settled())
        if self._presence_call is not None:
            self._presence_call.cancel()
            self._presence_call = None
        for connection in self.broadcaster:
            connection.close(GOING_AWAY, "service restart")
        self._edge.connect_log.stop()
        agents = [Deferred.fromCoroutine(agent.stop()) for agent in self.agents.values()]
        await self._at_most(SHUTDOWN_SECONDS, DeferredList(agents))
        self.database.close()
        self._lock.release()
        self.log.info("stopped")

    async def _at_most(self, seconds: float, work: Deferred[Any]) -> None:
        """Wait for some work, but not for ever."""
        enough: Deferred[None] = Deferred()
        timer = self._reactor.callLater(seconds, enough.callback, None)
        both = DeferredList([work, enough], fireOnOneCallback=True)
        await both
        if timer.active():
            timer.cancel()

    def stopService(self) -> Deferred[None]:
        """Say goodbye, give running turns a moment, keep everything else for the next start."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())


def _session_defaults(keys: SessionKeys, roster: Roster, version: int) -> SessionDefaults:
    new = version >= 4
    return SessionDefaults(
        default_agent_id=keys.default_agent,
        main_key=keys.main_key,
        main_session_key=keys.main().key,
        scope="per-sender",
        model_configured=True if new else UNSET,
        ownership=("sole" if len(roster.ids) == 1 else "explicit") if new else UNSET,
        selection_required=False if new else UNSET,
    )


def _auth_words(plan: Plan) -> str:
    mode = plan.secrets.mode
    if mode != "none":
        return f"Authentication: {mode}, from {plan.secret_source}"
    if plan.exposed:
        return "Authentication: pinned client certificates"
    return (
        "Authentication: none, so any program of this host can connect; "
        "set CLAWGW_GATEWAY_TOKEN to change that"
    )


__all__ = ["GatewayService", "Options", "Plan", "makeService", "make_plan"]
