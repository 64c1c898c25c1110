"""A configuration file that is changed keeps what its owner wrote."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.config import read_text
from clawgw.config_edit import document, put, remove, write_text
from clawgw.section import ConfigError

OWNED = """\
// my Gateway
{
    "gateway": { "port": 1234 }, // not the usual one
    /* the bots */
    "channels": {
        // the one of the family
        "telegram": {
            "botToken": "1:a", // from BotFather
            "groups": {"-1": {"requireMention": false}}
        }
    }
    // the end
}
"""


class PutTests(SynchronousTestCase):
    def test_a_value_is_replaced_where_it_stands(self) -> None:
        changed = put(OWNED, ["channels", "telegram", "botToken"], "2:b")
        self.assertEqual(changed, OWNED.replace("1:a", "2:b"))

    def test_a_new_key_follows_the_others(self) -> None:
        changed = put(OWNED, ["channels", "slack"], {"botToken": "x", "appToken": "y"})
        self.assertEqual(
            changed,
            OWNED.replace(
                "        }\n    }\n",
                '        },\n        "slack": {\n            "botToken": "x",\n'
                '            "appToken": "y"\n        }\n    }\n',
            ),
        )

    def test_a_comment_behind_the_last_value_stays_there(self) -> None:
        text = '{\n  "a": 1 // one\n}\n'
        self.assertEqual(put(text, ["b"], 2), '{\n  "a": 1, // one\n  "b": 2\n}\n')

    def test_a_comma_at_the_end_is_kept_as_a_habit(self) -> None:
        text = '{\n  "a": 1,\n}\n'
        self.assertEqual(put(text, ["b"], 2), '{\n  "a": 1,\n  "b": 2,\n}\n')

    def test_objects_on_the_way_are_made(self) -> None:
        wanted = '{\n  "a": {\n    "b": {\n      "c": 1\n    }\n  }\n}\n'
        self.assertEqual(put("{}\n", ["a", "b", "c"], 1), wanted)

    def test_one_line_stays_one_line(self) -> None:
        self.assertEqual(put('{"a": {"b": 1}}', ["a", "c"], [2]), '{"a": {"b": 1, "c": [2]}}')
        self.assertEqual(put('{"a": 1,}', ["c"], 2), '{"a": 1, "c": 2}')

    def test_a_file_that_is_empty_or_has_comments_only(self) -> None:
        self.assertEqual(put("", ["a"], 1), '{\n  "a": 1\n}\n')
        self.assertEqual(put("// later", ["a"], 1), '// later\n{\n  "a": 1\n}\n')
        self.assertEqual(put("{ /* later */ }", ["a"], 1), '{ /* later */\n  "a": 1\n}')

    def test_line_ends_of_another_system(self) -> None:
        self.assertEqual(
            put('{\r\n\t"a": 1\r\n}', ["b"], {"c": 1}),
            '{\r\n\t"a": 1,\r\n\t"b": {\r\n\t\t"c": 1\r\n\t}\r\n}',
        )

    def test_braces_in_strings_and_comments_are_no_braces(self) -> None:
        text = '{\n  "a}": "{\\"", // }\n  "b": {/* { */ "c": "//"}\n}'
        changed = put(text, ["b", "d"], 1)
        self.assertEqual(changed, text.replace('"//"', '"//", "d": 1'))

    def test_something_else_than_an_object_on_the_way(self) -> None:
        with self.assertRaisesRegex(ConfigError, "channels: an object is expected"):
            put('{"channels": []}', ["channels", "slack"], {})

    def test_what_is_no_json(self) -> None:
        for text in ('{"a": }', "[1]", "{", '{"a" 1}', "{'a': 1}"):
            self.assertRaises(ConfigError, put, text, ["b"], 1)


class RemoveTests(SynchronousTestCase):
    def test_whole_lines_go(self) -> None:
        changed = remove(OWNED, ["channels", "telegram"])
        self.assertEqual(
            changed,
            OWNED[: OWNED.index('        "telegram"')] + OWNED[OWNED.index("    }\n    // the") :],
        )

    def test_the_comma_before_the_last_goes_too(self) -> None:
        self.assertEqual(remove('{\n  "a": 1,\n  "b": 2\n}', ["b"]), '{\n  "a": 1\n}')
        self.assertEqual(remove('{"a": 1, "b": 2}', ["b"]), '{"a": 1}')

    def test_the_first_of_several(self) -> None:
        self.assertEqual(remove('{\n  "a": 1,\n  "b": 2\n}', ["a"]), '{\n  "b": 2\n}')
        self.assertEqual(remove('{"a": 1, "b": 2}', ["a"]), '{"b": 2}')
        self.assertEqual(remove('{"a": 1}', ["a"]), "{}")

    def test_a_comment_is_not_removed(self) -> None:
        self.assertEqual(
            remove('{\n  "a": 1, // one\n  "b": 2\n}', ["a"]), '{\n  // one\n  "b": 2\n}'
        )

    def test_what_is_not_there(self) -> None:
        for path in (["x"], ["gateway", "x"], ["gateway", "port", "x"], ["x", "y"]):
            self.assertEqual(remove(OWNED, path), OWNED)

    def test_a_key_that_is_there_twice(self) -> None:
        self.assertEqual(document(remove('{"a": 1, "b": 2, "a": 3}', ["a"])), {"b": 2})


SPACE = st.sampled_from(["", " ", "\n  ", " // a } , comment\n", "/* { */", "\n\n\t"])
KEYS = st.sampled_from(["a", "b", "c", 'q"}', "//"])


@st.composite
def written(draw: Any, depth: int = 0) -> str:
    """A value as somebody might have written it, an object at the outside."""
    if depth and (depth > 2 or draw(st.booleans())):
        return str(draw(st.sampled_from(["1", '"x,}"', "null", "[1, {}, [2,]]", "-2.5e3"])))
    keys = draw(st.lists(KEYS, unique=True, max_size=3))
    parts = []
    for number, key in enumerate(keys):
        comma = "," if number < len(keys) - 1 or draw(st.booleans()) else ""
        value = draw(written(depth + 1))
        parts.append(
            f"{draw(SPACE)}{json.dumps(key)}{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}{comma}"
        )
    return "{" + "".join(parts) + draw(SPACE) + "}"


class AnyFileTests(SynchronousTestCase):
    """However a file is written, a change is that change and no other."""

    @given(written(), st.lists(KEYS, min_size=1, max_size=3))
    def test_put(self, text: str, path: list[str]) -> None:
        try:
            changed = put(text, path, {"new": [1]})  # compares the meaning itself
        except ConfigError as problem:
            self.assertIn("an object is expected", str(problem))
            return
        for comment in ("// a } , comment\n", "/* { */"):
            self.assertLessEqual(changed.count(comment), text.count(comment))

    @given(written(), st.lists(KEYS, min_size=1, max_size=3))
    def test_remove(self, text: str, path: list[str]) -> None:
        changed = remove(text, path)
        self.assertEqual(remove(changed, path), changed)

    @given(written(), KEYS)
    def test_a_new_key_costs_no_comment(self, text: str, key: str) -> None:
        changed = put(text, [key + "-new"], 1)
        for comment in ("// a } , comment\n", "/* { */"):
            self.assertEqual(changed.count(comment), text.count(comment))
        self.assertEqual(document(remove(changed, [key + "-new"])), document(text))


class WriteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.file = self.path / "config.json"

    def test_a_new_file_is_for_its_owner_only(self) -> None:
        write_text(self.file, "{}", "")
        self.assertEqual(read_text(self.file), "{}")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.path), ["config.json"])

    def test_what_was_there_is_kept_beside_it(self) -> None:
        self.file.write_bytes(b"{}\r\n")
        self.file.chmod(0o644)
        write_text(self.file, '{"a": 1}', read_text(self.file))
        backup = self.path / "config.json.bak"
        self.assertEqual(backup.read_bytes(), b"{}\r\n")
        for file in (self.file, backup):
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertEqual(sorted(os.listdir(self.path)), ["config.json", "config.json.bak"])

    def test_a_link_stays_one(self) -> None:
        real = self.path / "real.json"
        real.write_text("{}")
        self.file.symlink_to(real.name)
        write_text(self.file, '{"a": 1}', "{}")
        self.assertTrue(self.file.is_symlink())
        self.assertEqual(real.read_text(), '{"a": 1}')

    def test_what_somebody_else_has_written_meanwhile_stays(self) -> None:
        self.file.write_text('{"theirs": 1}')
        with self.assertRaisesRegex(ConfigError, "somebody else"):
            write_text(self.file, '{"ours": 1}', "{}")
        self.assertEqual(self.file.read_text(), '{"theirs": 1}')

    def test_where_nothing_can_be_written(self) -> None:
        missing = self.path / "nowhere" / "config.json"
        with self.assertRaisesRegex(ConfigError, "cannot write"):
            write_text(missing, "{}", "")
