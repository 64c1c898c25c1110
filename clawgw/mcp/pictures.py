"""Pictures in what a node answers: taken out, and handed to the model as pictures.

Nodes send media as base64 text beside a `format` (`camera.snap`, `canvas.snapshot`,
`screen.record`; protocol documentation, "Nodes"). A model reads pictures as pictures, and nothing
else of that kind at all: a film or a sound is named with its size.
"""

from __future__ import annotations

from typing import Any

from clawgw.mcp.tool import Picture

MAX_PICTURES = 8
MAX_PICTURE_CHARS = 7 * 1024 * 1024  # base64 of 5 MiB, the most the large providers take

_KINDS = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
}
_DATA_FIELDS = ("base64", "data")
_KIND_FIELDS = ("format", "mimeType", "mime", "type")


def kind_of(name: str) -> str | None:
    """The MIME type of a picture by its format, MIME type or file name; None for other things."""
    text = name.lower()
    if text.startswith("image/"):
        return _KINDS.get(text.removeprefix("image/"))
    return _KINDS.get(text.rpartition(".")[2])


def taken_out(value: Any) -> tuple[Any, list[Picture]]:
    """The value with a note in place of every piece of media, and the pictures."""
    pictures: list[Picture] = []
    return _without(value, pictures), pictures


def _without(value: Any, pictures: list[Picture]) -> Any:
    if isinstance(value, list):
        return [_without(one, pictures) for one in value]
    if not isinstance(value, dict):
        return value
    media = next((name for name in _DATA_FIELDS if _is_media(value, name)), None)
    rest = {name: _without(one, pictures) for name, one in value.items() if name != media}
    if media is not None:
        rest[media] = _note(value[media], _kind_field(value), pictures)
    return rest


def _kind_field(value: dict[str, Any]) -> str:
    return next((str(value[name]) for name in _KIND_FIELDS if value.get(name)), "")


def _is_media(value: dict[str, Any], name: str) -> bool:
    return isinstance(value.get(name), str) and bool(_kind_field(value))


def _note(data: str, said: str, pictures: list[Picture]) -> str:
    kind = kind_of(said)
    size = f"{len(data) * 3 // 4 // 1024} KiB"
    if kind is None:
        return f"({said[:40]}, {size}; it cannot be shown here)"
    if len(data) > MAX_PICTURE_CHARS:
        return f"(a picture of {size}, too large to be shown; ask for a smaller one)"
    if len(pictures) >= MAX_PICTURES:
        return f"(one more picture; {MAX_PICTURES} are shown)"
    pictures.append(Picture(data, kind))
    return f"(picture {len(pictures)}, below)"
