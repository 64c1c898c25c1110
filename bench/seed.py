"""A full store: many sessions with many messages, written through the store's own functions."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from clawgw.sessions.messages import assistant_message, new_message, one_line, user_message
from clawgw.store import messages as message_table
from clawgw.store import sessions as session_table
from clawgw.store.database import connect, migrate

STORE_NAME = "clawgw.sqlite"
AGENT = "main"


def seed(state_dir: Path, sessions: int, messages: int) -> None:
    """Fill a store that no Gateway has open.

    Args:
        state_dir: made if missing; what is in its store already stays.
        sessions: how many to add.
        messages: how many in all; they are dealt out evenly, in turn by user and agent.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = connect(state_dir / STORE_NAME)
    migrate(connection)
    connection.execute("PRAGMA cache_size=-65536")
    now = int(time.time() * 1000) - (sessions + messages) * 10
    keys = [f"agent:{AGENT}:bench-{uuid.uuid4().hex[:12]}" for _ in range(sessions)]
    connection.execute("BEGIN IMMEDIATE")
    for number, key in enumerate(keys):
        at = now + number * 10
        session_table.ensure(connection, key, AGENT, str(uuid.uuid4()), at, channel="webchat")
        session_table.update(connection, key, interacted_at=at, title=f"Session {number}")
    for number in range(messages if keys else 0):
        at = now + (sessions + number) * 10
        text = f"Message {number} of {messages}, about as long as a short remark usually is."
        is_user = number // len(keys) % 2 == 0
        run_id = f"bench-{number}"
        body = user_message(text, at, run_id, []) if is_user else assistant_message(text, at)
        message = new_message(body, run_id)
        message_table.append(connection, keys[number % len(keys)], message, one_line(text))
    connection.execute("COMMIT")
    connection.close()
