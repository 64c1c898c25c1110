"""``clawgw message``: something said through a channel, by the operator or a script.

A file of this machine is read here and sent along, because the Gateway, perhaps elsewhere, sends
only files of its agents. Every message has a key, so that a script that repeats itself with
``--idempotency-key`` says nothing twice.
"""

from __future__ import annotations

import base64
import functools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from clawgw.cli.channel_options import chosen
from clawgw.cli.gateway import as_object, ask, part
from clawgw.cli.inputs import Whole, content_of, text_of
from clawgw.cli.output import clean, note, print_json
from clawgw.cli.runner import converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

DELIVERY_SECONDS = 40.0
"""The Gateway answers within 20 s, whatever the provider does."""

_ROOM = 64 * 1024  # for what is in a frame besides the file


@click.group()
def message() -> None:
    """Send messages and polls through a channel."""


_WHERE = (
    click.option(
        "--to",
        "--target",
        "-t",
        "to",
        required=True,
        metavar="ADDRESS",
        help="A chat, as its channel names it; telegram:123 names the channel too.",
    ),
    click.option("--channel", metavar="CHANNEL", help="Where several are configured."),
    click.option("--account", metavar="NAME", help="Where a channel has several accounts."),
    click.option("--thread", "--thread-id", "thread", metavar="ID", help="A thread or topic."),
    click.option("--silent", is_flag=True, help="Without a sound, where there is that."),
    click.option(
        "--idempotency-key", "key", metavar="KEY", help="What has the same key is said once."
    ),
)


def _addressed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where to and how.

    It gets them as one argument, `params`: what its request has of them.
    """

    @functools.wraps(command)
    def with_params(
        options: Globals,
        to: str,
        channel: str | None,
        account: str | None,
        thread: str | None,
        silent: bool,
        key: str | None,
        **own: Any,
    ) -> None:
        params: dict[str, Any] = {"to": to, "idempotencyKey": key or str(uuid.uuid4())}
        named = {"channel": chosen(channel, None), "accountId": account, "threadId": thread}
        params |= {name: value for name, value in named.items() if value is not None}
        if silent:
            params["silent"] = True
        command(options, params, **own)

    result: Callable[..., None] = click.pass_obj(with_params)
    for option in reversed(_WHERE):
        result = option(result)
    return result


@message.command()
@_addressed
@click.option("--message", "-m", "text", metavar="TEXT", help="Markdown; - reads standard input.")
@click.option("--media", multiple=True, metavar="FILE|URL", help="A file to send (repeatable).")
@click.option("--reply-to", metavar="ID", help="The message it answers.")
@click.option("--voice", is_flag=True, help="A sound file is a voice message.")
@click.option("--document", is_flag=True, help="A picture or film is a file.")
@click.option("--gif-playback", is_flag=True, help="A film plays by itself, as a GIF does.")
def send(
    options: Globals,
    params: dict[str, Any],
    text: str | None,
    media: tuple[str, ...],
    reply_to: str | None,
    voice: bool,
    document: bool,
    gif_playback: bool,
) -> None:
    """Send a message, with files or without. For example:

    \b
      clawgw message send --to telegram:123456 --message "The **build** is done."
      clawgw message send --channel slack --to '#ops' --media plot.png
    """
    if text is not None:
        text = text_of(text, "--message")
    if not (text and text.strip()) and not media:
        raise click.UsageError("Say what to send: --message, --media, or both.")
    if reply_to:
        params["replyToId"] = reply_to
    flags = {"asVoice": voice, "forceDocument": document, "gifPlayback": gif_playback}
    params |= {name: True for name, on in flags.items() if on}
    requests = _requests(params, text, media)

    async def conversation(client: GatewayClient, hello: Hello) -> list[Any]:
        _check_size(requests, hello)
        return [
            await client.request("send", one, timeout=max(options.timeout, DELIVERY_SECONDS))
            for one in requests
        ]

    results = converse(options, conversation)
    _show(options, results)


@message.command()
@_addressed
@click.option(
    "--question",
    "--poll-question",
    "question",
    required=True,
    metavar="TEXT",
    help="What is asked.",
)
@click.option(
    "--option", "--poll-option", "choices", multiple=True, metavar="TEXT",
    help="One answer to choose from; 2 to 12 of them.",
)  # fmt: skip
@click.option("--multi", "--poll-multi", "multi", is_flag=True, help="Several may be chosen.")
@click.option(
    "--hours", "--poll-duration-hours", "hours", type=Whole(1), metavar="N",
    help="How long it is open.",
)  # fmt: skip
@click.option("--anonymous/--public", default=None, help="Whether it is seen who chose what.")
def poll(
    options: Globals,
    params: dict[str, Any],
    question: str,
    choices: tuple[str, ...],
    multi: bool,
    hours: int | None,
    anonymous: bool | None,
) -> None:
    """Ask a question with answers to choose from."""
    if not 2 <= len(choices) <= 12:
        raise click.UsageError("Give 2 to 12 answers, each with --option.")
    params |= {"question": question, "options": list(choices)}
    params["maxSelections"] = len(choices) if multi else 1
    if hours is not None:
        params["durationHours"] = hours
    if anonymous is not None:
        params["isAnonymous"] = anonymous
    _show(options, [ask(options, "poll", params)])


def _requests(
    params: dict[str, Any], text: str | None, media: tuple[str, ...]
) -> list[dict[str, Any]]:
    """One request, and one more for every local file after the first: each carries only one."""
    urls = [one for one in media if _is_url(one)]
    files = [Path(one).expanduser() for one in media if not _is_url(one)]
    first = dict(params)
    if text:
        first["message"] = text
    if urls:
        first["mediaUrls"] = urls
    if files:
        first |= _content(files[0])
    requests = [first]
    for number, path in enumerate(files[1:], 2):
        requests.append(
            {**params, **_content(path), "idempotencyKey": f"{params['idempotencyKey']}/{number}"}
        )
    return requests


def _content(path: Path) -> dict[str, Any]:
    content = content_of(path, "--media")
    if not content:
        raise click.BadParameter(f"{path} is empty", param_hint="--media")
    return {"buffer": base64.b64encode(content).decode(), "filename": path.name}


def _check_size(requests: list[dict[str, Any]], hello: Hello) -> None:
    """Say what is too large before it costs the connection."""
    most = part(hello.payload, "policy").get("maxPayload")
    for one in requests:
        size = len(one.get("buffer", ""))
        if isinstance(most, int) and size + _ROOM > most:
            room = (most - _ROOM) * 3 // 4 / 1024 / 1024
            raise click.BadParameter(
                f"{one['filename']} is too large: the Gateway takes {room:.0f} MB in one message; "
                "put it where an address leads to, or into an agent's workspace and call send "
                "with its path",
                param_hint="--media",
            )


def _is_url(text: str) -> bool:
    return urlsplit(text).scheme.lower() in ("http", "https")


def _show(options: Globals, results: list[Any]) -> None:
    if options.as_json:
        print_json(results[0] if len(results) == 1 else results)
        return
    for result in map(as_object, results):
        ids = result.get("messageIds") or [result.get("messageId")]
        named = ", ".join(str(one) for one in ids if one)
        where = f"{result.get('channel')}:{result.get('chatId') or result.get('to')}"
        if result.get("queued"):
            note("The Gateway has it and delivers it as soon as it can: clawgw channels status")
        else:
            print(clean(f"Delivered to {where}{f', message {named}' if named else ''}."))
