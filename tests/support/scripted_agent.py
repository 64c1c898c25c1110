"""An ACP agent that does what the message says, for tests: small, quick, without dependencies.

It echoes the message word by word. Words in capitals make it do other things:

    USETOOL   a tool call, then the echo          FAIL      the turn ends with an error
    SLOW      a word every 50 ms for minutes      HANG      no answer, also not to a cancel
    HTML      the text after it, as it is         DIE       the process ends in mid-turn
    THINK     a thought first                     REMEMBER  what was said before
    PERMIT    asks for permission first           GARBAGE   a line that is no JSON first
    FLOOD     5,000 words at once                 STUBBORN  goes on for 3 s after a cancel
"""

import json
import os
import sys
import threading
import time
import uuid

WRITING = threading.Lock()
SESSIONS = {}
CANCELLED = set()
ANSWERS = {}


def send(message):
    """Write one message."""
    line = json.dumps({"jsonrpc": "2.0", **message}) + "\n"
    with WRITING:
        sys.stdout.write(line)
        sys.stdout.flush()


def update(session, **fields):
    """Tell of a turn's progress."""
    send({"method": "session/update", "params": {"sessionId": session, "update": fields}})


def say(session, text):
    """A piece of the answer."""
    update(
        session,
        sessionUpdate="agent_message_chunk",
        content={"type": "text", "text": text},
    )


def use_tool(session):
    """A tool call from beginning to end."""
    call = {"toolCallId": "call_1"}
    update(
        session,
        sessionUpdate="tool_call",
        title="exec",
        kind="execute",
        status="in_progress",
        rawInput={"command": "echo crab"},
        **call,
    )
    output = [{"type": "content", "content": {"type": "text", "text": "crab"}}]
    update(session, sessionUpdate="tool_call_update", status="completed", content=output, **call)


def ask_permission(session):
    """Ask, and say what was decided."""
    done = threading.Event()
    request = f"permission-{uuid.uuid4()}"
    ANSWERS[request] = (done, [])
    send(
        {
            "id": request,
            "method": "session/request_permission",
            "params": {
                "sessionId": session,
                "toolCall": {"toolCallId": "call_2", "title": "rm -rf /"},
                "options": [
                    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
                    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
                ],
            },
        }
    )
    done.wait()
    return json.dumps(ANSWERS[request][1])


def words(session, text, pause=0.01):
    """Say a text word by word; returns whether it came to the end."""
    for number, word in enumerate(text.split(" ")):
        if session in CANCELLED:
            return False
        say(session, word if number == 0 else " " + word)
        time.sleep(pause)
    return True


def turn(request, session, text):
    """One turn."""
    before = list(SESSIONS.setdefault(session, []))
    SESSIONS[session].append(text)
    finished = True
    if "FAIL" in text:
        send({"id": request, "error": {"code": -32000, "message": "the model is on fire"}})
        return
    if "DIE" in text:
        say(session, "Hello")
        time.sleep(0.1)
        os._exit(7)
    if "HANG" in text:
        say(session, "Hello")
        return
    if "GARBAGE" in text:
        with WRITING:
            sys.stdout.write("this is not JSON\n")
    if "THINK" in text:
        update(
            session, sessionUpdate="agent_thought_chunk", content={"type": "text", "text": "hmm"}
        )
    if "USETOOL" in text:
        say(session, "Let me see.")
        use_tool(session)
    if "STUBBORN" in text:
        words(session, "I will not stop", 0.2)
        time.sleep(3)
        finished = False
    elif "PERMIT" in text:
        say(session, ask_permission(session))
    elif "REMEMBER" in text:
        say(session, json.dumps(before))
    elif "HTML" in text:
        say(session, text.split("HTML", 1)[1].strip())
    elif "FLOOD" in text:
        finished = words(session, " ".join(["word"] * 5000), 0)
    elif "SLOW" in text:
        finished = words(session, " ".join(f"word{number}" for number in range(20_000)), 0.05)
    else:
        finished = words(session, "echo: " + text, 0.002)
    reason = "end_turn" if finished else "cancelled"
    usage = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}
    send({"id": request, "result": {"stopReason": reason, "usage": usage}})


def text_of(blocks):
    """The text of a prompt; what is no text is named."""
    return " ".join(block.get("text") or f"<{block['type']}>" for block in blocks)


def handle(message):
    """One message from the client."""
    method, params, request = message.get("method"), message.get("params", {}), message.get("id")
    if method is None:
        if request in ANSWERS:
            done, answer = ANSWERS[request]
            answer.append(message.get("result") or message.get("error"))
            done.set()
    elif method == "initialize":
        send(
            {
                "id": request,
                "result": {
                    "protocolVersion": 1,
                    "agentCapabilities": {
                        "loadSession": bool(os.environ.get("SCRIPTED_AGENT_LOADS")),
                        "promptCapabilities": {"image": True, "embeddedContext": True},
                    },
                },
            }
        )
    elif method == "session/new":
        session = str(uuid.uuid4())
        SESSIONS[session] = []
        send({"id": request, "result": {"sessionId": session}})
    elif method == "session/load":
        session = params["sessionId"]
        SESSIONS[session] = ["loaded"]
        say(session, "this is a replay and must not be shown")
        send({"id": request, "result": {}})
    elif method == "session/prompt":
        CANCELLED.discard(params["sessionId"])  # here: a cancel may overtake the thread
        arguments = (request, params["sessionId"], text_of(params["prompt"]))
        threading.Thread(target=turn, args=arguments, daemon=True).start()
    elif method == "session/cancel":
        CANCELLED.add(params["sessionId"])
    elif request is not None:
        send({"id": request, "error": {"code": -32601, "message": f"no {method}"}})


def main():
    """Read until the end."""
    for line in sys.stdin:
        handle(json.loads(line))


if __name__ == "__main__":
    main()
