"""What the HTTP door takes and gives, as OpenAPI 3.1 has it: made from the catalog, so that nobody keeps it in step."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any  # JSON schemas

from pydantic import TypeAdapter

from muster import __version__
from muster.errors import tree
from muster.model.actor import ActorKind
from muster.model.event import Entry
from muster.verbs import Catalog, Member, Verb

Schema = dict[str, Any]

REFERENCES = "#/components/schemas/{model}"
DESCRIPTION = (
    "The hub of Muster on this machine. Every verb is a POST of one JSON object. The token is in hub.json in the state "
    "folder. A `request_id` beside a command's arguments makes a resend safe: it gets the first answer."
)
REQUEST_ID: Schema = {
    "anyOf": [{"type": "string", "minLength": 1, "maxLength": 200}, {"type": "null"}],
    "default": None,
    "description": "Repeated with the same arguments, it gets the first answer.",
}
SETTLED: Schema = {
    "type": "object",
    "properties": {"settled": {"type": "boolean", "description": "Whether the effect was seen in time."}},
    "required": ["settled"],
}
READS, CHANGES = (400, 401, 403, 404, 500, 502, 503), (400, 401, 403, 404, 409, 500, 502, 503)


def document(catalog: Catalog) -> Schema:
    """The whole description."""
    verbs = [verb for verb in catalog.values() if verb.by - {ActorKind.SYSTEM}]
    arguments, answers, shapes = _schemas(verbs)
    paths = {f"/api/v1/{verb.name}": {"post": _verb(verb, arguments[verb.name], answers)} for verb in verbs}
    errors = {f"Error{status}": _error(status) for status in (*CHANGES, 405)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Muster", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": _own_paths() | paths,
        "components": {
            "schemas": shapes | errors,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(verbs: Iterable[Verb[..., Any]]) -> tuple[Mapping[str, Schema], Mapping[str, Schema], Schema]:
    """Each verb's arguments, each one's answer, and the shapes that they name."""
    asked: list[Any] = [(verb.name, "validation", TypeAdapter(verb.arguments)) for verb in verbs]
    asked += [(verb.name, "serialization", verb.answers) for verb in verbs]
    asked.append(("an event", "serialization", TypeAdapter(Entry)))
    found, named = TypeAdapter.json_schemas(asked, ref_template=REFERENCES)
    shapes: Schema = named["$defs"]
    arguments = {verb.name: _taken(verb, shapes, found[verb.name, "validation"]) for verb in verbs}
    return arguments, {verb.name: found[verb.name, "serialization"] for verb in verbs}, shapes


def _taken(verb: Verb[..., Any], shapes: Schema, found: Schema) -> Schema:
    """A verb's arguments stand where they are taken, and are no shape of their own."""
    taken: Schema = shapes.pop(found["$ref"].rpartition("/")[2]) if "$ref" in found else found
    own = taken.get("properties", {})
    return taken | {"properties": own | {"request_id": REQUEST_ID}} if verb.changes else taken


def _verb(verb: Verb[..., Any], arguments: Schema, answers: Mapping[str, Schema]) -> Schema:
    answer = answers[verb.name]
    if verb.settles is not None:
        seen = [] if verb.settles.view is None else [answers[verb.settles.view]]
        answer = {"allOf": [answer, *seen, SETTLED]}
    summary, _, rest = verb.description.partition("\n")
    return {
        "operationId": verb.name,
        "tags": [verb.name.partition(".")[0]],
        "summary": summary,
        "description": rest.strip(),
        "x-callers": sorted(verb.by),
        "requestBody": {
            "content": {"application/json": {"schema": arguments}},
            "required": bool(arguments.get("required")),
        },
        "responses": _answered(answer) | _refused(CHANGES if verb.changes else READS),
    }


def _own_paths() -> Schema:
    parameters = [
        _parameter("after", "query", "Events after this cursor; without one, from now on.", {"type": "integer"}),
        _parameter("Last-Event-ID", "header", "The same, as a stream that broke off says it.", {"type": "integer"}),
        _parameter("fleet", "query", "Only what concerns this fleet.", {"type": "string"}),
        _parameter("agent", "query", "Only what concerns this agent.", {"type": "string"}),
    ]
    stream = {
        "description": "Without end; `data` is an `Entry`, `id` its cursor.",
        "content": {"text/event-stream": {}},
    }
    inbox_parameters = [
        _parameter("agent", "path", "The agent's id.", {"type": "string"}) | {"required": True},
        _parameter("since", "query", "Messages after this cursor, however far they have got.", {"type": "integer"}),
        _parameter("Last-Event-ID", "header", "The same, as a stream that broke off says it.", {"type": "integer"}),
    ]
    messages = {
        "description": "Without end: what is unacknowledged, then each message as it is sent. `data` is an `InboxRow`, "
        "`id` its cursor. It changes nothing.",
        "content": {"text/event-stream": {}},
    }
    alive: Schema = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}
    return {
        "/healthz": {
            "get": {
                "operationId": "healthz",
                "summary": "Whether the hub answers.",
                "security": [],
                "responses": _answered(alive) | _refused((403,)),
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "This description.",
                "responses": _answered({"type": "object"}) | _refused((401, 403)),
            }
        },
        "/api/v1/events": {
            "get": {
                "operationId": "events",
                "summary": "The journal as server-sent events, as it happens.",
                "x-callers": [ActorKind.OPERATOR],
                "parameters": parameters,
                "responses": {"200": stream} | _refused((400, 401, 403, 404, 503)),
            }
        },
        "/api/v1/inbox/{agent}/stream": {
            "get": {
                "operationId": "inbox.stream",
                "summary": "An inbox as server-sent events, as it fills.",
                "x-callers": sorted(Member),
                "parameters": inbox_parameters,
                "responses": {"200": messages} | _refused((400, 401, 403, 404, 503)),
            }
        },
    }


def _parameter(name: str, place: str, says: str, schema: Schema) -> Schema:
    bound = {"minimum": 0, "maximum": 10**18 - 1} if schema["type"] == "integer" else {}
    return {"name": name, "in": place, "required": False, "description": says, "schema": schema | bound}


def _answered(schema: Schema) -> Schema:
    return {"200": {"description": "Done, or found.", "content": {"application/json": {"schema": schema}}}}


def _refused(statuses: Iterable[int]) -> Schema:
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/Error{status}"}}},
        }
        for status in statuses
    }


def _error(status: int) -> Schema:
    codes = sorted({kind.code for kind in tree() if kind.status == status})
    text: Schema = {"type": "string"}
    error = {"code": {"enum": codes}, "message": text, "next": text, "facts": {"type": "object"}}
    inner = {"type": "object", "properties": error, "required": list(error), "additionalProperties": False}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"], "additionalProperties": False}
