"""What is shown moves no cursor, starts no escape sequence and reverses no writing; all else is shown as it is."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.visible import HIDDEN, WHOLE, as_json, visible


@given(st.text())
def test_nothing_hidden_is_left_and_nothing_else_is_changed(text):
    shown = visible(text, limit=None)
    assert not {unicodedata.category(letter) for letter in shown} & HIDDEN
    kept = [letter for letter in text if unicodedata.category(letter) not in HIDDEN]
    assert [letter for letter in kept if letter not in shown] == []
    assert (shown == text) is (len(kept) == len(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\nb", "a\\nb"), ("a\u202eb", "a\\u202eb"), ("é \U0001f600", "é \U0001f600")],
)
def test_letters_that_act_are_shown_as_escapes(text, shown):
    assert visible(text) == shown


@given(st.recursive(st.text(), st.lists) | st.dictionaries(st.text(), st.text()))
def test_json_means_the_same_and_hides_nothing(value):
    told = as_json(value)
    assert json.loads(told) == value
    assert not {unicodedata.category(letter) for letter in told if letter not in WHOLE} & HIDDEN


def test_long_text_is_cut_and_says_so():
    assert visible("a" * 300, 5) == "aaaaa…"
    assert visible("a" * 5, 5) == "aaaaa"


def test_whole_text_keeps_its_lines():
    assert visible("a\n\tb\x07", None, keep=WHOLE) == "a\n\tb\\x07"
