"""The canvas of a running Gateway: methods, addresses, who gets in, what survives."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.config import ConfigError, parse_config
from clawgw.plan import make_plan
from tests.canvas.support import CanvasGateway, build_renderer, next_json, upgrade
from tests.support.ports import hold_port
from tests.support.wire import Client, Refused, client_frame, connect_params

FORM = [
    {"version": "v0.9", "createSurface": {"surfaceId": "form"}},
    {
        "version": "v0.9",
        "updateComponents": {
            "surfaceId": "form",
            "components": [{"id": "root", "component": "Text", "text": "Hello"}],
        },
    },
]


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read()


class GatewayTestCase(SynchronousTestCase):
    def start(self, canvas: dict[str, Any] | None = None, **more: Any) -> CanvasGateway:
        gateway = CanvasGateway(canvas, **more)
        self.addCleanup(gateway.close)
        return gateway.start()

    def refusal(self, client: Client, method: str, **params: Any) -> Refused:
        with self.assertRaises(Refused) as caught:
            client.request(method, params)
        return caught.exception


class FileMethodTests(GatewayTestCase):
    def setUp(self) -> None:
        self.gateway = self.start()
        self.client = self.gateway.client()

    def test_write_read_list_delete(self) -> None:
        ask = self.client.request
        written = ask("canvas.files.write", {"path": "a/index.html", "content": "<h1>grün</h1>"})
        self.assertEqual(written["file"]["path"], "a/index.html")
        self.assertEqual(written["file"]["size"], len("<h1>grün</h1>".encode()))
        self.assertIn("grün".encode(), fetch(f"{self.gateway.url}a/")[1])
        picture = bytes(range(256))
        ask("canvas.files.write", {"path": "p.png", "encoding": "base64",
                                   "content": base64.b64encode(picture).decode()})  # fmt: skip
        self.assertEqual(fetch(f"{self.gateway.url}p.png"), (200, picture))
        text = ask("canvas.files.read", {"path": "a/index.html"})
        self.assertEqual((text["content"], text["encoding"]), ("<h1>grün</h1>", "utf8"))
        binary = ask("canvas.files.read", {"path": "p.png"})
        self.assertEqual(base64.b64decode(binary["content"]), picture)
        self.assertEqual(binary["encoding"], "base64")
        listing = ask("canvas.files.list")
        self.assertEqual([one["path"] for one in listing["files"]], ["a/index.html", "p.png"])
        self.assertEqual(ask("canvas.files.list", {"limit": 1})["truncated"], True)
        self.assertEqual(ask("canvas.files.delete", {"path": "a"})["deleted"], 1)
        self.assertEqual(ask("canvas.files.reset")["deleted"], 1)
        self.assertEqual(ask("canvas.files.list"), {"files": [], "truncated": False})

    def test_refusals_say_what_was_expected(self) -> None:
        secret = self.gateway.process.state_dir / "canvas.key"
        before = secret.read_bytes()
        for method, params, message in (
            ("write", {"path": "../canvas.key", "content": "x"}, "path: names that begin"),
            ("write", {"path": "x", "content": "%", "encoding": "base64"}, "expected base64"),
            ("read", {"path": "../canvas.key"}, "path: names that begin"),
            ("read", {"path": "none"}, "path: there is no 'none'"),
            ("delete", {"path": "none"}, "path: there is no 'none'"),
            ("list", {"path": ".."}, "path: names that begin"),
        ):  # fmt: skip
            refused = self.refusal(self.client, f"canvas.files.{method}", **params)
            self.assertIn(message, refused.error["message"])
        self.assertEqual(secret.read_bytes(), before)

    def test_reading_is_not_enough(self) -> None:
        reader = self.gateway.client(scopes=("operator.read",))
        for method in ("files.write", "files.reset", "a2ui.push", "a2ui.reset"):
            params = {"path": "x", "content": "x"} if method == "files.write" else {}
            self.assertEqual(self.refusal(reader, f"canvas.{method}", **params).code, "FORBIDDEN")


class A2uiMethodTests(GatewayTestCase):
    def test_push_lines_and_reset(self) -> None:
        gateway = self.start()
        client = gateway.client()
        lines = '{"beginRendering": {"surfaceId": "a", "root": "r"}}\n'
        state = client.request("canvas.a2ui.pushJSONL", {"jsonl": lines})
        self.assertEqual(state, {"ok": True, "surfaces": ["a"], "screens": 0})
        state = client.request("canvas.a2ui.push", {"messages": FORM})
        self.assertEqual(state["surfaces"], ["a", "form"])
        state = client.request("canvas.a2ui.reset", {"surfaceId": "a"})
        self.assertEqual(state["surfaces"], ["form"])
        refused = self.refusal(client, "canvas.a2ui.pushJSONL", jsonl='{"x": 1}')
        self.assertIn("jsonl: message 1: expected exactly one of", refused.error["message"])
        refused = self.refusal(client, "canvas.a2ui.push", messages=FORM, jsonl=lines)
        self.assertIn("either messages or jsonl", refused.error["message"])
        refused = self.refusal(client, "canvas.a2ui.push", messages=FORM, sessionKey="agent:no:x")
        self.assertIn("no", refused.error["message"])

    def test_surfaces_survive_a_power_cut(self) -> None:
        gateway = self.start()
        gateway.client().request("canvas.a2ui.push", {"messages": FORM})
        gateway.process.kill()
        gateway.process.start()
        state = gateway.client().request("canvas.a2ui.reset", {"surfaceId": "none"})
        self.assertEqual(state["surfaces"], ["form"])


class AddressTests(GatewayTestCase):
    def test_hello_hands_out_an_address_for_each_version(self) -> None:
        gateway = self.start()
        (gateway.files / "a.txt").write_text("ours")
        old = gateway.client(protocol=3).hello
        new = gateway.client(protocol=4).hello
        base = f"http://127.0.0.1:{gateway.port}/__openclaw__/cap/"
        self.assertNotIn("pluginSurfaceUrls", old)
        self.assertNotIn("canvasHostUrl", new)
        urls = [old["canvasHostUrl"], new["pluginSurfaceUrls"]["canvas"]]
        self.assertNotEqual(*urls)
        for url in urls:
            self.assertTrue(url.startswith(base), url)
            self.assertEqual(fetch(f"{url}/__openclaw__/canvas/a.txt"), (200, b"ours"))
            self.assertNotIn(url.rpartition("/")[2], gateway.process.log)

    def test_who_stays_longer_asks_for_another(self) -> None:
        gateway = self.start()
        (gateway.files / "a.txt").write_text("ours")
        client = gateway.client()
        first = client.hello["pluginSurfaceUrls"]["canvas"]
        answer = client.request(
            "plugin.surface.refresh", {"surface": "canvas", "observedUrl": first}
        )
        second = answer["pluginSurfaceUrls"]["canvas"]
        self.assertNotEqual(first, second)
        self.assertEqual(fetch(f"{second}/__openclaw__/canvas/a.txt"), (200, b"ours"))
        day = 24 * 3_600_000
        self.assertLess(abs(answer["expiresAtMs"] - time.time() * 1000 - day), 60_000)
        refused = self.refusal(client, "plugin.surface.refresh", surface="board")
        self.assertEqual(refused.error["code"], "UNAVAILABLE")

    def test_who_may_not_read_gets_none(self) -> None:
        hello = self.start().client(scopes=("operator.pairing",)).hello
        self.assertNotIn("pluginSurfaceUrls", hello)

    def test_off(self) -> None:
        gateway = self.start({"enabled": False})
        hello = gateway.client().hello
        self.assertNotIn("pluginSurfaceUrls", hello)
        self.assertFalse([name for name in hello["features"]["methods"] if "canvas" in name])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port), 5)
        self.assertFalse(gateway.files.exists())

    def test_a_taken_default_port_is_no_obstacle(self) -> None:
        gateway = CanvasGateway()
        self.addCleanup(gateway.close)
        (gateway.process.state_dir / "config.json").write_text("{}")
        with socket.socket() as holder:
            while not holder.getsockname()[1]:  # two ports that are nobody else's
                gateway.process.port = hold_port(gateway)
                with contextlib.suppress(OSError):
                    holder.bind(("127.0.0.1", gateway.process.port + 4))
            holder.listen()
            gateway.process.start()
            self.assertIn(
                f"No canvas: port {gateway.process.port + 4} is taken", gateway.process.log
            )
            client = gateway.client()
            self.assertNotIn("pluginSurfaceUrls", client.hello)
            refused = self.refusal(client, "canvas.a2ui.push", messages=FORM)
            self.assertIn("set canvas.port", refused.error["message"])
            client.request("canvas.files.write", {"path": "a.txt", "content": "kept"})

    def test_a_taken_chosen_port_is_an_error(self) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            gateway = CanvasGateway({"port": holder.getsockname()[1]})
            self.addCleanup(gateway.close)
            with self.assertRaises(AssertionError) as caught:
                gateway.process.start()
            self.assertIn("choose another canvas.port", str(caught.exception))

    def test_over_tls(self) -> None:
        gateway = CanvasGateway(gateway={"tls": {"enabled": True}})
        self.addCleanup(gateway.close)
        gateway.start()
        url = gateway.client().hello["pluginSurfaceUrls"]["canvas"]
        self.assertTrue(url.startswith(f"https://127.0.0.1:{gateway.port}/"), url)


class OriginTests(GatewayTestCase):
    def setUp(self) -> None:
        self.gateway = self.start()

    def status(self, path: str, **headers: str) -> int:
        status, connection = upgrade(self.gateway.port, f"/__openclaw__/ws{path}", **headers)
        connection.close()
        return status

    def test_a_canvas_page_is_no_operator(self) -> None:
        """The API refuses the canvas's origin, also with the right token."""
        port = self.gateway.process.port
        origin = f"http://127.0.0.1:{self.gateway.port}"
        status, connection = upgrade(port, "/", Origin=origin)
        self.addCleanup(connection.close)
        if status == 101:
            params = connect_params(next_json(connection)["payload"]["nonce"], protocol=4)
            frame = {"type": "req", "id": "1", "method": "connect", "params": params}
            connection.sendall(client_frame(json.dumps(frame).encode()))
            answer = next_json(connection)
            self.assertFalse(answer["ok"], answer)
            self.assertIn("origin", answer["error"]["message"])
        else:
            self.assertEqual(status, 403)

    def test_live_reload_is_for_our_pages(self) -> None:
        own = f"http://127.0.0.1:{self.gateway.port}"
        for headers, expected in (
            ({"Origin": own}, 101), ({}, 101), ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403), ({"Origin": self.gateway.process.http_url[:-1]}, 403),
            ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
            ({"X_Forwarded_For": "203.0.113.9"}, 403),
        ):  # fmt: skip
            self.assertEqual(self.status("?at=0", **headers), expected, headers)

    def test_surfaces_are_for_the_a2ui_page(self) -> None:
        build_renderer()
        page = fetch(self.gateway.a2ui_url)[1].decode()
        ticket = page.split('data-ticket="')[1].split('"')[0]
        own = f"http://127.0.0.1:{self.gateway.port}"
        for query, origin, expected in (
            (f"?ticket={ticket}", "null", 101), (f"?ticket={ticket}", own, 403),
            ("?ticket=forged", "null", 403), (f"?ticket={ticket}", "http://evil.example", 403),
        ):  # fmt: skip
            self.assertEqual(self.status(query, Origin=origin), expected, (query, origin))
        self.assertNotIn(ticket, self.gateway.process.log)


class ConfigTests(SynchronousTestCase):
    def test_both_names(self) -> None:
        for name in ("canvas", "canvasHost"):
            config = parse_config(f'{{"{name}": {{"port": 7, "liveReload": false}}}}')
            self.assertEqual((config.canvas.port, config.canvas.live_reload), (7, False))
        self.assertTrue(parse_config("{}").canvas.enabled)

    def test_not_both_at_once(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            parse_config('{"canvas": {}, "canvasHost": {}}')
        self.assertIn("keep one of them", str(caught.exception))

    def test_defaults_follow_the_gateway(self) -> None:
        state = self.mktemp()
        for port, expected in (("18789", 18793), ("19001", 19005), ("0", 0), ("65535", 65535)):
            plan = make_plan({"state-dir": state, "port": port}, {})
            self.assertEqual(plan.canvas_port, expected)
        self.assertEqual(plan.canvas_root, plan.state_dir / "canvas")
