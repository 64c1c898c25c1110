"""``python -m clawgw.agents.builtin``: check, claim the pipes, serve, leave.

Exit codes: 0 the Gateway closed the pipe or asked to stop, 2 cannot be used as it was started,
3 a package is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any, cast

from .config import CONFIG_VARIABLE, AgentConfig, ConfigError, Secrets, read_config
from .wire import NotAPipe, Wire, claim_stdio

_CANNOT_START = 2
_NOT_INSTALLED = 3
_LAST_WORDS_SECONDS = 10.0


def main() -> int:
    """Serve the Gateway until it hangs up.

    :returns: the exit code.
    """
    missing = [name for name in ("acp", "pydantic_ai") if not _installed(name)]
    if missing:
        return _refuse(_NOT_INSTALLED, _missing(missing))
    try:
        config = read_config(os.environ.get(CONFIG_VARIABLE))
        reading, writing = claim_stdio()
    except ConfigError as error:
        return _refuse(_CANNOT_START, str(error))
    except NotAPipe:
        return _refuse(_CANNOT_START, "the agent speaks ACP over pipes: let the Gateway start it")
    secrets = Secrets(os.environ)
    # neither library may greet or look around on its own
    os.environ["PYDANTIC_AI_NO_BANNER"] = "1"
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    from . import logs

    logs.configure(secrets)
    try:
        asyncio.run(serve(config, secrets, reading, writing))
    except ImportError as error:
        return _refuse(_NOT_INSTALLED, _missing([error.name or "a package"]))
    return 0


async def serve(config: AgentConfig, secrets: Secrets, reading: int, writing: int) -> None:
    """Answer on two descriptors until the peer hangs up or a signal asks to stop."""
    # late: only now is it known that these are installed
    from acp import run_agent

    from .agent import BuiltinAgent

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def listen_to_signals() -> None:
        # again after each load of a local model, because the engine puts its own handlers there
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    listen_to_signals()
    agent = BuiltinAgent(config, secrets, listen_to_signals)
    wire = await Wire.open(reading, writing)
    # acp's Agent protocol lists every method there is; those that are not here are "not found"
    serving = run_agent(cast("Any", agent), wire, use_unstable_protocol=True)
    answering = asyncio.create_task(serving)
    await asyncio.wait(
        [answering, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED
    )
    answering.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_SECONDS):
            await asyncio.wait([answering])
            await agent.aclose()
    # The local engine has threads of its own in the middle of their work. Taking the
    # interpreter down under them ends in a crash; everything worth keeping is on the disk.
    _leave(0)


def _leave(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _missing(names: Iterable[str]) -> str:
    return (
        f"the built-in agent needs {' and '.join(names)}, which is not installed: "
        "run pip install 'clawgw[agent]'"
    )


def _refuse(code: int, reason: str) -> int:
    sys.stderr.write(f"clawgw agent: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
