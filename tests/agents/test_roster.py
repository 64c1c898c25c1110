"""The agents of a configuration: how they are started, what they are told, how they are shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from clawgw.agents.builtin.config import CONFIG_VARIABLE, KEY_VARIABLE, AgentConfig, read_config
from clawgw.agents.roster import LOCAL_MODEL, AgentSpec, Roster
from clawgw.config import PASSWORD_VARIABLES, TOKEN_VARIABLES, parse_config
from clawgw.sessions.book import ModelInfo

STATE = Path("/state")
KEY = "sk-very-secret-key"
PROVIDER = {
    "api": "openai-completions",
    "baseUrl": "https://models.example/v1",
    "apiKey": KEY,
    "models": [
        {"id": "big", "name": "Big one", "contextWindow": 128000, "input": ["text", "image"]},
        {"id": "small", "reasoning": True},
    ],
}


def roster(environ: dict[str, str] | None = None, **config: Any) -> Roster:
    """The roster of a configuration file."""
    text = msgspec.json.encode(config).decode()
    return Roster(parse_config(text), STATE, environ or {"PATH": "/bin"})


def listed(*entries: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """`agents` with these entries."""
    return {"list": list(entries), "defaults": defaults}


def told(spec: AgentSpec) -> AgentConfig:
    """What the built-in agent will read."""
    return read_config(spec.env[CONFIG_VARIABLE])


class BuiltinTests(SynchronousTestCase):
    """An entry without a command, or no entry at all."""

    def test_nothing_configured(self) -> None:
        agents = roster()
        self.assertEqual((agents.ids, agents.default_id), (("main",), "main"))
        spec = agents.spec("main")
        self.assertTrue(spec.is_builtin)
        self.assertEqual(spec.command, (sys.executable, "-P", "-m", "clawgw.agents.builtin"))
        self.assertEqual(spec.model, LOCAL_MODEL)
        self.assertEqual(told(spec), AgentConfig(state_dir="/state/agents/main"))
        self.assertNotIn(KEY_VARIABLE, spec.env)

    def test_a_model_of_a_provider(self) -> None:
        agents = roster(
            models={"providers": {"example": PROVIDER}},
            agents=listed(model={"primary": "example/big"}, systemPrompt="Be brief."),
        )
        config = told(agents.spec("main"))
        self.assertEqual((config.model, config.system_prompt), ("example/big", "Be brief."))
        provider = config.provider
        assert provider is not None
        self.assertEqual(provider.api, "openai-completions")
        self.assertEqual(provider.base_url, "https://models.example/v1")
        self.assertEqual(provider.context_window, 128000)
        self.assertEqual((provider.api_key_env, provider.api_key_file), (None, None))

    def test_the_key_is_in_one_variable_and_nowhere_else(self) -> None:
        agents = roster(
            models={"providers": {"example": PROVIDER}},
            agents=listed(model={"primary": "example/big"}),
        )
        spec = agents.spec("main")
        self.assertEqual(spec.env[KEY_VARIABLE], KEY)
        self.assertNotIn(KEY, spec.env[CONFIG_VARIABLE])
        self.assertNotIn(KEY, " ".join(spec.command))
        self.assertNotIn(KEY, repr(spec))
        shown = msgspec.json.encode([agents.summaries(), agents.models()]).decode()
        self.assertNotIn(KEY, shown)

    def test_where_the_key_is_instead(self) -> None:
        provider = {"apiKeyEnv": "MY_KEY", "apiKeyFile": "/keys/mine"}
        agents = roster(
            {"MY_KEY": KEY},
            models={"providers": {"example": provider}},
            agents=listed(model={"primary": "example/big"}),
        )
        spec = agents.spec("main")
        config = told(spec).provider
        assert config is not None
        self.assertEqual((config.api_key_env, config.api_key_file), ("MY_KEY", "/keys/mine"))
        self.assertEqual(spec.env["MY_KEY"], KEY)
        self.assertNotIn(KEY_VARIABLE, spec.env)

    def test_a_model_of_a_provider_nobody_configured(self) -> None:
        spec = roster(agents=listed(model={"primary": "openai/gpt"})).spec("main")
        config = told(spec)
        self.assertEqual((config.model, config.provider), ("openai/gpt", None))

    def test_an_agents_own_model_and_prompt_come_first(self) -> None:
        agents = roster(
            models={"providers": {"example": PROVIDER}},
            agents=listed(
                {"id": "a", "model": {"primary": "example/small"}, "systemPrompt": "A."},
                {"id": "b"},
                model={"primary": "example/big"},
                systemPrompt="Both.",
            ),
        )
        a, b = (told(agents.spec(name)) for name in "ab")
        self.assertEqual((a.model, a.system_prompt), ("example/small", "A."))
        self.assertEqual((b.model, b.system_prompt), ("example/big", "Both."))
        self.assertNotEqual(a.state_dir, b.state_dir)


class EnvironmentTests(SynchronousTestCase):
    """What an agent inherits."""

    def test_all_but_the_gateways_secrets(self) -> None:
        secrets = dict.fromkeys((*TOKEN_VARIABLES, *PASSWORD_VARIABLES), "swordfish")
        agents = roster(
            {"PATH": "/bin", "HOME": "/home/ada", **secrets},
            gateway={"auth": {"token": "swordfish"}},
            agents=listed({"id": "builtin"}, {"id": "foreign", "command": ["agent"]}),
        )
        for name in agents.ids:
            spec = agents.spec(name)
            self.assertEqual((spec.env["PATH"], spec.env["HOME"]), ("/bin", "/home/ada"))
            self.assertNotIn("swordfish", repr(dict(spec.env)))
            self.assertEqual(set(spec.env) & set(secrets), set())

    def test_its_own_variables_win(self) -> None:
        entry = {"id": "foreign", "command": ["agent"], "env": {"PATH": "/opt", "MODE": "x"}}
        env = roster(agents=listed(entry)).spec("foreign").env
        self.assertEqual(dict(env), {"PATH": "/opt", "MODE": "x"})

    def test_a_foreign_agent_is_told_no_keys(self) -> None:
        agents = roster(
            models={"providers": {"example": PROVIDER}},
            agents=listed(
                {"id": "foreign", "command": ["agent", "--acp"]}, model={"primary": "example/big"}
            ),
        )
        spec = agents.spec("foreign")
        self.assertFalse(spec.is_builtin)
        self.assertEqual(spec.command, ("agent", "--acp"))
        self.assertEqual(dict(spec.env), {"PATH": "/bin"})

    def test_nothing_of_it_is_shown(self) -> None:
        entry = {"id": "foreign", "command": ["agent"], "env": {"SECRET": "swordfish"}}
        self.assertNotIn("swordfish", repr(roster(agents=listed(entry)).spec("foreign")))


class WorkspaceTests(SynchronousTestCase):
    """Where an agent works; always an absolute path, as ACP demands."""

    def workspace(self, entry: dict[str, Any] | None = None, **defaults: Any) -> str:
        return (
            roster(agents=listed({"id": "one", **(entry or {})}, **defaults)).spec("one").workspace
        )

    def test_one_each_in_the_state_directory(self) -> None:
        self.assertEqual(self.workspace(), "/state/workspaces/one")

    def test_as_configured(self) -> None:
        self.assertEqual(self.workspace({"workspace": "/src"}, workspace="/all"), "/src")
        self.assertEqual(self.workspace(workspace="/all"), "/all")
        home = os.path.expanduser("~")
        self.assertEqual(self.workspace({"workspace": "~/src"}), f"{home}/src")

    def test_a_relative_one_is_in_the_state_directory(self) -> None:
        self.assertEqual(self.workspace({"workspace": "src"}), "/state/src")


class ShownTests(SynchronousTestCase):
    """What clients see."""

    def test_the_default_agent(self) -> None:
        self.assertEqual(roster(agents=listed({"id": "a"}, {"id": "b"})).default_id, "a")
        chosen = roster(agents=listed({"id": "a"}, {"id": "b", "default": True}))
        self.assertEqual(chosen.default_id, "b")

    def test_summaries(self) -> None:
        agents = roster(
            agents=listed(
                {"id": "plain"},
                {
                    "id": "crab",
                    "command": ["agent"],
                    "name": "Crab",
                    "identity": {"emoji": "🦀", "theme": "pier"},
                    "workspace": "/src",
                },
            )
        )
        self.assertEqual(
            msgspec.to_builtins(agents.summaries()),
            [
                {
                    "id": "plain",
                    "workspace": "/state/workspaces/plain",
                    "model": {"primary": LOCAL_MODEL},
                },
                {
                    "id": "crab",
                    "name": "Crab",
                    "identity": {"emoji": "🦀", "theme": "pier"},
                    "workspace": "/src",
                },
            ],
        )

    def test_identities(self) -> None:
        agents = roster(
            agents=listed(
                {"id": "plain"},
                {"id": "named", "name": "Ada"},
                {"id": "crab", "name": "x", "identity": {"name": "Crab", "emoji": "🦀"}},
                {"id": "face", "identity": {"avatar": "https://x.example/a.png", "emoji": "🦀"}},
            )
        )
        shown = {name: msgspec.to_builtins(agents.identity(name)) for name in agents.ids}
        self.assertEqual(
            shown["plain"],
            {"agentId": "plain", "name": "Assistant", "avatar": "A", "nameSource": "default"},
        )
        self.assertEqual((shown["named"]["name"], shown["named"]["nameSource"]), ("Ada", "config"))
        self.assertEqual((shown["crab"]["name"], shown["crab"]["avatar"]), ("Crab", "🦀"))
        self.assertEqual(shown["face"]["avatar"], "https://x.example/a.png")

    def test_models(self) -> None:
        agents = roster(
            models={"providers": {"example": PROVIDER}},
            agents=listed({"id": "a", "model": {"primary": "other/x"}}, {"id": "b"}),
        )
        models = {f"{one.provider}/{one.id}": one for one in agents.models()}
        self.assertEqual(list(models), ["other/x", "example/big", "example/small", LOCAL_MODEL])
        self.assertEqual(models["other/x"].tags, ["default"])
        big, small = models["example/big"], models["example/small"]
        self.assertEqual((big.name, big.context_window), ("Big one", 128000))
        self.assertEqual((big.input, big.reasoning), (["text", "image"], False))
        self.assertEqual((small.name, small.input, small.reasoning), ("small", ["text"], True))
        self.assertEqual(models[LOCAL_MODEL].context_window, 8192)

    def test_a_foreign_agent_has_no_model_of_ours(self) -> None:
        agents = roster(agents=listed({"id": "a", "command": ["agent"]}))
        self.assertEqual(agents.models(), [])
        self.assertEqual(agents.model_info("a"), ModelInfo(None, None, None))

    def test_the_model_of_a_session(self) -> None:
        agents = roster(
            models={"providers": {"example": PROVIDER}},
            agents=listed(model={"primary": "example/big"}),
        )
        info = agents.model_info
        self.assertEqual(info("main"), ModelInfo("example", "big", 128000))
        self.assertEqual(info("main", "example/small"), ModelInfo("example", "small", None))
        self.assertEqual(info("main", "hub/org/name"), ModelInfo("hub", "org/name", None))
        self.assertEqual(info("gone"), ModelInfo(None, None, None))
