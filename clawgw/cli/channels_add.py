"""``clawgw channels add`` and ``remove``: an account in the configuration file.

What is written works: the provider is asked first, by the channel's own adapter, and an account it
refuses is not written. A token is read from the command line, from standard input (``-``), from the
environment, or asked for without being shown; it is printed nowhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.channel_config import ConfigFile
from clawgw.cli.channel_options import (
    ACCOUNT,
    FIELDS,
    Field,
    account_option,
    channel_argument,
    chosen,
    field_options,
    parameter,
    required,
)
from clawgw.cli.channels_login import Wanted, log_in, say_how
from clawgw.cli.output import clean, note, print_json
from clawgw.cli.runner import CommandError, told, work
from clawgw.cli.settings import Globals, client_options

if TYPE_CHECKING:
    from clawgw.channels.check import Found
    from clawgw.channels.providers import Configured

UP_SECONDS = 30.0
LOOK_SECONDS = 0.5

config_option = click.option("--config", metavar="FILE", help="Where the Gateway has another file.")


class Refused(CommandError):
    """The account was not taken; nothing was written."""


@click.command()
@channel_argument
@account_option
@field_options
@click.option("--use-env", is_flag=True, help="Leave the token in the Gateway's environment.")
@click.option("--no-check", is_flag=True, help="Do not ask the provider.")
@click.option("--yes", "-y", is_flag=True, help="Replace what is there without asking.")
@config_option
@click.pass_obj
def add(
    options: Globals,
    /,
    channel: str | None,
    channel_option: str | None,
    account: str | None,
    use_env: bool,
    no_check: bool,
    yes: bool,
    config: str | None,
    **given: str | None,
) -> None:
    """Add an account of CHANNEL, or give it a new token.

    Asks for what is not given, asks the provider whether it is right, and writes it into the
    configuration. A running Gateway takes it up by itself. For example:

    \b
      clawgw channels add telegram
      echo "$TOKEN" | clawgw channels add discord --token - --account work
    """
    with told(options):
        file = ConfigFile(options, config)
        name = account or "default"
        if not ACCOUNT.fullmatch(name):
            raise click.BadParameter(
                "letters, digits, -, _ and . are expected", param_hint="--account"
            )
        id_ = chosen(channel, channel_option) or _ask_which()
        _check_options(id_, given)
        if use_env and name != "default":
            raise click.UsageError("--use-env is for the account 'default' only.")
        _may_replace(file, id_, name, given, yes=yes, use_env=use_env)
        values = _values(id_, name, given, file, use_env=use_env)
        text, candidate = _candidate(file, id_, name, values)
        missing = candidate.settings.configured(os.environ)
        if missing:
            raise Refused(f"{missing}. Nothing was written.")
        done = work(options, _job(options, file, text, candidate, check=not no_check))
        if options.as_json:
            print_json(
                {
                    "channel": id_,
                    "accountId": name,
                    "config": str(file.path),
                    "probe": done.details,
                    "needsLogin": done.needs_login,
                }
            )


@click.command()
@channel_argument
@account_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--delete", is_flag=True, hidden=True)
@config_option
@click.pass_obj
def remove(
    options: Globals,
    channel: str | None,
    channel_option: str | None,
    account: str | None,
    yes: bool,
    delete: bool,
    config: str | None,
) -> None:
    """Remove an account of CHANNEL and its token.

    They go from the configuration. A login (WhatsApp, Signal) is given up before that, with
    clawgw channels logout.
    """
    with told(options):
        from clawgw.channels.configure import without_account

        file = ConfigFile(options, config)
        id_ = required(channel, channel_option)
        mine = [one.name for one in file.accounts if one.provider.id == id_]
        if not mine:
            raise click.UsageError(f"{id_} is not configured in {file.shown}.")
        if account is None and len(mine) > 1:
            raise click.UsageError(
                f"{id_} has several accounts; say --account {' or '.join(mine)}."
            )
        name = account or mine[0]
        if name not in mine:
            raise click.UsageError(f"{id_} has no account {name!r} ({', '.join(mine)}).")
        if not (yes or delete):
            click.confirm(f"Remove {id_} ({name}) from {file.shown}?", abort=True, err=True)
        file.write(without_account(file.text, id_, name))
        if options.as_json:
            print_json({"channel": id_, "accountId": name, "config": str(file.path)})
            return
        print(f"Removed {id_} ({name}) from {file.shown}.")
        note(f"The file as it was, with the token, is {file.shown}.bak.")
        if file.gateway_runs():
            note("The running Gateway disconnects it within a few seconds.")


# What to write


def _ask_which() -> str:
    from clawgw.channels.providers import PROVIDERS

    known = [provider.id for provider in PROVIDERS]
    if not sys.stdin.isatty():
        raise click.UsageError(f"Missing argument 'CHANNEL': {', '.join(known)}.")
    return str(click.prompt("Which channel", type=click.Choice(known), err=True))


def _check_options(channel: str, given: Mapping[str, str | None]) -> None:
    fields = FIELDS.get(channel, ())
    taken = {parameter(field.option) for field in fields}
    for name, value in given.items():
        if value is not None and name not in taken:
            options = ", ".join(field.option for field in fields)
            raise click.UsageError(
                f"--{name.replace('_', '-')} is not for {channel}, which takes {options}."
            )


def _values(
    channel: str,
    account: str,
    given: Mapping[str, str | None],
    file: ConfigFile,
    *,
    use_env: bool,
) -> dict[str, Any]:
    """What the account's section is to say; None for a key that goes."""
    values: dict[str, Any] = {}
    fields = FIELDS.get(channel, ())
    for field in fields:
        value = given.get(parameter(field.option))
        if value == "-" and field.secret:
            value = _from_stdin(field)
        if value is not None:
            values[field.key] = _absolute(field, value.strip())
            if not values[field.key]:
                raise click.BadParameter("it is empty", param_hint=field.option)
    if use_env:
        return values | {field.key: None for field in fields if field.secret}
    if "tokenFile" in values:
        return {"botToken": None} | values
    for field in fields:
        if field.secret and field.key not in values:
            values[field.key] = _asked(field, account)
    if any(field.key == "tokenFile" for field in fields):
        values.setdefault("tokenFile", None)
    existing = file.find(channel, account)
    if existing is not None and not existing.settings.enabled:
        values["enabled"] = True
    return values


def _absolute(field: Field, value: str) -> str:
    """A path as the Gateway, which runs elsewhere in the tree, finds it; all else as it is."""
    is_path = field.key in ("tokenFile", "authDir") or (field.key == "cliPath" and "/" in value)
    return os.path.abspath(os.path.expanduser(value)) if is_path and value else value


def _asked(field: Field, account: str) -> str:
    found = os.environ.get(field.variable, "").strip() if account == "default" else ""
    if found:
        note(f"Using the token in {field.variable}.")
        return found
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{field.option} is missing: give it, or - to read it from standard input, or set "
            f"{field.variable}."
        )
    return str(click.prompt(field.question, hide_input=True, err=True)).strip()


def _from_stdin(field: Field) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(field.question, hide_input=True, err=True))
    return sys.stdin.readline()


def _may_replace(
    file: ConfigFile,
    channel: str,
    account: str,
    given: Mapping[str, str | None],
    *,
    yes: bool,
    use_env: bool,
) -> None:
    """Ask before anything that is there is replaced."""
    existing = file.find(channel, account)
    asks = any(field.secret for field in FIELDS.get(channel, ()))
    replaces = asks or use_env or any(value is not None for value in given.values())
    if existing is None or yes or not replaces or existing.settings.configured({}) is not None:
        return
    there = f"{channel} ({account}) is in {file.shown} already."
    if not sys.stdin.isatty():
        raise click.UsageError(f"{there} To replace its settings, say --yes.")
    what = "token" if asks else "settings"
    click.confirm(f"{there} Replace its {what}?", abort=True, err=True)


def _candidate(
    file: ConfigFile, channel: str, account: str, values: Mapping[str, Any]
) -> tuple[str, Configured]:
    """The file as it would be, and the account in it."""
    from clawgw.channels.configure import with_account
    from clawgw.section import ConfigError

    try:
        text = with_account(file.text, channel, account, values)
    except ConfigError as problem:
        raise click.UsageError(f"{file.shown}: {problem}") from None
    found = file.find(channel, account, file.accounts_in(text))
    if found is None:
        raise click.UsageError(f"{file.shown} cannot be changed; edit it by hand.")
    return text, found


# Checking, writing, logging in


def _job(options: Globals, file: ConfigFile, text: str, one: Configured, *, check: bool) -> Any:
    """All that happens on the reactor, which runs once in a process."""
    from clawgw.channels.check import Found

    async def job(reactor: Any) -> Found:
        if check and sys.stderr.isatty() and not options.as_json:
            note(f"Asking {one.provider.label} …")
        found = await _checked(reactor, file, one) if check else Found({})
        file.write(text)
        if options.as_json:
            return found
        _say_written(file, one, found)
        if found.needs_login:
            await _link(reactor, options, file, one)
        elif one.settings.policy().dm == "pairing":
            note(
                "Whoever writes to it gets a code; let them in with: "
                f"clawgw pairing approve {one.provider.id} CODE"
            )
        return found

    return job


async def _checked(reactor: Any, file: ConfigFile, one: Configured) -> Found:
    from clawgw.channels.adapter import Fatal, Fault, clause
    from clawgw.channels.check import check_account

    directory = file.state_dir / "channels" / one.provider.id / one.name
    try:
        return await check_account(one, reactor, directory, os.environ)
    except Fatal as problem:
        raise Refused(f"{clause(problem)}. Nothing was written.") from None
    except Fault as problem:
        label = one.provider.label
        why = clause(problem).removeprefix(f"{label}: ")
        raise Refused(
            f"{label} could not be asked: {why}. Nothing was written; "
            "--no-check writes it all the same."
        ) from None


def _say_written(file: ConfigFile, one: Configured, found: Found) -> None:
    who = _who(found.details)
    if who:
        print(clean(f"{one.provider.label} knows it as {who}."))
    application = found.details.get("application")
    if isinstance(application, dict) and application.get("messageContent") is False:
        note(
            "It cannot read what is written in servers: switch on the Message Content Intent on "
            "the bot's page at Discord."
        )
    print(f"Written to {file.shown}.")
    if file.gateway_runs():
        note("The running Gateway takes it up within a few seconds: clawgw channels status")
    else:
        note(f"No Gateway runs on {file.state_dir}; it is used as soon as one does.")


def _who(details: Mapping[str, Any]) -> str:
    """What a provider calls an account, in words."""
    bot = details.get("bot")
    bot = bot if isinstance(bot, dict) else {}
    team = details.get("team")
    handle = bot.get("username")
    name = f"@{handle}" if handle else bot.get("name") or details.get("number") or ""
    place = team.get("name") if isinstance(team, dict) else None
    return f"{name} in {place}" if name and place else str(name)


async def _link(reactor: Any, options: Globals, file: ConfigFile, one: Configured) -> None:
    """Go on with the login, where there is somebody to do it and a Gateway to do it with."""
    channel, account = one.provider.id, one.name
    if not (file.gateway_runs() and sys.stdin.isatty()):
        say_how(channel, account)
        return
    from clawgw.client import GatewayClient

    note("Now a phone is linked. Ctrl-C puts that off.")
    client = GatewayClient(reactor, client_options(options, os.environ))
    try:
        await client.connect()
        await _until_there(reactor, client, channel, account)
        await log_in(client, options, Wanted(channel, account))
    finally:
        await client.close()


async def _until_there(reactor: Any, client: Any, channel: str, account: str) -> None:
    """Wait until the Gateway has read the file."""
    from twisted.internet.task import deferLater

    from clawgw.cli.gateway import part, rows

    for _ in range(int(UP_SECONDS / LOOK_SECONDS)):
        status = await client.request("channels.status", {})
        there = rows(part(status, "channelAccounts"), channel)
        if any(row.get("accountId") == account and row.get("enabled") for row in there):
            return
        await deferLater(reactor, LOOK_SECONDS)
