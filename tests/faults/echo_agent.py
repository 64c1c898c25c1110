"""An ACP agent of the standard library that answers every prompt at once with its own text."""

import json
import sys


def main():
    """Read requests line by line until the end; answer each batch with one write."""
    sessions = 0
    for line in sys.stdin.buffer:
        message = json.loads(line)
        method, request = message.get("method"), message.get("id")
        out = []
        if method == "session/prompt":
            params = message["params"]
            update = {
                "sessionUpdate": "agent_message_chunk",
                "content": {"type": "text", "text": params["prompt"][-1]["text"]},
            }
            about = {"sessionId": params["sessionId"], "update": update}
            out.append({"method": "session/update", "params": about})
            result = {"stopReason": "end_turn"}
        elif method == "initialize":
            result = {"protocolVersion": 1, "agentCapabilities": {}}
        elif method == "session/new":
            sessions += 1
            result = {"sessionId": f"session-{sessions}"}
        elif request is None:
            continue
        else:
            out.append({"id": request, "error": {"code": -32601, "message": f"no {method}"}})
            result = None
        if result is not None:
            out.append({"id": request, "result": result})
        lines = "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in out)
        sys.stdout.write(lines)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
