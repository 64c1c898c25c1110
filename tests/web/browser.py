"""A real browser for the tests of WebChat: Debian's chromium, driven by selenium.

A browser has its own empty profile, speaks to this machine only, and ends with its test.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from twisted.trial import unittest

import clawgw

T = TypeVar("T")

WEB = Path(clawgw.__file__).parent / "web"
PATIENCE_S = 180.0
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,860",
)


def eventually(probe: Callable[[], T], what: str, patience: float = PATIENCE_S) -> T:
    """What `probe` returns once that is true; an AssertionError naming `what` when it never is."""
    deadline = time.monotonic() + patience
    while True:
        try:
            found = probe()
        except StaleElementReferenceException:  # the page drew itself anew in between
            found = None  # type: ignore[assignment]
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.05)


class Browser:
    """One chromium window (perhaps with several tabs), and what a person does in it."""

    def __init__(self, profile: str, *switches: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = _installed("chromium")
        for switch in (*SWITCHES, f"--user-data-dir={profile}", *switches):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(_installed("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(PATIENCE_S)

    def close(self) -> None:
        """End the browser and its driver."""
        self.driver.quit()

    def open(self, url: str) -> None:
        """Go to a page."""
        self.driver.get(url)

    def js(self, script: str, *args: Any) -> Any:
        """The result of a script in the page."""
        return self.driver.execute_script(script, *args)

    def module(self, path: str, body: str, *args: Any) -> Any:
        """The result of `body`, with the module at `path` as `m` and the arguments as `args`."""
        script = (
            "const done = arguments[arguments.length - 1]; const args = [...arguments];"
            f"import('{path}').then(async (m) => {{ {body} }})"
            ".then((value) => done({value: value ?? null}), (e) => done({error: String(e.stack)}));"
        )
        answer = self.driver.execute_async_script(script, *args)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def all(self, selector: str) -> list[WebElement]:
        """The elements that match now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def visible(self, selector: str) -> list[WebElement]:
        """The elements that match and can be seen now."""
        return [element for element in self.all(selector) if element.is_displayed()]

    def find(self, selector: str) -> WebElement:
        """The first visible element that matches, waited for."""
        return eventually(lambda: self.visible(selector), f"visible {selector}")[0]

    def click(self, selector: str) -> None:
        """Press what matches."""

        def pressed() -> bool:
            self.find(selector).click()
            return True

        eventually(pressed, f"a press of {selector}")

    def press(self, selector: str, label: str) -> None:
        """Press the one that says so."""

        def pressed() -> bool:
            labelled = [button for button in self.visible(selector) if button.text == label]
            if labelled:
                labelled[0].click()
            return bool(labelled)

        eventually(pressed, f"a press of {selector} that says {label!r}")

    def text(self, selector: str) -> str:
        """What a reader sees in the first match; empty when there is none."""
        found = self.all(selector)
        return found[0].text if found else ""

    def wait_text(self, selector: str, text: str) -> None:
        """Wait until the first match says so."""
        eventually(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def emulate(self, command: str, **params: Any) -> None:
        """Something of the Chrome DevTools protocol."""
        self.driver.execute_cdp_cmd(command, params)

    def complaints(self) -> list[str]:
        """What the console holds against the page; lost connections are not the page's fault."""
        entries = self.driver.get_log("browser")
        texts = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
        return [text for text in texts if "WebSocket connection" not in text]


class Chat:
    """The page as somebody uses it who talks to an agent."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def sign_in(self, url: str, token: str) -> None:
        """Open the page with the token in the address, and wait for the chat."""
        self.browser.open(f"{url}#token={token}")
        self.ready()

    def ready(self) -> None:
        """Wait until one can write."""
        eventually(
            lambda: not self.browser.visible("#gate") and self.browser.visible("#input:enabled"),
            "the chat is open",
        )
        eventually(lambda: self.browser.all('#status[data-state="online"]'), "it is connected")

    def say(self, text: str) -> None:
        """Write a message and press Enter."""
        self.browser.find("#input").send_keys(text, Keys.ENTER)

    def said(self) -> list[str]:
        """The messages of people, in order."""
        return self._texts(".item.user .body")

    def answers(self) -> list[str]:
        """The texts of the agent, in order, without thoughts and tools."""
        return self._texts(".item.assistant .body")

    def wait_answer(self, text: str, count: int = 1) -> None:
        """Wait until the last of so many answers contains a text."""

        def is_there() -> bool:
            answers = self.answers()
            return len(answers) == count and text in answers[-1]

        eventually(is_there, f"answer {count} contains {text!r}")

    def wait_idle(self) -> None:
        """Wait until nothing runs and nothing waits to be sent."""
        busy = ", ".join(f'.item[data-state="{s}"]' for s in ("unsent", "waiting", "streaming"))
        eventually(lambda: not self.browser.all(busy), "nothing runs any more")

    def session(self) -> str:
        """The key of the session that is open."""
        fragment = "new URLSearchParams(location.hash.slice(1))"
        return str(self.browser.js(f"return {fragment}.get('session')"))

    def _texts(self, selector: str) -> list[str]:
        nodes = "[...document.querySelectorAll(arguments[0])]"
        return list(self.browser.js(f"return {nodes}.map((n) => n.innerText.trim())", selector))


class BrowserTestCase(unittest.SynchronousTestCase):
    """A test that looks at a page. Whatever it opens is closed after it."""

    def new_browser(self, *switches: str) -> Browser:
        """A browser with an empty profile."""
        profile = tempfile.mkdtemp(prefix="clawgw-browser-")
        self.addCleanup(shutil.rmtree, profile, ignore_errors=True)
        browser = Browser(profile, *switches)
        self.addCleanup(browser.close)
        return browser

    def serve_files(self) -> str:
        """The page's files without a Gateway; the address of the server."""
        handler = functools.partial(_QuietFiles, directory=str(WEB))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE_S)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}"


class _QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SkipTest(
            f"no {program} on this machine, so no page was looked at;"
            " apt-get install chromium chromium-driver"
        )
    return path
