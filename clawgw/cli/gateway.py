"""``clawgw health``, ``clawgw status`` and ``clawgw call``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.inputs import json_object
from clawgw.cli.output import ago, facts, print_json, table
from clawgw.cli.runner import converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello


@click.command()
@click.pass_obj
def health(options: Globals) -> None:
    """Ask whether the Gateway and its channels are well."""
    result = ask(options, "health")
    if options.as_json:
        print_json(result)
        return
    sessions = part(result, "sessions")
    facts(
        [
            ("Gateway", "ok" if as_object(result).get("ok") else "not ok"),
            ("Default agent", as_object(result).get("defaultAgentId")),
            ("Sessions", sessions.get("count")),
        ]
    )
    channels = part(result, "channels")
    if channels:
        table(
            ["Channel", "Configured", "Running", "Last error"],
            [
                [
                    name,
                    *(as_object(state).get(key) for key in ("configured", "running", "lastError")),
                ]
                for name, state in channels.items()
            ],
        )


@click.command()
@click.pass_obj
def status(options: Globals) -> None:
    """Show what the Gateway is, and its latest sessions."""

    async def conversation(client: GatewayClient, hello: Hello) -> tuple[Any, Hello]:
        return await client.request("status", timeout=options.timeout), hello

    result, hello = converse(options, conversation)
    if options.as_json:
        print_json(result)
        return
    sessions = part(result, "sessions")
    uptime = part(hello.payload, "snapshot").get("uptimeMs")
    facts(
        [
            ("Gateway", hello.server_version),
            ("Protocol", hello.protocol),
            ("Up since", ago(time.time() * 1000 - uptime) if isinstance(uptime, int) else None),
            ("Signed in as", hello.role),
            ("Scopes", hello.scopes),
            ("Sessions", sessions.get("count")),
        ]
    )
    recent = [
        [row.get("key"), row.get("model"), ago(row.get("updatedAt"))]
        for row in rows(sessions, "recent")
    ]
    if recent:
        table(["Session", "Model", "Last active"], recent)


@click.command()
@click.argument("method")
@click.argument("params", required=False, metavar="[JSON]")
@click.pass_obj
def call(options: Globals, method: str, params: str | None) -> None:
    """Call METHOD with JSON parameters; print what it answers.

    JSON is an object; "-" reads it from standard input. For example:

    \b
      clawgw call sessions.list '{"limit": 5}'
    """
    found = None if params is None else json_object(params, "JSON", '{"limit": 5}')
    print_json(ask(options, method, found))


def ask(
    options: Globals, method: str, params: dict[str, Any] | None = None, *, listed: str = ""
) -> Any:
    """One request on a connection of its own; returns the payload.

    Args:
        listed: the command that lists what may be named; a person whose request is invalid is
            told of it.
    """

    async def conversation(client: GatewayClient, _hello: Hello) -> Any:
        with pointing_to(listed):
            return await client.request(method, params, timeout=options.timeout)

    return converse(options, conversation)


@contextmanager
def pointing_to(listed: str) -> Iterator[None]:
    """What the Gateway calls invalid inside says which command lists what is valid."""
    from clawgw.client import GatewayError

    try:
        yield
    except GatewayError as error:
        if listed and error.code == "INVALID_REQUEST":
            error.add_note(f"See {listed}")
        raise


def as_object(value: Any) -> dict[str, Any]:
    """An answer, or part of one, that should be an object; empty if it is none."""
    return value if isinstance(value, dict) else {}


def part(payload: Any, name: str) -> dict[str, Any]:
    """The object called ``name`` in an answer; empty if there is none."""
    return as_object(as_object(payload).get(name))


def rows(payload: Any, name: str) -> list[dict[str, Any]]:
    """The objects of the list called ``name`` in an answer."""
    found = as_object(payload).get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
