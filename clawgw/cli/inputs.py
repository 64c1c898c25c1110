"""What a person gives a command: numbers, JSON, files, standard input.

Whatever cannot be used is said in one sentence that names the option or argument and what is
expected of it.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import click

__all__ = ["Seconds", "Whole", "content_of", "json_object", "json_value", "text_of"]


class Whole(click.IntRange):
    """A whole number, from `min` to `max` where they are given."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """See click."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            bounds = "".join(
                f" {word} {bound}"
                for word, bound in (("from", self.min), ("to", self.max))
                if bound is not None
            )
            self.fail(f"expected a whole number{bounds}, not {value!r}", param, ctx)


class Seconds(click.FloatRange):
    """A time in seconds, more than 0."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """See click."""
        try:
            seconds = super().convert(value, param, ctx)
        except click.BadParameter:
            seconds = math.nan
        if not math.isfinite(seconds):
            self.fail(f"expected seconds, more than 0, not {value!r}", param, ctx)
        return seconds


def text_of(given: str, name: str) -> str:
    """A text, or for "-" what is on standard input.

    Raises:
        click.BadParameter: that is no text.
    """
    if given != "-":
        return given
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise click.BadParameter("standard input is not UTF-8 text", param_hint=name) from None


def json_value(given: str, name: str) -> Any:
    """The value of a JSON text; "-" reads it from standard input.

    Raises:
        click.BadParameter: it is not JSON.
    """
    try:
        return json.loads(text_of(given, name))
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint=name) from None


def json_object(given: str, name: str, example: str) -> dict[str, Any]:
    """The same, where it has to be an object.

    Raises:
        click.BadParameter: it is none; the message shows `example`.
    """
    value = json_value(given, name)
    if not isinstance(value, dict):
        raise click.BadParameter(f"an object is expected, such as {example}", param_hint=name)
    return value


def content_of(path: Path, name: str) -> bytes:
    """What a file holds.

    Raises:
        click.BadParameter: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as problem:
        raise click.BadParameter(f"{path}: {problem.strerror}", param_hint=name) from None
