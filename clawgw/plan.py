"""What to start: options, environment and configuration taken together, and checked.

An option wins over the environment, the environment over the file. Whatever does not fit is a
`ConfigError` (or `AlreadyRunning`) whose message is one sentence that says what to change. Nothing
is opened or started here.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clawgw import config as configuration
from clawgw.lock import AlreadyRunning, listener_pid
from clawgw.trust.connect import Secrets
from clawgw.trust.peers import is_loopback

CANVAS_PORT_OFFSET = 4


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
    def canvas_port(self) -> int:
        """The configured port; else the Gateway's and four, as stock apps expect."""
        port = self.config.canvas.port
        if port is not None:
            return port
        return min(self.port + CANVAS_PORT_OFFSET, 65535) if self.port else 0

    @property
    def canvas_root(self) -> Path:
        """The directory of the canvas."""
        root = self.config.canvas.root
        return Path(root).expanduser() if root else self.state_dir / "canvas"

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
        addresses=_addresses(options.get("bind"), config.gateway.bind),
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


def _addresses(option: str | None, configured: str) -> tuple[str, ...]:
    bind = option or configured
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
    where = "--bind" if option else "gateway.bind"
    raise configuration.ConfigError(f"{where}: expected loopback, lan, or an IP address")


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


def check_ports(plan: Plan) -> None:
    """Find out now, while there is a terminal, whether the ports are free."""
    _check_free(plan, plan.port, "give this Gateway another --port")
    if plan.config.canvas.enabled and plan.config.canvas.port is not None:
        if plan.canvas_port == plan.port != 0:
            raise configuration.ConfigError(
                "canvas.port: is the Gateway's own; the canvas is another origin on purpose"
            )
        _check_free(plan, plan.canvas_port, "choose another canvas.port")


def _check_free(plan: Plan, port: int, remedy: str) -> None:
    if port == 0:
        return
    address = plan.addresses[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise configuration.ConfigError(
                    f"cannot listen on {address} port {port}: {problem.strerror}; choose "
                    "another --bind or port"
                ) from None
            pid = listener_pid(port)
            holder = f"pid {pid}" if pid else "another program"
            raise AlreadyRunning(
                f"port {port} on {address} is taken by {holder} ({problem.strerror}); stop "
                f"it first, or {remedy}"
            ) from None
