"""The canvas as a person sees it: in chromium, with a running Gateway and a scripted agent."""

from __future__ import annotations

from typing import Any

from selenium.webdriver.remote.webelement import WebElement

from tests.canvas.support import CanvasGateway, build_renderer
from tests.web.browser import Browser, BrowserTestCase, eventually

# Finds elements also inside shadow roots.
DEEP = """
    const walk = (root) => [...root.querySelectorAll(arguments[0]),
      ...[...root.querySelectorAll('*')].filter((e) => e.shadowRoot)
        .flatMap((e) => walk(e.shadowRoot))];
    return walk(document);
"""

# What a canvas page may try, and what became of it.
ATTACK = """
    const [api, a2ui, done] = arguments;
    const socket = (url, name) => new Promise((resolve) => {
      let line;
      try { line = new WebSocket(url); } catch (e) { resolve(name + ': refused'); return; }
      line.onopen = () => resolve(name + ': open');
      line.onerror = () => resolve(name + ': refused');
    });
    const text = (url, name) => fetch(url, {mode: 'cors'}).then((r) => r.text())
      .then((t) => name + ': ' + (t.includes('data-ticket') ? 'ticket' : 'read'))
      .catch(() => name + ': refused');
    const frame = (url, name) => new Promise((resolve) => {
      const inner = document.createElement('iframe');
      inner.onload = () => resolve(name + ': ' + (inner.contentDocument ? 'open' : 'refused'));
      inner.src = url;
      document.body.append(inner);
    });
    Promise.all([
      frame(a2ui, 'frame'),
      socket(api.replace('http', 'ws'), 'api'),
      text(api, 'page'),
      text(a2ui, 'a2ui'),
    ]).then(done);
"""


def old_form() -> list[dict[str, Any]]:
    def text(words: str) -> dict[str, Any]:
        return {"literalString": words}

    components = [
        ("root", {"Column": {"children": {"explicitList": ["title", "name", "go"]}}}),
        ("title", {"Text": {"text": text("Who are you?"), "usageHint": "h2"}}),
        ("name", {"TextField": {"label": text("Name"), "text": {"path": "/name"}}}),
        ("label", {"Text": {"text": text("Send")}}),
        ("go", {"Button": {"child": "label", "action": {
            "name": "submit", "context": [{"key": "name", "value": {"path": "/name"}}]}}}),
    ]  # fmt: skip
    rows = [{"id": name, "component": component} for name, component in components]
    contents = [{"key": "name", "valueString": "nobody"}]
    return [
        {"surfaceUpdate": {"surfaceId": "old", "components": rows}},
        {"dataModelUpdate": {"surfaceId": "old", "contents": contents}},
        {"beginRendering": {"surfaceId": "old", "root": "root"}},
    ]


def new_form(title: str = "Order", surface: str = "new") -> list[dict[str, Any]]:
    event = {"name": "order", "context": {"dish": {"path": "/dish"}}}
    components = [
        {"id": "root", "component": "Column", "children": ["title", "dish", "go"]},
        {"id": "title", "component": "Text", "text": title},
        {"id": "dish", "component": "TextField", "label": "Dish", "value": {"path": "/dish"}},
        {"id": "label", "component": "Text", "text": "Send"},
        {"id": "go", "component": "Button", "child": "label", "action": {"event": event}},
    ]
    return [
        {"version": "v0.9", "createSurface": {"surfaceId": surface}},
        {"version": "v0.9", "updateComponents": {"surfaceId": surface, "components": components}},
        {"version": "v0.9", "updateDataModel": {"surfaceId": surface, "value": {"dish": "soup"}}},
    ]


class CanvasTestCase(BrowserTestCase):
    def setUp(self) -> None:
        build_renderer()
        self.gateway = CanvasGateway()
        self.addCleanup(self.gateway.close)
        self.gateway.start()
        self.agent = self.gateway.client()
        self.browser: Browser = self.new_browser()

    def write(self, path: str, content: str) -> None:
        self.agent.request("canvas.files.write", {"path": path, "content": content})

    def sees(self, text: str, selector: str = "body") -> None:
        self.browser.wait_text(selector, text)


class PageTests(CanvasTestCase):
    def test_a_page_appears_changes_and_goes(self) -> None:
        """Nobody touches the browser after it has opened the canvas."""
        self.browser.open(self.gateway.url)
        self.sees("This canvas is empty")
        self.write("index.html", "<body><h1>One</h1></body>")
        self.sees("One", "h1")
        (self.gateway.files / "index.html").write_text("<body><h1>Two</h1></body>")
        self.sees("Two", "h1")
        (self.gateway.files / "style.css").write_text("h1 { color: rgb(1, 2, 3) }")
        self.write("index.html", '<link rel="stylesheet" href="style.css"><h1>Three</h1>')
        self.sees("Three", "h1")
        self.write("style.css", "h1 { color: rgb(4, 5, 6) }")
        eventually(
            lambda: self.browser.js(
                "const h1 = document.querySelector('h1'); return h1 && getComputedStyle(h1).color"
            ) == "rgb(4, 5, 6)",
            "the style changes too",
        )  # fmt: skip
        self.assertEqual(self.browser.complaints(), [])
        self.agent.request("canvas.files.reset")
        self.sees("This canvas is empty")

    def test_a_page_may_do_what_pages_do(self) -> None:
        self.write("data.json", '{"answer": 42}')
        self.write("lib.js", "export const twice = (n) => 2 * n;")
        self.write(
            "index.html",
            """<p></p><script type="module">
            import {twice} from './lib.js';
            const {answer} = await (await fetch('data.json')).json();
            localStorage.setItem('kept', eval('1 + 1'));
            document.querySelector('p').textContent = twice(answer) + localStorage.kept;
        </script>""",
        )
        self.browser.open(self.gateway.url)
        self.sees("842", "p")
        self.assertEqual(self.browser.complaints(), [])

    def test_an_address_from_hello_is_live_too(self) -> None:
        url = self.agent.hello["pluginSurfaceUrls"]["canvas"]
        self.write("index.html", '<img src="p.svg"><h1>One</h1>')
        self.write("p.svg", '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>')
        self.browser.open(f"{url}/")
        self.sees("One", "h1")
        eventually(
            lambda: self.browser.js("return document.querySelector('img')?.naturalWidth") == 7,
            "its files are there",
        )
        self.write("index.html", "<h1>Two</h1>")
        self.sees("Two", "h1")

    def test_a_page_comes_back_after_the_gateway_did(self) -> None:
        self.write("index.html", "<h1>One</h1>")
        self.browser.open(self.gateway.url)
        self.sees("One", "h1")
        self.gateway.process.stop()
        (self.gateway.files / "index.html").write_text("<h1>Two</h1>")
        self.gateway.process.start()
        self.sees("Two", "h1")

    def test_a_page_is_no_operator(self) -> None:
        """It gets neither to the API, nor to what its pages hold, nor to the A2UI page's ticket."""
        self.write("index.html", "<h1>Evil</h1>")
        self.browser.open(self.gateway.url)
        self.sees("Evil", "h1")
        found = self.browser.driver.execute_async_script(
            ATTACK, self.gateway.process.http_url, self.gateway.a2ui_url
        )
        self.assertEqual(
            sorted(found), [f"{name}: refused" for name in ("a2ui", "api", "frame", "page")]
        )
        blocked = " ".join(self.browser.complaints())
        self.assertIn("Content Security Policy", blocked)


class A2uiTests(CanvasTestCase):
    def open(self, browser: Browser) -> Browser:
        before = self.screens()
        browser.open(self.gateway.a2ui_url)
        browser.find("#empty")
        eventually(lambda: self.screens() == before + 1, "the Gateway knows of the screen")
        return browser

    def screens(self) -> int:
        """How many screens there are, none of which shows anything yet."""
        return int(self.agent.request("canvas.a2ui.reset")["screens"])

    def push(self, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        state: dict[str, Any] = self.agent.request(
            "canvas.a2ui.push", {"messages": messages, **more}
        )
        return state

    def deep(self, selector: str, browser: Browser | None = None) -> list[WebElement]:
        found: list[WebElement] = (browser or self.browser).js(DEEP, selector)
        return found

    def shown(self, surface: str, browser: Browser | None = None) -> str:
        """The text of a surface, with what is in shadow roots."""
        script = """
            const text = (node) => node.nodeType === 3 ? node.data
              : ['STYLE', 'SCRIPT'].includes(node.tagName) ? ''
              : [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes].map(text).join('');
            const found = document.querySelector(`[data-surface="${arguments[0]}"]`);
            return found ? text(found) : '';
        """
        return str((browser or self.browser).js(script, surface))

    def fill(self, value: str) -> None:
        """Type into the only field, and press the only button."""
        field = eventually(lambda: self.deep("input"), "a field")[0]
        field.clear()
        field.send_keys(value)
        button = eventually(lambda: self.deep("button"), "a button")[0]
        self.browser.js("arguments[0].click()", button)

    def said_in(self, session: str) -> str:
        history = self.agent.request("chat.history", {"sessionKey": session})
        return str(history["messages"])

    def test_a_form_of_the_old_version(self) -> None:
        self.open(self.browser)
        self.assertEqual(self.push(old_form())["screens"], 1)
        eventually(lambda: "Who are you?" in self.shown("old"), "the form")
        self.fill("Ada Lovelace")
        self.sees("Sent to the agent.", "#note")
        eventually(lambda: "echo: [Canvas] " in self.said_in("main"), "the agent's answer")
        self.assertIn('{"name":"Ada Lovelace"}', self.said_in("main"))
        self.assertEqual(self.browser.complaints(), [])

    def test_a_form_of_the_new_version_goes_to_its_session(self) -> None:
        self.open(self.browser)
        self.push(new_form(), sessionKey="kitchen")
        eventually(lambda: "Order" in self.shown("new"), "the form")
        self.fill("pancakes")
        self.sees("Sent to the agent.", "#note")
        eventually(lambda: "echo: [Canvas] " in self.said_in("kitchen"), "the agent's answer")
        self.assertIn('{"dish":"pancakes"}', self.said_in("kitchen"))
        self.assertEqual(self.said_in("main"), "[]")
        self.assertEqual(self.browser.complaints(), [])

    def test_every_screen_at_once_and_those_that_come_later(self) -> None:
        first, second = self.open(self.browser), self.open(self.new_browser())
        self.assertEqual(self.push(new_form() + new_form("Second", "two"))["screens"], 2)
        update = {"surfaceId": "new", "components": [
            {"id": "title", "component": "Text", "text": "Changed"}]}  # fmt: skip
        self.push([{"version": "v0.9", "updateComponents": update}, *old_form()])
        for browser in (first, second):
            eventually(lambda b=browser: "Changed" in self.shown("new", b), "the change")
        late = self.new_browser()
        late.open(self.gateway.a2ui_url)
        for name, text in (("new", "Changed"), ("two", "Second"), ("old", "Who are you?")):
            eventually(lambda n=name, t=text: t in self.shown(n, late), f"{name} is there")
        self.agent.request("canvas.a2ui.reset")
        for browser in (first, second, late):
            browser.find("#empty")

    def test_a_lost_connection_empties_no_form_and_loses_no_action(self) -> None:
        self.open(self.browser)
        self.push(new_form())
        field = eventually(lambda: self.deep("input"), "a field")[0]
        field.clear()
        field.send_keys("half typed")
        self.gateway.process.stop()
        self.browser.find("#offline")
        self.browser.js("arguments[0].click()", self.deep("button")[0])
        self.gateway.process.start()
        self.agent = self.gateway.client()
        self.sees("Sent to the agent.", "#note")
        eventually(lambda: "half typed" in self.said_in("main"), "the action arrived")
        self.assertEqual(self.said_in("main").count("'role': 'user'"), 1)

    def test_what_cannot_be_drawn_is_said_and_hides_nothing(self) -> None:
        self.push(new_form())
        bad = [{"id": "title", "component": "Text", "text": "Still here"},
               {"id": "extra", "component": "Button", "wrong": True}]  # fmt: skip
        self.push(
            [{"version": "v0.9", "updateComponents": {"surfaceId": "new", "components": bad}}]
        )
        self.browser.open(self.gateway.a2ui_url)
        self.sees("could not be drawn", "#problem")
        eventually(lambda: "Still here" in self.shown("new"), "the rest is drawn")
        eventually(lambda: "could not draw" in self.gateway.process.log, "the log says so")

    def test_an_app_can_draw_and_take_actions_itself(self) -> None:
        """What the page offers to the apps that show it in a web view of theirs."""
        self.open(self.browser)
        self.browser.js(
            "window.taken = [];"
            "window.openclawCanvasA2UIAction = {postMessage: (text) => taken.push(text)};"
            "openclawA2UI.applyMessages(arguments[0]);",
            old_form(),
        )
        eventually(lambda: "Who are you?" in self.shown("old"), "the form")
        self.fill("Grace")
        taken = eventually(lambda: self.browser.js("return taken"), "the app got it")
        self.assertIn('"context":{"name":"Grace"}', taken[0])
        self.assertEqual(self.said_in("main"), "[]")
        self.browser.js("openclawA2UI.reset()")
        self.browser.find("#empty")
