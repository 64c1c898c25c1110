"""``clawgw sessions``: the conversations the Gateway remembers."""

from __future__ import annotations

from typing import Any

import click

from clawgw.cli.gateway import as_object, ask, rows
from clawgw.cli.inputs import Whole
from clawgw.cli.output import ago, clean, note, print_json, table, write
from clawgw.cli.settings import Globals


@click.group()
def sessions() -> None:
    """Read, reset and delete sessions."""


@sessions.command("list")
@click.option(
    "--limit",
    type=Whole(1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many, at most.",
)
@click.option("--search", metavar="TEXT", help="Only sessions whose key or label has TEXT.")
@click.pass_obj
def list_sessions(options: Globals, limit: int, search: str | None) -> None:
    """List sessions, the latest first."""
    params: dict[str, Any] = {"limit": limit, "includeLastMessage": True}
    if search:
        params["search"] = search
    result = ask(options, "sessions.list", params)
    if options.as_json:
        print_json(result)
        return
    found = rows(result, "sessions")
    if not found:
        print("There are no sessions.")
        return
    table(
        ["Session", "Label", "Last active", "Last message"],
        [
            [
                row.get("key"),
                row.get("label") or row.get("displayName"),
                ago(row.get("updatedAt")),
                str(row.get("lastMessagePreview") or "")[:60],
            ]
            for row in found
        ],
    )
    page = as_object(result)
    if page.get("hasMore"):
        note(f"There are more ({page.get('totalCount')} in all); see --limit.")


@sessions.command()
@click.argument("key")
@click.option(
    "--limit",
    type=Whole(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many, at most.",
)
@click.pass_obj
def history(options: Globals, key: str, limit: int) -> None:
    """Print the latest messages of the session KEY."""
    result = ask(options, "chat.history", {"sessionKey": key, "limit": limit})
    if options.as_json:
        print_json(result)
        return
    found = rows(result, "messages")
    for message in found:
        text = _text(message.get("content"))
        if text:
            write(f"{message.get('role', '?')}: {text}\n\n")
    if not found:
        note(f"Nothing was said in the session {key}: clawgw sessions list")


@sessions.command()
@click.argument("key")
@click.pass_obj
def reset(options: Globals, key: str) -> None:
    """Begin the session KEY anew: the agent forgets what was said."""
    result = ask(options, "sessions.reset", {"key": key})
    if options.as_json:
        print_json(result)
    else:
        print(clean(f"Reset {as_object(result).get('key', key)}."))


@sessions.command()
@click.argument("key")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--keep-transcript", is_flag=True, help="Keep what was said on the Gateway's disk.")
@click.pass_obj
def delete(options: Globals, key: str, yes: bool, keep_transcript: bool) -> None:
    """Delete the session KEY and its transcript."""
    if not yes:
        click.confirm(f"Delete the session {key}?", abort=True, err=True)
    params = {"key": key, "deleteTranscript": not keep_transcript}
    result = ask(options, "sessions.delete", params)
    if options.as_json:
        print_json(result)
    elif as_object(result).get("deleted"):
        print(f"Deleted {key}.")
    else:
        print(f"There is no session {key}.")


def _text(content: Any) -> str:
    """The text of a message, whose content is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))
