"""WebChat against a running Gateway, seen through a real browser."""

from __future__ import annotations

import re
import shutil
import tempfile

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.gateway import GatewayProcess
from tests.web.browser import Browser, BrowserTestCase, Chat, eventually

TOKEN = "the-gateway-token"

# Sends the next chat.send, and drops the line before its answer can come.
DROP_AFTER_SEND = """
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        send.call(this, data);
        if (!String(data).includes('"chat.send"')) return;
        WebSocket.prototype.send = send;
        window.dropped = true;
        this.onmessage = null;
        this.close();
    };
"""


# Puts that many notes into the main session, as another client of the same device.
INJECT_NOTES = """
    const {Credentials} = await import('/credentials.js');
    const {BrowserStorage} = await import('/storage.js');
    const {loadIdentity} = await import('/identity.js');
    const identity = await loadIdentity();
    await new Promise((resolve, reject) => {
        const line = new m.Gateway({
            url: location.origin.replace('http', 'ws'), identity,
            credentials: new Credentials(new BrowserStorage()),
            onEvent: () => {}, onGap: () => {},
            onState: async (state) => {
                if (state.name === 'refused') reject(new Error(JSON.stringify(state)));
                if (state.name !== 'online') return;
                try {
                    for (let n = 1; n <= args[0]; n += 1) {
                        const note = {sessionKey: 'main', message: `note ${n}`};
                        await line.request('chat.inject', note);
                    }
                    resolve();
                } catch (error) { reject(error); }
            },
        });
        line.start();
    });
"""


class WebChatTests(BrowserTestCase):
    """One Gateway with the scripted agent, and one browser."""

    def setUp(self) -> None:
        state = tempfile.mkdtemp(prefix="clawgw-web-")
        self.addCleanup(shutil.rmtree, state, ignore_errors=True)
        self.gateway = GatewayProcess(state, token=TOKEN)
        self.gateway.start()
        self.addCleanup(self.gateway.stop)
        self.browser: Browser = self.new_browser()
        self.chat = Chat(self.browser)

    def sign_in(self) -> Chat:
        self.chat.sign_in(self.gateway.http_url, TOKEN)
        return self.chat

    def assert_no_complaints(self) -> None:
        """Neither an error nor anything the content security policy had to stop."""
        self.assertEqual(self.browser.complaints(), [])

    def test_token_dialog(self) -> None:
        """Without a token the page asks; a wrong one is said to be wrong; a right one is kept."""
        self.browser.open(self.gateway.http_url)
        self.browser.wait_text("#gate", "Enter the Gateway token")
        self.assertNotIn("not accept", self.browser.text("#gate"))
        self.browser.find("#gate input").send_keys("wrong", Keys.ENTER)
        self.browser.wait_text("#gate", "The Gateway did not accept this token.")
        self.browser.find("#gate input").send_keys(TOKEN, Keys.ENTER)
        self.chat.ready()
        self.browser.driver.refresh()
        self.chat.ready()
        self.assert_no_complaints()

    def test_token_in_the_address(self) -> None:
        """A token in the link lets one in, and is gone from the address and its history."""
        self.sign_in()
        self.assertNotIn(TOKEN, self.browser.js("return location.href"))
        self.browser.open(self.gateway.http_url)
        self.chat.ready()

    def test_device_token(self) -> None:
        """The token the Gateway gave this device is enough; when it is wrong the page recovers."""
        self.sign_in()
        issued = self.browser.js("return localStorage.getItem('clawgw.deviceToken')")
        self.assertTrue(issued)
        self.browser.js("localStorage.removeItem('clawgw.token')")
        self.browser.driver.refresh()
        self.chat.ready()
        self.browser.js("localStorage.setItem('clawgw.deviceToken', 'forged')")
        self.browser.driver.refresh()
        self.browser.wait_text("#gate", "Enter the Gateway token")
        self.assertIsNone(self.browser.js("return localStorage.getItem('clawgw.deviceToken')"))

    def test_send_and_stream(self) -> None:
        """An answer grows while it comes in, and stays."""
        chat = self.sign_in()
        self.browser.wait_text(".empty", "Talk to")
        chat.say("SLOW please")
        lengths: set[int] = set()

        def grew() -> bool:
            lengths.update(len(text) for text in chat.answers())
            return len(lengths - {0}) >= 4

        eventually(grew, "the answer grows step by step")
        self.browser.click("#stop")
        chat.wait_idle()
        chat.say("one two three")
        chat.wait_answer("echo: one two three", 2)
        chat.wait_idle()
        self.assertEqual(chat.said(), ["SLOW please", "one two three"])
        self.assertEqual(self.browser.all(".empty"), [])
        chat.say("again")
        chat.wait_answer("echo: again", 3)
        spoken = "return document.querySelector('#announcer').textContent"
        eventually(lambda: "echo: again" in self.browser.js(spoken), "it is said to the blind")
        self.assert_no_complaints()

    def test_keys(self) -> None:
        """Shift+Enter makes a line, Enter sends; nothing but white space is not sent."""
        chat = self.sign_in()
        field = self.browser.find("#input")
        field.send_keys("  ", Keys.ENTER)
        field.send_keys("first", Keys.SHIFT, Keys.ENTER, Keys.NULL, "second", Keys.ENTER)
        chat.wait_answer("echo:")
        self.assertEqual(chat.said(), ["first\nsecond"])

    def test_reload_shows_history(self) -> None:
        """What was said is there after a reload, and so is what was typed and not sent."""
        chat = self.sign_in()
        chat.say("remember me")
        chat.wait_answer("echo: remember me")
        chat.wait_idle()
        self.browser.find("#input").send_keys("half a thou")
        self.browser.driver.refresh()
        chat.ready()
        chat.wait_answer("echo: remember me")
        self.assertEqual(chat.said(), ["remember me"])
        self.assertEqual(self.browser.find("#input").get_property("value"), "half a thou")

    def test_reload_in_the_middle_of_an_answer(self) -> None:
        """After a reload the answer so far is shown, and goes on growing, once."""
        chat = self.sign_in()
        chat.say("SLOW please")
        eventually(lambda: chat.answers() and len(chat.answers()[0].split()) > 8, "some words")
        before = chat.answers()[0]
        self.browser.driver.refresh()
        chat.ready()
        eventually(lambda: chat.answers() and chat.answers()[0].startswith(before), "them again")
        seen = len(chat.answers()[0])
        eventually(lambda: len(chat.answers()[0]) > seen + 20, "more words")
        self.assertEqual(len(chat.answers()), 1)
        self.browser.click("#stop")
        chat.wait_idle()

    def test_stop(self) -> None:
        """The button and the Escape key stop an answer; what came stays; one can go on."""
        chat = self.sign_in()
        for count, stop in enumerate((self._press_stop, self._press_escape), start=1):
            chat.say("SLOW please")
            eventually(
                lambda count=count: len(chat.answers()) == count and len(chat.answers()[-1]) > 20,
                "some words",
            )
            stop()
            self.browser.wait_text(f".item.assistant:nth-of-type({2 * count}) .foot", "Stopped.")
            self.assertEqual(self.browser.visible("#stop"), [])
        chat.say("go on")
        chat.wait_answer("echo: go on", 3)

    def _press_stop(self) -> None:
        self.browser.click("#stop")

    def _press_escape(self) -> None:
        ActionChains(self.browser.driver).send_keys(Keys.ESCAPE).perform()

    def test_restart_of_the_gateway(self) -> None:
        """The page waits for the Gateway; what was written meanwhile arrives exactly once."""
        chat = self.sign_in()
        chat.say("before")
        chat.wait_answer("echo: before")
        chat.wait_idle()
        self.gateway.stop()
        eventually(
            lambda: re.search("Reconnecting|restarting|Connecting", self.browser.text("#status")),
            "the page says that it is not connected",
        )
        chat.say("meanwhile")
        self.browser.wait_text('.item[data-state="unsent"]', "Sending")
        self.gateway.start()
        chat.wait_answer("echo: meanwhile", 2)
        chat.wait_idle()
        self.assertEqual(chat.said(), ["before", "meanwhile"])
        self.browser.driver.refresh()
        chat.ready()
        chat.wait_answer("echo: meanwhile", 2)
        self.assertEqual(chat.said(), ["before", "meanwhile"])
        self.assert_no_complaints()

    def test_gateway_dies_in_the_middle_of_an_answer(self) -> None:
        """After a crash the page says what became of the answer, and one can ask again."""
        chat = self.sign_in()
        chat.say("SLOW please")
        eventually(lambda: chat.answers() and len(chat.answers()[0]) > 20, "some words")
        self.gateway.kill()
        self.gateway.start()
        self.browser.wait_text(".problem", "restarted")
        chat.wait_idle()
        self.assertEqual(self.browser.visible("#stop"), [])
        chat.say("go on")
        chat.wait_answer("echo: go on", 2)

    def test_older_messages(self) -> None:
        """The newest messages are shown; older ones on request, and the reading place stays."""
        chat = self.sign_in()
        chat.say("the very first")
        chat.wait_answer("echo: the very first")
        chat.wait_idle()
        self.browser.module("/gateway.js", INJECT_NOTES, 230)
        self.browser.driver.refresh()
        chat.ready()
        eventually(lambda: "note 230" in chat.answers()[-1:], "the newest note")
        self.assertEqual(chat.said(), [])
        self.browser.js("document.querySelector('#scroller').scrollTop = 0")
        first = self.browser.find(".item.assistant .body")
        place = first.location["y"]
        self.browser.click("#scroller .older")
        eventually(lambda: chat.said() == ["the very first"], "the oldest message")
        self.assertEqual(len(chat.answers()), 231)
        self.assertEqual(self.browser.visible("#scroller .older"), [])
        self.assertLess(abs(self._top(first) - place), 60)

    def _top(self, element: WebElement) -> float:
        return float(self.browser.js("return arguments[0].getBoundingClientRect().top", element))

    def test_message_written_before_a_reload(self) -> None:
        """A message that could not be sent survives a reload of the page."""
        chat = self.sign_in()
        self.browser.js(
            "const close = WebSocket.prototype.send;"
            "WebSocket.prototype.send = function (data) {"
            "  if (!String(data).includes('\"chat.send\"')) close.call(this, data); };"
        )
        chat.say("do not lose me")
        self.browser.wait_text('.item[data-state="unsent"]', "Sending")
        self.browser.driver.refresh()
        chat.ready()
        chat.wait_answer("echo: do not lose me")
        self.assertEqual(chat.said(), ["do not lose me"])

    def test_answer_to_a_send_is_lost(self) -> None:
        """The line drops after a message went out: it is sent again, and acts once."""
        chat = self.sign_in()
        self.browser.js(DROP_AFTER_SEND)
        chat.say("only once")
        eventually(lambda: self.browser.js("return window.dropped"), "the line was dropped")
        chat.wait_answer("echo: only once")
        chat.wait_idle()
        chat.say("and on")
        chat.wait_answer("echo: and on", 2)
        self.browser.driver.refresh()
        chat.ready()
        chat.wait_answer("echo: and on", 2)
        self.assertEqual(chat.said(), ["only once", "and on"])

    def test_html_stays_text(self) -> None:
        """A message and an answer full of HTML create no element and run no script."""
        chat = self.sign_in()
        self.browser.js("window.alert = () => { window.pwned = 'alert'; };")
        attack = (
            "<img src=x onerror=\"window.pwned='img'\"><script>window.pwned='script'</script>"
            "<svg onload=\"window.pwned='svg'\"></svg><iframe srcdoc='<b>x</b>'></iframe>"
            "<style>*{display:none}</style> [go](javascript:alert(1)) <b>bold</b>"
        )
        chat.say(f"HTML {attack}")
        chat.wait_answer("<b>bold</b>")
        chat.wait_idle()
        self.assertIn("<script>window.pwned='script'</script>", chat.answers()[0])
        self.assertIn(attack, chat.said()[0])
        self.assert_harmless()
        self.browser.driver.refresh()
        chat.ready()
        chat.wait_answer("<b>bold</b>")
        self.assert_harmless()
        self.assert_no_complaints()

    def assert_harmless(self) -> None:
        made = ("img", "script", "svg:not(.icon)", "iframe", "style", "b", "a")
        inside = ", ".join(f"#transcript {tag}" for tag in made)
        self.assertEqual([node.tag_name for node in self.browser.all(inside)], [])
        listening = ", ".join(f"#transcript [on{name}]" for name in ("error", "load", "click"))
        self.assertEqual(self.browser.all(listening), [])
        self.assertIsNone(self.browser.js("return window.pwned ?? null"))

    def test_tool_card(self) -> None:
        """A tool call is a closed card with its name; open, it shows arguments and result."""
        chat = self.sign_in()
        chat.say("USETOOL please")
        eventually(lambda: self.browser.all('.tool[data-state="done"]'), "the tool is done")
        chat.wait_idle()
        self._look_at_tool_card()
        self.browser.driver.refresh()
        chat.ready()
        eventually(lambda: self.browser.all('.tool[data-state="done"]'), "the card after a reload")
        self._look_at_tool_card()

    def _look_at_tool_card(self) -> None:
        self.assertEqual(len(self.browser.all(".tool")), 1)
        self.assertEqual(self.browser.visible(".tool pre"), [])
        self.assertTrue(self.browser.text(".tool-name"))
        self.browser.click(".tool summary")
        self.assertIn("Result", self.browser.text(".tool"))
        self.assertTrue(self.browser.visible(".tool pre"))

    def test_failed_answer(self) -> None:
        """A turn that fails shows the Gateway's words, and can be tried again."""
        chat = self.sign_in()
        chat.say("FAIL please")
        self.browser.wait_text(".problem", "The agent failed")
        self.assertTrue(self.browser.text(".problem p").strip())
        self.browser.click(".problem button")
        eventually(lambda: chat.said() == ["FAIL please", "FAIL please"], "it was asked again")

    def test_sessions(self) -> None:
        """New session, switching, a link to a session, renaming, deleting."""
        chat = self.sign_in()
        main = chat.session()
        chat.say("in the main session")
        chat.wait_answer("echo: in the main session")
        self.browser.click("#new-session")
        eventually(lambda: chat.session() != main, "another session")
        other = chat.session()
        self.assertRegex(other, r"^agent:main:web-[a-z0-9]+$")
        self.browser.wait_text(".empty", "Talk to")
        chat.say("in the new one")
        chat.wait_answer("echo: in the new one")
        eventually(lambda: len(self.browser.all(".session")) == 2, "two sessions in the list")

        self.browser.click(f'.session[data-key="{main}"]')
        chat.wait_answer("echo: in the main session")
        self.assertEqual(chat.said(), ["in the main session"])
        self.browser.driver.back()
        chat.wait_answer("echo: in the new one")
        self.browser.open(f"{self.gateway.http_url}#session={main}")
        self.browser.driver.refresh()
        chat.ready()
        chat.wait_answer("echo: in the main session")

        self.browser.click(f'.session[data-key="{other}"]')
        chat.wait_answer("echo: in the new one")
        self.browser.click("#session-menu-button")
        self.browser.press("#session-menu button", "Rename")
        name = self.browser.find("dialog input")
        name.clear()
        name.send_keys("A better name", Keys.ENTER)
        self.browser.wait_text("#title", "A better name")
        self.browser.wait_text(f'.session[data-key="{other}"]', "A better name")

        self.browser.click("#session-menu-button")
        self.browser.press("#session-menu button", "Delete")
        self.browser.click("dialog button.danger")
        chat.wait_answer("echo: in the main session")
        eventually(lambda: len(self.browser.all(".session")) == 1, "one session is left")
        self.assert_no_complaints()

    def test_start_over(self) -> None:
        """A session that is reset is empty, here and after a reload."""
        chat = self.sign_in()
        chat.say("forget me")
        chat.wait_answer("echo: forget me")
        chat.wait_idle()
        self.browser.click("#session-menu-button")
        self.browser.press("#session-menu button", "Start over")
        self.browser.click("dialog button.danger")
        self.browser.wait_text(".empty", "Talk to")
        self.browser.driver.refresh()
        chat.ready()
        self.browser.wait_text(".empty", "Talk to")
        self.assertEqual(chat.said(), [])

    def test_two_tabs(self) -> None:
        """What is said in one tab appears in the other: question and answer."""
        chat = self.sign_in()
        first = self.browser.driver.current_window_handle
        self.browser.driver.switch_to.new_window("tab")
        self.browser.open(self.gateway.http_url)
        chat.ready()
        chat.say("hello from the other side")
        chat.wait_answer("echo: hello from the other side")
        self.browser.driver.switch_to.window(first)
        chat.wait_answer("echo: hello from the other side")
        eventually(lambda: chat.said() == ["hello from the other side"], "the question too")

    def test_colours(self) -> None:
        """Light or dark as the system is, until one chooses; the choice is remembered."""
        self._prefer("light")
        chat = self.sign_in()
        self.assertGreater(self._brightness(), 200)
        self._prefer("dark")
        self.assertLess(self._brightness(), 60)
        self.browser.click("#theme")
        self.assertGreater(self._brightness(), 200)
        self.browser.driver.refresh()
        chat.ready()
        self.assertGreater(self._brightness(), 200)
        self._prefer("light")
        self.browser.click("#theme")
        self.assertLess(self._brightness(), 60)

    def _prefer(self, scheme: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.browser.emulate("Emulation.setEmulatedMedia", features=[feature])

    def _brightness(self) -> float:
        colour = self.browser.js("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3

    def test_phone(self) -> None:
        """On a phone the list is a drawer, nothing is cut off, and Enter makes a new line."""
        self.browser.emulate(
            "Emulation.setDeviceMetricsOverride",
            width=390, height=844, deviceScaleFactor=2, mobile=True,
        )  # fmt: skip
        self.browser.emulate("Emulation.setTouchEmulationEnabled", enabled=True)
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.browser.emulate("Emulation.setEmulatedMedia", features=[calm])
        chat = self.sign_in()
        self.assertEqual(self.browser.visible("#sidebar"), [])
        self.browser.click("#open-drawer")
        self.browser.find("#sidebar .session")
        self.browser.click("#close-drawer")
        eventually(lambda: not self.browser.visible("#sidebar"), "the drawer is closed")

        self.browser.find("#input").send_keys("HTML ", "wide " * 30, "x" * 300, Keys.ENTER)
        self.assertEqual(chat.said(), [])
        self.browser.click("#send")
        chat.wait_answer("xxx")
        chat.wait_idle()
        for element in ("html", "#scroller"):
            spare = f"const n = document.querySelector('{element}');"
            spare += "return n.clientWidth - n.scrollWidth"
            self.assertGreaterEqual(self.browser.js(spare), 0, f"{element} is too wide")

    def test_scrolling(self) -> None:
        """The page follows an answer at its end, and leaves a reader alone who is further up."""
        chat = self.sign_in()
        self.browser.driver.set_window_size(900, 500)
        for count in range(1, 4):
            chat.say(f"HTML {count}" + " lorem" * 150)
            chat.wait_answer("lorem", count)
        chat.wait_idle()
        self.assertLess(self._below(), 2)
        self.browser.driver.set_window_size(700, 450)
        eventually(lambda: self._below() < 2, "a narrower window stays at the end")
        self.browser.js("document.querySelector('#scroller').scrollTop = 0")
        self.browser.find("#jump")
        chat.say("SLOW please")
        chat.wait_answer("", 4)
        eventually(lambda: self._below() < 2, "one's own message brings one to the end")
        self.browser.js("document.querySelector('#scroller').scrollTop = 100")
        self.browser.find("#jump")
        seen = len(chat.answers()[-1])
        eventually(lambda: len(chat.answers()[-1]) > seen + 40, "the answer goes on")
        top = self.browser.js("return document.querySelector('#scroller').scrollTop")
        self.assertEqual(top, 100)
        self.browser.click("#jump")
        eventually(lambda: self._below() < 2, "the end")
        self.browser.click("#stop")

    def _below(self) -> float:
        return float(
            self.browser.js(
                "const s = document.querySelector('#scroller');"
                "return s.scrollHeight - s.scrollTop - s.clientHeight"
            )
        )
