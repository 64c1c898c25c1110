"""The parts of a node host put together: what ``clawgw node run`` runs."""

from __future__ import annotations

import dataclasses
import platform as platforms
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clawgw.client_connect import ClientOptions
from clawgw.nodehost.approvals import APPROVALS_NAME, Approvals
from clawgw.nodehost.calls import Handler
from clawgw.nodehost.camera import CameraCommands
from clawgw.nodehost.canvas import CanvasCommands
from clawgw.nodehost.capabilities import Machine, inspect, offer
from clawgw.nodehost.environment import base_environment
from clawgw.nodehost.host import GatewayLink, NodeHost
from clawgw.nodehost.location import LocationCommands
from clawgw.nodehost.processes import Processes
from clawgw.nodehost.screen import ScreenCommands
from clawgw.nodehost.settings import NodeSettings
from clawgw.nodehost.system import SystemCommands, SystemSettings

__all__ = ["build_host"]


async def build_host(
    reactor: Any,
    options: ClientOptions,
    directory: Path,
    settings: NodeSettings,
    environ: Mapping[str, str],
    *,
    machine: Machine | None = None,
) -> NodeHost:
    """A node host, not yet started.

    :param options: how to reach the Gateway, and the node's device key.
    :param directory: the node's own; exists.
    :param environ: this process's environment; the Gateway's secrets are left out of what
        commands get.
    :param machine: what this machine can do; found out if not given.
    """
    environment = base_environment(environ)
    processes = Processes(reactor)
    if machine is None:
        machine = await inspect(processes, environment)
    link = GatewayLink()
    offered = offer(machine, settings)
    canvas = _canvas(reactor, machine, environment, directory, link)
    commands: dict[str, Handler] = dict(canvas.handlers()) if canvas else {}
    approvals = Approvals(reactor, directory / APPROVALS_NAME, link)
    commands.update(approvals.handlers())
    system = SystemSettings(
        environment=environment,
        home=_home(environment),
        trust_gateway=settings.trust_gateway_approvals,
        notifier=machine.notifier,
    )
    commands.update(SystemCommands(reactor, processes, link, approvals, system).handlers())
    if settings.location is not None:
        commands.update(LocationCommands(reactor, settings.location).handlers())
    if machine.ffmpeg is not None:
        ffmpeg, mac = machine.ffmpeg, machine.platform == "darwin"
        camera = CameraCommands(processes, ffmpeg, machine.cameras, environment, mac=mac)
        screen = ScreenCommands(processes, ffmpeg, machine.screens, environment)
        commands.update({**camera.handlers(), **screen.handlers()})
    declared = dataclasses.replace(
        options,
        client_id="node-host",
        client_mode="node",
        role="node",
        scopes=(),
        display_name=options.display_name or settings.display_name or socket.gethostname(),
        platform=machine.platform,
        device_family={"darwin": "Mac", "linux": "Linux"}.get(machine.platform, platforms.system()),
        instance_id=options.identity.device_id if options.identity else None,
        caps=offered.caps,
        commands=offered.commands,
        permissions=offered.permissions,
    )
    stopping = (canvas.stop,) if canvas else ()
    return NodeHost(reactor, declared, commands, link, processes, stopping)


def _home(environment: Mapping[str, str]) -> str:
    """Where commands run that name no directory; users of services often have no home."""
    home = environment.get("HOME") or str(Path.home())
    return home if Path(home).is_dir() else "/"


def _canvas(
    reactor: Any,
    machine: Machine,
    environment: Mapping[str, str],
    directory: Path,
    link: GatewayLink,
) -> CanvasCommands | None:
    if machine.browser is None:
        return None
    return CanvasCommands(reactor, machine.browser, environment, directory, link)
