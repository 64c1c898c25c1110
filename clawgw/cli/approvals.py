"""``clawgw approvals``: what agents and nodes ask to run, and what they may run unasked."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.gateway import as_object, ask, part
from clawgw.cli.output import ago, clean, facts, note, print_json, table, write
from clawgw.cli.runner import USAGE, converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

Row = dict[str, Any]

_KEYS = {
    "a": "allow-once",
    "allow once": "allow-once",
    "w": "allow-always",
    "always": "allow-always",
    "d": "deny",
    "deny": "deny",
}
_QUESTION = "[a]llow once, al[w]ays, [d]eny, or Enter to leave it: "
_REASONS = {
    "timeout": "nobody decided in time",
    "run-aborted": "the run that asked is over",
    "gateway-restart": "the Gateway was restarted",
}


@click.group()
def approvals() -> None:
    """Decide what agents and nodes may run."""


@approvals.command("list")
@click.pass_obj
def list_approvals(options: Globals) -> None:
    """List what waits for a decision."""
    result = ask(options, "exec.approval.list")
    if options.as_json:
        print_json(result)
        return
    waiting = _rows(result)
    if waiting:
        _show_waiting(waiting)
    else:
        print("Nothing waits for a decision.")


@approvals.command()
@click.pass_obj
def watch(options: Globals) -> None:
    """Print what is asked as it comes; on a terminal, decide it there.

    Ends with Ctrl-C.
    """
    converse(options, _Watch(options).run)


@approvals.command()
@click.argument("approval_id", metavar="[ID]", required=False)
@click.option("--always", is_flag=True, help="And never ask about this again for this agent.")
@click.pass_obj
def allow(options: Globals, approval_id: str | None, always: bool) -> None:
    """Allow what waits under ID, or its unique beginning.

    Without ID, the only one that waits; if several wait they are listed.
    """
    _decide(options, approval_id, "allow-always" if always else "allow-once")


@approvals.command()
@click.argument("approval_id", metavar="[ID]", required=False)
@click.pass_obj
def deny(options: Globals, approval_id: str | None) -> None:
    """Deny what waits under ID, or its unique beginning.

    Without ID, the only one that waits; if several wait they are listed.
    """
    _decide(options, approval_id, "deny")


@approvals.group()
def policy() -> None:
    """Show and set what may run unasked."""


@policy.command("show")
@click.option("--node", "node_id", metavar="ID", help="The policy of this node.")
@click.pass_obj
def show_policy(options: Globals, node_id: str | None) -> None:
    """Print the policy file as JSON, fit for "policy set"."""
    result = ask(options, *_read(node_id))
    if options.as_json:
        print_json(result)
        return
    print(json.dumps(part(result, "file"), indent=2, ensure_ascii=False))
    defaults = part(result, "resolvedDefaults")
    if defaults:
        security, asks = defaults.get("security"), defaults.get("ask")
        note(f"Where it says nothing: security {security}, ask {asks}.")


@policy.command("set")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--node", "node_id", metavar="ID", help="The policy of this node.")
@click.pass_obj
def set_policy(options: Globals, file: Any, node_id: str | None) -> None:
    """Replace the policy by the one in FILE ("-": standard input).

    Refused if the policy is changed in between.
    """
    try:
        new = json.load(file)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="FILE") from None
    if not isinstance(new, dict):
        raise click.BadParameter('an object is expected, such as {"version": 1}', param_hint="FILE")
    read, who = _read(node_id)

    async def conversation(client: GatewayClient, _hello: Hello) -> Any:
        old = as_object(await client.request(read, who, timeout=options.timeout))
        params = {**who, "file": new}
        if old.get("hash"):
            params["baseHash"] = old["hash"]
        return await client.request(
            read.removesuffix("get") + "set", params, timeout=options.timeout
        )

    result = converse(options, conversation)
    if options.as_json:
        print_json(result)
    else:
        print(clean(f"The policy is set: {as_object(result).get('path', 'on the node')}"))


def _read(node_id: str | None) -> tuple[str, Row]:
    if node_id is None:
        return "exec.approvals.get", {}
    return "exec.approvals.node.get", {"nodeId": node_id}


def _decide(options: Globals, approval_id: str | None, decision: str) -> None:
    async def conversation(client: GatewayClient, _hello: Hello) -> tuple[Row | None, list[Row]]:
        waiting = _rows(await client.request("exec.approval.list", timeout=options.timeout))
        meant = [one for one in waiting if str(one.get("id")).startswith(approval_id or "")]
        if approval_id is None and len(meant) != 1:
            return None, waiting
        chosen = str(meant[0].get("id")) if len(meant) == 1 else approval_id
        params = {"id": chosen, "decision": decision}
        await client.request("exec.approval.resolve", params, timeout=options.timeout)
        return {"id": chosen, "decision": decision}, meant

    result, waiting = converse(options, conversation)
    if result is None:
        _ask_which(options, waiting)
    elif options.as_json:
        print_json(result)
    else:
        command = part(waiting[0], "request").get("command") if waiting else result["id"]
        print(clean(f"{_PAST[decision]}: {command}"))


_PAST = {"allow-once": "Allowed once", "allow-always": "Always allowed", "deny": "Denied"}


def _ask_which(options: Globals, waiting: list[Row]) -> None:
    if options.as_json:
        print_json(waiting)
    elif waiting:
        _show_waiting(waiting)
    else:
        print("Nothing waits for a decision.")
    if waiting:
        note("Several wait; say which by its ID.")
    sys.exit(USAGE)


class _Watch:
    """What is asked, as it comes, and on a terminal the person who decides."""

    def __init__(self, options: Globals) -> None:
        self._options = options
        self._open: dict[str, Row] = {}
        self._asked: str | None = None
        self._client: GatewayClient | None = None
        self._asks = sys.stdin.isatty() and sys.stdout.isatty() and not options.as_json

    async def run(self, client: GatewayClient, _hello: Hello) -> None:
        """Until the connection ends, or the person has enough."""
        self._client = client
        client.subscribe(self._on_event)
        waiting = await client.request("exec.approval.list", timeout=self._options.timeout)
        for approval in _rows(waiting):
            self._requested(approval)
        keyboard = _keyboard(self._line) if self._asks else None
        try:
            raise await client.when_closed()
        finally:
            if keyboard is not None:
                keyboard.loseConnection()

    def _on_event(self, name: str, payload: Any, _seq: int | None) -> None:
        if not isinstance(payload, dict):
            return
        if name == "exec.approval.requested":
            self._requested(payload)
        elif name == "exec.approval.resolved":
            self._resolved(payload)

    def _requested(self, approval: Row) -> None:
        name = str(approval.get("id"))
        if name in self._open:
            return
        self._open[name] = approval
        if self._options.as_json:
            _print_event("exec.approval.requested", approval)
            return
        write("\n")
        _show(approval)
        if self._asks and self._asked is None:
            self._ask_next()

    def _resolved(self, event: Row) -> None:
        name = str(event.get("id"))
        approval = self._open.pop(name, {})
        if self._options.as_json:
            _print_event("exec.approval.resolved", event)
            return
        command = part(approval, "request").get("command", name)
        write(f"\n{_verdict(event)}: {command}\n")
        if self._asked == name:
            self._asked = None
        if self._asks and self._asked is None:
            self._ask_next()

    def _ask_next(self) -> None:
        self._asked = next(iter(self._open), None)
        if self._asked is not None:
            command = part(self._open[self._asked], "request").get("command")
            write(f"{command}\n{_QUESTION}")

    def _line(self, text: str) -> None:
        """What the person typed is about the question shown last."""
        name, answer = self._asked, text.strip().lower()
        if name is None:
            return
        if answer and answer not in _KEYS:
            write(_QUESTION)
            return
        self._asked = None
        if not answer:
            self._open.pop(name, None)
            self._ask_next()
            return
        self._send(name, _KEYS[answer])

    def _send(self, name: str, decision: str) -> None:
        from twisted.internet.defer import Deferred

        assert self._client is not None
        params = {"id": name, "decision": decision}
        sent = Deferred.fromCoroutine(
            self._client.request("exec.approval.resolve", params, timeout=self._options.timeout)
        )
        sent.addErrback(lambda failure: note(f"Not decided: {failure.getErrorMessage()}"))


def _keyboard(on_line: Any) -> Any:
    """Lines from standard input, while the reactor runs."""
    from twisted.internet.stdio import StandardIO
    from twisted.protocols.basic import LineOnlyReceiver

    class Lines(LineOnlyReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            on_line(line.decode("utf-8", "replace"))

    return StandardIO(Lines())


def _rows(result: Any) -> list[Row]:
    return [row for row in result if isinstance(row, dict)] if isinstance(result, list) else []


def _print_event(name: str, payload: Row) -> None:
    print_json({"event": name, "payload": payload})
    sys.stdout.flush()


def _show(approval: Row) -> None:
    request = part(approval, "request")
    facts(
        [
            ("Asked", request.get("command")),
            ("In", request.get("cwd")),
            ("With variables", _names(request.get("envKeys"))),
            ("By", request.get("agentId")),
            ("Session", request.get("sessionKey")),
            ("Node", request.get("nodeId")),
            ("Warning", request.get("warningText")),
            ("Time left", _left(approval)),
            ("ID", approval.get("id")),
        ]
    )
    sys.stdout.flush()


def _names(keys: Any) -> str:
    return ", ".join(map(str, keys)) if isinstance(keys, list) else ""


def _show_waiting(waiting: list[Row]) -> None:
    table(
        ["ID", "Command", "In", "Agent", "Session", "Asked", "Time left"],
        [
            [
                row.get("id"),
                request.get("command"),
                request.get("cwd"),
                request.get("agentId"),
                request.get("sessionKey"),
                ago(row.get("createdAtMs")),
                _left(row),
            ]
            for row in waiting
            for request in [part(row, "request")]
        ],
        title="Waiting for a decision",
    )


def _left(approval: Row) -> str:
    expires = approval.get("expiresAtMs")
    if not isinstance(expires, (int, float)):
        return ""
    return f"{max(0, round(expires / 1000 - time.time()))} s"


def _verdict(event: Row) -> str:
    words = _PAST.get(str(event.get("decision")), str(event.get("decision")))
    who, why = event.get("resolvedBy"), _REASONS.get(str(event.get("reason")))
    if who:
        return f"{words} by {who}"
    return f"{words}, {why}" if why else words
