"""Accounts in the text of a configuration file."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.channels.configure import with_account, without_account
from clawgw.config import parse_config
from clawgw.config_edit import document


def file(section: Any) -> str:
    return json.dumps({"channels": {"telegram": section}}, indent=2)


def section(text: str) -> Any:
    parse_config(text)  # whatever is made can be used
    return document(text).get("channels", {}).get("telegram")


class AddTests(SynchronousTestCase):
    def test_the_first_account_is_the_section(self) -> None:
        text = with_account("", "telegram", "default", {"botToken": "1:a"})
        self.assertEqual(section(text), {"botToken": "1:a"})

    def test_a_first_account_with_a_name(self) -> None:
        text = with_account("{}", "telegram", "work", {"botToken": "1:a"})
        self.assertEqual(section(text), {"accounts": {"work": {"botToken": "1:a"}}})

    def test_what_is_there_already_stays(self) -> None:
        text = with_account(
            file({"dmPolicy": "open", "tokenFile": "/x"}),
            *("telegram", "default", {"botToken": "1:a", "tokenFile": None}),
        )
        self.assertEqual(section(text), {"dmPolicy": "open", "botToken": "1:a"})

    def test_the_only_account_becomes_one_of_two(self) -> None:
        text = with_account(
            file({"botToken": "1:a", "allowFrom": ["1"]}), "telegram", "b", {"botToken": "2:b"}
        )
        self.assertEqual(
            section(text),
            {"allowFrom": ["1"], "accounts": {"default": {"botToken": "1:a"},
                                              "b": {"botToken": "2:b"}}},
        )  # fmt: skip

    def test_the_default_one_of_several(self) -> None:
        text = with_account(
            file({"accounts": {"b": {"botToken": "2:b"}}}), "telegram", "default", {"botToken": "1"}
        )
        self.assertEqual(
            section(text), {"accounts": {"b": {"botToken": "2:b"}, "default": {"botToken": "1"}}}
        )

    def test_a_token_from_the_environment_keeps_its_account(self) -> None:
        text = with_account(file({}), "telegram", "b", {"botToken": "2:b"})
        self.assertEqual(section(text), {"accounts": {"default": {}, "b": {"botToken": "2:b"}}})


class RemoveTests(SynchronousTestCase):
    def test_one_of_several(self) -> None:
        text = without_account(file({"accounts": {"a": {}, "b": {}}}), "telegram", "a")
        self.assertEqual(section(text), {"accounts": {"b": {}}})

    def test_the_last_one(self) -> None:
        for one, name in (({"botToken": "1:a"}, "default"), ({"accounts": {"a": {}}}, "a")):
            text = without_account(file(one), "telegram", name)
            self.assertEqual(document(text), {})

    def test_other_channels_stay(self) -> None:
        both = json.dumps({"channels": {"telegram": {}, "slack": {}}})
        text = without_account(both, "telegram", "default")
        self.assertEqual(document(text), {"channels": {"slack": {}}})

    def test_one_that_is_not_there(self) -> None:
        for text in ("", "{}", '{"channels": {}}'):
            self.assertEqual(document(without_account(text, "telegram", "x")), {})
