"""Codes of files that were rounded already: they stand for what the file's own library reads, and rows keep theirs."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from transformers import LlamaConfig
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS

from elastix.compiler.importer.block_codes import BlockCodes, NoCodes, block_codes
from elastix.compiler.importer.gguf_blocks import read_blocks
from elastix.compiler.importer.gguf_file import GgufFile
from elastix.compiler.importer.gguf_store import GgufStore
from elastix.compiler.importer.store import ArrayStore, NamedStore

KINDS = {"Q8_0": 8, "Q4_0": 4, "Q4_1": 4, "Q5_0": 5, "Q5_1": 5, "Q4_K": 4, "Q5_K": 5}
TWO_HALVES = ("Q4_1", "Q5_1", "Q4_K", "Q5_K")
ROWS, COLUMNS = 16, 512


def blocks(kind: str, seed: int = 0) -> np.ndarray:
    """Random bytes, but for fp16 numbers of a weight's size, of both signs, where a block begins: [ROWS, bytes]."""
    random = np.random.default_rng(seed)
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    raw = random.integers(0, 256, (ROWS * COLUMNS // block, size), dtype=np.uint8)
    halves = 2 if kind in TWO_HALVES else 1
    raw[:, : 2 * halves] = (random.standard_normal((len(raw), halves)) * 0.01).astype("<f2").view(np.uint8)
    return raw.reshape(ROWS, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_stand_for_the_values_of_the_gguf_package(kind: str) -> None:
    raw = blocks(kind)
    codes = read_blocks(kind, raw, ROWS)
    assert (codes.bits, codes.group, codes.kind) == (KINDS[kind], 32, kind)
    assert codes.shape == (ROWS, COLUMNS) and codes.q.max() == (1 << codes.bits) - 1 and codes.q.min() == 0
    # Equal but for the sign of zero, which the package takes from a scale below 0.
    assert codes.values().dtype == np.float32
    assert np.array_equal(codes.values(), gguf.dequantize(raw, gguf.GGMLQuantizationType[kind]))


def write(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> GgufFile:
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, (kind, raw) in tensors.items():
        writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufFile(path)


def llama_store(tmp_path: Path, kind: str = "Q4_1") -> GgufStore:
    """q (4 heads), k (2) and v of a llama, as llama.cpp writes them."""
    names = {f"blk.0.attn_{x}.weight": x for x in "qkv"}
    file = write(tmp_path / "m.gguf", {theirs: (kind, blocks(kind, i)) for i, theirs in enumerate(names)})
    config = LlamaConfig(hidden_size=512, num_attention_heads=4, num_key_value_heads=2)
    processor = TENSOR_PROCESSORS["llama"](config=config.to_dict())
    return GgufStore(file, names, lambda name, values: processor.process(weights=values, name=name).weights)


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_the_rows_of_llama_files_are_put_back_in_order(tmp_path: Path, name: str) -> None:
    store = llama_store(tmp_path)
    codes = block_codes(store, name)
    assert isinstance(codes, BlockCodes)
    assert np.array_equal(codes.values(), store.read(name))
    untouched = read_blocks("Q4_1", blocks("Q4_1", "qkv".index(name)), ROWS)
    assert np.array_equal(codes.q, untouched.q) == (name == "v")


def test_rows_of_a_tensor_have_codes_and_other_views_a_reason(tmp_path: Path) -> None:
    store = NamedStore({"w": (llama_store(tmp_path), "q")}, "here")
    part = store.codes("w[2:5]")
    assert isinstance(part, BlockCodes)
    assert part.shape == (3, COLUMNS) and np.array_equal(part.values(), store.read("w[2:5]"))
    assert store.codes("w.T") == NoCodes("it is used as .T of what is stored")
    assert isinstance(store.codes("w.T[2:5]"), NoCodes)
    nested = NamedStore({"v": (store, "w[1:3]"), "x": (ArrayStore({"x": np.zeros((2, 2))}), "x")}, "there")
    assert isinstance(nested.codes("v"), BlockCodes)
    assert nested.codes("x") == NoCodes("the file has no codes")


def test_what_has_no_codes_says_why(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = write(
        tmp_path / "m.gguf",
        {
            "a": ("Q6_K", rng.integers(0, 60, (2, 210), dtype=np.uint8)),
            "b": ("F16", np.ones((2, 32), np.float16)),
            "c": ("Q8_0", rng.integers(0, 60, (2, 2, 34), dtype=np.uint8)),
            "d": ("Q8_0", rng.integers(0, 60, (2, 34), dtype=np.uint8)),
            "e": ("Q8_0", rng.integers(0, 60, (32, 34), dtype=np.uint8)),
            "f": ("Q8_0", rng.integers(0, 60, (2, 34), dtype=np.uint8)),
        },
    )

    def restore(name: str, values: np.ndarray) -> np.ndarray:
        return {"d": values + 1, "e": values.T, "f": values[:, ::-1]}.get(name, values)

    store = GgufStore(file, {name: name for name in "abcdef"}, restore)
    reasons = {name: found.reason for name in "abcdef" if isinstance(found := store.codes(name), NoCodes)}
    moved = "conversion to GGUF did more to it than move rows"
    assert reasons == {
        "a": "Q6_K has groups of 16 columns, ours are multiples of 32",
        "b": "it is stored as F16",
        "c": "it has 3 dimensions",
        "d": moved,
        "e": moved,
        "f": moved,
    }
