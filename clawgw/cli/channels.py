"""``clawgw channels``: the chat surfaces; which there are and how they are doing."""

from __future__ import annotations

import os
from typing import Any

import click

from clawgw.cli.channel_config import ConfigFile
from clawgw.cli.channel_options import account_option, channel_argument, chosen, required
from clawgw.cli.channels_add import add, config_option, remove
from clawgw.cli.channels_login import login, say_how
from clawgw.cli.gateway import as_object, ask, part, rows
from clawgw.cli.output import ago, note, print_json, table
from clawgw.cli.runner import told
from clawgw.cli.settings import Globals

Row = dict[str, Any]

_STATES = {
    "stopped": "stopped",
    "starting": "connecting",
    "reconnecting": "reconnecting",
    "failed": "stopped",
    "logged-out": "logged out",
}


@click.group()
def channels() -> None:
    """Connect the Gateway to the chats you write in.

    Telegram, Discord, Slack, Signal, iMessage and WhatsApp.
    """


@channels.command()
@click.option("--probe", is_flag=True, help="Ask the providers whether they know the accounts.")
@click.option("--channel", metavar="CHANNEL", help="Only this one.")
@click.pass_obj
def status(options: Globals, probe: bool, channel: str | None) -> None:
    """Show how every account is doing."""
    params: dict[str, Any] = {}
    only = chosen(channel, None)
    if probe:
        params["probe"] = True
        params["timeoutMs"] = int(min(options.timeout / 2, 10.0) * 1000)
    if only is not None and options.protocol >= 4:
        params["channel"] = only
    result = ask(options, "channels.status", params)
    if options.as_json:
        print_json(result)
        return
    accounts = _accounts(result, only)
    if not accounts:
        print(f"{only or 'No channel'} is {'not ' if only else ''}configured.")
        note(f"Add an account with: clawgw channels add {only or ''}".rstrip())
        return
    labels = part(result, "channelLabels")
    headings = ["Channel", "Account", "State", "Last in", "Last out", "Trouble"]
    table(
        [*headings, "The provider says"] if probe else headings,
        [
            [labels.get(id_, id_), *_cells(row), *([_probed(row)] if probe else [])]
            for id_, row in accounts
        ],
    )
    for id_, row in accounts:
        if row.get("healthState") == "logged-out":
            say_how(id_, str(row.get("accountId")))


@channels.command("list")
@config_option
@click.pass_obj
def list_channels(options: Globals, config: str | None) -> None:
    """List the accounts in the configuration of this machine."""
    from clawgw.channels.providers import PROVIDERS

    with told(options):
        file = ConfigFile(options, config)
    found = [
        {
            "channel": one.provider.id,
            "accountId": one.name,
            "name": one.settings.name,
            "enabled": one.settings.enabled,
            "missing": one.settings.configured(os.environ),
            "dmPolicy": one.settings.policy().dm,
            "groupPolicy": one.settings.policy().group,
        }
        for one in file.accounts
    ]
    others = [one.id for one in PROVIDERS if one.id not in {row["channel"] for row in found}]
    if options.as_json:
        print_json({"config": str(file.path), "accounts": found, "available": others})
        return
    if not found:
        print(f"There is no account in {file.shown}.")
    else:
        table(
            ["Channel", "Account", "Name", "State", "Direct messages", "Groups"],
            [
                [
                    row["channel"],
                    row["accountId"],
                    row["name"],
                    "off" if not row["enabled"] else row["missing"] or "ready",
                    row["dmPolicy"],
                    row["groupPolicy"],
                ]
                for row in found
            ],
        )
    if others:
        note(f"clawgw channels add takes {'also ' if found else ''}{', '.join(others)}.")


@channels.command()
@channel_argument
@account_option
@click.pass_obj
def logout(
    options: Globals, channel: str | None, channel_option: str | None, account: str | None
) -> None:
    """Give up the login of CHANNEL (WhatsApp, Signal)."""
    params = {"channel": required(channel, channel_option)}
    if account is not None:
        params["accountId"] = account
    result = as_object(ask(options, "channels.logout", params))
    if options.as_json:
        print_json(result)
    elif result.get("cleared"):
        print(f"{result.get('channel')} ({result.get('accountId')}) is logged out.")
    else:
        print(f"{result.get('channel')} ({result.get('accountId')}) was not logged in.")


for _command in (add, remove, login):
    channels.add_command(_command)


def _accounts(result: Any, only: str | None) -> list[tuple[str, Row]]:
    by_channel = part(result, "channelAccounts")
    order = as_object(result).get("channelOrder")
    ids = [id_ for id_ in order if isinstance(id_, str)] if isinstance(order, list) else []
    ids += [id_ for id_ in by_channel if id_ not in ids]
    return [(id_, row) for id_ in ids if only in (None, id_) for row in rows(by_channel, id_)]


def _cells(row: Row) -> list[Any]:
    state = _state(row)
    trouble = row.get("lastError") or row.get("warning")
    return [
        row.get("accountId"),
        state,
        ago(row.get("lastInboundAt")),
        ago(row.get("lastOutboundAt")),
        None if trouble == state else trouble,
    ]


def _state(row: Row) -> str:
    """How an account is doing, in words."""
    if row.get("enabled") is False:
        return "switched off"
    if row.get("configured") is False:
        return "not configured"
    if row.get("connected"):
        name = row.get("name")
        return f"connected as {name}" if name else "connected"
    state = _STATES.get(str(row.get("healthState")), str(row.get("healthState") or "unknown"))
    tries = row.get("reconnectAttempts")
    if state == "reconnecting" and tries:
        return f"{state}, try {tries}"
    return state


def _probed(row: Row) -> str:
    probe = as_object(row.get("probe"))
    if not probe:
        return ""
    if probe.get("ok"):
        return f"yes, in {probe.get('elapsedMs', '?')} ms"
    return f"no: {probe.get('error', 'it did not say why')}"
