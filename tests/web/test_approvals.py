"""An agent's question in WebChat: seen, decided, and told to every page."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from tests.support.gateway import GatewayProcess
from tests.support.wire import Client, device
from tests.web.browser import BrowserTestCase, Chat, eventually

TOKEN = "the-gateway-token"


class ApprovalCardTests(BrowserTestCase):
    """One Gateway with the scripted agent, and one browser."""

    def setUp(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="clawgw-web-"))
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)
        self.gateway = GatewayProcess(self.state, token=TOKEN)
        self.gateway.start()
        self.addCleanup(self.gateway.stop)
        self.browser = self.new_browser()
        self.chat = Chat(self.browser)
        self.chat.sign_in(self.gateway.http_url, TOKEN)

    def asked(self) -> None:
        """The agent asks, and the card says what, where and for whom."""
        self.chat.say("PERMIT please")
        self.browser.wait_text(".approval pre", "rm -rf /")
        card = self.browser.text(".approval")
        for fact in (str(self.state / "workspaces" / "main"), "agent:main:main", "left"):
            self.assertIn(fact, card)

    def test_allowed_once(self) -> None:
        """The agent is told yes; the card says who decided; nothing is remembered."""
        self.asked()
        self.browser.press(".approval button", "Allow once")
        self.browser.wait_text(".approval", "Allowed once by")
        self.chat.wait_answer('"optionId": "yes"')
        self.assertFalse((self.state / "exec-approvals.json").exists())
        self.assertEqual(self.browser.complaints(), [])

    def test_always_allowed(self) -> None:
        """The next time nobody is asked."""
        self.asked()
        self.browser.press(".approval button", "Always allow")
        self.chat.wait_answer('"optionId": "yes"')
        self.browser.driver.refresh()
        self.chat.ready()
        self.chat.say("PERMIT again")
        self.chat.wait_answer('"optionId": "yes"', 2)
        self.assertEqual(self.browser.all(".approval"), [])
        policy = json.loads((self.state / "exec-approvals.json").read_text())
        (entry,) = policy["agents"]["main"]["allowlist"]
        self.assertEqual(entry["commandText"], "rm -rf /")

    def test_denied_after_a_reload(self) -> None:
        """A page that comes late shows what is open, and its no is one."""
        self.asked()
        self.browser.driver.refresh()
        self.chat.ready()
        self.browser.wait_text(".approval pre", "rm -rf /")
        self.browser.press(".approval button", "Deny")
        self.browser.wait_text(".approval", "Denied by")
        self.chat.wait_answer('"optionId": "no"')

    def test_many_at_once(self) -> None:
        """They can all be reached, and the composer stays on the screen."""
        other = Client(self.gateway.port, token=TOKEN, protocol=4, identity=device(self.state))
        self.addCleanup(other.cut)
        for number in range(6):
            other.post("exec.approval.request", {"command": f"make {number}", "cwd": "/srv"})
        eventually(lambda: len(self.browser.all(".approval")) == 6, "six cards")
        bottom, height = self.browser.driver.execute_script(
            "const place = document.getElementById('composer').getBoundingClientRect();"
            "return [place.bottom, innerHeight];"
        )
        self.assertLessEqual(bottom, height)
        *_, last = self.browser.all(".approval")
        self.browser.driver.execute_script("arguments[0].scrollIntoView()", last)
        self.browser.press(".approval:last-child button", "Deny")
        self.browser.wait_text(".approval:last-child", "Denied by")

    def test_decided_by_somebody_else(self) -> None:
        """The page says who it was, and its own buttons are gone."""
        self.asked()
        about = {"id": "cli", "displayName": "Anna's phone"}
        other = Client(
            self.gateway.port, token=TOKEN, protocol=4, identity=device(self.state), client=about
        )
        self.addCleanup(other.cut)
        (question,) = other.request("exec.approval.list")
        other.request("exec.approval.resolve", {"id": question["id"], "decision": "deny"})
        self.browser.wait_text(".approval", "Denied by Anna's phone.")
        self.assertEqual(self.browser.visible(".approval button"), [])
        self.chat.wait_answer('"optionId": "no"')
        eventually(lambda: not self.browser.all(".approval"), "the card goes")
