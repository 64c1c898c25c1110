"""`python -m clawgw.protocol schema|swift [--check] [PATH]`: the files that follow from the wire.

Without `--check` the file is written; with it, nothing is, and the exit code is 1 if the file is
not what the definitions would give today.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clawgw.protocol import schema, swift

DOCS = Path(__file__).parents[2] / "docs" / "protocol"
FILES = {"schema": DOCS / "protocol.schema.json", "swift": DOCS / "GatewayModels.swift"}


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m clawgw.protocol", description=__doc__)
    parser.add_argument("what", choices=FILES)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("path", nargs="?", type=Path, help="instead of the file in docs/protocol")
    options = parser.parse_intermixed_args(arguments)
    path = options.path or FILES[options.what]
    text = content(options.what)
    try:
        return _check(path, text, options.what) if options.check else _write(path, text)
    except OSError as problem:
        return _complain(f"cannot use {path}: {problem.strerror}")


def content(what: str) -> str:
    """The file as the definitions give it: `schema` or `swift`."""
    document = schema.document()
    return schema.render(document) if what == "schema" else swift.generate(document)


def _check(path: Path, text: str, what: str) -> int:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    return _complain(f"{path} is not current: run `python -m clawgw.protocol {what} {path}`")


def _write(path: Path, text: str) -> int:
    path.write_text(text, encoding="utf-8")
    return 0


def _complain(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
