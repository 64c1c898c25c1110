"""The configuration file as the commands about channels see it: read, found in, written.

It is the file of this machine, whatever Gateway the other commands talk to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clawgw.cli.settings import Globals

if TYPE_CHECKING:
    from clawgw.channels.providers import Configured


class ConfigFile:
    """The file.

    Args:
        path: `--config`; None: the one of the state directory.

    Raises:
        ConfigError: it cannot be read or used.
    """

    def __init__(self, options: Globals, path: str | None = None) -> None:
        from clawgw.config import CONFIG_NAME, default_state_dir, read_text

        given = options.state_dir
        self.state_dir = Path(given).expanduser() if given else default_state_dir(os.environ)
        self.path = Path(path).expanduser() if path else self.state_dir / CONFIG_NAME
        self.text = read_text(self.path)
        self.accounts = self.accounts_in(self.text)

    @property
    def shown(self) -> str:
        """Its path for a person."""
        home = str(Path.home())
        path = str(self.path)
        return "~" + path[len(home) :] if path.startswith(home + os.sep) else path

    def accounts_in(self, text: str) -> list[Configured]:
        """The accounts that a text for this file would have."""
        from clawgw.channels.providers import accounts_of
        from clawgw.config import parse_config

        return list(accounts_of(parse_config(text, str(self.path)).channels))

    def find(
        self, channel: str, account: str, among: list[Configured] | None = None
    ) -> Configured | None:
        """An account, of these or of those the file has."""
        accounts = self.accounts if among is None else among
        wanted = (channel, account)
        return next((one for one in accounts if (one.provider.id, one.name) == wanted), None)

    def write(self, text: str) -> None:
        """Write a text made from this one."""
        from clawgw.config import ensure_state_dir
        from clawgw.config_edit import write_text

        if self.path.parent == self.state_dir:
            ensure_state_dir(self.state_dir)
        write_text(self.path, text, self.text)
        self.text = text

    def gateway_runs(self) -> bool:
        """Whether a Gateway runs on the state directory."""
        from clawgw.cli.settings import is_alive
        from clawgw.lock import read_lock

        return is_alive(read_lock(self.state_dir).get("pid"))
