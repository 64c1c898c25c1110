"""What the fault tests share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ECHO_AGENT = str(Path(__file__).with_name("echo_agent.py"))


def echo_agents() -> dict[str, Any]:
    """A configuration whose agent answers at once."""
    return {"agents": {"list": [{"id": "main", "command": [sys.executable, "-u", ECHO_AGENT]}]}}
