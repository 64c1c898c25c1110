"""An HTTP request to the Bot API, read as its documentation allows it.

A URL query, `application/x-www-form-urlencoded`, `application/json` (not for uploads) or
`multipart/form-data`.
"""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from twisted.web.http import Request

from tests.channels.telegram.errors import bad
from tests.channels.telegram.world import Json, Upload


def read_call(request: Request) -> tuple[Json, dict[str, Upload]]:
    """The parameters and the files.

    Raises:
        ApiError: the body is not what its type says.
    """
    params: Json = dict(parse_qsl(request.uri.decode().partition("?")[2], keep_blank_values=True))
    request.content.seek(0)
    body = request.content.read()
    kind = (request.getHeader("content-type") or "").strip()
    plain_kind = kind.partition(";")[0].strip().lower()
    if plain_kind == "application/json":
        return {**params, **_json(body)}, {}
    if plain_kind == "application/x-www-form-urlencoded":
        return {**params, **dict(parse_qsl(body.decode(), keep_blank_values=True))}, {}
    if plain_kind == "multipart/form-data":
        fields, files = _multipart(kind, body)
        return {**params, **fields}, files
    return params, {}


def _json(body: bytes) -> Json:
    try:
        read: Any = json.loads(body or b"{}")
    except ValueError:
        raise bad("can't parse JSON object") from None
    if not isinstance(read, dict):
        raise bad("object expected")
    return read


def _multipart(kind: str, body: bytes) -> tuple[Json, dict[str, Upload]]:
    parsed = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body
    )
    fields: Json = {}
    files: dict[str, Upload] = {}
    for part in parsed.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(data, bytes):
            raise bad("can't parse multipart/form-data")
        filename = part.get_filename()
        if filename is None:
            fields[name] = data.decode()
        else:
            files[name] = Upload(filename, part.get_content_type(), data)
    return fields, files
