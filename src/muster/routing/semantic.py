"""How near two texts are in what they mean, by a small sentence model on this machine. An optional extra.

Above it: whoever routes, and keeps vectors by the hash of their text. Below it: onnxruntime, numpy and the files of
`muster_minilm`, none of which is imported before `load`. It opens no connection and knows no agents, only texts.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib.util import find_spec
from operator import mul
from pathlib import Path
from typing import Any  # onnxruntime brings no types

from muster.routing import wordpiece

SIZE = 384  # numbers of a vector
MOST_PIECES = 128  # with which the model learned; what a text has beyond says nothing to it
LIBRARIES, FILES = ("onnxruntime", "numpy"), "muster_minilm"
ERRORS_ONLY = 3  # of onnxruntime's log
SILENT = "ORT_DISABLE_TELEMETRY"  # since 1.32 it reports to its makers otherwise, and from its import on


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """A model at work. `name` is a hash of its file: vectors of another name say nothing to these."""

    name: str
    pieces: wordpiece.Pieces
    session: Any  # onnxruntime's, which several threads may ask at once

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """A vector for each: 384 floats of 32 bits, little-endian, of length 1. Some 2 ms for a short text.

        One by one, for the model rounds by what it is given at once: a neighbour would change a text's vector.
        """
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> bytes:
        import numpy  # noqa: PLC0415 - an optional extra, 15 MiB

        tokens = numpy.array([self.pieces.numbers(text, MOST_PIECES)], numpy.int64)
        (vectors,) = self.session.run(None, {"tokens": tokens})
        return bytes(vectors[0].astype("<f4").tobytes())


def load() -> Sentences | None:
    """The model, or None where it is not installed (`why_absent`). Costs 0.4 s and 80 MiB: load it once and keep it."""
    if not all(map(find_spec, (*LIBRARIES, FILES))):
        return None
    try:
        return _opened()
    except ImportError:
        return None


def why_absent() -> str:
    """What is missing, with the next step."""
    if absent := [name for name in LIBRARIES if find_spec(name) is None]:
        return (
            f"Routing compares words only, for {' and '.join(absent)} cannot be found. "
            "Install the extra, pip install 'muster-fleet[semantic]', and start the hub again."
        )
    if find_spec(FILES) is None:
        return (
            f"Routing compares words only, for the model ({FILES}) is not installed. "
            "Run make model in Muster's source, or install the wheel that it built, and start the hub again."
        )
    return (
        "Routing compares words only, for onnxruntime is installed and cannot be loaded. "
        'See why with python -c "import onnxruntime", mend it, and start the hub again.'
    )


def text_hash(model_name: str, text: str) -> str:
    """Under which the vector that a model made of a text is kept."""
    return sha256(f"{model_name}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()


def similarity(a: bytes, b: bytes) -> float:
    """The cosine of two vectors: 1 for the same text, about 0 for strangers. 150 take 3 ms, without numpy."""
    return float(sum(map(mul, memoryview(a).cast("f"), memoryview(b).cast("f"))))


def _opened() -> Sentences:
    import muster_minilm  # noqa: PLC0415 - an optional extra

    folder = Path(muster_minilm.__file__).parent
    model = folder / "model.onnx"
    with model.open("rb") as file:
        name = file_digest(file, "sha256").hexdigest()[:12]
    return Sentences(name=name, pieces=wordpiece.read(folder / "vocab.txt"), session=_session(model))


def _session(model: Path) -> Any:  # onnxruntime brings no types
    os.environ[SILENT] = "1"
    import onnxruntime  # noqa: PLC0415 - an optional extra, 0.3 s and 80 MiB with numpy and the model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a hub stays light: a text takes 2 ms anyway
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
