"""The Channels panel of WebChat: accounts, strangers, and logging in, with fakes of the providers.

The fakes run in this process, on the reactor; what looks at the page blocks and runs in a thread.
"""

from __future__ import annotations

import base64
import functools
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver.common.keys import Keys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial import unittest

from tests.channels.signal.fake import FakeSignal
from tests.channels.telegram.fake import TOKEN as BOT_TOKEN
from tests.channels.telegram.fake import FakeTelegram
from tests.channels.whatsapp.fake import FakeSidecar
from tests.support.gateway import GatewayProcess, scripted_agents
from tests.support.wire import Client, device
from tests.web.browser import BrowserTestCase, Chat, eventually

TOKEN = "the-gateway-token"
NUMBER = "+15550001111"


def in_a_thread(test: Callable[[Any], None]) -> Callable[[Any], Deferred[None]]:
    """A test that blocks, while the reactor serves the fakes."""

    @functools.wraps(test)
    def threaded(self: Any) -> Deferred[None]:
        return deferToThread(test, self)

    return threaded


def on_the_reactor(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """What a function of a fake returns, called from a test's thread."""
    return blockingCallFromThread(reactor, function, *args, **named)


class ChannelPanelTests(BrowserTestCase, unittest.TestCase):
    """One Gateway with a Telegram bot, an unlinked Signal and an unlinked WhatsApp."""

    timeout = 240

    async def setUp(self) -> None:  # type: ignore[override]
        self.addCleanup(lambda: Deferred.fromCoroutine(_nobody_is_connected()))
        self.telegram = FakeTelegram(reactor, BOT_TOKEN).start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.telegram.stop()))
        self.signal = FakeSignal(reactor)
        self.whatsapp = FakeSidecar(reactor, linked=False)
        for fake in (self.signal, self.whatsapp):
            await fake.start()
            self.addCleanup(lambda fake=fake: Deferred.fromCoroutine(fake.stop()))
        self.state = Path(tempfile.mkdtemp(prefix="clawgw-web-"))
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)
        self.gateway = GatewayProcess(self.state, token=TOKEN, config=self.config())
        self.addCleanup(deferToThread, self.gateway.stop)
        await deferToThread(self.gateway.start)
        await deferToThread(self.open_the_page)

    def config(self) -> dict[str, Any]:
        telegram = {
            "botToken": BOT_TOKEN,
            "apiRoot": self.telegram.api_root,
            "groupPolicy": "open",
        }
        channels = {
            "telegram": telegram,
            "signal": {"command": self.signal.command},
            "whatsapp": {"command": self.whatsapp.command},
        }
        return scripted_agents() | {"channels": channels}

    def open_the_page(self) -> None:
        self.browser = self.new_browser()
        self.chat = Chat(self.browser)
        self.chat.sign_in(self.gateway.http_url, TOKEN)

    def new_browser(self, *switches: str) -> Any:
        """See `BrowserTestCase`; the browser is closed in a thread, the reactor goes on."""
        cleanups = len(self._cleanups)
        browser = super().new_browser(*switches)
        close, args, named = self._cleanups.pop()
        self.assertEqual(len(self._cleanups), cleanups + 1)
        self.addCleanup(deferToThread, close, *args, **named)
        return browser

    # What a person does

    def open_panel(self) -> None:
        self.browser.click("#channels-button")
        self.browser.find("#channels .account")

    def account(self, label: str) -> str:
        """What an account's card says."""
        return next(
            (card.text for card in self.browser.visible(".account") if label in card.text), ""
        )

    def wait_account(self, label: str, text: str) -> None:
        eventually(
            lambda: text in self.account(label), f"{text!r} at {label}: {self.account(label)}"
        )

    def press(self, label: str) -> None:
        """Press the button with this spoken name."""
        self.browser.click(f'[aria-label="{label}"]')

    def picture(self) -> str:
        """The QR code that is shown, as a data URL; empty when there is none."""
        return str(self.browser.js("return document.querySelector('.login img')?.src ?? ''"))

    def link(self, number: int) -> str:
        """The code of that number, once signal-cli waits for somebody to scan it."""
        finishing = functools.partial(on_the_reactor, self.signal.called, "finishLink")
        eventually(lambda: len(finishing()) == number, f"code {number} is waited for")
        (link,) = on_the_reactor(lambda: self.signal.links)
        return str(link)

    def write(self, name: str, text: str = "hello") -> Any:
        """Somebody writes to the bot."""

        def act() -> Any:
            user = self.telegram.world.user(name)
            self.telegram.world.say(user, text)
            self.telegram.look()
            return user

        return on_the_reactor(act)

    def told(self, text: str) -> None:
        """Wait until the bot has said so."""
        texts = self.telegram.world.texts
        eventually(
            lambda: any(text in one for one in on_the_reactor(texts)), f"the bot says {text}"
        )

    # The tests

    @in_a_thread
    def test_how_accounts_are_doing(self) -> None:
        """States in words; a connection that breaks is seen without a reload; it can be probed."""
        self.open_panel()
        self.wait_account("Telegram", "Connected")
        self.wait_account("Signal", "Not logged in")
        self.assertIn("clawgw channels login signal", self.account("Signal"))
        self.wait_account("WhatsApp", "Not logged in")
        self.assertIn("Last message in: never", self.account("Telegram"))
        self.browser.emulate(
            "Emulation.setDeviceMetricsOverride",
            width=360,
            height=700,
            deviceScaleFactor=1,
            mobile=True,
        )
        wide = "return [...document.querySelectorAll('#channels, #channels *')].filter("
        wide += "(node) => node.getBoundingClientRect().right > innerWidth).length"
        self.assertEqual(self.browser.js(wide), 0)
        self.press("Check Telegram @" + on_the_reactor(self.bot_name))
        self.wait_account("Telegram", "It works: answered in")
        self.assertEqual(self.browser.visible('[aria-label^="Log out of Telegram"]'), [])
        blockingCallFromThread(reactor, lambda: Deferred.fromCoroutine(self.telegram.stop()))
        self.wait_account("Telegram", "Trying again")
        self.browser.press(".account button", "Check")
        self.wait_account("Telegram", "Did not work:")
        self.assertEqual(self.browser.complaints(), [])

    def bot_name(self) -> str:
        return str(self.telegram.world.me["username"])

    @in_a_thread
    def test_a_stranger_is_let_in(self) -> None:
        """Counted on the button, said aloud, shown with the code, approved, and put out again."""
        self.write("Anna")
        self.browser.wait_text("#channels-button .count", "1")
        spoken = "return document.querySelector('#announcer').textContent"
        self.assertIn("Anna on Telegram waits to be let in.", self.browser.js(spoken))
        self.open_panel()
        row = self.browser.text(".waiting-strangers .stranger")
        (code,) = [word for word in row.split() if len(word) == 8 and word.isupper()]
        self.told(code)
        self.press("Approve Anna on Telegram")
        eventually(lambda: not self.browser.visible(".waiting-strangers"), "nobody waits")
        self.told("You are in.")
        self.assertEqual(self.browser.text("#channels-button .count"), "")
        focused = "return document.activeElement.id"
        self.assertEqual(self.browser.js(focused), "channels-title")
        self.browser.click(".approved-strangers summary")
        self.press("Remove Anna on Telegram")
        self.browser.wait_text("dialog.question", "Remove Anna?")
        self.browser.press("dialog.question:not(.login) button", "Remove")
        eventually(lambda: not self.browser.visible(".approved-strangers"), "nobody is let in")
        self.assertEqual(self.browser.complaints(), [])

    @in_a_thread
    def test_a_stranger_is_turned_away_elsewhere(self) -> None:
        """What another client decides is seen, and what comes too late is said."""
        self.write("<b>Mallory</b>")
        self.open_panel()
        self.browser.wait_text(".stranger strong", "<b>Mallory</b>")
        other = Client(
            self.gateway.port,
            token=TOKEN,
            protocol=4,
            identity=device(self.state),
            client={"id": "cli"},
        )
        (waiting,) = other.request("channel.pair.list")["pending"]
        other.request("channel.pair.reject", {"code": waiting["code"]})
        eventually(lambda: not self.browser.visible(".stranger"), "nobody waits")
        other.cut()
        live = "return document.querySelector('#channels [role=status]').textContent"
        self.assertEqual(self.browser.js(live), "<b>Mallory</b> was rejected.")

    @in_a_thread
    def test_login_with_a_qr_code(self) -> None:
        """The picture says what the provider said, is replaced with it, and ends when linked."""
        self.open_panel()
        self.wait_account("Signal", "Not logged in")
        self.press("Log in to Signal")
        first = eventually(self.picture, "a picture")
        self.browser.wait_text(".login", "Linked devices")
        link = self.link(1)
        self.assertEqual(first, _picture_of(link))
        on_the_reactor(self.signal.expire_link, link)
        second = eventually(lambda: self.picture() != first and self.picture(), "another picture")
        link = self.link(2)
        self.assertEqual(second, _picture_of(link))
        on_the_reactor(self.signal.scan, link, NUMBER)
        self.browser.wait_text(".login", f"{NUMBER} is linked.")
        self.assertEqual(self.picture(), "")
        self.browser.press(".login button", "Done")
        self.wait_account("Signal", "Connected")
        self.press(f"Log out of Signal {NUMBER}")
        self.browser.wait_text("dialog.question", "Log out of Signal")
        self.browser.press("dialog.question button", "Log out")
        self.wait_account("Signal", "Not logged in")
        self.assertNotIn(NUMBER, on_the_reactor(lambda: self.signal.accounts))
        self.assertEqual(self.browser.complaints(), [])

    @in_a_thread
    def test_login_that_fails(self) -> None:
        """Why, in words; the next attempt works; a window that is closed asks for no more."""
        self.open_panel()
        self.wait_account("Signal", "Not logged in")
        on_the_reactor(self.signal.fault, "startLink", "die")
        self.press("Log in to Signal")
        self.browser.wait_text(".login", "The account was not linked")
        self.browser.press(".login button", "Try again")
        eventually(self.picture, "a picture")
        self.assertNotIn("not linked", self.browser.text(".login"))
        self.browser.find(".login button").send_keys(Keys.ESCAPE)
        eventually(lambda: not self.browser.all(".login"), "the window is closed")
        focused = "return document.activeElement.getAttribute('aria-label')"
        self.assertEqual(self.browser.js(focused), "Log in to Signal")
        self.browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        eventually(lambda: not self.browser.visible("#channels"), "the panel is closed")
        self.assertEqual(self.browser.js(focused), "Channels")
        self.assertEqual(self.browser.complaints(), [])

    @in_a_thread
    def test_login_with_a_phone_number(self) -> None:
        """WhatsApp: a code to type in at the phone instead of a picture."""
        self.open_panel()
        self.wait_account("WhatsApp", "Not logged in")
        self.press("Log in to WhatsApp")
        shown = eventually(self.picture, "a picture")
        self.assertEqual(shown, _picture_of(on_the_reactor(lambda: self.whatsapp.qr)))
        on_the_reactor(self.whatsapp.next_qr)
        eventually(lambda: self.picture() not in ("", shown), "another picture")
        self.browser.click(".login summary")
        self.browser.find(".login input").send_keys("+49 151 00000001", Keys.ENTER)
        self.browser.wait_text(".login-code", "ABCD-1234")
        self.assertEqual(self.picture(), "")
        on_the_reactor(self.whatsapp.scan)
        self.browser.wait_text(".login", "WhatsApp is linked as")
        self.browser.press(".login button", "Done")
        self.wait_account("WhatsApp", "Connected")

    @in_a_thread
    def test_sessions_say_their_channel(self) -> None:
        """A group's session is shown with the channel it is on; the main session is not."""

        def act() -> None:
            world = self.telegram.world
            anna = world.user("Anna")
            group = world.group("Friends")
            world.say(anna, f"@{self.bot_name()} hello", chat=group)
            self.telegram.look()

        on_the_reactor(act)
        eventually(
            lambda: (
                [node.text for node in self.browser.visible(".session-channel")] == ["Telegram"]
            ),
            "the session's channel",
        )


class LoginWindowTests(BrowserTestCase):
    """The window of a login, and a Gateway that says what the test wants."""

    def setUp(self) -> None:
        self.browser = self.new_browser()
        self.browser.open(self.serve_files() + "/index.html")

    def shown(self, *answers: Any) -> dict[str, Any]:
        """What was asked, and what the window showed before each question and in the end."""
        return dict(
            self.browser.module(
                "/channel-login.js",
                """
                const asked = [], seen = [];
                const look = () => {
                    const at = (name) => document.querySelector(`.login ${name}`);
                    seen.push([at('.login-message').textContent,
                        at('img')?.src ?? at('.login-code')?.textContent ?? '',
                        at('.wrong').textContent]);
                };
                const over = new Promise((resolve) => {
                    const ask = async (method, params) => {
                        look();
                        asked.push([method, params.currentQrDataUrl ?? '']);
                        const answer = args[0].shift();
                        if (args[0].length === 0) setTimeout(resolve);
                        if (typeof answer === 'string') throw new Error(answer);
                        return answer;
                    };
                    const account = {channel: 'signal', label: 'Signal', accountId: 'default'};
                    new m.ChannelLogin(account, ask, () => {}).open();
                });
                await over;
                look();
                const buttons = [...document.querySelectorAll('.login button')]
                    .filter((node) => node.checkVisibility()).map((node) => node.textContent);
                return {asked, seen, buttons};
                """,
                list(answers),
            )
        )

    def test_what_was_shown_stays_until_there_is_more(self) -> None:
        """An installation is told of; waiting for the phone does not replace the instruction."""
        one, two = (f"data:image/png;base64,{name}" for name in ("AAAA", "BBBB"))
        found = self.shown(
            {"message": "Installing", "connected": False},
            {"message": "Scan", "connected": False, "qrDataUrl": one},
            {"message": "Waiting for the phone.", "connected": False, "qrDataUrl": one},
            {"message": "Scan", "connected": False, "qrDataUrl": two},
            {"message": "Linked.", "connected": True},
        )
        start, wait = "web.login.start", "web.login.wait"
        self.assertEqual(
            found["asked"], [[start, ""], [wait, ""], [wait, one], [wait, one], [wait, two]]
        )
        self.assertEqual(
            found["seen"][1:],
            [
                ["Installing", "", ""],
                ["Scan", one, ""],
                ["Scan", one, ""],
                ["Scan", two, ""],
                ["Linked.", "", ""],
            ],
        )
        self.assertEqual(found["buttons"], ["Done"])

    def test_failure(self) -> None:
        """The reason, no picture any more, and another try."""
        picture = "data:image/png;base64,AAAA"
        found = self.shown(
            {"message": "Scan", "connected": False, "qrDataUrl": picture}, "nobody scanned the code"
        )
        self.assertEqual(found["seen"][-1], ["", "", "nobody scanned the code"])
        self.assertEqual(found["buttons"], ["Try again", "Cancel"])

    def test_only_pictures(self) -> None:
        """Nothing else becomes the source of a picture."""
        step = {"message": "Scan", "connected": False, "qrDataUrl": "https://example.org/x.png"}
        found = self.shown(step, "over")
        self.assertEqual(found["seen"][1][1], "")


class AccountStateTests(BrowserTestCase):
    """How accounts are doing, in words."""

    def test_words(self) -> None:
        browser = self.new_browser()
        browser.open(self.serve_files() + "/style.css")
        running = {"enabled": True, "configured": True, "connected": False}
        rows: list[tuple[dict[str, Any], list[str]]] = [
            ({"enabled": False}, ["off", "Switched off"]),
            ({"configured": False, "healthState": "stopped"}, ["bad", "Not set up"]),
            ({"connected": True, "healthState": "healthy"}, ["good", "Connected"]),
            ({"connected": True, "warning": "slow"}, ["waiting", "Connected, with trouble"]),
            ({"healthState": "starting"}, ["waiting", "Connecting"]),
            ({"healthState": "reconnecting", "reconnectAttempts": 1}, ["waiting", "Trying again"]),
            (
                {"healthState": "reconnecting", "reconnectAttempts": 7},
                ["waiting", "Trying again, attempt 7"],
            ),
            ({"healthState": "failed"}, ["bad", "Stopped: it needs your help"]),
            ({"healthState": "logged-out"}, ["bad", "Not logged in"]),
            ({"healthState": "a later one"}, ["off", "Stopped"]),
        ]
        said = browser.module(
            "/channel-account.js",
            "return args[0].map(m.stateOf)",
            [running | row for row, _ in rows],
        )
        self.assertEqual(said, [words for _, words in rows])


class NarrowScopeTests(BrowserTestCase):
    """Without a scope there is no button that cannot work."""

    def setUp(self) -> None:
        self.browser = self.new_browser()
        self.browser.open(self.serve_files() + "/index.html")

    def panel(self, *scopes: str) -> list[str]:
        """The buttons that are seen with these scopes."""
        return list(
            self.browser.module(
                "/channels.js",
                """
                const dialog = document.createElement('dialog');
                const button = document.createElement('button');
                document.body.append(button, dialog);
                const row = {channel: 'signal', accountId: 'default', enabled: true,
                    configured: true, connected: false, healthState: 'logged-out', linked: false,
                    canLogin: true};
                const anna = {channel: 'signal', accountId: 'default', sender: '+1', name: 'Anna',
                    ts: 1, code: 'ABCDEFGH'};
                const answers = {
                    'channels.status': {channelOrder: ['signal'],
                        channelLabels: {signal: 'Signal'}, channelAccounts: {signal: [row]}},
                    'channel.pair.list': {pending: [anna], approved: [{...anna, code: undefined,
                        sender: '+2', name: 'Ben', approvedAt: 1}]},
                };
                const panel = new m.Channels(button, dialog,
                    {ask: async (method) => answers[method], announce() {}, onLabels() {}});
                panel.setScopes((scope) => args[0].includes(scope));
                panel.welcomed();
                button.click();
                await new Promise((resolve) => setTimeout(resolve));
                return [...dialog.querySelectorAll('button, summary')]
                    .filter((node) => node.checkVisibility()).map(
                        (node) => node.getAttribute('aria-label') ?? node.textContent);
                """,
                list(scopes),
            )
        )

    def test_reader(self) -> None:
        self.assertEqual(self.panel("operator.read"), ["Close", "Check Signal"])

    def test_pairing(self) -> None:
        buttons = self.panel("operator.read", "operator.pairing")
        decisions = ["Reject Anna on Signal", "Approve Anna on Signal"]
        self.assertEqual(buttons, ["Close", *decisions, "Check Signal", "Let in (1)"])

    def test_administrator(self) -> None:
        buttons = self.panel("operator.read", "operator.admin")
        self.assertEqual(buttons, ["Close", "Check Signal", "Log in to Signal"])


async def _nobody_is_connected() -> None:
    """The children of a Gateway hang up a moment after it has ended."""
    while any(isinstance(one, Server) for one in reactor.getReaders()):  # type: ignore[attr-defined]
        await deferLater(reactor, 0.01)


def _picture_of(text: str) -> str:
    """The picture of a QR code, as any encoder with the Gateway's settings makes it."""
    import segno

    file = io.BytesIO()
    segno.make_qr(text, error="l", boost_error=False).save(file, kind="png", scale=6, border=2)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
