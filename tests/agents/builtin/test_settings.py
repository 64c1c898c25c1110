"""The choice of a model, the key that goes with it, and what leaves the process."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from twisted.trial import unittest

from clawgw.agents.builtin.config import AgentConfig, Api, ProviderConfig, Secrets, read_config
from clawgw.agents.builtin.errors import TurnError, quote
from clawgw.agents.builtin.logs import SafeFormatter
from clawgw.agents.builtin.models import Choice, build, choose


class ChoiceTests(unittest.TestCase):
    def test_nothing_configured_is_the_local_model(self) -> None:
        choice = choose(read_config(None))
        self.assertEqual(choice.label, "local/smollm2-135m-instruct")
        self.assertTrue(choice.local)

    def test_name_of_a_model_may_contain_slashes(self) -> None:
        choice = choose(AgentConfig(model="openrouter/meta/llama-3"))
        self.assertEqual((choice.provider, choice.name), ("openrouter", "meta/llama-3"))

    def test_provider_without_a_model_and_names_without_a_provider(self) -> None:
        with self.assertRaises(TurnError) as caught:
            choose(AgentConfig(provider=ProviderConfig()))
        self.assertIn("no model", caught.exception.sentence)
        for name in ("gpt-5", "/gpt-5", "openai/", ""):
            with self.assertRaises(TurnError):
                choose(AgentConfig(), name)

    def test_settings_stay_with_the_provider_they_were_written_for(self) -> None:
        config = AgentConfig(model="acme/a", provider=ProviderConfig(base_url="http://acme/"))
        self.assertEqual(choose(config, "ACME/b").base_url, "http://acme/")
        self.assertIsNone(choose(config, "other/b").base_url)

    def test_dialect_follows_from_the_provider_unless_it_is_given(self) -> None:
        there = ProviderConfig(base_url="http://there/")
        for choice, api in (
            (Choice("openai", "m"), "openai-responses"),
            (Choice("openai", "m", there), "openai-completions"),
            (Choice("anthropic", "m"), "anthropic-messages"),
            (Choice("gemini", "m"), "google-generative-ai"),
            (Choice("groq", "m"), None),
            (Choice("own", "m", there), "openai-completions"),
            (Choice("own", "m", ProviderConfig(api="anthropic-messages")), "anthropic-messages"),
        ):
            self.assertEqual(choice.api, api, choice)


class KeyTests(unittest.TestCase):
    def test_inline_key_comes_first_and_leaves_the_environment(self) -> None:
        environ = {"CLAWGW_AGENT_API_KEY": "inline-key", "OPENAI_API_KEY": "usual-key"}
        secrets = Secrets(environ)
        self.assertNotIn("CLAWGW_AGENT_API_KEY", environ)
        self.assertEqual(secrets.key_for("openai", ProviderConfig()), "inline-key")
        self.assertEqual(secrets.key_for("openai", None), "usual-key")
        self.assertIsNone(secrets.key_for("groq", None))

    def test_usual_variables(self) -> None:
        secrets = Secrets({"GEMINI_API_KEY": "g-key", "MY_CLOUD_API_KEY": "m-key"})
        self.assertEqual(secrets.key_for("google", None), "g-key")
        self.assertEqual(secrets.key_for("my-cloud", None), "m-key")

    def test_file_that_holds_no_key(self) -> None:
        empty = Path(self.mktemp())
        empty.write_text("\n")
        for path in (str(empty), "/nowhere/key"):
            with self.assertRaises(TurnError) as caught:
                Secrets({}).key_for("openai", ProviderConfig(api_key_file=path))
            self.assertIn(f"{path} (apiKeyFile)", caught.exception.sentence)

    def test_known_keys_and_what_looks_like_one_are_taken_out_of_text(self) -> None:
        secrets = Secrets({"CLAWGW_AGENT_API_KEY": "plain-looking"})
        secrets.key_for("acme", ProviderConfig())
        self.assertEqual(secrets.redact("a plain-looking b"), "a [key] b")
        self.assertEqual(secrets.redact("key: sk-abc***wxyz, ok"), "key: [key], ok")
        self.assertNotIn("plain-looking", repr(secrets))


class LogTests(unittest.TestCase):
    def test_exception_is_logged_by_place_and_type_without_its_message(self) -> None:
        formatter = SafeFormatter(Secrets({"CLAWGW_AGENT_API_KEY": "plain-looking"}))
        try:
            raise ValueError("what the person wrote")
        except ValueError:
            caught = sys.exc_info()
        record = logging.LogRecord("x", 40, "f", 1, "key plain-looking", None, caught)
        line = formatter.format(record)
        self.assertIn("ValueError", line)
        self.assertIn("test_settings.py", line)
        self.assertIn("key [key]", line)
        self.assertNotIn("what the person wrote", line)


class QuoteTests(unittest.TestCase):
    def test_quoted_text_is_one_short_sentence(self) -> None:
        self.assertEqual(quote("two\n  lines"), "two lines.")
        self.assertEqual(quote("Done!"), "Done!")
        self.assertLessEqual(len(quote("word " * 500)), 300)


class BuildTests(unittest.TestCase):
    def test_each_dialect_goes_to_the_configured_address(self) -> None:
        apis: tuple[Api, ...] = (
            "openai-completions",
            "openai-responses",
            "anthropic-messages",
            "google-generative-ai",
        )
        for api in apis:
            settings = ProviderConfig(api=api, base_url="http://127.0.0.1:9/base")
            secrets = Secrets({"CLAWGW_AGENT_API_KEY": "some-key"})
            model = build(Choice("acme", "talker-1", settings), secrets)
            self.assertEqual(model.model_name, "talker-1")
            self.assertEqual((model.base_url or "").rstrip("/"), "http://127.0.0.1:9/base")
