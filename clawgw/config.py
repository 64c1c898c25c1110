"""The configuration: one JSON file with comments, typed, checked as a whole before anything runs.

Keys are OpenClaw's where the same thing exists there. A key we do not know and a value of the
wrong type are errors that name the path, because a setting that silently does nothing is how
gateways end up open. Environment variables and command line options win over the file; a token
given in any of these ways is never shown.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from clawgw.channels.discord.settings import DiscordSettings
from clawgw.channels.imessage.settings import IMessageSettings
from clawgw.channels.routing import DmScope
from clawgw.channels.settings import DEFAULT, SECRETS, merged_accounts
from clawgw.channels.signal.settings import SignalSettings
from clawgw.channels.slack.settings import SlackSettings
from clawgw.channels.telegram.settings import TelegramSettings
from clawgw.channels.whatsapp.settings import WhatsAppSettings
from clawgw.section import ConfigError, Name, Port, Positive, Section

__all__ = ["ConfigError", "Name", "Section"]

TOKEN_VARIABLES = ("CLAWGW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN")
PASSWORD_VARIABLES = ("CLAWGW_GATEWAY_PASSWORD", "OPENCLAW_GATEWAY_PASSWORD")
DEFAULT_PORT = 18789
CONFIG_NAME = "config.json"

AgentId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class RateLimit(Section, frozen=True):
    """Back-off of an address that fails to authenticate."""

    max_attempts: Positive = 5
    window_ms: Positive = 60_000
    max_delay_ms: Positive = 300_000


class Auth(Section, frozen=True):
    """`gateway.auth`: the shared secret of control-plane clients."""

    mode: Literal["none", "token", "password"] | None = None
    token: Name | None = None
    password: Name | None = None
    rate_limit: RateLimit = RateLimit()

    def __repr__(self) -> str:
        return f"Auth(mode={self.mode!r})"


class Tls(Section, frozen=True):
    """`gateway.tls`: see docs/security.md."""

    enabled: bool = False
    cert_path: Name | None = None
    key_path: Name | None = None
    auto_generate: bool = True
    client_auth: Literal["off", "pinned"] = "off"
    client_fingerprints: tuple[Name, ...] = ()


class ControlUi(Section, frozen=True):
    """`gateway.controlUi`: the page at `/`."""

    enabled: bool = True
    allowed_origins: tuple[Name, ...] = ()


class Remote(Section, frozen=True):
    """`gateway.remote`: the Gateway the CLI on this machine talks to, when it is elsewhere."""

    url: Name | None = None
    token: Name | None = None
    password: Name | None = None
    tls_fingerprint: Name | None = None

    def __repr__(self) -> str:
        return f"Remote(url={self.url!r})"


class Nodes(Section, frozen=True):
    """`gateway.nodes`: commands that nodes may be asked beyond their platform's, or never."""

    allow_commands: tuple[Name, ...] = ()
    deny_commands: tuple[Name, ...] = ()


class Gateway(Section, frozen=True):
    """`gateway`: the port, who may come in, and how."""

    mode: Literal["local", "remote"] = "local"
    port: Port = DEFAULT_PORT
    bind: Name = "loopback"
    auth: Auth = Auth()
    tls: Tls = Tls()
    control_ui: ControlUi = ControlUi()
    remote: Remote = Remote()
    trusted_proxies: tuple[Name, ...] = ()
    nodes: Nodes = Nodes()


class Model(Section, frozen=True):
    """A model as `provider/model`."""

    primary: Annotated[str, Meta(pattern=r"^[^/\s]+/\S+$")]


class Identity(Section, frozen=True):
    """How an agent shows itself."""

    name: Name | None = None
    theme: Name | None = None
    emoji: Name | None = None
    avatar: Name | None = None


class ToolList(Section, frozen=True):
    """`agents.list[].tools`: which of the Gateway's tools an agent has; see docs/tools.md."""

    allow: tuple[Name, ...] | None = None
    deny: tuple[Name, ...] = ()


class SessionTools(Section, frozen=True):
    """`tools.sessions`: which sessions an agent's tools may reach."""

    visibility: Literal["self", "agent", "all"] = "agent"


class Tools(Section, frozen=True):
    """`tools`: which of the Gateway's tools all agents have."""

    allow: tuple[Name, ...] | None = None
    deny: tuple[Name, ...] = ()
    sessions: SessionTools = SessionTools()


class Agent(Section, frozen=True):
    """One entry of `agents.list`.

    With `command` the agent is that program, speaking ACP over its standard input and output;
    without, it is the built-in one.
    """

    id: AgentId
    name: Name | None = None
    default: bool = False
    command: Annotated[tuple[Name, ...], Meta(min_length=1)] | None = None
    env: dict[str, str] = field(default_factory=dict)
    workspace: Name | None = None
    model: Model | None = None
    identity: Identity = Identity()
    system_prompt: str | None = None
    tools: ToolList = ToolList()

    def __repr__(self) -> str:
        return f"Agent(id={self.id!r})"


class AgentDefaults(Section, frozen=True):
    """`agents.defaults`: what an agent does not say itself. Times in seconds."""

    model: Model | None = None
    workspace: Name | None = None
    system_prompt: str | None = None
    timeout_seconds: Positive = 600
    idle_seconds: Positive = 900


class Agents(Section, frozen=True):
    """`agents`."""

    defaults: AgentDefaults = AgentDefaults()
    list: tuple[Agent, ...] = ()


class ProviderModel(Section, frozen=True):
    """One model of a provider, for lists."""

    id: Name
    name: Name | None = None
    context_window: Positive | None = None
    reasoning: bool | None = None
    input: tuple[Literal["text", "image"], ...] | None = None


class Provider(Section, frozen=True):
    """One entry of `models.providers`: where a provider is and which key opens it.

    The key is in `apiKey`, in the file `apiKeyFile`, or in the environment variable `apiKeyEnv`.
    """

    api: (
        Literal[
            "openai-completions",
            "openai-responses",
            "anthropic-messages",
            "google-generative-ai",
        ]
        | None
    ) = None
    base_url: Name | None = None
    api_key: Name | None = None
    api_key_file: Name | None = None
    api_key_env: Name | None = None
    models: tuple[ProviderModel, ...] = ()

    def __repr__(self) -> str:
        return f"Provider(base_url={self.base_url!r})"


class Models(Section, frozen=True):
    """`models`."""

    providers: dict[str, Provider] = field(default_factory=dict)


class Session(Section, frozen=True):
    """`session`: what the main session is called, and who shares it in direct messages."""

    main_key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "main"
    dm_scope: DmScope = "main"


class Approvals(Section, frozen=True):
    """`approvals`: how long a question waits for somebody to decide, in seconds."""

    timeout_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 120


class Canvas(Section, frozen=True):
    """`canvas`: what agents draw, on a port of its own; see docs/canvas.md.

    Without `port` it is the Gateway's port and four, if that is free. `root` is the directory,
    `canvas` in the state directory where it is not given.
    """

    enabled: bool = True
    port: Port | None = None
    root: Name | None = None
    live_reload: bool = True
    link_hours: Annotated[int, Meta(ge=1, le=720)] = 24


class Channels(Section, frozen=True):
    """`channels`: the chat surfaces; see docs/channels.md."""

    telegram: TelegramSettings | None = None
    discord: DiscordSettings | None = None
    slack: SlackSettings | None = None
    signal: SignalSettings | None = None
    imessage: IMessageSettings | None = None
    whatsapp: WhatsAppSettings | None = None
    media_days: Positive = 30
    allow_private_media_urls: bool = False


class Peer(Section, frozen=True):
    """A chat, by its kind (`dm` is OpenClaw's older word for `direct`) and id."""

    kind: Literal["direct", "dm", "group", "channel"] | None = None
    id: Name | None = None


class BindingMatch(Section, frozen=True):
    """Which messages a binding is about."""

    channel: Literal["telegram", "discord", "slack", "signal", "imessage", "whatsapp"]
    account_id: Name | None = None
    peer: Peer = Peer()
    guild_id: Name | None = None
    team_id: Name | None = None


class Binding(Section, frozen=True):
    """One entry of `bindings`: messages that an agent other than the default one answers."""

    agent_id: AgentId
    match: BindingMatch


class Config(Section, frozen=True):
    """The whole file. `canvasHost` is what OpenClaw calls `canvas`; either name will do."""

    gateway: Gateway = Gateway()
    agents: Agents = Agents()
    models: Models = Models()
    session: Session = Session()
    canvas: Canvas = Canvas()
    canvas_host: Canvas | None = None
    approvals: Approvals = Approvals()
    tools: Tools = Tools()
    channels: Channels = Channels()
    bindings: tuple[Binding, ...] = ()


_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#@\s*]+/?", re.IGNORECASE)
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_COMMENTS_AND_STRINGS = re.compile(
    r"""
    "(?:\\.|[^"\\])*"        # a string is kept as it is
    | //[^\n]*               # comments go
    | /\*.*?\*/
    # and a comma before a closing bracket; atomic, or a row of slashes would take for ever
    | ,(?=\s*+(?>(?>//[^\n]*+|/\*.*?\*/)\s*+)*+[\]}])
    """,
    re.VERBOSE | re.DOTALL,
)


def strip_comments(text: str) -> str:
    """JSON with `//` and `/* */` comments and trailing commas as plain JSON, lines kept."""

    def replacement(match: re.Match[str]) -> str:
        found = match.group()
        if found.startswith('"'):
            return found
        return "\n" * found.count("\n") or " "

    return _COMMENTS_AND_STRINGS.sub(replacement, text)


def decode(text: str, where: str) -> Any:
    """What a configuration file says, unchecked; `{}` for an empty one.

    Raises:
        ConfigError: it is no JSON; the message names the line.
    """
    plain = strip_comments(text)
    try:
        return msgspec.json.decode(plain.strip().encode() or b"{}")
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ConfigError(f"{where} is not JSON: {_place_of(plain) or problem}") from None


def _place_of(plain: str) -> str:
    """Where a text stops being JSON, and why; empty if that cannot be told."""
    import json  # needed for this alone

    try:
        json.loads(plain)
    except json.JSONDecodeError as problem:
        return f"line {problem.lineno}: {problem.msg}"
    except (ValueError, RecursionError):
        pass
    return ""


def parse_config(text: str, where: str = CONFIG_NAME) -> Config:
    """The configuration in `text`.

    Raises:
        ConfigError: naming the file and every path that is wrong.
    """
    value = _with_accounts(decode(text, where))
    try:
        config = msgspec.convert(value, Config)
    except msgspec.ValidationError:
        raise ConfigError(f"{where}: {'; '.join(config_problems(value))}") from None
    _check_gateway(config.gateway, where)
    _check_agents(config.agents, where)
    _check_tools(config, where)
    _check_accounts(value, where)
    _check_bindings(config, where)
    _check_whatsapp(config.channels.whatsapp, where)
    return _with_canvas(config, value, where)


def config_problems(value: Any) -> Sequence[str]:
    """Every mistake in a configuration value, each with its path; values are not repeated."""
    from clawgw.protocol.validate import problems

    return problems(config_schema(), value)


def config_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file."""
    return msgspec.json.schema(Config)


def _check_gateway(gateway: Gateway, where: str) -> None:
    """Refuse proxies and pages that no connection could come from: they would be let down later."""
    for number, text in enumerate(gateway.trusted_proxies):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ConfigError(
                f"{where}: gateway.trustedProxies[{number}]: expected an IP address or a network, "
                "such as 10.0.0.0/8"
            ) from None
    for number, origin in enumerate(gateway.control_ui.allowed_origins):
        if _ORIGIN.fullmatch(origin) is None:
            raise ConfigError(
                f"{where}: gateway.controlUi.allowedOrigins[{number}]: expected a page's scheme, "
                "host and port, such as https://chat.example.net, and no more"
            )


def _check_agents(agents: Agents, where: str) -> None:
    ids = [agent.id for agent in agents.list]
    twice = {name for name in ids if ids.count(name) > 1}
    if twice:
        raise ConfigError(f"{where}: agents.list has the id {sorted(twice)[0]!r} twice")
    if sum(agent.default for agent in agents.list) > 1:
        raise ConfigError(f"{where}: agents.list has more than one entry with default: true")


def _check_tools(config: Config, where: str) -> None:
    """Refuse an entry that means no tool: it would silently allow or deny nothing."""
    from clawgw.trust.tools import TOOLS, meaningless  # needed for this alone

    lists = {"tools": config.tools} | {
        f"agents.list[{number}].tools": agent.tools
        for number, agent in enumerate(config.agents.list)
    }
    for path, tools in lists.items():
        for name, entries in (("allow", tools.allow or ()), ("deny", tools.deny)):
            unknown = meaningless(entries)
            if unknown:
                groups = sorted({tool.group for tool in TOOLS.values()})
                raise ConfigError(
                    f"{where}: {path}.{name}: {unknown[0]!r} is no tool of the Gateway; expected "
                    f"{', '.join(TOOLS)}, a group of them ({', '.join(groups)}), or a pattern "
                    "with *"
                )


def _with_accounts(value: Any) -> Any:
    """The file with what a channel says written into each of its accounts."""
    channels = value.get("channels") if isinstance(value, dict) else None
    if not isinstance(channels, dict):
        return value
    merged = {name: merged_accounts(section) for name, section in channels.items()}
    return {**value, "channels": merged}


def _check_accounts(value: Any, where: str) -> None:
    """Refuse names that are no file names, and a secret that belongs to no account."""
    for channel, section in value.get("channels", {}).items():
        accounts = section.get("accounts") if isinstance(section, dict) else None
        if not accounts:
            continue
        for name in accounts:
            if _ACCOUNT_NAME.fullmatch(name) is None:
                raise ConfigError(
                    f"{where}: channels.{channel}.accounts: {name[:64]!r} is no name for an "
                    "account; expected at most 64 letters, digits, dots, dashes, underscores"
                )
        nobodys = sorted(SECRETS & section.keys())
        if nobodys and DEFAULT not in accounts:
            raise ConfigError(
                f"{where}: channels.{channel}.{nobodys[0]} belongs to the account "
                f"{DEFAULT!r}, which accounts does not have; move it into one of them"
            )


def _check_whatsapp(section: WhatsAppSettings | None, where: str) -> None:
    """Refuse a second WhatsApp session: WhatsApp knows a host by it."""
    accounts = section.accounts if section is not None and section.enabled else {}
    enabled = [name for name, account in accounts.items() if account.enabled]
    if len(enabled) > 1:
        raise ConfigError(
            f"{where}: channels.whatsapp.accounts: a host has one WhatsApp session; set "
            f"enabled: false in all but one of {', '.join(enabled)}"
        )


def _check_bindings(config: Config, where: str) -> None:
    """Refuse a binding whose agent there is not."""
    agents = {agent.id for agent in config.agents.list} or {"main"}
    for number, binding in enumerate(config.bindings):
        if binding.agent_id not in agents:
            raise ConfigError(
                f"{where}: bindings[{number}].agentId: there is no agent {binding.agent_id!r}"
            )


def _with_canvas(config: Config, value: Any, where: str) -> Config:
    """The configuration with the canvas under our name for it."""
    if config.canvas_host is None:
        return config
    if "canvas" in value:
        raise ConfigError(f"{where}: canvas and canvasHost are the same; keep one of them")
    return msgspec.structs.replace(config, canvas=config.canvas_host, canvas_host=None)


def load_config(path: Path | None) -> Config:
    """The configuration in a file; the defaults where there is no file at `path`.

    Raises:
        ConfigError: the file cannot be read or used.
    """
    return Config() if path is None else parse_config(read_text(path), str(path))


def read_text(path: Path) -> str:
    """A configuration file with its line ends; empty where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except OSError as problem:
        raise ConfigError(f"cannot read {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {path}: it is not UTF-8 text") from None


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where state is kept unless `--state-dir` says otherwise."""
    given = environ.get("CLAWGW_STATE_DIR")
    return Path(given).expanduser() if given else Path.home() / ".clawgw"


def ensure_state_dir(path: Path) -> None:
    """Make the state directory, for its owner only.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o700)
    except OSError as problem:
        raise ConfigError(f"cannot use the state directory {path}: {problem.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"the state directory {path} is not writable for this user")


def first_of(environ: Mapping[str, str], names: Sequence[str]) -> str | None:
    """The first of these environment variables that says something."""
    return next((environ[name] for name in names if environ.get(name)), None)
