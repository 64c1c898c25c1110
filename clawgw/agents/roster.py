"""The agents there are, as the configuration describes them.

Without `agents.list` there is one, `main`: the built-in agent with the model that is configured,
or with the local one. An entry with a `command` is that program instead. What the built-in agent
needs to know goes to it through its environment, so that a key is in no argument list.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from clawgw import config as configuration
from clawgw.protocol import agents as wire
from clawgw.sessions.book import ModelInfo

LOCAL_MODEL = "local/smollm2-135m-instruct"
LOCAL_CONTEXT = 8192
DEFAULT_NAME = "Assistant"

# A child has no business with the secrets that open the Gateway.
_WITHHELD = frozenset((*configuration.TOKEN_VARIABLES, *configuration.PASSWORD_VARIABLES))


@dataclass(frozen=True)
class AgentSpec:
    """One agent: how it is shown and how it is started.

    Attributes:
        model: `provider/model`, None where the agent's own program decides.
        env: its whole environment.
    """

    agent_id: str
    name: str
    name_source: str
    identity: configuration.Identity
    command: tuple[str, ...]
    env: Mapping[str, str]
    workspace: str
    model: str | None
    is_builtin: bool

    def __repr__(self) -> str:
        return f"AgentSpec({self.agent_id!r}, command={self.command!r})"


class Roster:
    """All agents.

    Args:
        settings: the configuration.
        state_dir: where workspaces are unless the configuration says otherwise.
        environ: the Gateway's own environment.
    """

    def __init__(
        self, settings: configuration.Config, state_dir: Path, environ: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._environ = {key: environ[key] for key in environ if key not in _WITHHELD}
        entries = settings.agents.list or (configuration.Agent(id="main"),)
        self._specs = {entry.id: self._spec(entry, state_dir) for entry in entries}
        chosen = [entry.id for entry in entries if entry.default]
        self.default_id = chosen[0] if chosen else entries[0].id

    @property
    def ids(self) -> Sequence[str]:
        """Every agent's id."""
        return tuple(self._specs)

    def spec(self, agent_id: str) -> AgentSpec:
        """The agent of this id."""
        return self._specs[agent_id]

    def model_info(self, agent_id: str, choice: str | None = None) -> ModelInfo:
        """What an agent's sessions run on; `choice` is a session's own model."""
        model = choice or self._specs[agent_id].model if agent_id in self._specs else None
        if model is None:
            return ModelInfo(None, None, None)
        provider, _, name = model.partition("/")
        return ModelInfo(provider, name, self._context_window(provider, name))

    def summaries(self) -> list[wire.AgentSummary]:
        """The agents of `agents.list`."""
        return [
            wire.AgentSummary(
                id=spec.agent_id,
                name=UNSET if spec.name_source == "default" else spec.name,
                identity=_identity_summary(spec.identity),
                workspace=spec.workspace,
                model=UNSET if spec.model is None else wire.AgentModel(primary=spec.model),
            )
            for spec in self._specs.values()
        ]

    def identity(self, agent_id: str) -> wire.AgentIdentity:
        """How an agent shows itself."""
        spec = self._specs[agent_id]
        return wire.AgentIdentity(
            agent_id=agent_id,
            name=spec.name,
            name_source=spec.name_source,  # type: ignore[arg-type]
            avatar=spec.identity.avatar or spec.identity.emoji or spec.name[:1].upper(),
            emoji=spec.identity.emoji or UNSET,
        )

    def models(self) -> list[wire.ModelChoice]:
        """Every model the configuration names, the default one first."""
        choices = {
            f"{provider}/{model.id}": _choice(provider, model)
            for provider, entry in self._settings.models.providers.items()
            for model in entry.models
        }
        for spec in self._specs.values():
            if spec.model is not None and spec.model not in choices:
                provider, _, name = spec.model.partition("/")
                choices[spec.model] = wire.ModelChoice(
                    id=name,
                    name=name,
                    provider=provider,
                    context_window=self._context_window(provider, name) or UNSET,
                    reasoning=False,
                    input=["text"],
                )
        default = self._specs[self.default_id].model
        if default in choices:
            first = msgspec.structs.replace(choices.pop(default), tags=["default"])
            return [first, *choices.values()]
        return list(choices.values())

    def _context_window(self, provider: str, name: str) -> int | None:
        entry = self._settings.models.providers.get(provider)
        for model in entry.models if entry else ():
            if model.id == name:
                return model.context_window
        return LOCAL_CONTEXT if f"{provider}/{name}" == LOCAL_MODEL else None

    def _spec(self, entry: configuration.Agent, state_dir: Path) -> AgentSpec:
        defaults = self._settings.agents.defaults
        model = entry.model or defaults.model
        name = entry.identity.name or entry.name
        builtin = entry.command is None
        chosen = model.primary if model else (LOCAL_MODEL if builtin else None)
        return AgentSpec(
            agent_id=entry.id,
            name=name or DEFAULT_NAME,
            name_source="config" if name else "default",
            identity=entry.identity,
            command=entry.command or (sys.executable, "-P", "-m", "clawgw.agents.builtin"),
            env={
                **self._environ,
                **(self._builtin_env(entry, model, state_dir) if builtin else {}),
                **entry.env,
            },
            workspace=str(_workspace(entry, defaults, state_dir)),
            model=chosen,
            is_builtin=builtin,
        )

    def _builtin_env(
        self, entry: configuration.Agent, model: configuration.Model | None, state_dir: Path
    ) -> dict[str, str]:
        chosen = model.primary if model else None
        provider = self._settings.models.providers.get((chosen or "").partition("/")[0])
        told: dict[str, Any] = {
            "model": chosen,
            "provider": None,
            "systemPrompt": entry.system_prompt or self._settings.agents.defaults.system_prompt,
            "stateDir": str(state_dir / "agents" / entry.id),
        }
        env = {}
        if provider is not None:
            told["provider"] = {
                "api": provider.api,
                "baseUrl": provider.base_url,
                "apiKeyEnv": provider.api_key_env,
                "apiKeyFile": provider.api_key_file,
                "contextWindow": self._context_window(*(chosen or "/").split("/", 1)),
            }
            if provider.api_key is not None:
                env["CLAWGW_AGENT_API_KEY"] = provider.api_key
        return {**env, "CLAWGW_AGENT_CONFIG": msgspec.json.encode(told).decode()}


def _workspace(
    entry: configuration.Agent, defaults: configuration.AgentDefaults, state_dir: Path
) -> Path:
    """Where an agent works; absolute, as ACP demands, if the state directory is."""
    chosen = entry.workspace or defaults.workspace
    if chosen is not None:
        return state_dir / os.path.expanduser(chosen)
    return state_dir / "workspaces" / entry.id


def _identity_summary(identity: configuration.Identity) -> wire.IdentitySummary | UnsetType:
    if identity == configuration.Identity():
        return UNSET
    return wire.IdentitySummary(
        name=identity.name or UNSET,
        theme=identity.theme or UNSET,
        emoji=identity.emoji or UNSET,
        avatar=identity.avatar or UNSET,
    )


def _choice(provider: str, model: configuration.ProviderModel) -> wire.ModelChoice:
    return wire.ModelChoice(
        id=model.id,
        name=model.name or model.id,
        provider=provider,
        context_window=model.context_window or UNSET,
        reasoning=bool(model.reasoning),
        input=list(model.input or ("text",)),
    )
