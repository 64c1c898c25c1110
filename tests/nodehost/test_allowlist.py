"""Which programs a command line runs, and whether the list has them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial import unittest

from clawgw.nodehost.allowlist import Program, match, programs, split_line
from clawgw.programs import find_program
from tests.nodehost.support import script


class PatternTests(unittest.SynchronousTestCase):
    """Globs over paths."""

    def test_table(self) -> None:
        home = os.path.expanduser("~")
        for pattern, path, expected in (
            ("/usr/bin/rg", "/usr/bin/rg", True),
            ("/usr/bin/rg", "/usr/bin/rgx", False),
            ("/usr/bin/RG", "/usr/bin/rg", True),
            ("/usr/bin/*", "/usr/bin/rg", True),
            ("/usr/bin/*", "/usr/bin/sub/rg", False),
            ("/opt/**/rg", "/opt/a/b/rg", True),
            ("/opt/**", "/opt/a/b", True),
            ("/usr/bin/r?", "/usr/bin/rg", True),
            ("/usr/bin/r?", "/usr/bin/r/", False),
            ("/usr/bin/a.c", "/usr/bin/abc", False),
            ("/usr/bin/[a-z]*", "/usr/bin/rg", False),
            ("rg", "/usr/bin/rg", False),
            ("*", "/usr/bin/rg", False),
            ("", "/usr/bin/rg", False),
            ("~/bin/rg", f"{home}/bin/rg", True),
            ("~/bin/rg", "/elsewhere/bin/rg", False),
        ):
            found = match(Program("rg", path), [pattern])
            self.assertEqual(found is not None, expected, (pattern, path))

    def test_a_program_that_is_not_there_matches_nothing(self) -> None:
        self.assertIsNone(match(Program("rg", None), ["/**", "/usr/bin/rg"]))


class LineTests(unittest.SynchronousTestCase):
    """What a plain line runs, and which lines are not plain."""

    def test_plain_lines(self) -> None:
        for line, words in (
            ("ls", [["ls"]]),
            ("ls -l '/a b' \"c d\"", [["ls", "-l", "/a b", "c d"]]),
            ("a && b || c; d | e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
            ("grep 'a|b;c&&d$(e)' file", [["grep", "a|b;c&&d$(e)", "file"]]),
            ("'l's", [["ls"]]),
            ("~/bin/x '~/y'", [["~/bin/x", "~/y"]]),
            ("/usr/bin/printf x", [["/usr/bin/printf", "x"]]),
        ):
            self.assertEqual(split_line(line), words, line)

    def test_lines_of_which_nobody_can_say_what_they_run(self) -> None:
        for line in (
            "", " ", ";", "ls;", "ls &&", "&& ls", "ls & rm", "ls > file", "cat < file",
            "ls $(rm x)", "ls `rm x`", "$X", "ls $X", 'ls "$X"', 'ls "`rm`"', "ls \\; rm",
            "ls\nrm", "ls # x", "(ls)", "{ ls; }", "ls 'open", 'ls "open', "! ls", "if ls; then rm",
            "A=b ls", "eval ls", "exec ls", ". file", "source file", "command ls", "ls |& rm",
            "ls &&& rm", "for x in a; do rm; done", "time rm x",
            # Builtins that work out what is quoted, or change what the next name means.
            "printf -v PATH /x; ls", "test -v 'a[$(rm x)]'", "[ -v 'a[$(rm x)]' ]", "read x",
            "unset 'a[$(rm x)]'", "wait -p 'a[$(rm x)]'", "cd /x && ./ls", "jobs -x rm",
            # Tildes that are no home, or another one than it seems.
            "'~/bin/x'", '"~/bin/x"', "~'/bin/x'", "~+/x", "~root/x",
        ):  # fmt: skip
            self.assertIsNone(split_line(line), line)


class ProgramTests(unittest.SynchronousTestCase):
    """Looking programs up as they will be run."""

    def setUp(self) -> None:
        self.root = Path(os.path.realpath(tempfile.mkdtemp()))
        self.addCleanup(shutil.rmtree, self.root)
        for name in ("one", "two"):
            (self.root / name).mkdir()
        self.tool = script(self.root / "one/tool", "#!/bin/sh\n")
        self.path = f"{self.root}/one:{self.root}/two"

    def test_in_path_in_order(self) -> None:
        second = script(self.root / "two/other", "#!/bin/sh\n")
        script(self.root / "two/tool", "#!/bin/sh\n")
        self.assertEqual(find_program("tool", self.path, "/"), self.tool)
        self.assertEqual(find_program("other", self.path, "/"), second)
        self.assertIsNone(find_program("none", self.path, "/"))

    def test_relative_entries_of_path_are_passed_over(self) -> None:
        self.assertIsNone(find_program("tool", "one:.", str(self.root)))

    def test_behind_a_relative_entry_of_path_nobody_can_say(self) -> None:
        self.assertIsNone(find_program("tool", f":{self.path}", "/"))
        self.assertEqual(find_program("tool", f"{self.path}:", "/"), self.tool)

    def test_where_it_is_not_known_where_a_name_begins(self) -> None:
        self.assertIsNone(find_program("one/tool", self.path, None))
        self.assertIsNone(find_program("one/tool", self.path, "."))
        self.assertEqual(find_program(self.tool, "", None), self.tool)

    def test_what_is_no_program(self) -> None:
        (self.root / "one/text").write_text("")
        for name in ("text", "../one", "", "to\0ol", f"{self.root}/one"):
            self.assertIsNone(find_program(name, self.path, str(self.root)), name)

    def test_a_path_is_tidied_before_it_is_compared(self) -> None:
        roundabout = f"{self.root}/two/../one/tool"
        self.assertEqual(find_program(roundabout, "", "/"), self.tool)
        self.assertEqual(find_program("one/tool", "", str(self.root)), self.tool)

    def test_behind_a_link_dots_are_not_what_they_seem(self) -> None:
        (self.root / "far/away").mkdir(parents=True)
        script(self.root / "far/tool", "#!/bin/sh\n")
        (self.root / "one/link").symlink_to(self.root / "far/away")
        # To the system this is far/tool; tidied it reads one/tool, which is another file.
        self.assertIsNone(find_program(f"{self.root}/one/link/../tool", "", "/"))

    def test_a_shell_of_the_system_is_looked_into(self) -> None:
        path = os.defpath
        found = programs(["/bin/sh", "-c", "ls && cat x"], path, "/")
        self.assertEqual([program.name for program in found or []], ["ls", "cat"])
        self.assertIsNone(programs(["/bin/sh", "-c", "ls > x"], path, "/"))

    def test_any_other_shell_is_a_program_like_any_other(self) -> None:
        own = script(self.root / "one/sh", "#!/bin/sh\n")
        self.assertEqual(programs([own, "-c", "ls"], "/usr/bin", "/"), [Program(own, own)])
        for argv in (["/bin/sh", "file"], ["/bin/sh", "-c", "ls", "x"], ["/bin/sh", "-ic", "ls"]):
            found = programs(argv, "/usr/bin", "/")
            self.assertEqual([program.name for program in found or []], ["/bin/sh"], argv)
