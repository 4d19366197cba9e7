"""What `import muster` offers, and nothing else."""

import subprocess
import sys

import pytest

import muster
from muster.surfaces.client import Hub


def test_the_hub_for_programs_is_a_public_name():
    assert muster.Hub is Hub


def test_a_name_that_is_none_is_said():
    with pytest.raises(AttributeError, match="Hob"):
        muster.Hob  # noqa: B018


def test_the_public_name_costs_nobody_who_does_not_use_it():
    code = "import sys, muster; print('http' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20).stdout == "False\n"
