"""``clawgw agent``: say something to an agent and read along while it answers."""

from __future__ import annotations

import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import click

from clawgw.cli.gateway import as_object, part, rows
from clawgw.cli.inputs import text_of
from clawgw.cli.output import note, print_json, write
from clawgw.cli.runner import GATEWAY_ERROR, TIMEOUT, converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

_ABORT_TIMEOUT = 5.0
"""Seconds an abort may take before we leave anyway."""


@click.command()
@click.option("-m", "--message", required=True, help='What to say; "-" reads standard input.')
@click.option("--session", metavar="KEY", help="The session (default: the agent's main one).")
@click.option("--agent", "agent_id", metavar="ID", help="The agent (default: the default one).")
@click.pass_obj
def agent(options: Globals, message: str, session: str | None, agent_id: str | None) -> None:
    """Say something to an agent and print its answer as it comes.

    Tools the agent uses are shown on standard error. Ctrl-C aborts the run.
    """
    text = text_of(message, "--message")
    if not text.strip():
        raise click.BadParameter("there is nothing to say", param_hint="--message")
    turn = _Turn(options, text, session, agent_id)
    final = converse(options, turn.take)
    if options.as_json:
        print_json(final)
    else:
        turn.finish(final)
    outcome = as_object(final).get("status")
    if outcome != "ok":
        note(f"The run ended with: {outcome}")
        sys.exit(TIMEOUT if outcome == "timeout" else GATEWAY_ERROR)


class _Turn:
    """One message and its answer."""

    def __init__(
        self, options: Globals, message: str, session: str | None, agent_id: str | None
    ) -> None:
        self._options = options
        self._session = session
        self._run_id = str(uuid.uuid4())
        self._params: dict[str, Any] = {"message": message, "idempotencyKey": self._run_id}
        if session is not None:
            self._params["sessionKey"] = session
        if agent_id is not None:
            self._params["agentId"] = agent_id
        self._block = ""
        self._printed = ""

    async def take(self, client: GatewayClient, hello: Hello) -> Any:
        """Run the turn; when cancelled, abort the run first."""
        from twisted.internet.defer import CancelledError

        if not self._options.as_json:
            client.subscribe(self._on_event)
        try:
            return await client.request_final(
                "agent",
                self._params,
                on_accepted=self._on_accepted,
                timeout=self._options.timeout,
            )
        except CancelledError:
            await self._abort(client, hello)
            raise

    def finish(self, final: Any) -> None:
        """Print what did not come as events, and end the line."""
        if not self._printed:
            texts = [item.get("text") for item in rows(part(final, "result"), "payloads")]
            self._print("\n\n".join(text for text in texts if isinstance(text, str)))
        if self._printed and not self._printed.endswith("\n"):
            write("\n")

    async def _abort(self, client: GatewayClient, hello: Hello) -> None:
        from clawgw.client import ClientError

        defaults = part(part(hello.payload, "snapshot"), "sessionDefaults")
        key = self._session or defaults.get("mainSessionKey") or "main"
        try:
            await client.request(
                "chat.abort", {"sessionKey": key, "runId": self._run_id}, timeout=_ABORT_TIMEOUT
            )
            note("\nThe run was aborted.")
        except ClientError as error:
            note(f"\nThe run could not be aborted: {error}")

    def _on_accepted(self, accepted: Any) -> None:
        if isinstance(accepted, dict):
            self._run_id = str(accepted.get("runId") or self._run_id)
            self._session = accepted.get("sessionKey") or self._session

    def _on_event(self, name: str, payload: Any, _seq: int | None) -> None:
        if name != "agent" or not isinstance(payload, dict):
            return
        data = part(payload, "data")
        if payload.get("runId") != self._run_id:
            return
        if payload.get("stream") == "assistant":
            self._on_text(data)
        elif payload.get("stream") == "tool":
            _show_tool(data)

    def _on_text(self, data: dict[str, Any]) -> None:
        """Print what is new. ``text`` is all of one block; after a tool a new block begins."""
        text = data.get("text")
        if not isinstance(text, str):
            delta = data.get("delta")
            text = self._block + delta if isinstance(delta, str) else self._block
        if not text.startswith(self._block):
            self._print("\n")
            self._block = ""
        self._print(text[len(self._block) :])
        self._block = text

    def _print(self, text: str) -> None:
        if text:
            self._printed = text
            write(text)


def _show_tool(data: dict[str, Any]) -> None:
    name, phase = data.get("name", "tool"), data.get("phase")
    if phase == "start":
        arguments = json.dumps(data.get("args", {}), ensure_ascii=False)
        note(f"[{name}] {arguments[:200]}{'…' if len(arguments) > 200 else ''}")
    elif phase == "result" and data.get("isError"):
        note(f"[{name}] failed")
