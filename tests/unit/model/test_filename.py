"""Every name that a file can have is told as text, and found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.model.filename import raw, told


@given(st.binary())
def test_name_of_any_bytes_is_found_again_and_can_stand_in_json(name):
    text = told(name)
    text.encode()
    assert raw(text) == name


def test_usual_name_stands_as_it_is():
    assert told("src/grün é.py".encode()) == "src/grün é.py"


@pytest.mark.parametrize("name", ["\\", "a\\n", "\\x9", "\\xFF"])
def test_text_that_names_nothing_is_refused(name):
    with pytest.raises(ValueError, match="no name"):
        raw(name)
