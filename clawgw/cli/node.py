"""``clawgw node``: this machine as a node of a Gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.runner import serve
from clawgw.cli.settings import Globals, find_target

if TYPE_CHECKING:
    from clawgw.client import ClientOptions
    from clawgw.nodehost.settings import NodeSettings


@click.group()
def node() -> None:
    """Lend this machine's commands to a Gateway."""


@node.command()
@click.option("--display-name", metavar="NAME", help="What the node is called.")
@click.option(
    "--node-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the node's key and its files are (default: node in the state directory).",
)
@click.pass_obj
def run(options: Globals, display_name: str | None, node_dir: Path | None) -> None:
    """Run the node host until it is stopped with Ctrl-C.

    The first time, the node has to be approved on the Gateway's host; it says how, and waits.
    What may be run here is decided by exec-approvals.json in the node's directory: at first
    nothing that nobody has allowed.
    """

    async def job(reactor: Any) -> None:
        from twisted.internet.defer import Deferred

        from clawgw.nodehost.build import build_host
        from clawgw.nodehost.directory import occupied

        _log_to_stderr()
        directory, client, settings = _prepare(options, display_name, node_dir)
        with occupied(directory):
            host = await build_host(reactor, client, directory, settings, os.environ)
            host.startService()
            try:
                await Deferred()
            finally:
                await host.stop()

    serve(options, job)


def _prepare(
    options: Globals, display_name: str | None, node_dir: Path | None
) -> tuple[Path, ClientOptions, NodeSettings]:
    """The node's directory, how to connect, and its settings.

    :raises ConfigError: when a configuration or a directory cannot be used.
    :raises IdentityError: when the device key cannot be used.
    """
    from clawgw.client import ClientOptions
    from clawgw.config import CONFIG_NAME, default_state_dir, ensure_state_dir, load_config
    from clawgw.identity import load_or_create_identity
    from clawgw.nodehost.settings import SETTINGS_NAME, load_settings

    given = options.state_dir
    state_dir = Path(given).expanduser() if given else default_state_dir(os.environ)
    directory = node_dir.expanduser() if node_dir else state_dir / "node"
    target = find_target(options, os.environ, load_config(state_dir / CONFIG_NAME), state_dir)
    ensure_state_dir(directory)
    client = ClientOptions(
        url=target.url,
        token=target.token,
        password=target.password,
        identity=load_or_create_identity(directory / "device.pem"),
        tls_fingerprint=target.tls_fingerprint,
        client_cert=options.client_cert,
        client_key=options.client_key,
        ca_file=options.ca_file,
        allow_insecure=options.allow_insecure,
        display_name=display_name,
        min_protocol=options.protocol,
        max_protocol=options.protocol,
    )
    return directory, client, load_settings(directory / SETTINGS_NAME)


def _log_to_stderr() -> None:
    from twisted.logger import (
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )

    enough = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    # Twisted's own lines about factories and connections say nothing to an operator.
    enough.setLogLevelForNamespace("twisted", LogLevel.warn)
    enough.setLogLevelForNamespace("autobahn", LogLevel.warn)
    enough.setLogLevelForNamespace("clawgw.client_dialer", LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [enough])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
