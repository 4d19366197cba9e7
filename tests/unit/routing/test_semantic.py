"""What the sentence model says of texts, and that all goes on without it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import combinations
from math import isclose
from pathlib import Path

import pytest

from muster.routing import semantic
from muster.routing.semantic import SIZE, Sentences, similarity, text_hash

SUMS = Path(__file__).parents[3] / "models" / "minilm" / "sums.txt"

# What the model's own documentation gives for them: https://sbert.net/docs/quickstart.html
QUICKSTART = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
EXPECTED = [0.6660, 0.1046, 0.1411]
APART = 0.05  # for numbers of seven bits


@pytest.fixture(scope="module")
def sentences() -> Sentences:
    loaded = semantic.load()
    assert loaded is not None, semantic.why_absent()
    return loaded


@pytest.mark.sentences
def test_texts_are_as_near_as_the_models_authors_say(sentences):
    found = [similarity(a, b) for a, b in combinations(sentences.embed(QUICKSTART), 2)]
    assert found == [pytest.approx(expected, abs=APART) for expected in EXPECTED]


@pytest.mark.sentences
def test_request_is_nearer_to_whom_it_means_without_a_word_of_theirs(sentences):
    request, meant, other = sentences.embed(
        ["the page takes ages to open", "Makes slow web sites fast.", "Writes contracts and licences."]
    )
    assert similarity(request, meant) > similarity(request, other) + 0.2


@pytest.mark.sentences
def test_vector_is_384_floats_of_length_one(sentences):
    (vector,) = sentences.embed(["Write the release notes."])
    assert len(vector) == 4 * SIZE
    assert isclose(similarity(vector, vector), 1, abs_tol=1e-5)


@pytest.mark.sentences
def test_vector_does_not_depend_on_the_texts_beside_it(sentences):
    assert sentences.embed(["route", "a longer text " * 20, ""])[:1] == sentences.embed(["route"])


@pytest.mark.sentences
def test_nothing_is_reported_to_the_makers_of_the_library(tmp_path):
    """It would leave a mark in the temporary folder as soon as it is loaded, and call home from a thread of its own."""
    asks = (
        "import psutil; from muster.routing import semantic; semantic.load().embed(['x']); "
        "own = psutil.Process(); print(own.net_connections(), own.num_threads())"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", asks], env=env, capture_output=True, text=True, check=True)
    assert (told.stdout.split("] ")[0], [*tmp_path.iterdir()]) == ("[", [])


@pytest.mark.sentences
def test_several_threads_may_ask_at_once(sentences):
    texts = [f"request {number}" for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda text: sentences.embed([text])[0], texts)] == sentences.embed(texts)


@pytest.mark.sentences
def test_what_is_beyond_128_pieces_makes_no_difference(sentences):
    long = "word " * 126
    assert sentences.embed([long]) == sentences.embed([long + "and much more"])


@pytest.mark.sentences
def test_name_is_of_the_file_and_the_files_are_those_that_were_built(sentences):
    import muster_minilm  # noqa: PLC0415 - an optional extra

    noted = {name: digest for digest, name in (line.split() for line in SUMS.read_text().splitlines())}
    folder = Path(muster_minilm.__file__).parent
    found = {name: sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "vocab.txt")}
    assert found == {name: noted[name] for name in found}
    assert noted["model.onnx"].startswith(sentences.name)


@pytest.mark.parametrize(
    ("module", "step"),
    [("onnxruntime", "muster-fleet[semantic]"), ("numpy", "muster-fleet[semantic]"), ("muster_minilm", "make model")],
)
def test_without_a_part_there_is_no_model_and_the_next_step_is_told(module, step, monkeypatch):
    monkeypatch.setattr(semantic, "find_spec", lambda name: None if name == module else sys)
    assert semantic.load() is None
    assert step in semantic.why_absent()


def test_library_that_does_not_load_is_told_from_one_that_is_absent(monkeypatch):
    monkeypatch.setattr(semantic, "find_spec", lambda _: sys)
    monkeypatch.setitem(sys.modules, "muster_minilm", None)
    assert semantic.load() is None
    assert "cannot be loaded" in semantic.why_absent()


def test_hash_tells_models_and_texts_apart():
    assert len({text_hash("a", "bc"), text_hash("ab", "c"), text_hash("a", "bd")}) == 3
    assert text_hash("a", "\ud800") == text_hash("a", "\ud800")
