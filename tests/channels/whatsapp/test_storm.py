"""WhatsApp in a storm of kills and cuts; see `tests/faults/channel_storm.py`.

Once with a fake sidecar, where everything between it and the phones is certain to work, and once
with the real one, real Baileys and a simulated WhatsApp.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from tests.channels.whatsapp.fake import FakeSidecar
from tests.channels.whatsapp.real import MAIN, Sidecar
from tests.channels.whatsapp_server.server import WhatsAppServer
from tests.faults.channel_storm import PEOPLE, Storm, Surface


def number(person: int) -> str:
    """The phone number of a person."""
    return f"49170000000{person}"


class FakeSurface(Surface):
    """The contract of the sidecar: what is sent again with the same id is shown once."""

    channel = "whatsapp"
    recognises = True

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.fake = FakeSidecar(reactor)
        await self.fake.start()
        return {"command": self.fake.command}

    async def stop(self) -> None:
        await self.fake.stop()

    def say(self, person: int, text: str) -> None:
        self.fake.write(number(person), text)

    def address(self, person: int) -> str:
        return f"+{number(person)}"

    def shown(self) -> list[str]:
        return [message["text"] for message in self.fake.shown]

    def cut(self) -> None:
        self.fake.cut()


class FakeStorm(Storm):
    """The Gateway and a fake sidecar."""

    async def test_nothing_is_lost(self) -> None:
        surface = FakeSurface()
        await self.storm(surface)
        self.assertEqual(surface.fake.complaints, [])


class RealSurface(Surface):
    """The sidecar itself, linked to a simulated WhatsApp. Messages in are sent one by one."""

    channel = "whatsapp"
    recognises = True

    def __init__(self, directory: Path) -> None:
        self._login = directory

    async def start(self, reactor: Any) -> dict[str, Any]:
        self.server = await WhatsAppServer.start(reactor)
        self._writing: Deferred[Any] = self.server.command(
            "contact", number=number(0), name="Person 0"
        )
        for person in range(1, PEOPLE):
            await self.server.command("contact", number=number(person), name=f"Person {person}")
        sidecar = Sidecar(reactor, self.server, self._login)
        await sidecar.begin()
        await sidecar.link()
        await sidecar.stop()
        environment = [f"{name}={value}" for name, value in self._environment.items()]
        return {
            "command": ["env", *environment, "node", str(MAIN)],
            "socketUrl": self.server.url,
            "authDir": str(self._login),
        }

    @property
    def _environment(self) -> dict[str, str]:
        return self.server.sidecar_environment()

    async def stop(self) -> None:
        await self.server.close()

    def say(self, person: int, text: str) -> None:
        params = {"from": number(person), "text": text}
        self._writing.addCallback(lambda _: self.server.command("incoming", **params))

    def address(self, person: int) -> str:
        return f"+{number(person)}"

    def shown(self) -> list[str]:
        return [told["text"] for told in self.server.all("message")]

    def cut(self) -> None:
        self._writing.addCallback(lambda _: self.server.command("cut"))


class RealStorm(Storm):
    """The Gateway, the sidecar, Baileys, and a simulated WhatsApp.

    Fewer messages, because end-to-end encryption of both ends takes its time; as many kills.
    """

    messages = 250
    timeout = 900

    async def test_nothing_is_lost(self) -> None:
        surface = RealSurface(Path(self.mktemp()).absolute())
        await self.storm(surface)
        self.assertEqual(surface.server.complaints(), [])
