"""Agents we did not write: the examples of the ACP SDK, as `agents.list[].command`.

They come from the source distribution of `agent-client-protocol`, in the version installed here;
it is downloaded once and kept beside the installed packages.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher

from tests.agents.harness import RunsTestCase, text_of

PACKAGE = "agent-client-protocol"
DOWNLOAD_SECONDS = 180


def example(name: str) -> str:
    """The path of one of the SDK's examples."""
    version = importlib.metadata.version(PACKAGE)
    kept = Path(sys.prefix) / "share" / "clawgw-tests" / f"{PACKAGE}-{version}"
    if not (kept / name).exists():
        _fetch(version, kept)
    return str(kept / name)


def _fetch(version: str, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as temporary:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--no-binary", PACKAGE, "--dest", temporary, f"{PACKAGE}=={version}",
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=DOWNLOAD_SECONDS)
        (archive,) = Path(temporary).glob("*.tar.gz")
        with tarfile.open(archive) as sources:
            for member in sources:
                path = Path(member.name)
                if member.isfile() and path.parts[1:-1] == ("examples",) and path.suffix == ".py":
                    content: Any = sources.extractfile(member)
                    whole = Path(temporary) / path.name
                    whole.write_bytes(content.read())
                    whole.replace(kept / path.name)  # at once, should another test look


class ForeignAgentTests(RunsTestCase):
    """Turns with the SDK's example agent, which says what it was sent."""

    run_timeout = 30.0

    def setUp(self) -> None:
        """The agents are programs only this machine knows the place of."""
        self.agents = {
            "main": [sys.executable, example("agent.py")],
            "echo": [sys.executable, example("echo_agent.py")],
        }
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        super().setUp()

    def pids(self) -> list[int]:
        """The processes that were started, in their order."""
        return [event["pid"] for event in self.log if "started, pid" in event["log_format"]]

    async def answered(self, text: str, run_id: str, key: str = "main") -> str:
        """Ask, and take the final text."""
        run = await self.ask(text, run_id, key)
        self.assertEqual((run.state, run.error), ("ok", None))
        (final,) = [one for one in self.recorder.chat("final") if one["runId"] == run_id]
        answer = text_of(final["message"])
        deltas = [one["deltaText"] for one in self.recorder.chat("delta") if one["runId"] == run_id]
        self.assertEqual("".join(deltas), answer)
        self.assertEqual(text_of(self.transcript(key)[-1]), answer)
        return answer

    async def test_answers(self) -> None:
        """A message goes out, what the agent says comes back, and both are kept."""
        self.assertEqual(await self.answered("hello crab", "run-1"), "Client sent:hello crab")
        self.assertEqual(await self.answered("Käfer 🦀", "run-2"), "Client sent:Käfer 🦀")
        roles = [message["role"] for message in self.transcript()]
        self.assertEqual(roles, ["user", "assistant"] * 2)
        self.assertEqual(len(self.pids()), 1)

    async def test_two_sessions_share_the_process(self) -> None:
        """Each has its own session with the agent, and its own transcript."""
        await self.send("one", "run-1", "first")
        await self.answered("two", "run-2", "second")
        first = await self.runs.wait("run-1", 20_000)
        assert first is not None
        self.assertEqual(first.state, "ok")
        self.assertEqual(text_of(self.transcript("first")[-1]), "Client sent:one")
        self.assertEqual(text_of(self.transcript("second")[-1]), "Client sent:two")
        sessions = [self.book.get(f"agent:main:{key}") for key in ("first", "second")]
        self.assertEqual(len({one.agent_session for one in sessions if one}), 2)
        self.assertEqual(len(self.pids()), 1)

    async def test_two_agents(self) -> None:
        """The key says which one is meant."""
        self.assertEqual(await self.answered("hello", "run-1", "agent:echo:main"), "hello")
        self.assertEqual(await self.answered("hello", "run-2"), "Client sent:hello")

    async def test_a_session_that_was_reset(self) -> None:
        """It is a new one, here and for the agent."""
        await self.answered("before", "run-1")
        old = self.book.get("agent:main:main")
        assert old is not None
        await self.book.reset(old.key, old.agent_id)
        self.acp["main"].forget_session(old.session_id)
        self.assertEqual(await self.answered("after", "run-2"), "Client sent:after")
        self.assertEqual(len(self.transcript()), 2)
        new = self.book.get("agent:main:main")
        assert new is not None
        self.assertNotEqual(new.agent_session, old.agent_session)

    async def test_a_process_that_was_killed(self) -> None:
        """The next message starts another one and is answered."""
        await self.answered("before", "run-1")
        os.kill(self.pids()[0], signal.SIGKILL)
        await self.until(lambda: self.acp["main"]._process is None)
        self.assertEqual(await self.answered("after", "run-2"), "Client sent:after")
        self.assertEqual(len(set(self.pids())), 2)
        self.assertEqual(len(self.transcript()), 4)

    async def test_what_it_cannot_take(self) -> None:
        """It said it takes no images; so it gets none, and the person is told."""
        from clawgw.agents.prompts import File

        run = await self.ask("look", "run-1", files=(File("crab.png", "image/png", "eA=="),))
        self.assertEqual(run.state, "error")
        self.assertIn("takes no image attachments", run.error or "")
        self.assertIn("crab.png", run.error or "")
