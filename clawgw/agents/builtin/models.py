"""Which model answers a turn, and the pydantic-ai object that talks to it.

The choice is made from the configuration and an optional override in the request; it costs
nothing and imports nothing. Building the model imports the SDK of that one provider.

Nothing configured means the local model. ``local/<path>`` is any GGUF file. A provider whose
``api`` is given (or whose name implies it) is spoken to in that dialect at ``baseUrl``; any other
provider name is one that pydantic-ai knows by itself, such as ``groq`` or ``mistral``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .config import AgentConfig, Api, ProviderConfig, Secrets, usual_variables
from .errors import TurnError

if TYPE_CHECKING:
    from pydantic_ai.models import Model

LOCAL = "local"
BUNDLED = "smollm2-135m-instruct"
_DEFAULT_TIMEOUT = 120.0
_NO_KEY_NEEDED = "none"  # the SDKs insist on a key, a server of one's own often has none


@dataclass(frozen=True)
class Choice:
    """A model, and the settings that belong to its provider.

    :ivar provider: the provider's name, lower case.
    :ivar name: the model's name, as the provider spells it.
    :ivar settings: the configured provider's settings, if this is the configured provider.
    """

    provider: str
    name: str
    settings: ProviderConfig | None = None

    @property
    def label(self) -> str:
        """``provider/model``."""
        return f"{self.provider}/{self.name}"

    @property
    def local(self) -> bool:
        """Whether the model runs inside this process."""
        return self.provider == LOCAL

    @property
    def base_url(self) -> str | None:
        return self.settings.base_url if self.settings else None

    @property
    def place(self) -> str:
        """Where requests go, for people."""
        return f"{self.provider} at {self.base_url}" if self.base_url else self.provider

    @property
    def timeout(self) -> float:
        """Longest silence that is waited for, in seconds."""
        return self.settings.timeout_seconds if self.settings else _DEFAULT_TIMEOUT

    @property
    def context_window(self) -> int | None:
        """Configured context size, in tokens."""
        return self.settings.context_window if self.settings else None

    @property
    def key_variable(self) -> str:
        """The environment variable the key is usually in."""
        return usual_variables(self.provider)[0]

    @property
    def api(self) -> Api | None:
        """The dialect to speak, or nothing when pydantic-ai knows the provider by name."""
        if self.settings is not None and self.settings.api is not None:
            return self.settings.api
        if self.provider == "openai":
            return "openai-completions" if self.base_url else "openai-responses"
        if self.provider == "anthropic":
            return "anthropic-messages"
        if self.provider in ("google", "gemini"):
            return "google-generative-ai"
        return "openai-completions" if self.base_url else None


def choose(config: AgentConfig, override: str | None = None) -> Choice:
    """The model for a turn.

    :param override: ``provider/model`` for this turn only.
    :raises TurnError: a name has not the form ``provider/model``, or a provider is configured
        without a model.
    """
    configured = _configured(config)
    if override is None:
        if configured is None:
            raise TurnError(
                "config", "A provider is configured but no model: set the agent's model."
            )
        return configured
    provider, name = _split(override)
    ours = configured is None or configured.provider == provider
    return Choice(provider, name, config.provider if ours else None)


def build(choice: Choice, secrets: Secrets) -> Model[Any]:
    """The pydantic-ai model of a remote provider. Imports its SDK, so it takes a second.

    :raises TurnError: no key, or no such provider.
    :raises ImportError: the provider's SDK is not installed.
    """
    key = secrets.key_for(choice.provider, choice.settings)
    if key is None and choice.base_url:
        key = _NO_KEY_NEEDED
    if key is None:
        raise TurnError(
            "auth",
            f"No API key for {choice.provider}: set the provider's apiKey, or "
            f"{choice.key_variable} in the Gateway's environment.",
        )
    match choice.api:
        case "openai-completions":
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider

            return OpenAIChatModel(
                choice.name, provider=OpenAIProvider(base_url=choice.base_url, api_key=key)
            )
        case "openai-responses":
            from pydantic_ai.models.openai import OpenAIResponsesModel
            from pydantic_ai.providers.openai import OpenAIProvider

            return OpenAIResponsesModel(
                choice.name, provider=OpenAIProvider(base_url=choice.base_url, api_key=key)
            )
        case "anthropic-messages":
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            return AnthropicModel(
                choice.name, provider=AnthropicProvider(base_url=choice.base_url, api_key=key)
            )
        case "google-generative-ai":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            return GoogleModel(
                choice.name, provider=GoogleProvider(base_url=choice.base_url, api_key=key)
            )
        case None:
            return _build_by_name(choice, key)


def _build_by_name(choice: Choice, key: str) -> Model[Any]:
    from pydantic_ai.models import infer_model
    from pydantic_ai.providers import infer_provider_class

    try:
        provider_class = cast("Any", infer_provider_class(choice.provider))
    except ValueError:
        raise TurnError(
            "config",
            f"Unknown provider {choice.provider!r}: set its api and baseUrl, "
            "or choose a provider that is known.",
        ) from None
    return infer_model(
        f"{choice.provider}:{choice.name}", lambda _name: provider_class(api_key=key)
    )


def _configured(config: AgentConfig) -> Choice | None:
    if config.model is None:
        return Choice(LOCAL, BUNDLED) if config.provider is None else None
    provider, name = _split(config.model)
    return Choice(provider, name, config.provider)


def _split(model: str) -> tuple[str, str]:
    provider, slash, name = model.strip().partition("/")
    if not (provider and slash and name):
        raise TurnError("config", f"{model!r} is no model: write it as provider/model-name.")
    return provider.lower(), name
