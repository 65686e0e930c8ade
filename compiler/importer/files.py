"""A model file or folder of any kind that is understood."""

from pathlib import Path

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.imported import Imported


def import_file(path: Path, max_context: int | None = None, *, weights: bool = True) -> Imported:
    """Import a Hugging Face folder, a `.gguf` file or an `.onnx` file.

    max_context: length of a language model's caches in tokens; its default is import_language_model's. weights: whether
    a language model has any.
    Raises ElastixError if there is nothing at `path` or it is none of these.
    """
    if path.suffix == ".onnx":
        from elastix.compiler.importer.onnx_file import import_onnx  # loads onnx, which others need not

        return import_onnx(path)
    if path.is_file() and path.suffix != ".gguf":
        raise ElastixError(
            f"{path} is no model", wanted="a Hugging Face folder, a .gguf file or an .onnx file", do="check the path"
        )
    from elastix.compiler.importer.hugging_face import (
        import_language_model,
    )  # loads transformers, which others need not

    return import_language_model(path, max_context, weights=weights)
