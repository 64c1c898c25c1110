"""Nodes: phones, desktops and headless hosts that lend their commands."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from clawgw.mcp.gateway import Failure
from clawgw.mcp.pictures import taken_out
from clawgw.mcp.tool import Arguments, Context, NoArguments, Piece, Tool, as_text

APPROVAL_SECONDS = 180.0
"""How much longer than the command itself an answer may take, where a person is asked first."""

RUN = "system.run"

_SHOWN = ("nodeId", "displayName", "platform", "deviceFamily", "connected", "caps", "commands")

NodeId = Annotated[
    str, Meta(min_length=1, description="The nodeId or displayName, as nodes_list shows it.")
]


class Describe(Arguments, frozen=True):
    """Arguments of `nodes_describe`."""

    node_id: NodeId


class Invoke(Arguments, frozen=True):
    """Arguments of `nodes_invoke`."""

    node_id: NodeId
    command: Annotated[
        str, Meta(min_length=1, description="One of the node's commands, such as camera.snap.")
    ]
    params: Annotated[
        dict[str, Any], Meta(description="The command's parameters; {} where it needs none.")
    ] = field(default_factory=dict)
    timeout_seconds: Annotated[
        float, Meta(ge=1, le=600, description="How long the command may take.")
    ] = 30


async def list_nodes(context: Context, _: NoArguments) -> list[Piece]:
    """Every paired node, shortly."""
    answer = await context.gateway.request("node.list", {})
    nodes = answer.get("nodes", [])
    if not nodes:
        return ["No node is paired with this Gateway."]
    return [as_text([{name: node[name] for name in _SHOWN if name in node} for node in nodes])]


async def describe(context: Context, asked: Describe) -> list[Piece]:
    """One node, with everything that is known of it."""
    node_id = await _meant(context, asked.node_id)
    return [as_text(await context.gateway.request("node.describe", {"nodeId": node_id}))]


async def invoke(context: Context, asked: Invoke) -> list[Piece]:
    """Run a command; its answer as text and pictures."""
    limit = asked.timeout_seconds
    params = asked.params
    if asked.command == RUN:  # a node that asks a person does so while it is being asked
        params = {"timeoutMs": int(limit * 1000), **params}
        limit += APPROVAL_SECONDS
    answer = await context.gateway.request(
        "node.invoke",
        {
            "nodeId": await _meant(context, asked.node_id),
            "command": asked.command,
            "params": params,
            "timeoutMs": int(limit * 1000),
            "idempotencyKey": str(uuid.uuid4()),
        },
        limit + APPROVAL_SECONDS,
    )
    value, pictures = taken_out(_payload(answer))
    return [as_text({"done": asked.command} if value is None else value), *pictures]


async def _meant(context: Context, name: str) -> str:
    """The id of the node that is called so: people say names, and models repeat them.

    Raises:
        Failure: several are called so.
    """
    if "node.list" not in context.gateway.methods:
        return name
    nodes = (await context.gateway.request("node.list", {})).get("nodes", [])
    if any(node["nodeId"] == name for node in nodes):
        return name
    wanted = name.strip().lower()
    found = [node["nodeId"] for node in nodes if str(node.get("displayName", "")).lower() == wanted]
    if len(found) > 1:
        raise Failure(f"Several nodes are called {name!r}; say which by its nodeId.")
    return found[0] if found else name


def _payload(answer: dict[str, Any]) -> Any:
    """What the node gave: as it is, or as text that is JSON."""
    payload, text = answer.get("payload"), answer.get("payloadJSON")
    if payload is not None or not isinstance(text, str):
        return payload
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Failure("The node's answer cannot be read: it is not JSON.") from None


TOOLS = (
    Tool(
        "nodes_list",
        "List nodes",
        "List the devices (phones, desktops, servers) paired with the Gateway: nodeId, platform, "
        "whether each is connected, and the commands it can run. Call this before nodes_invoke.",
        NoArguments,
        list_nodes,
        reads=True,
    ),
    Tool(
        "nodes_describe",
        "Describe a node",
        "Everything the Gateway knows of one device, such as its commands, its permissions and "
        "when it was last seen.",
        Describe,
        describe,
        reads=True,
    ),
    Tool(
        "nodes_invoke",
        "Run a command on a node",
        "Run one command on a connected device and return what it answers, for example "
        "camera.snap, screen.record, location.get, system.run, system.notify or "
        "canvas.snapshot. Pictures are returned as images. A person may be asked to approve the "
        "command first, so this can take minutes; a refusal is final, do not try again.",
        Invoke,
        invoke,
        destroys=True,
    ),
)
