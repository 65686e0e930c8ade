# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
"""Hugging Face causal language models, from a folder or a GGUF file, without loading a weight."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, apply_renamings
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor
from transformers.utils import logging

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.decode_step import DecodeStep
from elastix.compiler.importer.exported import Input, export
from elastix.compiler.importer.gguf_file import GgufFile
from elastix.compiler.importer.gguf_store import GgufStore, gguf_names
from elastix.compiler.importer.imported import Imported
from elastix.compiler.importer.packed_store import PackedStore, Packing
from elastix.compiler.importer.safetensors_store import open_folder
from elastix.compiler.importer.store import Array, ArrayStore, NamedStore, ShapeStore, WeightStore

DEFAULT_CONTEXT = 512


def import_language_model(path: Path, max_context: int | None = None, *, weights: bool = True) -> Imported:
    """The decode step of the model in `path`: a folder with config.json and safetensors, or a GGUF file.

    max_context: length of the caches in tokens; the smaller of 512 and the model's own where not given.
    weights: whether there are any; else the store has shapes alone, and a folder need hold no more than config.json.
    Inputs are `ids` (1x1) and `positions` (1), int64; the output is the logits, 1x1xV.
    Raises ElastixError if there is no model, a file is truncated, a stored type is not supported, or max_context is
    out of range.
    """
    file, config = _opened(path)
    context = _context(config, max_context)
    model = _empty_model(config)
    buffers = ArrayStore({name: buffer.numpy() for name, buffer in model.named_buffers() if not buffer.is_meta})
    checkpoint = _checkpoint(path, file, model) if weights else _shapes(path, model)
    step = DecodeStep(model.to("meta"), context).eval()  # pyright: ignore[reportArgumentType]
    example = (torch.zeros(1, 1, dtype=torch.int64, device="meta"), torch.zeros(1, dtype=torch.int64, device="meta"))
    rename = {
        name: _model_name(name) for name, _ in [*step.named_parameters(remove_duplicate=False), *step.named_buffers()]
    }
    exported = export(step, example, named=(Input("ids"), Input("positions")), result_names=("logits",), rename=rename)
    stored = [a.name for a in exported.arguments if a.kind in ("weight", "buffer")]
    constants = ArrayStore(exported.constants)
    store = _store(stored, model, (constants, buffers), checkpoint, str(path))
    for argument in exported.arguments:
        if argument.kind == "weight" and store.shape(argument.name) != argument.shape:
            raise ElastixError(
                f"{argument.name} in {path} has shape {store.shape(argument.name)}",
                wanted=f"{argument.shape}, as the configuration says",
                do="use the configuration that came with these weights",
            )
    return Imported(exported.module, exported.entry, store, exported.arguments, exported.results, path, context)


def open_weights(path: Path) -> NamedStore:
    """The weights of the model in `path` under the names of its parameters, without the model's function.

    Raises ElastixError as import_language_model does.
    """
    return open_model(path)[1]


def open_model(path: Path) -> tuple[PreTrainedModel, NamedStore]:
    """The model in `path` with its parameters on the meta device and its computed buffers real, and its weights.

    Raises ElastixError as import_language_model does.
    """
    file, config = _opened(path)
    model = _empty_model(config)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    return model, _store(names, model, (), _checkpoint(path, file, model), str(path))


def _opened(path: Path) -> tuple[GgufFile | None, Any]:
    """The GGUF file, if it is one, and the model's configuration."""
    if path.is_dir():
        return None, _folder_config(path)
    file = GgufFile(_existing(path))
    return file, gguf_config(file)


def _checkpoint(path: Path, file: GgufFile | None, model: PreTrainedModel) -> WeightStore:
    """The stored weights, under names of the checkpoint."""
    if file is not None:
        return _gguf_store(file, model)
    packing = getattr(model.config, "quantization_config", None)
    folder = open_folder(path)
    return folder if packing is None else PackedStore(folder, Packing.of(packing, str(path / "config.json")), str(path))


def _shapes(path: Path, model: PreTrainedModel) -> ShapeStore:
    """The parameters as the configuration says, without values."""
    return ShapeStore({name: tuple(each.shape) for name, each in model.named_parameters()}, str(path))


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ElastixError(
            f"no model at {path}",
            wanted="a folder with config.json and model.safetensors, or a GGUF file",
            do="check the path",
        )
    return path


def _folder_config(folder: Path) -> Any:
    if not (folder / "config.json").exists():
        raise ElastixError(
            f"no config.json in {folder}",
            wanted="a Hugging Face model folder, or a GGUF file",
            do="check the path",
        )
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise _bad_config(folder / "config.json", error) from error


def gguf_config(file: GgufFile) -> Any:
    """transformers' reading of the metadata, from a copy without the vocabulary, which alone would take seconds."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "header.gguf").write_bytes(file.config_bytes())
        try:
            return AutoConfig.from_pretrained(folder, gguf_file="header.gguf")
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise _bad_config(file.path, error) from error


def _bad_config(path: Path, error: Exception) -> ElastixError:
    reason = str(error).strip().split("\n")[0]
    return ElastixError(
        f"transformers cannot read the configuration in {path}: {reason}",
        wanted="a causal language model",
        do="check the file",
    )


def _context(config: Any, wanted: int | None) -> int:
    longest = int(getattr(config.get_text_config(), "max_position_embeddings", None) or wanted or DEFAULT_CONTEXT)
    if wanted is None:
        return min(longest, DEFAULT_CONTEXT)
    if not 1 <= wanted <= longest:
        raise ElastixError(
            f"a context of {wanted} tokens",
            wanted=f"1 to {longest}, which the model was made for",
            do="give a shorter --max-context",
        )
    return wanted


def _empty_model(config: Any) -> PreTrainedModel:
    """The model with its parameters on the meta device and its computed buffers real."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with init_empty_weights(include_buffers=False):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise ElastixError(
            f"{getattr(config, 'model_type', 'the model')} is no causal language model of transformers",
            wanted="one that AutoModelForCausalLM knows",
            do="import it as a torch.nn.Module with example inputs",
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    model.tie_weights()
    return model.eval()


def _gguf_store(file: GgufFile, model: PreTrainedModel) -> GgufStore:
    architecture = str(file.fields["general.architecture"].value)
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())

    def restore(name: str, values: Array) -> Array:
        restored = processor.process(
            weights=values, name=name, tensor_key_mapping={}, parsed_parameters={"tensors": {}}
        )
        return values if not restored.name else restored.weights

    return GgufStore(file, gguf_names(architecture, model.config.num_hidden_layers, list(model.state_dict())), restore)


def _model_name(name: str) -> str:
    """Names as the checkpoint has them: without the wrapper's `model.`; caches as `cache.key.0`."""
    if name.startswith("cache_"):
        return name.replace("_", ".")
    return name.removeprefix("model.")


def _store(
    names: list[str], model: PreTrainedModel, computed: tuple[WeightStore, ...], checkpoint: WeightStore, where: str
) -> NamedStore:
    """Every name of the function among computed values or in the checkpoint, perhaps tied or without a prefix."""
    tied = _tied(model)
    prefix = model.base_model_prefix + "."
    there = _known_as(checkpoint.names(), model)
    places: dict[str, tuple[WeightStore, str]] = {}
    for name in names:
        owner = next((store for store in computed if name in store.names()), None)
        if owner is not None:
            places[name] = (owner, name)
            continue
        same = [name, *tied.get(name, ())]
        spellings = [s for n in same for s in (n, n.removeprefix(prefix), prefix + n)]
        places[name] = (checkpoint, next((there[s] for s in spellings if s in there), name))
        checkpoint.shape(places[name][1])
    return NamedStore(places, where)


def _known_as(names: Sequence[str], model: PreTrainedModel) -> dict[str, str]:
    """Names in the checkpoint by themselves, and by those that transformers gives them when it loads `model`."""
    renamings = [each for each in get_model_conversion_mapping(model) if isinstance(each, WeightRenaming)]
    return {apply_renamings(name, renamings): name for name in names} | {name: name for name in names}


def _tied(model: PreTrainedModel) -> Mapping[str, list[str]]:
    groups: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return {name: [n for n in group if n != name] for group in groups.values() for name in group}
