"""The entry point ``clawgw`` and the options all its commands share."""

from __future__ import annotations

import click

from clawgw import __version__
from clawgw.cli.agent import agent
from clawgw.cli.approvals import approvals
from clawgw.cli.canvas import canvas
from clawgw.cli.channels import channels
from clawgw.cli.devices import devices
from clawgw.cli.gateway import call, health, status
from clawgw.cli.group import CommandLine
from clawgw.cli.inputs import Seconds, Whole
from clawgw.cli.mcp import mcp
from clawgw.cli.message import message
from clawgw.cli.node import node
from clawgw.cli.nodes import nodes
from clawgw.cli.senders import pairing
from clawgw.cli.sessions import sessions
from clawgw.cli.settings import Globals

__all__ = ["main"]

_EPILOG = """\b
Exit codes:
  0    done
  1    the Gateway answered with an error
  2    the command or its options cannot be used
  3    no connection to the Gateway
  4    not authorised, or this device is not approved
  5    no answer in time
  130  interrupted
"""


@click.group(
    cls=CommandLine, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--url", metavar="URL", help="The Gateway, ws://… or wss://… (default: this machine's)."
)
@click.option(
    "--token",
    metavar="TOKEN",
    help="The Gateway's token (default: CLAWGW_GATEWAY_TOKEN, then the config).",
)
@click.option("--password", metavar="PASSWORD", help="The Gateway's password, where it takes one.")
@click.option("--json", "as_json", is_flag=True, help="Print results and errors as JSON.")
@click.option(
    "--timeout",
    type=Seconds(),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for an answer.",
)
@click.option("--state-dir", metavar="DIR", help="Where keys and config are (default: ~/.clawgw).")
@click.option(
    "--tls-fingerprint",
    metavar="SHA256",
    help="Trust the Gateway by this certificate and no other; nothing is sent before it matches.",
)
@click.option("--client-cert", metavar="FILE", help="Our certificate, for a Gateway that pins it.")
@click.option("--client-key", metavar="FILE", help="The key of --client-cert.")
@click.option("--ca-file", metavar="FILE", help="Trust certificates signed by the one in FILE.")
@click.option(
    "--allow-insecure",
    is_flag=True,
    help="Allow ws:// to another machine: the token can be read on the way.",
)
@click.option(
    "--protocol",
    type=Whole(3, 4),
    default=4,
    show_default=True,
    metavar="N",
    help="The protocol version to speak.",
)
@click.version_option(__version__, prog_name="clawgw")
@click.pass_context
def main(
    context: click.Context,
    url: str | None,
    token: str | None,
    password: str | None,
    as_json: bool,
    timeout: float,
    state_dir: str | None,
    tls_fingerprint: str | None,
    client_cert: str | None,
    client_key: str | None,
    ca_file: str | None,
    allow_insecure: bool,
    protocol: int,
) -> None:
    """Talk to a clawgw Gateway.

    On the Gateway's own machine no option is needed. The options below come before the command:
    clawgw --json health
    """
    context.obj = Globals(
        url=url,
        token=token,
        password=password,
        as_json=as_json,
        timeout=timeout,
        state_dir=state_dir,
        tls_fingerprint=tls_fingerprint,
        client_cert=client_cert,
        client_key=client_key,
        ca_file=ca_file,
        allow_insecure=allow_insecure,
        protocol=protocol,
    )


for _command in (
    health, status, call, agent, approvals, canvas, channels, devices, mcp, message, pairing,
    sessions, node, nodes,
):  # fmt: skip
    main.add_command(_command)
