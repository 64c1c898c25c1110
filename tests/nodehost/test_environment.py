"""The environment of commands."""

from __future__ import annotations

from twisted.trial import unittest

from clawgw.nodehost.calls import CommandError
from clawgw.nodehost.environment import base_environment, with_overrides
from clawgw.programs import are_harmless

BASE = {"PATH": "/usr/bin:/bin", "HOME": "/home/u"}


class EnvironmentTests(unittest.SynchronousTestCase):
    """What is passed on, what may be added, what is refused."""

    def test_what_belongs_to_the_gateway_stays_here(self) -> None:
        given = {
            **BASE,
            "CLAWGW_GATEWAY_TOKEN": "s",
            "OPENCLAW_GATEWAY_PASSWORD": "s",
            "CLAWDBOT_GATEWAY_TOKEN": "s",
        }
        self.assertEqual(base_environment(given), BASE)

    def test_path_has_absolute_directories_only(self) -> None:
        self.assertEqual(base_environment({"PATH": ".:/bin::bin:/x"})["PATH"], "/bin:/x")
        self.assertIn("/usr/bin", base_environment({})["PATH"])

    def test_variables_are_added(self) -> None:
        merged = with_overrides(BASE, {"A": "1", "HOME": "/x"})
        self.assertEqual(merged, {**BASE, "A": "1", "HOME": "/x"})

    def test_variables_that_load_other_code_are_refused_by_name(self) -> None:
        for name in (
            "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "NODE_OPTIONS", "PYTHONPATH",
            "PERL5OPT", "RUBYOPT", "BASH_ENV", "ENV", "IFS", "PS4", "ld_preload",
            "OPENCLAW_GATEWAY_TOKEN", "CLAWGW_STATE_DIR", "BASH_FUNC_ls", "GCONV_PATH",
        ):  # fmt: skip
            with self.assertRaises(CommandError) as caught:
                with_overrides(BASE, {name: "x"})
            self.assertIn(name, str(caught.exception))
            self.assertEqual(caught.exception.code, "INVALID_REQUEST")

    def test_names_that_are_none(self) -> None:
        for name, value in (("", "x"), ("A=B", "x"), ("A B", "x"), ("BASH_FUNC_ls%%", "x"),
                            ("A", "x\0y")):  # fmt: skip
            with self.assertRaises(CommandError):
                with_overrides(BASE, {name: value})

    def test_path_may_get_more_in_front(self) -> None:
        for value in ("/usr/bin:/bin", "/opt/bin:/usr/bin:/bin"):
            self.assertEqual(with_overrides(BASE, {"PATH": value})["PATH"], value)
        for value in ("", "/opt/bin", "/usr/bin:/bin:/opt", ".:/usr/bin:/bin", ":/usr/bin:/bin",
                      "bin:/usr/bin:/bin", "/x/usr/bin:/bin"):  # fmt: skip
            with self.assertRaises(CommandError, msg=value):
                with_overrides(BASE, {"PATH": value})

    def test_what_is_harmless(self) -> None:
        self.assertTrue(are_harmless({}))
        self.assertTrue(are_harmless({"LANG": "C", "LC_ALL": "C", "NO_COLOR": "1", "TERM": "x"}))
        self.assertFalse(are_harmless({"LANG": "C", "GIT_SSH_COMMAND": "x"}))
        self.assertFalse(are_harmless({"PATH": "/x:/usr/bin"}), "programs start others by name")
