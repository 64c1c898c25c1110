"""`twistd clawgw`: the options, and the one place where all objects are wired together.

`makeService` runs before twistd goes into the background. Whatever is wrong with the options, the
configuration, the state directory or the port is said there, in one sentence, on the terminal.
The service itself opens the store and listens when twistd starts it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from msgspec import UNSET
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions

from clawgw import __version__
from clawgw import config as configuration
from clawgw.agents.acp import AcpAgent
from clawgw.agents.between import SessionMail
from clawgw.agents.methods import AgentMethods
from clawgw.agents.prompts import Prompt
from clawgw.agents.roster import Roster
from clawgw.agents.runs import RunManager
from clawgw.announcements import Announcements
from clawgw.approvals.acp import AcpApprovals, AskingRun
from clawgw.approvals.book import ApprovalBook
from clawgw.approvals.desk import ApprovalDesk
from clawgw.approvals.file import NAME as POLICY_NAME
from clawgw.approvals.file import PolicyStore, search_path_of
from clawgw.approvals.methods import ApprovalMethods
from clawgw.approvals.nodes import NodeApprovals
from clawgw.approvals.snapshots import SnapshotMethods
from clawgw.approvals.tool_runs import ToolRuns
from clawgw.canvas.host import CanvasHost
from clawgw.canvas.methods import CanvasMethods
from clawgw.canvas.root import CanvasRoot
from clawgw.channels.assembly import Channels, Needs
from clawgw.config_watch import LOOK_SECONDS, ConfigWatch
from clawgw.gateway.broadcast import Broadcaster
from clawgw.gateway.connect_log import ConnectLog
from clawgw.gateway.connection import Connection
from clawgw.gateway.handshake import Gatekeeper
from clawgw.gateway.hello import TICK_INTERVAL_MS, Greeter
from clawgw.gateway.ports import Ports
from clawgw.gateway.router import Router
from clawgw.gateway.websocket import Edge
from clawgw.health import HealthService
from clawgw.lock import AlreadyRunning, StateLock
from clawgw.mcp.servers import ToolServers
from clawgw.methods import MethodTable
from clawgw.names import NameThreads
from clawgw.nodes.book import NodeBook
from clawgw.nodes.events import NodeEvents, Speech
from clawgw.nodes.invoke import Invocations
from clawgw.nodes.methods import NodeMethods
from clawgw.nodes.pairing import NodePairing
from clawgw.nodes.pending import PendingWork
from clawgw.nodes.policy import CommandPolicy
from clawgw.nodes.registry import NodeRegistry
from clawgw.plan import Plan, check_ports, make_plan
from clawgw.presence import Presence
from clawgw.protocol.connect import SessionDefaults
from clawgw.sessions.book import SessionBook
from clawgw.sessions.keys import SessionKeys, SessionName
from clawgw.sessions.methods import ChatMethods, SessionMethods
from clawgw.store import approvals as approval_table
from clawgw.store import idempotency as idempotency_table
from clawgw.store import runs as run_table
from clawgw.store.database import Connection as StoreConnection
from clawgw.store.database import SqliteDatabase, StoreError, check_store
from clawgw.system_methods import SystemMethods
from clawgw.trust.backoff import AuthBackoff, BackoffPolicy
from clawgw.trust.devices import DeviceRegistry
from clawgw.trust.methods import DeviceMethods
from clawgw.trust.peers import PeerPolicy
from clawgw.trust.session_tokens import BoundSession, SessionTokens
from clawgw.trust.tokens import TokenMint, load_token_key
from clawgw.trust.tools import ToolRules

STORE_NAME = "clawgw.sqlite"
TOKEN_KEY_NAME = "device-token.key"  # noqa: S105 - a file name
CANVAS_KEY_NAME = "canvas.key"
SHUTDOWN_SECONDS = 5.0
FAREWELL_SECONDS = 1.0
HEALTH_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
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


def makeService(options: Mapping[str, Any]) -> Service:
    """The Gateway as a service; called by twistd.

    Raises:
        SystemExit: it cannot be started; one sentence says why. Of a `UsageError`, twistd would
            print the traceback.
    """
    from twisted.internet import reactor

    # pyOpenSSL and x509 are not needed without TLS, and cost start-up time.
    from clawgw.gateway.tls import TlsConfigurationError, load_server_tls

    try:
        plan = make_plan(options, dict(os.environ))
        configuration.ensure_state_dir(plan.state_dir)
        lock = StateLock(plan.state_dir)
        check_ports(plan)
        check_store(plan.state_dir / STORE_NAME)
        load_token_key(plan.state_dir / TOKEN_KEY_NAME)
        settings = plan.config.gateway.tls
        tls = load_server_tls(settings, plan.state_dir) if settings.enabled else None
    except (AlreadyRunning, TlsConfigurationError, StoreError, ValueError, OSError) as problem:
        raise SystemExit(f"clawgw: {problem}") from None
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
        self._ports = Ports(reactor, plan, tls)
        self._loops: list[LoopingCall] = []
        self._ready = False

    # Starting

    def privilegedStartService(self) -> None:
        """Open the store, wire everything, listen."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._wire()
        ports = self._ports
        ports.listen(self._edge, lambda: self._ready)
        ports.listen_for_tools(self._edge)
        if self.canvas is not None:
            ports.listen_for_canvas(self.canvas)

    def startService(self) -> None:
        """Take up work that waited, start the clocks, say where we are."""
        super().startService()  # type: ignore[no-untyped-call]
        self._ports.announce(self._lock, self._now_ms())
        self._every(TICK_INTERVAL_MS / 1000, self._tick)
        self._every(HEALTH_SECONDS, self.announcements.publish_health)
        self._every(PRUNE_SECONDS, self._prune)
        watch = ConfigWatch(
            self._plan.config_path, self._plan.config, self._in_thread, self._config_changed
        )
        self._every(LOOK_SECONDS, lambda: Deferred.fromCoroutine(watch.look()))
        ended = Deferred.fromCoroutine(self.approvals.recover())
        ended.addErrback(lambda failure: self.log.failure("while ending old approvals", failure))
        done = self.runs.recover()
        done.addErrback(lambda failure: self.log.failure("while taking up waiting runs", failure))
        self._channels_do(self._start_channels())
        self._ready = True

    def _wire(self) -> None:
        """Make everything, each thing after those it needs."""
        plan, reactor = self._plan, self._reactor
        reactor.suggestThreadPoolSize(4)
        self._names = NameThreads(reactor)
        self.database = SqliteDatabase(
            reactor, reactor.getThreadPool(), plan.state_dir / STORE_NAME
        )
        self.broadcaster = Broadcaster()
        instance = str(uuid.uuid4())
        roster = Roster(plan.config, plan.state_dir, plan.environ)
        table = MethodTable()
        self._wire_agents(roster, self._wire_approvals(roster.default_id))
        self._wire_announcements(roster, instance, table)
        self._wire_sessions(roster, table)
        devices = self._wire_devices(table)
        self._wire_canvas(table)
        self.approval_methods.register(table)
        SnapshotMethods(self.approvals).register(table)
        self._wire_nodes(devices, table)
        self._wire_channels(roster, table)
        self._wire_edge(roster, devices, instance, table)

    def _wire_agents(self, roster: Roster, permits: AcpApprovals) -> None:
        """Agents, the sessions they have, and the runs they answer."""
        plan = self._plan
        defaults = plan.config.agents.defaults
        self.session_tokens = SessionTokens(self._cut_off_tools)
        servers = self._tool_servers()
        self.agents = {
            agent_id: AcpAgent(
                self._reactor,
                roster.spec(agent_id),
                defaults.idle_seconds,
                permits.of(
                    agent_id,
                    roster.spec(agent_id).workspace,
                    search_path_of(roster.spec(agent_id).env),
                ),
                servers,
            )
            for agent_id in roster.ids
        }
        book = SessionBook(
            self.database,
            SessionKeys(roster.default_id, roster.ids, plan.config.session.main_key),
            str(plan.state_dir / STORE_NAME),
            roster.model_info,
            lambda: self.runs.active_sessions(),  # noqa: PLW0108 - they are made next
            self.broadcaster,
            self._now_ms,
        )
        self.runs = RunManager(
            self._reactor,
            self.database,
            book,
            self.agents,
            self.broadcaster,
            defaults.timeout_seconds,
            self._now_ms,
        )

    def _wire_announcements(self, roster: Roster, instance: str, table: MethodTable) -> None:
        """Who is there, and how the Gateway is."""
        now_ms, events = self._now_ms, self.broadcaster
        told = self.announcements = Announcements(self._reactor, events, now_ms)
        self.presence = told.presence = Presence(
            now_ms, __version__, instance, told.presence_changed
        )
        self.health = told.health = HealthService(
            self.runs.book,
            [(spec.id, spec.name or None) for spec in roster.summaries()],
            now_ms,
            self.runs.counts,
            lambda: len(events),
            __version__,
            now_ms(),
        )
        SystemMethods(self.health, self.presence, events, now_ms).register(table)

    def _wire_sessions(self, roster: Roster, table: MethodTable) -> None:
        runs, book, now_ms = self.runs, self.runs.book, self._now_ms
        mail = SessionMail(runs.in_flight)
        AgentMethods(roster, runs, book, self._in_thread, mail).register(table)
        ChatMethods(self.database, book, runs, self.broadcaster, self._in_thread, now_ms).register(
            table
        )
        self.session_methods = SessionMethods(
            self.database, book, runs, self._forget_agent_session, now_ms
        )
        self.session_methods.register(table)

    def _wire_devices(self, table: MethodTable) -> DeviceRegistry:
        mint = TokenMint(load_token_key(self._plan.state_dir / TOKEN_KEY_NAME))
        devices = DeviceRegistry(self.database, mint, self._now_ms)
        events = self.broadcaster
        self.device_methods = DeviceMethods(
            devices, events, events.has_device, self._disconnect, self._now_ms
        )
        self.device_methods.register(table)
        return devices

    def _wire_canvas(self, table: MethodTable) -> None:
        canvas = self.canvas = self._make_canvas(self.database, self.runs, self.runs.book.keys)
        if canvas is not None:
            CanvasMethods(canvas, self.runs.book.keys, self._in_thread, self._now_ms).register(
                table
            )

    def _wire_edge(
        self, roster: Roster, devices: DeviceRegistry, instance: str, table: MethodTable
    ) -> None:
        """Who may come in, what they are greeted with, and where their requests go."""
        plan, canvas, keys = self._plan, self.canvas, self.runs.book.keys
        config = plan.config.gateway
        limits = config.auth.rate_limit
        gatekeeper = Gatekeeper(
            plan.secrets,
            devices,
            AuthBackoff(BackoffPolicy(limits.max_attempts, limits.window_ms, limits.max_delay_ms)),
            self.broadcaster,
            self._now_ms,
            self.session_tokens.find,
        )
        greeter = Greeter(
            server_version=__version__,
            host=socket.gethostname() or "gateway",
            boot_id=instance,
            config_path=str(plan.config_path),
            state_dir=str(plan.state_dir),
            auth_mode=plan.secrets.mode,
            methods=table.names,
            methods_for=table.names_for,
            presence=self.presence.encoded,
            health=lambda _: self.health.encoded(),
            state_version=self.announcements.state_version,
            uptime_ms=self.health.uptime_ms,
            session_defaults=lambda version: _session_defaults(keys, roster, version),
            canvas_url=lambda host: None if canvas is None else canvas.url_for(host),
        )
        self._edge = Edge(
            reactor=self._reactor,
            gatekeeper=gatekeeper,
            greeter=greeter,
            router=Router(table, self._in_thread),
            broadcaster=self.broadcaster,
            peer_policy=PeerPolicy(
                config.trusted_proxies, config.control_ui.allowed_origins, (socket.gethostname(),)
            ),
            in_thread=self._in_thread,
            connect_log=ConnectLog(self._reactor, self.log.info),
            on_arrival=self._arrived,
            on_departure=self._departed,
            now_ms=self._now_ms,
        )

    def _wire_channels(self, roster: Roster, table: MethodTable) -> None:
        plan, runs, health = self._plan, self.runs, self.health
        workspaces = [Path(roster.spec(agent_id).workspace) for agent_id in roster.ids]
        channels = self.channels = Channels(
            plan.config,
            Needs(
                reactor=self._reactor,
                database=self.database,
                runs=runs,
                approvals=self.approvals,
                events=self.broadcaster,
                keys=runs.book.keys,
                state_dir=plan.state_dir,
                roots=(*workspaces, plan.canvas_root),
                environ=plan.environ,
                in_thread=self._in_thread,
                reset=self.session_methods.begin_anew,
                changed=self.announcements.channels_changed,
                now_ms=self._now_ms,
            ),
        )
        channels.register(table)
        health.channels = channels.health
        health.channel_summary = channels.summary
        self.approvals.on_asked = channels.asked

    def _wire_approvals(self, default_agent: str) -> AcpApprovals:
        plan, events, now_ms = self._plan, self.broadcaster, self._now_ms
        timeout_ms = plan.config.approvals.timeout_seconds * 1000
        store = PolicyStore(plan.state_dir / POLICY_NAME, self._in_thread, Path("~").expanduser())
        desk = self._desk = ApprovalDesk(store, default_agent, search_path_of(plan.environ), now_ms)
        desk.book = self.approvals = ApprovalBook(
            self._reactor, self.database, events, desk.remember, now_ms
        )
        self.approval_methods = ApprovalMethods(store, desk, timeout_ms, self._can_be_asked)
        return AcpApprovals(desk, self._asking_run, timeout_ms)

    def _wire_nodes(self, devices: DeviceRegistry, table: MethodTable) -> None:
        events, policy = self.broadcaster, _command_policy(self._plan.config)
        book = NodeBook(self.database, self._now_ms)
        pairing = NodePairing(book, events, self._now_ms)
        registry = self.nodes = NodeRegistry(
            book, pairing, devices, policy, self._now_ms, self._reactor
        )
        invocations = self.invocations = Invocations(
            self._reactor, self.database, registry, events.send, self._now_ms
        )
        self.approval_methods.invoke_node = invocations.run
        invocations.guard = NodeApprovals(self.approvals, self._now_ms).guard
        node_events = NodeEvents(book, events, self._say, self._now_ms)
        NodeMethods(
            registry,
            pairing,
            invocations,
            PendingWork(self.database, self._now_ms),
            node_events,
            events.send,
            self._now_ms,
            self._tool_runs(invocations).invoke,
        ).register(table)

    def _tool_runs(self, invocations: Invocations) -> ToolRuns:
        timeout_ms = self._plan.config.approvals.timeout_seconds * 1000
        return ToolRuns(
            invocations.invoke,
            self._desk,
            self.approvals,
            timeout_ms,
            self._can_be_asked,
            self._over_of,
        )

    def _over_of(self, session_key: str) -> Deferred[Any] | None:
        """Fires when the run going on in a session is over."""
        run = self.runs.in_flight(session_key)
        return None if run is None else Deferred.fromCoroutine(self.runs.wait(run.run_id, None))

    async def _say(self, speech: Speech) -> None:
        """Somebody speaks to the agent through a node."""
        name = self.runs.book.keys.parse(speech.session_key)
        prompt = Prompt(speech.text, thinking=speech.thinking, timeout_ms=speech.timeout_ms)
        await self.runs.accept(
            "node.event", speech.text, name, speech.session_key, prompt, speech.key
        )

    def _asking_run(self, agent_id: str, agent_session: str) -> AskingRun | None:
        found = self.runs.asking(agent_id, agent_session)
        if found is None:
            return None
        run, over = found
        return AskingRun(run.run_id, run.session_key, over)

    def _can_be_asked(self, asker: str) -> bool:
        return self.channels.approvals.can_be_asked() or any(
            connection.conn_id != asker and "exec.approval.requested" in connection.audible
            for connection in self.broadcaster
        )

    def _make_canvas(
        self, database: SqliteDatabase, runs: RunManager, keys: SessionKeys
    ) -> CanvasHost | None:
        plan = self._plan
        settings = plan.config.canvas
        if not settings.enabled:
            return None
        root = CanvasRoot(plan.canvas_root)
        root.prepare()
        return CanvasHost(
            self._reactor,
            root=root,
            key=load_token_key(plan.state_dir / CANVAS_KEY_NAME),
            lifetime_ms=settings.link_hours * 3_600_000,
            database=database,
            runs=runs,
            keys=keys,
            # Without the API's allowed origins: pages of other sites have no business here.
            peer_policy=PeerPolicy(
                plan.config.gateway.trusted_proxies, host_names=(socket.gethostname(),)
            ),
            in_thread=self._in_thread,
            now_ms=self._now_ms,
            live_reload=settings.live_reload,
            secure=self._tls is not None,
        )

    def _tool_servers(self) -> ToolServers:
        settings = self._plan.config
        own = {agent.id: agent.tools for agent in settings.agents.list}
        shared = ToolRules(settings.tools.allow, settings.tools.deny)

        def rules(agent_id: str) -> tuple[ToolRules, ...]:
            mine = own.get(agent_id)
            found = [shared] if mine is None else [shared, ToolRules(mine.allow, mine.deny)]
            if not any(self.channels.hub):  # a tool that could not work is not offered
                found.append(ToolRules(deny=("message_send",)))
            return tuple(found)

        def session_of(session_id: str) -> SessionName | None:
            found = self.runs.book.get_by_id(session_id)
            return None if found is None else SessionName(found.key, found.agent_id)

        return ToolServers(
            self.session_tokens,
            lambda: self._ports.tools,
            session_of,
            rules,
            settings.tools.sessions.visibility,
            self._plan.environ,
        )

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

    def _tick(self) -> None:
        self.device_methods.expire()
        self.announcements.tick()

    def _config_changed(self, config: configuration.Config) -> None:
        """What can follow a changed configuration without a restart."""
        self._channels_do(self.channels.follow(config))
        self.nodes.policy = _command_policy(config)

    async def _start_channels(self) -> None:
        await self.channels.start()
        # What is there by now stays. Looking at all of it again would hold the reactor up for a
        # tenth of a second, every time the garbage collector gets round to the oldest objects.
        gc.freeze()

    def _channels_do(self, work: Any) -> None:
        done = Deferred.fromCoroutine(work)
        done.addErrback(lambda failure: self.log.failure("of the channels", failure))

    def _prune(self) -> None:
        def change(connection: StoreConnection) -> None:
            now = self._now_ms()
            idempotency_table.prune(connection, now)
            run_table.prune(connection, now)
            approval_table.prune(connection, now)

        self.database.write(change).addErrback(
            lambda failure: self.log.failure("while pruning the store", failure)
        )
        self._channels_do(self.channels.sweep())

    def _arrived(self, connection: Connection) -> None:
        if connection.bound_session is None:
            self.presence.arrived(connection)
        self.nodes.arrived(connection)

    def _departed(self, connection: Connection) -> None:
        self.presence.left(connection)
        self.nodes.left(connection)

    def _disconnect(self, device_id: str, role: str, spare: str | None) -> None:
        for connection in self.broadcaster:
            if (connection.device_id, connection.role) != (device_id, role):
                continue
            if connection.conn_id != spare:
                connection.close(1008, "device token changed")

    def _forget_agent_session(self, agent_id: str, session_id: str) -> None:
        self.agents[agent_id].forget_session(session_id)
        session = self.runs.book.get_by_id(session_id)
        if session is not None:
            self.session_tokens.revoke_session(session.key)

    def _cut_off_tools(self, bound: BoundSession) -> None:
        """A session's token counts no more: nor do the connections made with it."""
        for connection in self.broadcaster:
            if connection.bound_session is bound:
                connection.close(1008, "session token revoked")

    # Stopping

    async def _stop(self) -> None:
        self._ready = False
        for loop in self._loops:
            loop.stop()
        self.announcements.goodbye()
        self._ports.close()
        self.runs.stop()
        await self._at_most(SHUTDOWN_SECONDS, Deferred.fromCoroutine(self.approvals.stop()))
        await self._at_most(SHUTDOWN_SECONDS, self.runs.settled())
        await self._at_most(SHUTDOWN_SECONDS, Deferred.fromCoroutine(self.channels.stop()))
        self.announcements.stop()
        for connection in self.broadcaster:
            connection.close(GOING_AWAY, "service restart")
        # What was written last is lost if the reactor stops before it is sent.
        await self._at_most(FAREWELL_SECONDS, self.broadcaster.when_empty())
        self._edge.connect_log.stop()
        agents = [Deferred.fromCoroutine(agent.stop()) for agent in self.agents.values()]
        await self._at_most(SHUTDOWN_SECONDS, DeferredList(agents))
        self._names.stop()
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


def _command_policy(config: configuration.Config) -> CommandPolicy:
    nodes = config.gateway.nodes
    return CommandPolicy(frozenset(nodes.allow_commands), frozenset(nodes.deny_commands))


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
