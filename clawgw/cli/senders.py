"""``clawgw pairing``: strangers who wrote to an account, and who of them may go on.

Devices and nodes are approved with ``clawgw devices`` and ``clawgw nodes``.
"""

from __future__ import annotations

from typing import Any

import click

from clawgw.cli.channel_options import account_option, chosen, required
from clawgw.cli.gateway import as_object, ask, rows
from clawgw.cli.output import ago, clean, note, print_json, table
from clawgw.cli.settings import Globals

Row = dict[str, Any]


@click.group()
def pairing() -> None:
    """Let in people who write to your channels."""


@pairing.command("list")
@click.argument("channel", required=False)
@click.option("--channel", "channel_option", metavar="CHANNEL", hidden=True)
@click.pass_obj
def list_senders(options: Globals, channel: str | None, channel_option: str | None) -> None:
    """List the people who wait with a code, and those who were let in."""
    only = chosen(channel, channel_option)
    result = ask(options, "channel.pair.list", {"channel": only} if only else {})
    if options.as_json:
        print_json(result)
        return
    pending, approved = rows(result, "pending"), rows(result, "approved")
    if pending:
        table(
            ["Code", "Channel", "Account", "Name", "Id", "Wrote"],
            [[row.get("code"), *_person(row), ago(row.get("ts"))] for row in pending],
            title="Waiting",
        )
    if approved:
        if pending:
            print()
        table(
            ["Channel", "Account", "Name", "Id", "Let in"],
            [[*_person(row), ago(row.get("approvedAt"))] for row in approved],
            title="Let in",
        )
    if not (pending or approved):
        print("Nobody waits, and nobody was let in with a code.")
    elif pending:
        note("Let somebody in with: clawgw pairing approve CODE")


@pairing.command()
@click.argument("words", nargs=-1, metavar="[CHANNEL] CODE")
@click.option("--channel", "channel_option", metavar="CHANNEL", hidden=True)
@click.option("--notify", is_flag=True, hidden=True)  # we always do
@click.pass_obj
def approve(
    options: Globals, words: tuple[str, ...], channel_option: str | None, notify: bool
) -> None:
    """Let the person in who was given CODE; they are told so."""
    _decide(options, "approve", words, channel_option)


@pairing.command()
@click.argument("words", nargs=-1, metavar="[CHANNEL] CODE")
@click.option("--channel", "channel_option", metavar="CHANNEL", hidden=True)
@click.pass_obj
def reject(options: Globals, words: tuple[str, ...], channel_option: str | None) -> None:
    """Turn the person away who was given CODE; they are told nothing."""
    _decide(options, "reject", words, channel_option)


@pairing.command()
@click.argument("channel")
@click.argument("sender")
@account_option
@click.pass_obj
def remove(options: Globals, channel: str, sender: str, account: str | None) -> None:
    """Take an approval back. SENDER is the id that "clawgw pairing list" shows."""
    params = {"channel": required(channel, None), "sender": sender}
    if account is not None:
        params["accountId"] = account
    _show(options, ask(options, "channel.pair.remove", params))


def _decide(
    options: Globals, verb: str, words: tuple[str, ...], channel_option: str | None
) -> None:
    if not 1 <= len(words) <= 2:
        raise click.UsageError(f"Say which: clawgw pairing {verb} CODE")
    *named, code = words
    only = chosen(named[0] if named else None, channel_option)
    params = {"code": code, **({"channel": only} if only else {})}
    _show(options, ask(options, f"channel.pair.{verb}", params))


def _show(options: Globals, result: Any) -> None:
    if options.as_json:
        print_json(result)
        return
    row = as_object(result)
    done = {
        "approved": "may now write to",
        "rejected": "was turned away from",
        "removed": "may no longer write to",
    }.get(str(row.get("decision")), "was decided about for")
    name, id_ = row.get("name"), row.get("sender")
    who = f"{name} (id {id_})" if name and name != id_ else f"{id_}"
    print(clean(f"{who} {done} {row.get('channel')} ({row.get('accountId')})."))


def _person(row: Row) -> list[Any]:
    return [row.get("channel"), row.get("accountId"), row.get("name"), row.get("sender")]
