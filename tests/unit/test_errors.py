"""Every refusal has a code of its own, a sentence and a next step, whatever its facts."""

import json
import string

import pytest

from muster import errors
from muster.errors import FAMILIES, GitFailed, MusterError, NoHub, tree, ungrouped

KINDS = list(tree())


def facts_of(kind: type[MusterError]) -> dict[str, str]:
    """Something for every name that its sentences have."""
    texts = (kind.says, kind.next)
    named = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
    return dict.fromkeys(named, "a {brace} and a 100% é")


def test_codes_are_all_different():
    codes = [kind.code for kind in KINDS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_error_says_what_is_wrong_and_what_is_next(kind):
    facts = facts_of(kind)
    if kind is errors.NotFound:
        facts["kind"] = "fleet"
    told = kind(**facts).to_json()["error"]
    assert set(told) == {"code", "message", "next", "facts"}
    assert told["message"].endswith((".", "é"))
    assert told["next"].endswith((".", "é"))
    assert json.loads(json.dumps(told)) == told


def test_every_error_belongs_to_one_family_and_has_its_status():
    families = [family for family in FAMILIES if family is not errors.NotFound]
    for kind in KINDS:
        (family,) = [family for family in families if issubclass(kind, family)]
        own = {errors.NotFound: 404, errors.WrongMethod: 405}.get(kind, family.status)
        assert (kind.status, kind.exit_code) == (own, family.exit_code)


REFUSAL = NoHub(home="here")


@pytest.mark.parametrize(
    "wrapped",
    [
        REFUSAL,
        ExceptionGroup("one", [REFUSAL, GitFailed(what="log", why="no")]),
        ExceptionGroup("two", [ExceptionGroup("one", [REFUSAL]), GitFailed(what="log", why="no")]),
    ],
    ids=["alone", "in a group", "in a group in a group"],
)
def test_refusal_comes_out_of_the_groups_around_it(wrapped):
    with pytest.raises(NoHub) as caught, ungrouped():
        raise wrapped
    assert caught.value is REFUSAL


def test_group_that_holds_a_bug_too_stays_whole():
    group = ExceptionGroup("one", [REFUSAL, ExceptionGroup("two", [ValueError("a bug")])])
    with pytest.raises(ExceptionGroup) as caught, ungrouped():
        raise group
    assert caught.value is group
