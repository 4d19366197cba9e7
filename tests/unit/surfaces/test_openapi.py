"""The description is valid, whole, and says nothing of what nobody may call."""

from openapi_spec_validator import validate

from muster.errors import tree
from muster.surfaces.openapi import document
from muster.verbs import Catalog, System
from unit.stage import VERB_MODULES

CATALOG = Catalog(VERB_MODULES)
DESCRIPTION = document(CATALOG)


def test_description_is_valid_openapi():
    validate(DESCRIPTION)


def test_every_verb_is_there_but_those_of_the_system():
    verbs = {path.rpartition("/")[2] for path, methods in DESCRIPTION["paths"].items() if "post" in methods}
    assert verbs == {name for name, verb in CATALOG.items() if verb.by != System}
    assert {"/healthz", "/openapi.json", "/api/v1/events", "/api/v1/inbox/{agent}/stream"} <= set(DESCRIPTION["paths"])


def test_every_code_of_an_error_is_named_with_its_status():
    shapes = DESCRIPTION["components"]["schemas"]
    named = {
        (code, int(name.removeprefix("Error")))
        for name, shape in shapes.items()
        if name.startswith("Error")
        for code in shape["properties"]["error"]["properties"]["code"]["enum"]
    }
    assert named == {(kind.code, kind.status) for kind in tree() if hasattr(kind, "code")}


def test_command_takes_a_request_id_and_a_view_does_not():
    def taken(verb: str) -> set[str]:
        body = DESCRIPTION["paths"][f"/api/v1/{verb}"]["post"]["requestBody"]
        return set(body["content"]["application/json"]["schema"]["properties"])

    assert "request_id" in taken("fleet.spawn")
    assert "request_id" not in taken("fleet.status")


def test_healthz_alone_needs_no_token():
    described = {path: next(iter(methods.values())) for path, methods in DESCRIPTION["paths"].items()}
    assert [path for path, one in described.items() if "security" in one] == ["/healthz"]
