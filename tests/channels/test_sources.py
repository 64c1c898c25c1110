"""Files that somebody asks to send: where they may come from, and where not."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, execute
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from clawgw.channels import sources
from clawgw.channels.media import MediaStore
from clawgw.channels.messages import OutMedia
from clawgw.channels.sources import MediaSources
from clawgw.protocol.errors import RequestError, invalid
from tests.channels.conversation import OPEN, ConversationCase
from tests.support.memory import Caller
from tests.support.site import WatchedSite

ELSEWHERE = "mediaUrl: only files in an agent's workspace"


class Paths(ConversationCase):
    """A file of this host."""

    def setUp(self) -> None:
        super().setUp()
        self.outside = self.directory / "outside.txt"
        self.outside.write_text("secret")
        self.cat = self.workspace / "my cat.png"
        self.cat.write_bytes(b"meow")

    def send(self, **params: Any) -> tuple[OutMedia, ...]:
        """What was handed to the provider."""
        before = len(self.adapter.sent)
        params = {"to": "7", "idempotencyKey": f"k{before}-{params}"[:500]} | params
        self.call("send", **params)
        parts = [part for _, part in self.adapter.sent[before:]]
        return tuple(part.media for part in parts if part.media is not None)

    def problem(self, **params: Any) -> str:
        params = {"to": "7", "idempotencyKey": "k"} | params
        message: str = self.refusal("send", **params).message
        self.assertEqual(self.sent, [])
        return message

    def test_in_a_workspace_can_be_sent(self) -> None:
        (file,) = self.send(mediaUrl=str(self.cat), message="look")
        self.assertEqual((file.name, file.mime_type, file.kind),
                         ("my cat.png", "image/png", "image"))  # fmt: skip
        self.assertEqual(Path(file.path).read_bytes(), b"meow")
        self.assertNotEqual(file.path, str(self.cat))

    def test_also_by_its_file_address(self) -> None:
        (file,) = self.send(mediaUrl=f"file://{str(self.cat).replace(' ', '%20')}")
        self.assertEqual(file.name, "my cat.png")

    def test_elsewhere_cannot_however_it_is_written(self) -> None:
        (self.workspace / "link.txt").symlink_to(self.outside)
        (self.workspace / "up").symlink_to(self.directory)
        (self.directory / "workspace-2").mkdir()
        (self.directory / "workspace-2" / "a.txt").write_text("near")
        for where in (
            "/etc/passwd",
            "file:///etc/passwd",
            f"{self.workspace}/../outside.txt",
            f"file://{self.workspace}/%2e%2e/outside.txt",
            f"{self.workspace}/link.txt",
            f"{self.workspace}/up/outside.txt",
            f"{self.directory}/workspace-2/a.txt",
            str(self.outside),
            "outside.txt",
            "~/.ssh/id_rsa",
        ):
            self.assertIn(ELSEWHERE, self.problem(mediaUrl=where), where)

    def test_a_link_that_stays_inside_may_be_followed(self) -> None:
        (self.workspace / "link.png").symlink_to(self.cat)
        (file,) = self.send(mediaUrl=str(self.workspace / "link.png"))
        self.assertEqual(Path(file.path).read_bytes(), b"meow")

    def test_what_came_in_can_be_passed_on(self) -> None:
        received = self.directory / "media" / "inbound" / "1-0.png"
        received.write_bytes(b"meow")
        self.assertEqual(len(self.send(mediaUrl=str(received))), 1)

    def test_what_is_no_address_at_all(self) -> None:
        for where in ("a\0b", "http://[", "~nobody-has-this-home/x", f"{self.workspace}/\0"):
            self.assertIn("mediaUrl: expected an http(s) address", self.problem(mediaUrl=where))

    def test_what_is_not_there_or_no_file(self) -> None:
        os.mkfifo(self.workspace / "pipe")
        for name, says in (
            ("none.txt", "mediaUrl: cannot read none.txt: No such file or directory"),
            ("pipe", "mediaUrl: pipe is no file"),
            ("", "mediaUrl: workspace is no file"),
        ):
            self.assertEqual(self.problem(mediaUrl=str(self.workspace / name)), says)

    def test_the_gateways_own_state_in_a_workspace_is_not_the_agents(self) -> None:
        home = self.directory / "home"
        state = home / ".clawgw"
        inner = state / "workspace"
        inner.mkdir(parents=True)
        (state / "device-token.key").write_text("secret")
        for place in (home, inner):
            (place / "a.txt").write_text("mine")
        store = MediaStore(state / "media", execute, 30, lambda: 0.0)
        self.do(store.prepare())
        found = MediaSources(
            None, store, execute, [home, inner, store.directory], state, allow_private=False
        )
        for path in (home / "a.txt", inner / "a.txt"):
            self.do(found.bring(str(path), None, None))
        work = Deferred.fromCoroutine(found.bring(str(state / "device-token.key"), None, None))
        self.assertIn(ELSEWHERE, str(self.failureResultOf(work, RequestError).value))

    def test_several_each_once(self) -> None:
        other = self.workspace / "b.txt"
        other.write_text("b")
        files = self.send(mediaUrl=str(self.cat), mediaUrls=[str(self.cat), str(other), ""])
        self.assertEqual([file.name for file in files], ["my cat.png", "b.txt"])
        many = [f"/tmp/{number}" for number in range(11)]
        self.assertEqual(self.refusal("send", to="7", mediaUrls=many, idempotencyKey="m").message,
                         "mediaUrls: expected at most 10")  # fmt: skip

    def test_as_a_voice_message_or_a_file(self) -> None:
        sound = self.workspace / "a.ogg"
        sound.write_bytes(b"")
        (file,) = self.send(mediaUrl=str(sound), asVoice=True, contentType="audio/ogg")
        self.assertEqual(file.kind, "voice")
        (file,) = self.send(mediaUrl=str(self.cat), forceDocument=True, filename="cat.bin")
        self.assertEqual((file.kind, file.name), ("file", "cat.bin"))

    def test_asked_again_it_is_not_brought_again(self) -> None:
        params = {"to": "7", "mediaUrl": str(self.cat), "idempotencyKey": "k"}
        first = self.call("send", **params)
        self.cat.unlink()
        self.assertEqual(self.call("send", **params), first)
        self.assertEqual(len(self.adapter.sent), 1)
        kept = list((self.directory / "media" / "outbound").iterdir())
        self.assertEqual(len(kept), 1)
        problem = self.refusal("send", Caller(), **params | {"message": "other"})
        self.assertIn("already used", problem.message)

    def test_in_the_request(self) -> None:
        content = base64.b64encode(b"meow").decode()
        (file,) = self.send(buffer=content, filename="cat.png")
        self.assertEqual((file.name, file.kind), ("cat.png", "image"))
        self.assertEqual(Path(file.path).read_bytes(), b"meow")
        (file,) = self.send(buffer=f"data:image/gif;base64,{content}")
        self.assertEqual((file.name, file.mime_type), ("file", "image/gif"))

    def test_what_is_no_base64(self) -> None:
        for content in ("not base64!", "data:image/png;base64,***", "A"):
            self.assertEqual(self.problem(buffer=content), "buffer: expected base64 text")

    def test_private_addresses(self) -> None:
        for host in (
            "127.0.0.1", "localhost", "[::1]", "10.1.2.3", "192.168.0.1", "169.254.169.254",
            "0.0.0.0", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[fe80::1]",
            "[64:ff9b::10.1.2.3]", "[2002:a01:203::1]", "[::127.0.0.1]", "224.0.0.1", "[ff02::1]",
        ):  # fmt: skip
            said = self.problem(mediaUrl=f"http://{host}:1/a.png")
            self.assertIn("is in a private network; set channels.allowPrivateMediaUrls", said, host)

    def test_names_that_nobody_answers_for_leave_room_for_the_rest(self) -> None:
        lookups: list[Deferred[Any]] = []

        def in_thread(*_: Any) -> Deferred[Any]:
            lookups.append(Deferred())
            return lookups[-1]

        store = MediaStore(self.directory / "media", in_thread, 30, lambda: 0.0)
        found = MediaSources(None, store, in_thread, [], self.directory, allow_private=False)
        asked = [
            Deferred.fromCoroutine(found.bring(f"http://slow{number}.example/", None, None))
            for number in range(5)
        ]
        self.assertEqual(len(lookups), sources.LOOKUPS)
        for lookup in lookups:  # others come meanwhile
            lookup.errback(invalid("mediaUrl: there is no host"))
        for one in asked:
            self.failureResultOf(one, RequestError)

    def test_a_host_there_is_not(self) -> None:
        def nowhere(*_: Any) -> Any:
            raise socket.gaierror(-2, "Name or service not known")

        self.patch(sources.socket, "getaddrinfo", nowhere)
        said = self.problem(mediaUrl="https://no.such.host/a.png")
        self.assertEqual(said, "mediaUrl: there is no host 'no.such.host'")

    settings = {"default": OPEN}  # noqa: RUF012


class _Files(Resource):
    """Serves a picture, and counts."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []

    def render_GET(self, request: Request) -> bytes:
        self.asked.append(request.path)
        if request.path == b"/away":
            request.redirect(b"/cat.png")
            return b""
        if request.path == b"/none":
            request.setResponseCode(404)
            return b""
        request.setHeader(b"content-type", b"image/png")
        return b"meow"


class Addresses(TestCase):
    """A file on a web server, over a real socket."""

    timeout = 60

    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.store = MediaStore(directory / "media", deferToThread, 30, lambda: 0.0)
        self.files = _Files()
        site = WatchedSite(self.files)
        self.addCleanup(site.ended)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}"
        self.directory = directory

    async def sources(self, *, allow_private: bool) -> MediaSources:
        await self.store.prepare()
        found = MediaSources(
            reactor, self.store, deferToThread, [], self.directory, allow_private=allow_private
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(found.close()))
        return found

    async def problem(self, found: MediaSources, path: str) -> str:
        try:
            await found.bring(f"{self.url}{path}", None, None)
        except RequestError as problem:
            return problem.message
        raise self.failureException("it was brought")

    async def test_is_fetched(self) -> None:
        found = await self.sources(allow_private=True)
        file = await found.bring(f"{self.url}/cat.png?size=1", None, None)
        self.assertEqual((file.name, file.mime_type, file.kind), ("cat.png", "image/png", "image"))
        self.assertEqual(Path(file.path).read_bytes(), b"meow")
        self.assertEqual(Path(file.path).stat().st_mode & 0o777, 0o600)

    async def test_one_that_is_not_there(self) -> None:
        found = await self.sources(allow_private=True)
        self.assertIn("404", await self.problem(found, "/none"))

    async def test_one_that_cannot_be_a_host(self) -> None:
        found = await self.sources(allow_private=True)
        self.url = "http://a..b"
        self.assertEqual(
            await self.problem(found, "/cat.png"),
            "mediaUrl: mediaUrl: The address is not a URL.",
        )

    async def test_nobody_is_led_elsewhere(self) -> None:
        found = await self.sources(allow_private=True)
        await self.problem(found, "/away")
        self.assertEqual(self.files.asked, [b"/away"])

    async def test_a_name_that_leads_elsewhere_by_the_time_it_is_connected(self) -> None:
        found = await self.sources(allow_private=False)
        public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))]
        with_lie = self.patch(sources.socket, "getaddrinfo", lambda *_: public)
        said = await self.problem(found, "/cat.png")
        with_lie.restore()
        self.assertIn("it is in a private network", said)
        self.assertEqual(self.files.asked, [])
