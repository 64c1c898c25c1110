"""``clawgw channels login``: a phone is linked while the code is on the terminal.

The Gateway, which holds the connection, does the linking; here the codes are shown as they come,
each in the place of the one before, until it says that the phone is linked. Whoever stops with
Ctrl-C may begin again.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from clawgw.cli.channel_options import account_option, channel_argument, chosen
from clawgw.cli.gateway import as_object
from clawgw.cli.output import clean, note, print_json
from clawgw.cli.runner import converse
from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.client import GatewayClient, Hello

START_SECONDS = 120.0
WAIT_SECONDS = 30.0
ANSWER_SECONDS = 60.0
PAUSE_SECONDS = 1.0


class Wanted(NamedTuple):
    """Which login."""

    channel: str | None
    account: str | None
    force: bool = False
    phone: str | None = None

    @property
    def params(self) -> dict[str, Any]:
        """For `web.login.*`."""
        named = {"channel": self.channel, "accountId": self.account}
        return {name: value for name, value in named.items() if value is not None}


@click.command()
@channel_argument
@account_option
@click.option("--force", is_flag=True, help="Give up the login there is, and begin anew.")
@click.option(
    "--phone", metavar="NUMBER", help="WhatsApp: a code to type at this phone, instead of the QR."
)
@click.option("--verbose", is_flag=True, hidden=True)
@click.pass_obj
def login(
    options: Globals,
    channel: str | None,
    channel_option: str | None,
    account: str | None,
    force: bool,
    phone: str | None,
    verbose: bool,
) -> None:
    """Link a phone to CHANNEL (WhatsApp or Signal) with a QR code.

    Without CHANNEL it is WhatsApp, where that is configured.
    """
    wanted = Wanted(chosen(channel, channel_option), account, force, phone)

    async def conversation(client: GatewayClient, _hello: Hello) -> None:
        await log_in(client, options, wanted)

    converse(options, conversation)


async def log_in(client: GatewayClient, options: Globals, wanted: Wanted) -> None:
    """Show what the Gateway says until the login is done.

    Raises:
        ClientError: it failed.
    """
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    params = {**wanted.params, "force": wanted.force}
    if wanted.phone:
        params["phone"] = wanted.phone
    screen = _Screen(as_json=options.as_json)
    step = as_object(await client.request("web.login.start", params, timeout=START_SECONDS))
    while True:
        new = screen.show(step)
        if step.get("connected"):
            return
        if not new:  # a Gateway that answers at once is not asked without end
            await deferLater(reactor, PAUSE_SECONDS)
        params = {**wanted.params, "timeoutMs": int(WAIT_SECONDS * 1000)}
        if isinstance(step.get("qrDataUrl"), str):
            params["currentQrDataUrl"] = step["qrDataUrl"]
        step = as_object(await client.request("web.login.wait", params, timeout=ANSWER_SECONDS))


class _Screen:
    """What is shown of a login."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[str, Any] = {}
        self._height = 0

    def show(self, step: dict[str, Any]) -> bool:
        """Show what is new in a step; whether anything was."""
        new = {name: value for name, value in step.items() if value != self._shown.get(name)}
        if self._only_waits(step, new):
            return False
        self._shown = step
        if self._as_json:
            print_json(step)
            return True
        if new.get("message"):
            print(clean(str(new["message"])), flush=True)
            self._height = 0  # what is above is not to be overwritten
        if isinstance(new.get("code"), str):
            print(f"\n    {clean(new['code'])}\n", flush=True)
        if isinstance(new.get("qr"), str):
            self._picture(new["qr"])
        return True

    def _only_waits(self, step: dict[str, Any], new: dict[str, Any]) -> bool:
        """Whether what there is to scan or to type is on the screen already."""
        offered = {"qr", "code"} & step.keys()
        return not new or (bool(offered) and not step.get("connected") and not offered & new.keys())

    def _picture(self, text: str) -> None:
        from clawgw.channels.qr import terminal

        picture = terminal(text)
        lines = picture.count("\n") + 1
        if sys.stdout.isatty():
            if self._height:
                print(f"\x1b[{self._height}A\x1b[J", end="")
            # White on black, whatever the terminal's colours are: a phone wants it dark on light.
            picture = "\n".join(f"\x1b[97;40m{line}\x1b[0m" for line in picture.split("\n"))
        print(picture, flush=True)
        self._height = lines if lines < shutil.get_terminal_size().lines else 0


def say_how(channel: str, account: str) -> None:
    """Tell a person how to log in later."""
    named = "" if account == "default" else f" --account {account}"
    note(f"Link a phone with: clawgw channels login {channel}{named}")
