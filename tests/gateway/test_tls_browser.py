"""The page and the API over TLS, as a browser asks for them."""

from __future__ import annotations

import socket
import ssl

from twisted.trial.unittest import TestCase

from tests.support.gateway import GatewayProcess, scripted_agents
from tests.support.wire import TIMEOUT


class BrowserOverTls(TestCase):
    """Browsers offer HTTP/2 and HTTP/1.1 in the handshake (ALPN)."""

    def setUp(self) -> None:
        """A Gateway with a certificate of its own."""
        config = {**scripted_agents(), "gateway": {"tls": {"enabled": True}}}
        self.gateway = GatewayProcess(self.mktemp(), config=config)
        self.gateway.start()
        self.addCleanup(self.gateway.stop)

    def ask(self, offered: list[str]) -> tuple[str | None, bytes]:
        """The protocol agreed on, and the answer to a request for the page."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if offered:
            context.set_alpn_protocols(offered)
        with (
            socket.create_connection(("127.0.0.1", self.gateway.port), TIMEOUT) as plain,
            context.wrap_socket(plain) as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := secure.recv(65536):
                answer += piece
            return secure.selected_alpn_protocol(), answer

    def test_page(self) -> None:
        """Whatever is offered, the page comes by HTTP/1.1."""
        for offered, agreed in (
            (["h2", "http/1.1"], "http/1.1"),
            (["http/1.1"], "http/1.1"),
            (["h2"], None),
            ([], None),
        ):
            protocol, answer = self.ask(offered)
            self.assertEqual(protocol, agreed, offered)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK"), answer[:100])
            self.assertIn(b"<title>clawgw</title>", answer)
