"""Which scenarios are about a server like ours, and why the others are not.

The suite was written for an example server that holds one tool, prompt or resource for each scenario. Here stands,
for every scenario and check that needs what Muster does not offer, what that is; a test sees that Muster really does
not offer it, and that nothing else is left out.
"""

from dataclasses import dataclass

REVISIONS = ("2025-11-25", "2026-07-28")
FIXTURE = "calls a tool of the suite's own example server"
PROMPTS = "needs prompts: the server declares none"
RESOURCES = "needs resources: the server declares none"
COMPLETIONS = "needs completions: the server declares none"
LOGGING = "needs logging: the server declares none"
SESSIONS = "needs sessions: the server keeps none, each request stands alone"
TASKS = "needs the extension for tasks: the server declares none"
PARAM_HEADERS = "needs a tool with `x-mcp-header`: there is none"
HTTP = "is about HTTP"

ABSENT: dict[str, tuple[str, ...]] = {
    FIXTURE: (
        "tools-call-simple-text",
        "tools-call-image",
        "tools-call-audio",
        "tools-call-embedded-resource",
        "tools-call-mixed-content",
        "tools-call-with-logging",
        "tools-call-with-progress",
        "tools-call-sampling",
        "tools-call-elicitation",
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
        "json-schema-2020-12",
        "input-required-result-basic-elicitation",
        "input-required-result-basic-sampling",
        "input-required-result-basic-list-roots",
        "input-required-result-request-state",
        "input-required-result-multiple-input-requests",
        "input-required-result-multi-round",
        "input-required-result-missing-input-response",
        "input-required-result-result-type",
        "input-required-result-tampered-state",
        "input-required-result-capability-check",
        "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
        "server-stateless:sep-2575-server-rejects-undeclared-capability",
        "server-stateless:sep-2575-missing-capability-http-400",
    ),
    PROMPTS: (
        "prompts-list",
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-embedded-resource",
        "prompts-get-with-image",
        "input-required-result-non-tool-request",
        "caching:sep-2549-prompts-list-caching-hints",
    ),
    RESOURCES: (
        "resources-list",
        "resources-read-text",
        "resources-read-binary",
        "resources-templates-read",
        "resources-subscribe",
        "resources-unsubscribe",
        "sep-2164-resource-not-found",
        "caching:sep-2549-resources-list-caching-hints",
        "caching:sep-2549-resources-templates-list-caching-hints",
    ),
    COMPLETIONS: ("completion-complete",),
    LOGGING: ("logging-set-level",),
    SESSIONS: (
        "server-session-lifecycle",
        "server-sse-polling",
        "server-sse-multiple-streams:server-sse-multiple-streams-session",
    ),
    TASKS: (
        "tasks-lifecycle",
        "tasks-capability-negotiation",
        "tasks-wire-fields",
        "tasks-request-state-removal",
        "tasks-mrtr-input",
        "tasks-request-headers",
        "tasks-dispatch-and-envelope",
        "tasks-status-notifications",
        "tasks-required-task-error",
        "tasks-mrtr-composition",
    ),
    PARAM_HEADERS: ("http-custom-header-server-validation",),
}
REASONS = {name: reason for reason, names in ABSENT.items() for name in names}
ABOUT_HTTP = ("dns-rebinding-protection", "server-sse-multiple-streams", "http-header-validation")
ABOUT_HTTP_CHECKS = ("sep-2575-http-", "server-session-id-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A door, and whether HTTP is what it speaks."""

    name: str
    speaks_http: bool


OVER_HTTP = Carried(name="/mcp", speaks_http=True)
OVER_STDIO = Carried(name="muster mcp", speaks_http=False)


def left_out(door: Carried, scenario: str, check: str | None = None) -> str | None:
    """Why a scenario, or one check of it, says nothing about Muster at this door; None where it does."""
    if not door.speaks_http and (scenario in ABOUT_HTTP or (check or "").startswith(ABOUT_HTTP_CHECKS)):
        return HTTP
    return REASONS.get(scenario if check is None else f"{scenario}:{check}")
