"""Which Gateway a command talks to, and with which secret.

The Gateway, first of these that applies:

1. ``--url``.
2. ``gateway.remote.url``, when the configuration says ``gateway.mode: "remote"``.
3. The Gateway running on this state directory: it has written its process id, its URL and the
   fingerprint of its certificate to ``gateway.lock``.
4. ``gateway.remote.url``, else ``gateway.port`` on this machine.

The secret: ``--token`` or ``--password``, else the environment, else the configuration. What the
configuration holds belongs to one Gateway and goes to that one only: ``gateway.auth`` to the local
one, ``gateway.remote`` to the remote one, neither to some other ``--url``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawgw.client import ClientOptions
    from clawgw.config import Config

__all__ = ["Globals", "Target", "client_options", "find_target"]


@dataclass(frozen=True)
class Globals:
    """The options every command has. ``timeout`` in seconds."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    as_json: bool = False
    timeout: float = 30.0
    state_dir: str | None = None
    tls_fingerprint: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ca_file: str | None = None
    allow_insecure: bool = False
    protocol: int = 4


@dataclass(frozen=True)
class Target:
    """A Gateway and what is known of it."""

    url: str
    tls_fingerprint: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def client_options(options: Globals, environ: Mapping[str, str]) -> ClientOptions:
    """Everything the client needs; reads the configuration and the device key, or makes the key.

    :raises ConfigError: when the configuration or the state directory cannot be used.
    :raises IdentityError: when the device key cannot be used.
    """
    from clawgw.client import ClientOptions
    from clawgw.config import CONFIG_NAME, default_state_dir, ensure_state_dir, load_config
    from clawgw.identity import load_or_create_identity

    state_dir = (
        Path(options.state_dir).expanduser() if options.state_dir else default_state_dir(environ)
    )
    target = find_target(options, environ, load_config(state_dir / CONFIG_NAME), state_dir)
    ensure_state_dir(state_dir)
    return ClientOptions(
        url=target.url,
        token=target.token,
        password=target.password,
        identity=load_or_create_identity(state_dir / "identity" / "device.pem"),
        tls_fingerprint=target.tls_fingerprint,
        client_cert=options.client_cert,
        client_key=options.client_key,
        ca_file=options.ca_file,
        allow_insecure=options.allow_insecure,
        caps=("tool-events",),
        min_protocol=options.protocol,
        max_protocol=options.protocol,
        open_timeout=min(options.timeout, 10.0),
        handshake_timeout=min(options.timeout, 10.0),
    )


def find_target(
    options: Globals, environ: Mapping[str, str], config: Config, state_dir: Path
) -> Target:
    """The Gateway to talk to, with the secret and the pin that are meant for it."""
    from clawgw.config import PASSWORD_VARIABLES, TOKEN_VARIABLES, first_of

    known = _known(options.url, config, state_dir)
    token = options.token or first_of(environ, TOKEN_VARIABLES)
    password = options.password or (None if token else first_of(environ, PASSWORD_VARIABLES))
    if not (token or password):
        token, password = known.token, known.password
    return Target(known.url, options.tls_fingerprint or known.tls_fingerprint, token, password)


def _known(url: str | None, config: Config, state_dir: Path) -> Target:
    """The Gateway at ``url``, or the one meant without; secrets from the configuration."""
    remote, running = _remote(config), _running(config, state_dir)
    local = Target(_local_url(config), None, *_local_secret(config))
    if url is not None:
        candidates = [target for target in (running, local, remote) if target is not None]
        return next((t for t in candidates if _same(t.url, url)), Target(url))
    if config.gateway.mode == "remote" and remote is not None:
        return remote
    return running or remote or local


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.strip().rstrip("/").lower()


def _remote(config: Config) -> Target | None:
    remote = config.gateway.remote
    if remote.url is None:
        return None
    return Target(remote.url, remote.tls_fingerprint, remote.token, remote.password)


def _local_url(config: Config) -> str:
    return f"{'wss' if config.gateway.tls.enabled else 'ws'}://127.0.0.1:{config.gateway.port}"


def _local_secret(config: Config) -> tuple[str | None, str | None]:
    auth = config.gateway.auth
    return auth.token, None if auth.token else auth.password


def _running(config: Config, state_dir: Path) -> Target | None:
    """The Gateway that runs on this state directory, if one does."""
    from clawgw.lock import read_lock

    lock = read_lock(state_dir)
    url, pin = lock.get("url"), lock.get("tlsFingerprint")
    if not isinstance(url, str) or not is_alive(lock.get("pid")):
        return None
    return Target(url, pin if isinstance(pin, str) else None, *_local_secret(config))


def is_alive(pid: object) -> bool:
    """Whether the process is there. Trying the lock instead could make a Gateway's start fail."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # It is somebody else's.
    return True
