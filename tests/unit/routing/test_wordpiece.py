"""Texts become the pieces that the model's own tokenizer makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.routing.wordpiece import Pieces, words

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "route", "##r", "##s", "don", "'", "t", "[", "]", "sep", "東", "京"]


def spoken(text: str, most: int = 128) -> list[str]:
    return [VOCABULARY[number] for number in Pieces(VOCABULARY).numbers(text, most)][1:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Routers", ["route", "##r", "##s"]),
        ("don't", ["don", "'", "t"]),
        ("  ROUTÉ\n\u200b\troute ", ["route", "route"]),
        ("東京", ["東", "京"]),
        ("routex", ["[UNK]"]),
        ("r" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_text_is_read_in_pieces(text, expected):
    assert spoken(text) == expected


def test_name_of_a_special_piece_in_a_text_is_a_word_like_others():
    assert spoken("[SEP]") == ["[", "sep", "]"]


def test_what_is_beyond_the_most_is_cut_off_before_the_end():
    assert Pieces(VOCABULARY).numbers("routers route", 4) == [2, 4, 5, 3]


@given(st.text(), st.integers(min_value=2, max_value=12))
def test_any_text_keeps_within_the_most(text, most):
    numbers = Pieces(VOCABULARY).numbers(text, most)
    assert (numbers[0], numbers[-1], len(numbers) <= most) == (2, 3, True)


def test_marks_stand_alone():
    assert list(words("C++, a/b: naïve_name")) == ["c", "+", "+", ",", "a", "/", "b", ":", "naive", "_", "name"]
