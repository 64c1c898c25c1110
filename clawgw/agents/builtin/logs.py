"""Logs on stderr that can be shown to anybody.

A line says when, how bad, where and what. Of an exception it shows the type and the places it
passed, never its message: messages quote what people wrote, and sometimes keys.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from .config import Secrets


class SafeFormatter(logging.Formatter):
    """Formats a record without exception messages and without keys."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None
        return self._secrets.redact(super().format(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        kind, _error, trace = ei
        if kind is None:
            return ""
        frames = [
            f"  {frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(trace)
        ]
        return "\n".join([*frames, f"  {kind.__module__}.{kind.__qualname__}"])


def configure(secrets: Secrets) -> None:
    """Send every log record, warning and uncaught exception of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(secrets))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("clawgw").setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("clawgw.agent").critical("uncaught", exc_info=(kind, error, trace))
