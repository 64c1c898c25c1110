"""The canvas directory: what an agent writes, and how to reach it and nothing else.

Every name on the way is opened by itself, relative to the directory before it, and a symbolic link
is never followed (`openat` with `O_NOFOLLOW`): whatever somebody puts into the directory, while we
look or before, no path leads out of it. Names that begin with a dot do not exist here; that hides
what tools leave behind, and gives unfinished files a place. What is opened for reading is a
regular file, never a pipe or a device.

A file is written beside its place, synced and moved there, so a page never shows half of it.

All of this blocks: it belongs into a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_PATH = 1024
MAX_DEPTH = 32
MAX_NAME_BYTES = 200

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class BadPath(ValueError):
    """A path that cannot be in the canvas; the message says why."""


class NotThere(LookupError):
    """There is no such file."""


class Entry(NamedTuple):
    """A file. `path` is relative, with slashes; `size` in bytes."""

    path: str
    size: int
    modified_ns: int


class OpenFile(NamedTuple):
    """A file opened for reading; whoever gets it closes `descriptor`."""

    descriptor: int
    name: str
    size: int
    modified_ns: int

    @property
    def etag(self) -> str:
        """Changes when the file does."""
        return f'"{self.modified_ns:x}-{self.size:x}"'


def split_path(path: str) -> list[str]:
    """The names in a relative path with slashes; none for the directory itself.

    Raises:
        BadPath: it could lead elsewhere, or names something hidden.
    """
    if len(path) > MAX_PATH:
        raise BadPath(f"expected at most {MAX_PATH} characters")
    if "\\" in path or any(ord(character) < 32 or character == "\x7f" for character in path):
        raise BadPath("expected names separated by /, without backslashes and control characters")
    names = [name for name in path.split("/") if name]
    if len(names) > MAX_DEPTH:
        raise BadPath(f"expected at most {MAX_DEPTH} levels")
    for name in names:
        if name.startswith("."):
            raise BadPath("names that begin with a dot are not part of the canvas")
        try:
            size = len(os.fsencode(name))
        except UnicodeEncodeError:
            raise BadPath("expected names of Unicode characters") from None
        if size > MAX_NAME_BYTES:
            raise BadPath(f"expected names of at most {MAX_NAME_BYTES} bytes")
    return names


class CanvasRoot:
    """A directory whose files can be reached.

    Args:
        path: where it is; it may be a symbolic link itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make it if it is missing.

        Raises:
            OSError: it cannot be made.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    # Reading

    def open(self, path: str) -> OpenFile:
        """Open a file for reading.

        Raises:
            BadPath: see `split_path`.
            NotThere: there is no regular file of that name.
            IsADirectoryError: it is a directory.
        """
        names = split_path(path)
        if not names:
            raise IsADirectoryError(path)
        with self._directory(names[:-1]) as folder:
            try:
                descriptor = os.open(names[-1], _READ, dir_fd=folder)
            except OSError as problem:
                raise _absent(problem, path) from None
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            os.close(descriptor)
            if stat.S_ISDIR(state.st_mode):
                raise IsADirectoryError(path)
            raise NotThere(path)
        return OpenFile(descriptor, names[-1], state.st_size, state.st_mtime_ns)

    def read(self, path: str, most: int) -> tuple[Entry, bytes]:
        """A whole file.

        Raises:
            BadPath, NotThere, IsADirectoryError: see `open`.
            BufferError: it has more than `most` bytes.
        """
        file = self.open(path)
        with os.fdopen(file.descriptor, "rb") as source:
            content = source.read(most + 1)
        if len(content) > most:
            raise BufferError(path)
        name = "/".join(split_path(path))
        return Entry(name, len(content), file.modified_ns), content

    def entries(self, path: str, most: int) -> tuple[list[Entry], bool]:
        """The files under a directory, by name, and whether there are more than `most`.

        Raises:
            BadPath: see `split_path`.
            NotThere: there is no such directory.
        """
        names = split_path(path)
        prefix = "".join(f"{name}/" for name in names)
        found: list[Entry] = []
        with self._directory(names) as folder:
            for entry in _walk(folder, prefix, MAX_DEPTH - len(names)):
                if len(found) == most:
                    return found, True
                found.append(entry)
        return found, False

    # Writing

    def write(self, path: str, content: bytes) -> Entry:
        """Put a file there, whole, with the directories it needs; it is on the disk afterwards.

        Raises:
            BadPath: see `split_path`, or a directory is there, or a file where one is needed.
            OSError: the disk refuses.
        """
        names = split_path(path)
        if not names:
            raise BadPath("expected the name of a file")
        with self._directory(names[:-1], make=True) as folder:
            temporary = f".{secrets.token_hex(8)}.new"
            descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as target:
                    target.write(content)
                    target.flush()
                    os.fsync(target.fileno())
                    state = os.fstat(target.fileno())
                os.rename(temporary, names[-1], src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except IsADirectoryError:
                os.unlink(temporary, dir_fd=folder)
                raise BadPath("there is a directory of that name") from None
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
        return Entry("/".join(names), state.st_size, state.st_mtime_ns)

    def delete(self, path: str) -> int:
        """Delete a file, or a directory with everything in it; returns how many files went.

        Raises:
            BadPath: see `split_path`, or the path is the canvas itself.
            NotThere: there is nothing of that name.
        """
        names = split_path(path)
        if not names:
            raise BadPath("expected the name of a file or a directory")
        with self._directory(names[:-1]) as folder:
            try:
                return _remove(folder, names[-1])
            except OSError as problem:
                raise _absent(problem, path) from None

    def reset(self) -> int:
        """Delete everything, hidden things too; returns how many files went."""
        with self._directory([]) as folder:
            return sum(_remove(folder, name) for name in os.listdir(folder))

    # Ways

    @contextlib.contextmanager
    def _directory(self, names: list[str], *, make: bool = False) -> Iterator[int]:
        """The directory at these names, as a descriptor."""
        current = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=current)
                try:
                    below = os.open(name, _DIRECTORY, dir_fd=current)
                except OSError as problem:
                    if make and problem.errno in (errno.ENOTDIR, errno.ELOOP):
                        raise BadPath(f"{name!r} is not a directory") from None
                    raise _absent(problem, "/".join(names)) from None
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)


_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.ENAMETOOLONG)


def _absent(problem: OSError, path: str) -> Exception:
    """Whatever cannot be opened is not there, links included; other trouble stays as it is."""
    return NotThere(path) if problem.errno in _ABSENT else problem


def _walk(folder: int, prefix: str, depth: int) -> Iterator[Entry]:
    """The regular files below, in order, without hidden ones and links."""
    with os.scandir(folder) as found:
        entries = sorted((one for one in found if not one.name.startswith(".")), key=_name)
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if depth > 1:
                    below = os.open(entry.name, _DIRECTORY, dir_fd=folder)
                    try:
                        yield from _walk(below, f"{prefix}{entry.name}/", depth - 1)
                    finally:
                        os.close(below)
            elif entry.is_file(follow_symlinks=False):
                state = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                yield Entry(f"{prefix}{entry.name}", state.st_size, state.st_mtime_ns)
        except OSError:
            continue  # it went away while we looked


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _remove(folder: int, name: str) -> int:
    """Delete `name` in `folder`, and all below; links are deleted, not followed."""
    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(state.st_mode):
        os.unlink(name, dir_fd=folder)
        return 1
    below = os.open(name, _DIRECTORY, dir_fd=folder)
    try:
        count = sum(_remove(below, inner) for inner in os.listdir(below))
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=folder)
    return count
