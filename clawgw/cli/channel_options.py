"""What each channel is told when it is added: options, questions, environment variables.

One table for all channels, so that the command, its questions and its complaints agree. Whatever
else a channel can be told has a good default and stands in docs/channels/.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import click

ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Field(NamedTuple):
    """One thing to tell.

    Attributes:
        key: in the account's section of the configuration.
        option: on the command line.
        question: to ask for it where it is not given; empty: it may be missing.
        variable: the environment variable that may hold it.
    """

    key: str
    option: str
    question: str = ""
    variable: str = ""

    @property
    def secret(self) -> bool:
        """Whether it must not be seen."""
        return bool(self.variable)


_API_ROOT = Field("apiRoot", "--api-root")
_CLI_PATH = Field("cliPath", "--cli-path")
_NAME = Field("name", "--name")

FIELDS: dict[str, tuple[Field, ...]] = {
    "telegram": (
        Field("botToken", "--token", "The bot's token, from @BotFather", "TELEGRAM_BOT_TOKEN"),
        Field("tokenFile", "--token-file"),
        _API_ROOT,
        _NAME,
    ),
    "discord": (
        Field(
            "token",
            "--token",
            "The bot's token, from https://discord.com/developers/applications (Bot, Reset Token)",
            "DISCORD_BOT_TOKEN",
        ),
        _API_ROOT,
        _NAME,
    ),
    "slack": (
        Field("botToken", "--bot-token", "The bot's token, xoxb-…", "SLACK_BOT_TOKEN"),
        Field("appToken", "--app-token", "The app's token, xapp-…", "SLACK_APP_TOKEN"),
        _API_ROOT,
        _NAME,
    ),
    "signal": (Field("account", "--number"), _CLI_PATH, Field("socket", "--socket"), _NAME),
    "imessage": (_CLI_PATH, Field("dbPath", "--db-path"), _NAME),
    "whatsapp": (Field("authDir", "--auth-dir"), _NAME),
}

_HELP = {
    "--token": "Telegram, Discord: the bot's token; - reads it from standard input.",
    "--token-file": "Telegram: a file that holds the token.",
    "--bot-token": "Slack: xoxb-…; - reads it from standard input.",
    "--app-token": "Slack: xapp-…; - reads it from standard input, after the bot's.",
    "--number": "Signal: the account's phone number, such as +4915112345678.",
    "--cli-path": "Signal, iMessage: where signal-cli or imsg is.",
    "--socket": "Signal: a running daemon, tcp:HOST:PORT or unix:/PATH.",
    "--db-path": "iMessage: the Messages database.",
    "--auth-dir": "WhatsApp: where its login is kept.",
    "--api-root": "Telegram, Discord, Slack: another server than the provider's.",
    "--name": "What the account is called in lists.",
}
_ALIASES = {"--number": ("--signal-number",), "--name": ()}


def parameter(option: str) -> str:
    """How click passes an option on."""
    return option.removeprefix("--").replace("-", "_")


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of all channels."""
    for option, text in reversed(_HELP.items()):
        names = (option, *_ALIASES.get(option, ()), parameter(option))
        command = click.option(*names, help=text)(command)
    return command


def channel_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `[CHANNEL]`, and `--channel` as OpenClaw's commands have it."""
    command = click.option("--channel", "channel_option", metavar="CHANNEL", hidden=True)(command)
    return click.argument("channel", required=False)(command)


def account_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--account`."""
    return click.option("--account", metavar="NAME", help="Where a channel has several accounts.")(
        command
    )


def chosen(argument: str | None, option: str | None) -> str | None:
    """The channel that was named, one way or the other.

    Raises:
        click.UsageError: there is no such channel.
    """
    from clawgw.channels.providers import PROVIDERS

    name = argument or option
    if name is None:
        return None
    known = [provider.id for provider in PROVIDERS]
    if name.lower() not in known:
        raise click.UsageError(f"There is no channel {name!r}; there are {', '.join(known)}.")
    return name.lower()


def required(argument: str | None, option: str | None) -> str:
    """The same, where one has to be named."""
    name = chosen(argument, option)
    if name is None:
        raise click.UsageError("Missing argument 'CHANNEL'.")
    return name
