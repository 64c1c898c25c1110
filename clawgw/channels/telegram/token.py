"""Where the bot's token comes from."""

from __future__ import annotations

from pathlib import Path

from clawgw.channels.adapter import Fatal, Host
from clawgw.channels.telegram.api import checked_token
from clawgw.channels.telegram.settings import TOKEN_VARIABLE, TelegramAccount


async def bot_token(account: str, settings: TelegramAccount, host: Host) -> str:
    """The token: `botToken`, what `tokenFile` holds, or, for the default account, the environment.

    Raises:
        Fatal: there is none; the message says what to do.
    """
    if settings.bot_token:
        return checked_token(settings.bot_token)
    if settings.token_file:
        path = Path(settings.token_file).expanduser()
        try:
            return checked_token(await host.in_thread(path.read_text))
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Fatal(f"tokenFile {settings.token_file} cannot be read: {why}") from None
    token = host.environ.get(TOKEN_VARIABLE) if account == "default" else None
    if not token:
        raise Fatal("a bot token is missing: set botToken or tokenFile")
    return checked_token(token)
