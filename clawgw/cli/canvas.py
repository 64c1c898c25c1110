"""``clawgw canvas``: what agents draw."""

from __future__ import annotations

import base64
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.gateway import as_object, ask, part, rows
from clawgw.cli.inputs import content_of
from clawgw.cli.output import clean, note, print_json
from clawgw.cli.runner import GATEWAY_ERROR, converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

MAX_FILES = 1000


@click.group()
def canvas() -> None:
    """Look at the canvas, and put something on it."""


@canvas.command()
@click.option("--a2ui", is_flag=True, help="The page of A2UI surfaces instead of the files.")
@click.pass_obj
def url(options: Globals, a2ui: bool) -> None:
    """Print an address that opens the canvas.

    It holds for a day, for everybody who has it, on any machine that reaches the Gateway.
    """
    address = _address(options, a2ui)
    if options.as_json:
        print_json({"url": address})
    else:
        print(address)


@canvas.command()
@click.option("--a2ui", is_flag=True, help="The page of A2UI surfaces instead of the files.")
@click.pass_obj
def show(options: Globals, a2ui: bool) -> None:
    """Open the canvas in this machine's browser."""
    address = _address(options, a2ui)
    if not webbrowser.open(address):
        note("There is no browser here; open this address in one:")
    print(address)


@canvas.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "target", metavar="PATH", help="Its name on the canvas.")
@click.option("--a2ui", is_flag=True, help="SOURCE holds A2UI messages, one in a line.")
@click.option("--session", metavar="KEY", help="With --a2ui: whose agent gets the actions.")
@click.pass_obj
def push(
    options: Globals, source: Path, target: str | None, a2ui: bool, session: str | None
) -> None:
    """Put a file or directory on the canvas, or show A2UI."""
    if a2ui:
        params = {"jsonl": _text(source)}
        result = ask(
            options,
            "canvas.a2ui.pushJSONL",
            params | ({"sessionKey": session} if session else {}),
        )
        names = as_object(result).get("surfaces") or []
        text = f"Shown on {as_object(result).get('screens')} screens: {', '.join(names)}"
    else:
        result = _write(options, source, target)
        text = "\n".join(str(part(one, "file").get("path")) for one in result)
    if options.as_json:
        print_json(result)
    else:
        print(clean(text) if a2ui else "\n".join(clean(line) for line in text.splitlines()))


@canvas.command("list")
@click.pass_obj
def list_files(options: Globals) -> None:
    """List the files on the canvas."""
    result = ask(options, "canvas.files.list")
    if options.as_json:
        print_json(result)
        return
    found = rows(result, "files")
    for row in found:
        print(clean(str(row.get("path"))))
    if not found:
        note("The canvas is empty.")


@canvas.command()
@click.option("--a2ui", is_flag=True, help="End all A2UI surfaces; the files stay.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(options: Globals, a2ui: bool, yes: bool) -> None:
    """Delete every file on the canvas, or end all A2UI surfaces."""
    if not (yes or a2ui):
        click.confirm("Delete every file on the canvas?", abort=True)
    result = ask(options, "canvas.a2ui.reset" if a2ui else "canvas.files.reset")
    if options.as_json:
        print_json(result)
    elif a2ui:
        print("All surfaces ended.")
    else:
        print(f"Deleted {as_object(result).get('deleted')} files.")


def _address(options: Globals, a2ui: bool) -> str:
    async def conversation(_client: GatewayClient, hello: Hello) -> str | None:
        surfaces = part(hello.payload, "pluginSurfaceUrls")
        address = surfaces.get("canvas") or as_object(hello.payload).get("canvasHostUrl")
        return str(address) if address else None

    base = converse(options, conversation)
    if base is None:
        note("This Gateway has no canvas: it is off, its port is taken, or you may not read.")
        sys.exit(GATEWAY_ERROR)
    return f"{base}/__openclaw__/{'a2ui' if a2ui else 'canvas'}/"


def _write(options: Globals, source: Path, target: str | None) -> list[Any]:
    """Send files one after the other on one connection."""
    files = _files(source, target)

    async def conversation(client: GatewayClient, _hello: Hello) -> list[Any]:
        results = []
        for path, name in files:
            content = base64.b64encode(content_of(path, "SOURCE")).decode()
            params = {"path": name, "content": content, "encoding": "base64"}
            results.append(
                await client.request("canvas.files.write", params, timeout=options.timeout)
            )
        return results

    return converse(options, conversation)


def _files(source: Path, target: str | None) -> list[tuple[Path, str]]:
    """What is to be sent, with its name on the canvas; hidden files stay."""
    if source.is_file():
        return [(source, target or source.name)]
    prefix = f"{target.rstrip('/')}/" if target else ""
    found = [
        (path, prefix + path.relative_to(source).as_posix())
        for path in sorted(source.rglob("*"))
        if path.is_file() and not _hidden(path.relative_to(source))
    ]
    if not found or len(found) > MAX_FILES:
        raise click.BadParameter(f"expected 1 to {MAX_FILES} files in it", param_hint="SOURCE")
    return found


def _text(source: Path) -> str:
    try:
        return content_of(source, "SOURCE").decode()
    except UnicodeDecodeError:
        raise click.BadParameter(f"{source} is not UTF-8 text", param_hint="SOURCE") from None


def _hidden(path: Path) -> bool:
    return any(name.startswith(".") for name in path.parts)
