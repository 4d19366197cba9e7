"""The files of a sentence model, `model.onnx` and `vocab.txt`, for `muster.routing.semantic`. No code."""
