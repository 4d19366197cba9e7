"""JSON with comments, edited in place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.hosts.opencode.jsonc import BrokenJson, append, parse, put, remove

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)
COMMENT = st.text("ab {}[],:\"'*\\", max_size=6).map(lambda text: text.replace("*", "+"))
TRIVIA = st.lists(
    st.sampled_from([" ", "\t", "\n", "\r\n", "\r", "  "])
    | COMMENT.map(lambda text: f"/*{text}*/")
    | st.builds("//{}{}".format, COMMENT, st.sampled_from(["\n", "\r\n", "\r"])),
    max_size=2,
).map("".join)


@st.composite
def written(draw, value):
    """A value as some person may have written it."""
    gap = lambda: draw(TRIVIA)  # noqa: E731
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, dict):
        parts = [f"{gap()}{json.dumps(key)}{gap()}:{gap()}{draw(written(one))}{gap()}" for key, one in value.items()]
    else:
        parts = [f"{gap()}{draw(written(one))}{gap()}" for one in value]
    trailing = f",{gap()}" if parts and draw(st.booleans()) else ""
    opener, closer = "{}" if isinstance(value, dict) else "[]"
    return opener + (",".join(parts) + trailing or gap()) + closer


@st.composite
def documents(draw, value):
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return bom + draw(TRIVIA) + draw(written(draw(value))) + draw(TRIVIA)


def holds(longer: str, shorter: str) -> bool:
    """Every character of the shorter text is there, in its order."""
    letters = iter(longer)
    return all(letter in letters for letter in shorter)


@given(st.data(), OBJECTS)
def test_text_is_read_whatever_stands_between_its_values(data, value):
    assert parse(data.draw(documents(st.just(value)))) == value


@given(documents(OBJECTS), VALUES)
def test_added_member_is_there_and_everything_else_is_as_it_was(text, value):
    edited = put(text, ["new key"], value)
    assert parse(edited) == {**parse(text), "new key": value}
    assert list(parse(edited))[-1] == "new key"
    assert holds(edited, text)


@given(documents(st.lists(VALUES, max_size=4)), VALUES)
def test_appended_element_is_there_and_everything_else_is_as_it_was(text, value):
    edited = append(text, [], value)
    assert parse(edited) == [*parse(text), value]
    assert holds(edited, text)


@given(documents(st.dictionaries(st.text(max_size=3), VALUES, min_size=1)), VALUES)
def test_member_that_was_added_is_removed_to_the_byte(text, value):
    assert remove(put(text, ["new key"], value), ["new key"]) == text


@given(documents(st.lists(VALUES, min_size=1, max_size=4)), VALUES)
def test_element_that_was_appended_is_removed_to_the_byte(text, value):
    assert remove(append(text, [], value), [len(parse(text))]) == text


@given(st.data(), documents(st.lists(VALUES, min_size=1, max_size=4)))
def test_any_element_can_be_removed(data, text):
    value = parse(text)
    place = data.draw(st.integers(0, len(value) - 1))
    edited = remove(text, [place])
    assert parse(edited) == value[:place] + value[place + 1 :]
    assert holds(text, edited)


@given(st.data(), documents(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4)), VALUES)
def test_value_is_replaced_in_its_place(data, text, value):
    key = data.draw(st.sampled_from(list(parse(text))))
    edited = put(text, [key], value)
    assert parse(edited) == {**parse(text), key: value}
    assert list(parse(edited)) == list(parse(text))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "new": 1\n}'),
        ("{\n}\n", '{\n  "new": 1\n}\n'),
        ('{"a": 1}', '{"a": 1, "new": 1}'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"new": 1\n}'),
        ('{\r\n    "a": 1,\r\n}', '{\r\n    "a": 1,\r\n    "new": 1,\r\n}'),
        ('{\n  "a": 1 // one\n  // end\n}', '{\n  "a": 1, // one\n  // end\n  "new": 1\n}'),
        ("{ // nothing yet\n}", '{ // nothing yet\n  "new": 1\n}'),
    ],
)
def test_added_member_looks_like_its_neighbours(before, after):
    assert put(before, ["new"], 1) == after


def test_long_value_takes_several_lines_in_the_step_of_its_file():
    edited = append('{\n    "list": []\n}\n', ["list"], ["a" * 50, {"b": "c" * 50}])
    assert edited == (
        '{\n    "list": [\n        [\n            "' + "a" * 50 + '",\n            {"b": "' + "c" * 50 + '"}\n'
        "        ]\n    ]\n}\n"
    )


def test_comment_keeps_its_line_when_what_follows_it_is_removed():
    assert remove("[1, // one\n 2, 3]", [1]) == "[1, // one\n  3]"


def test_of_two_equal_keys_the_last_one_counts():
    text = '{"a": [1], "a": [2]}'
    assert parse(append(text, ["a"], 3)) == {"a": [2, 3]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("// only a comment\n", 2),
        ("{", 1),
        ('{\n"a": }', 2),
        ('{\n"a" 1}', 2),
        ("{\n'a': 1}", 2),
        ("{\na: 1}", 2),
        ('{"a": 1\n"b": 2}', 2),
        ("[1,,2]", 1),
        ("[,]", 1),
        ("[1]\n]", 2),
        ("[NaN]", 1),
        ("[01]", 1),
        ("[truely]", 1),
        ('["\n"]', 1),
        ('["\\x"]', 1),
        ("/* never ends\n", 1),
        ("[1\u00a0]", 1),
        ("[" * 300, 1),
        ('{"a": 1}\n}', 2),
    ],
)
def test_broken_text_is_refused_with_its_line(text, line):
    with pytest.raises(BrokenJson) as caught:
        parse(text)
    assert caught.value.line == line


def test_what_is_not_there_cannot_be_removed():
    with pytest.raises(BrokenJson):
        remove('{"a": []}', ["a", 0])
    with pytest.raises(BrokenJson):
        append('{"a": 1}', ["b"], 1)
