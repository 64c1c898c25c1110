"""An ACP agent for tests: it writes down the tools each session was given, and echoes.

HOLD in a message keeps its turn going until it is cancelled.
"""

import json
import os
import sys
import uuid

HELD = {}


def send(message):
    """Write one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def note(session, params):
    """Add a session's tool servers to the file."""
    with open(os.environ["TOOLS_FILE"], "a", encoding="utf-8") as file:
        file.write(json.dumps({"session": session, "servers": params["mcpServers"]}) + "\n")


def prompt(request, session, text):
    """Answer, or not yet."""
    if "HOLD" in text:
        HELD[session] = request
        return
    update = {
        "sessionUpdate": "agent_message_chunk",
        "content": {"type": "text", "text": f"echo: {text}"},
    }
    send({"method": "session/update", "params": {"sessionId": session, "update": update}})
    send({"id": request, "result": {"stopReason": "end_turn"}})


def handle(message):
    """One message."""
    method, params, request = message.get("method"), message.get("params", {}), message.get("id")
    if method == "initialize":
        capabilities = {"loadSession": bool(os.environ.get("LOADS"))}
        send({"id": request, "result": {"protocolVersion": 1, "agentCapabilities": capabilities}})
    elif method == "session/new":
        session = str(uuid.uuid4())
        note(session, params)
        send({"id": request, "result": {"sessionId": session}})
    elif method == "session/load":
        note(params["sessionId"], params)
        send({"id": request, "result": {}})
    elif method == "session/prompt":
        text = " ".join(block.get("text", "") for block in params["prompt"])
        prompt(request, params["sessionId"], text)
    elif method == "session/cancel" and params["sessionId"] in HELD:
        send({"id": HELD.pop(params["sessionId"]), "result": {"stopReason": "cancelled"}})


if __name__ == "__main__":
    for line in sys.stdin:
        handle(json.loads(line))
