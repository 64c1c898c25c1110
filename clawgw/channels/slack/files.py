"""Files: shared in three steps, fetched with the bot's token.

To send one, Slack is asked for an address (`files.getUploadURLExternal`), the bytes go there, and
only the last step (`files.completeUploadExternal`) makes a message of it. Before that step the
file's id is stored under the part's key: if the outcome stays unknown, the file itself tells
whether it was shared.

To fetch one, the token goes to Slack's own hosts and to nobody else. Where it has no right to the
file, Slack answers with its sign-in page instead of an error.
(https://docs.slack.dev/messaging/working-with-files)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from clawgw.channels.adapter import Host, SendLater, SendRefused
from clawgw.channels.http import Http, HttpBadAnswer, HttpError, TooLarge
from clawgw.channels.http import Part as FormPart
from clawgw.channels.messages import Media, OutMedia, Part
from clawgw.channels.slack.api import Json, Refused, SlackApi, Unknown

UPLOAD_SECONDS = 120.0
HTML = "text/html"


class Files:
    """Sends and fetches files.

    Args:
        root: where the Web API is; its host gets the token too.
    """

    def __init__(self, host: Host, http: Http, api: SlackApi, root: str) -> None:
        self._host = host
        self._http = http
        self._api = api
        self._root = urlsplit(root)

    async def share(self, channel: str, thread: str | None, part: Part, media: OutMedia) -> str:
        """Send a file with the part's text; returns the file's id.

        Raises:
            SlackError, SendLater, SendRefused
        """
        file = await self._upload(media)
        key = f"f:{part.key}"
        await self._host.remember({key: file})
        try:
            await self._api.call(
                "files.completeUploadExternal",
                files=[{"id": file, "title": media.name}],
                channel_id=channel,
                thread_ts=thread,
                initial_comment=part.text or None,
            )
        except Refused:
            await self._host.remember({key: None})
            raise
        await self._host.remember({key: None})
        return file

    async def shared(self, channel: str, part: Part) -> str | None:
        """The id of a file whose sharing has an unknown outcome, if it is there.

        Raises:
            SlackError
        """
        key = f"f:{part.key}"
        file = (await self._host.cursor()).get(key)
        if file is None:
            return None
        try:
            answer = await self._api.call("files.info", file=file)
        except Refused as problem:
            if problem.error not in ("file_not_found", "file_deleted"):
                raise
            return None
        if channel not in _places(answer.get("file")):
            return None
        await self._host.remember({key: None})
        return file

    async def fetch(self, media: Media, path: Path, max_bytes: int) -> Media:
        """Bring a file to `path`.

        Raises:
            SlackError, SendLater, SendRefused
        """
        url = media.ref.get("url") or await self._address(str(media.ref.get("id") or ""))
        if not self._is_slacks(url):
            raise SendRefused("the file is not at Slack")
        try:
            info = await self._http.download(
                url, path, headers=self._api.authorization, max_bytes=max_bytes, redirects=True
            )
        except TooLarge:
            raise SendRefused(f"it is larger than {max_bytes // 2**20} MB") from None
        except HttpBadAnswer as problem:
            if problem.status >= 500 or problem.status == 429:
                raise SendLater(str(problem)) from None
            raise SendRefused(str(problem)) from None
        except HttpError as problem:
            raise SendLater(str(problem)) from None
        if info.mime_type == HTML and media.mime_type != HTML:
            await self._host.in_thread(lambda: path.unlink(missing_ok=True))
            raise SendRefused("Slack asks to sign in; the app lacks the scope files:read")
        return replace(media, path=str(path), size=info.size)

    async def _upload(self, media: OutMedia) -> str:
        path = Path(media.path)
        try:
            size = (await self._host.in_thread(path.stat)).st_size
            place = await self._api.call(
                "files.getUploadURLExternal", filename=media.name, length=size
            )
            url, file = place.get("upload_url"), place.get("file_id")
            if not isinstance(url, str) or not isinstance(file, str):
                raise SendLater("Slack gave no address for the file")
            form = FormPart("filename", media.name, media.mime_type, path)
            response = await self._http.request("POST", url, files=[form], timeout=UPLOAD_SECONDS)
        except (HttpError, Unknown) as problem:
            raise SendLater(str(problem)) from None  # nobody has seen anything yet
        except OSError as problem:
            raise SendRefused(f"the file cannot be read: {problem.strerror}") from None
        if response.status == 413:
            raise SendRefused("the file is larger than Slack takes")
        if response.status != 200:
            raise SendLater(f"Slack did not take the file: status {response.status}")
        return file

    async def _address(self, file: str) -> str:
        """Where a file is that came without an address, as those from other workspaces do."""
        answer = await self._api.call("files.info", file=file)
        found = answer.get("file")
        found = found if isinstance(found, dict) else {}
        return str(found.get("url_private_download") or found.get("url_private") or "")

    def _is_slacks(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if (parts.scheme, parts.hostname, port) == (
            self._root.scheme,
            self._root.hostname,
            self._root.port,
        ):
            return True
        host = parts.hostname or ""
        return parts.scheme == "https" and (host == "slack.com" or host.endswith(".slack.com"))


def _places(file: Any) -> Iterator[str]:
    """The conversations a file object says it is shared in."""
    found: Json = file if isinstance(file, dict) else {}
    for key in ("channels", "groups", "ims"):
        yield from (one for one in found.get(key) or () if isinstance(one, str))
    shares = found.get("shares")
    for places in shares.values() if isinstance(shares, dict) else ():
        yield from places if isinstance(places, dict) else ()
