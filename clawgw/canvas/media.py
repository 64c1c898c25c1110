"""Which type a file has, by its name. The table is ours, so that it is the same on every host."""

from __future__ import annotations

DEFAULT = "application/octet-stream"

_TEXT = {
    "html": "text/html", "htm": "text/html", "css": "text/css", "js": "text/javascript",
    "mjs": "text/javascript", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv",
    "xml": "application/xml", "json": "application/json", "map": "application/json",
    "svg": "image/svg+xml", "jsonl": "application/x-ndjson", "vtt": "text/vtt",
    "webmanifest": "application/manifest+json",
}  # fmt: skip
_BINARY = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
    "webp": "image/webp", "avif": "image/avif", "ico": "image/vnd.microsoft.icon",
    "bmp": "image/bmp", "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm",
    "mov": "video/quicktime", "ogv": "video/ogg", "mp3": "audio/mpeg", "m4a": "audio/mp4",
    "wav": "audio/wav", "ogg": "audio/ogg", "opus": "audio/ogg", "flac": "audio/flac",
    "aac": "audio/aac", "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf",
    "otf": "font/otf", "wasm": "application/wasm", "pdf": "application/pdf",
    "zip": "application/zip", "glb": "model/gltf-binary", "gltf": "model/gltf+json",
}  # fmt: skip


def content_type(name: str) -> str:
    """The `Content-Type` of a file of this name."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending in _TEXT:
        return f"{_TEXT[ending]}; charset=utf-8"
    return _BINARY.get(ending, DEFAULT)


def is_html(name: str) -> bool:
    """Whether a file of this name is a page."""
    return name.lower().endswith((".html", ".htm"))
