"""How OpenCode is pointed at a rehearsal."""

from muster.rehearsal.scenario import Json


def opencode_config(url: str, model: str = "rehearsal/model") -> dict[str, Json]:
    """An OpenCode configuration (for `OPENCODE_CONFIG_CONTENT`) whose only provider is the rehearsal at `url`.

    The model has a price (USD per million tokens), so that costs are not zero.
    """
    provider, _, name = model.partition("/")
    return {
        "provider": {
            provider: {
                "name": "Rehearsal",
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
                "models": {name: _model()},
            }
        },
        "enabled_providers": [provider],
        "model": model,
        "small_model": model,
        "share": "disabled",
        "autoupdate": False,
    }


def _model() -> Json:
    return {
        "name": "Rehearsal",
        "tool_call": True,
        "limit": {"context": 200_000, "output": 8_000},
        "cost": {"input": 1.0, "output": 4.0, "cache_read": 0.1, "cache_write": 1.0},
    }
