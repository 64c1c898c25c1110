"""The documentation and the program agree: commands, keys, examples."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import inspect
from twisted.trial.unittest import SynchronousTestCase

import clawgw
from clawgw.cli.main import main
from clawgw.config import Config, parse_config

_ROOT = Path(clawgw.__file__).parent.parent
_FILES = (click.File, click.Path)
_CONFIGURATION = _ROOT / "docs" / "configuration.md"


def pages() -> list[Path]:
    """Every page for users."""
    return [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def keys(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key below a type, as the path to it; below a dictionary there is a `*`."""
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            if field.encode_name != "accounts":  # they have the keys of what they stand in
                yield (*path, field.encode_name)
                yield from keys(field.type, (*path, field.encode_name))
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from keys(one, path)
    elif isinstance(kind, inspect.VarTupleType):
        yield from keys(kind.item_type, path)
    elif isinstance(kind, inspect.DictType):
        yield from keys(kind.value_type, (*path, "*"))


class Commands(SynchronousTestCase):
    """A command that stands in a page can be given as it stands there."""

    def test_every_line(self) -> None:
        found = [(page, words) for page in pages() for words in self.given(page)]
        self.assertGreater(len(found), 30)
        for page, words in found:
            problem = self.problem(words)
            self.assertIsNone(problem, f"{page.name}: clawgw {shlex.join(words)}: {problem}")

    def given(self, page: Path) -> Iterator[list[str]]:
        """The words behind each `clawgw` that begins a command in its shell blocks."""
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                reader = shlex.shlex(line, posix=True, punctuation_chars=True)
                reader.whitespace_split = True
                words = ["|", *reader]
                ends = [at for at, word in enumerate(words) if set(word) <= set("|&;<>()")]
                for start, end in itertools.pairwise([*ends, len(words)]):
                    command = words[start + 1 : end]
                    if words[start] not in ("<", ">") and command[:1] == ["clawgw"]:
                        yield command[1:]

    def problem(self, words: list[str]) -> str | None:
        """Why a command line could not be used."""
        command: click.Command = main
        context = click.Context(command, info_name="clawgw")
        try:
            while isinstance(command, click.Group):
                _, words, _ = command.make_parser(context).parse_args(list(words))
                if not words:
                    return "the command is missing"
                name, found, words = command.resolve_command(context, words)
                assert found is not None
                command, context = found, click.Context(found, parent=context, info_name=name)
            command.make_context(context.info_name, list(words), parent=context.parent)
        except click.BadParameter as error:
            takes_file = error.param is not None and isinstance(error.param.type, _FILES)
            return None if takes_file else error.format_message()  # the reader's own file
        except click.ClickException as error:
            return error.format_message()
        return None


class Keys(SynchronousTestCase):
    """Every key of the configuration is documented, in the page that is about it."""

    def test_every_key(self) -> None:
        channels = (_ROOT / "docs" / "channels.md").read_text()
        missing = []
        for path in keys(inspect.type_info(Config)):
            text = _CONFIGURATION.read_text()
            if path[0] == "channels" and len(path) > 2:
                text = channels + (_ROOT / "docs" / "channels" / f"{path[1]}.md").read_text()
            if not re.search(rf"\b{re.escape(path[-1])}\b", text) and path[-1] != "*":
                missing.append(".".join(path))
        self.assertEqual(missing, [])

    def test_every_example(self) -> None:
        seen = 0
        for page in pages():
            for block in blocks(page, "json5?"):
                if re.match(
                    r"\s*\{\s*(//.*\s*)*\"(gateway|agents|channels|session|tools)\"", block
                ):
                    parse_config(block, page.name)
                    seen += 1
        self.assertGreater(seen, 8)
