"""``clawgw nodes``: machines that lend their commands."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.gateway import as_object, ask, part, rows
from clawgw.cli.inputs import Seconds, json_value
from clawgw.cli.output import ago, clean, facts, note, print_json, table
from clawgw.cli.pairing import approve_request, reject_request
from clawgw.cli.runner import converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

Row = dict[str, Any]
DEFAULT_SECONDS = 30.0


@click.group()
def nodes() -> None:
    """List nodes, approve what they lend, and ask them for it.

    A NODE is named by its id, the beginning of it, its name, or its address.
    """


@nodes.command("list")
@click.option("--connected", is_flag=True, help="Only those that are connected.")
@click.pass_obj
def list_nodes(options: Globals, *, connected: bool) -> None:
    """List the nodes there are."""
    result = ask(options, "node.list")
    if options.as_json:
        print_json(result)
        return
    found = [row for row in rows(result, "nodes") if row.get("connected") or not connected]
    if not found:
        print("There are no nodes.")
        return
    table(
        ["Node", "Name", "Platform", "Connected", "Last seen", "Commands", "Approval"],
        [
            [
                row.get("nodeId"),
                row.get("displayName"),
                row.get("platform"),
                row.get("connected"),
                ago(row.get("lastSeenAtMs")),
                row.get("commands"),
                row.get("approvalState"),
            ]
            for row in found
        ],
    )


@nodes.command()
@click.argument("node")
@click.pass_obj
def describe(options: Globals, node: str) -> None:
    """Show one NODE."""
    result = _about(options, node, "node.describe", {})
    if options.as_json:
        print_json(result)
        return
    row = as_object(result)
    facts(
        [
            ("Node", row.get("nodeId")),
            ("Name", row.get("displayName")),
            ("Platform", row.get("platform")),
            ("Device", row.get("deviceFamily")),
            ("Version", row.get("version")),
            ("Address", row.get("remoteIp")),
            ("Connected", row.get("connected")),
            ("Last seen", ago(row.get("lastSeenAtMs"))),
            ("Capabilities", row.get("caps")),
            ("Commands", row.get("commands")),
            ("Permissions", _granted(row.get("permissions"))),
            ("Approval", row.get("approvalState")),
            ("Waits for approval", row.get("pendingDeclaredCommands")),
            ("Request", row.get("pendingRequestId")),
        ]
    )


@nodes.command()
@click.argument("node")
@click.argument("command")
@click.argument("params", required=False, metavar="[JSON]")
@click.option(
    "--wait",
    type=Seconds(),
    default=DEFAULT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long the node has.",
)
@click.option(
    "--key", metavar="KEY", help="The idempotency key: the same key never has it done twice."
)
@click.pass_obj
def invoke(
    options: Globals, node: str, command: str, params: str | None, wait: float, key: str | None
) -> None:
    """Ask NODE for COMMAND and print what it answers, as JSON.

    JSON is what the command is told; "-" reads it from standard input. For example:

    \b
      clawgw nodes invoke "my phone" location.get
      clawgw nodes invoke build-box system.which '{"bins": ["git"]}'
    """
    asked: dict[str, Any] = {
        "command": command,
        "timeoutMs": max(1, round(wait * 1000)),
        "idempotencyKey": key or str(uuid.uuid4()),
    }
    if params is not None:
        asked["params"] = json_value(params, "JSON")
    result = _about(options, node, "node.invoke", asked, patience=wait)
    print_json(result if options.as_json else as_object(result).get("payload"))


@nodes.command()
@click.argument("node")
@click.argument("name")
@click.pass_obj
def rename(options: Globals, node: str, name: str) -> None:
    """Call NODE by another NAME."""
    result = _about(options, node, "node.rename", {"displayName": name})
    if options.as_json:
        print_json(result)
    else:
        print(clean(f"Renamed to {as_object(result).get('displayName')}."))


@nodes.command()
@click.pass_obj
def pending(options: Globals) -> None:
    """List the nodes whose commands wait for approval."""
    result = ask(options, "node.pair.list")
    waiting = rows(result, "pending")
    if options.as_json:
        print_json({"pending": waiting})
    elif waiting:
        _show_pending(waiting)
    else:
        print("No node waits for approval.")


@nodes.command()
@click.argument("request_id", required=False)
@click.pass_obj
def approve(options: Globals, request_id: str | None) -> None:
    """Approve what the node that asked with REQUEST_ID wants to lend.

    Without it, the only node that waits; if several wait they are listed.
    """
    result = approve_request(options, "node", request_id, _show_pending)
    if result is None:
        return
    node = part(result, "node")
    node.pop("token", None)  # of no use to anybody who reads this
    if options.as_json:
        print_json(result)
    else:
        name = node.get("displayName") or str(node.get("nodeId", ""))[:12]
        print(clean(f"Approved {name}: {', '.join(node.get('commands') or ['no commands'])}."))


@nodes.command()
@click.argument("request_id")
@click.pass_obj
def reject(options: Globals, request_id: str) -> None:
    """Refuse what the node that asked with REQUEST_ID wants to lend."""
    reject_request(options, "node", request_id)


@nodes.command()
@click.argument("node")
@click.pass_obj
def remove(options: Globals, node: str) -> None:
    """Let go of NODE.

    It is disconnected, and has to be let in and approved again.
    """
    result = _about(options, node, "node.pair.remove", {})
    if options.as_json:
        print_json(result)
    else:
        print("Removed.")


def _about(options: Globals, node: str, method: str, params: Row, *, patience: float = 0.0) -> Any:
    """One request about the node that is meant; ends the process if it is not clear which."""

    async def conversation(client: GatewayClient, _hello: Hello) -> Any:
        listing = await client.request("node.list", timeout=options.timeout)
        found = matching(rows(listing, "nodes"), node)
        if len(found) != 1:
            return found
        asked = {"nodeId": found[0]["nodeId"], **params}
        return await client.request(method, asked, timeout=options.timeout + patience)

    result = converse(options, conversation)
    if isinstance(result, list):
        for row in result:
            note(f"{row.get('nodeId')} {row.get('displayName') or ''}".rstrip())
        what = "several nodes fit, say which" if result else "there is no such node"
        raise click.BadParameter(f"{what}: clawgw nodes list", param_hint="NODE")
    return result


def matching(known: list[Row], wanted: str) -> list[Row]:
    """The nodes that a person may mean: by id or name, else by the beginning of either."""
    wanted = wanted.strip().lower()
    names = ("nodeId", "displayName", "remoteIp")
    exact = [row for row in known if wanted in {str(row.get(name, "")).lower() for name in names}]
    if exact or not wanted:
        return exact
    return [
        row
        for row in known
        if any(str(row.get(name, "")).lower().startswith(wanted) for name in names[:2])
    ]


def _granted(permissions: Any) -> list[str]:
    return [name for name, is_granted in as_object(permissions).items() if is_granted]


def _show_pending(waiting: list[Row]) -> None:
    table(
        ["Request", "Node", "Name", "Platform", "From", "Commands", "Asked"],
        [
            [
                row.get("requestId"),
                str(row.get("nodeId", ""))[:12],
                row.get("displayName"),
                row.get("platform"),
                row.get("remoteIp"),
                row.get("commands"),
                ago(row.get("ts")),
            ]
            for row in waiting
        ],
        title="Waiting for approval",
    )
