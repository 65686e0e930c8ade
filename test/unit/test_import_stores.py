"""Weight stores give what the file's own library gives, bit for bit; bad files get a sentence."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.gguf_file import GgufFile
from elastix.compiler.importer.gguf_store import GgufStore, gguf_names
from elastix.compiler.importer.hugging_face import open_weights
from elastix.compiler.importer.safetensors_store import SafetensorsStore, open_folder
from elastix.compiler.importer.store import ArrayStore, NamedStore

SMALL_NEOX: dict[str, Any] = dict(
    vocab_size=48, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
)
KINDS = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "BF16")


def unchanged(name: str, values: np.ndarray) -> np.ndarray:
    return values


def write_gguf(path: Path, kinds: tuple[str, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """A GGUF file with one tensor of random blocks per kind; returns their raw bytes."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "déf"])
    raw: dict[str, np.ndarray] = {}
    for kind in kinds:
        known = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[known]
        raw[kind] = random.integers(0, 60, (6, 512 // block * size), dtype=np.uint8)
        writer.add_tensor(f"t.{kind}", raw[kind], raw_dtype=known)
    writer.add_tensor("t.F32", random.standard_normal((5, 7)).astype(np.float32))
    writer.add_tensor("t.F16", random.standard_normal((3, 8)).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return raw


@pytest.mark.parametrize("kind", KINDS)
def test_gguf_values_are_those_of_the_gguf_package(tmp_path: Path, kind: str) -> None:
    raw = write_gguf(tmp_path / "m.gguf", (kind,))
    store = GgufStore(GgufFile(tmp_path / "m.gguf"), {f"t.{kind}": "weight"}, unchanged)
    expected = gguf.dequantize(raw[kind], gguf.GGMLQuantizationType[kind])
    assert store.shape("weight") == (6, 512) and store.dtype("weight") == kind
    assert store.read("weight").tobytes() == expected.astype(np.float32).tobytes()


def test_gguf_plain_floats_and_metadata(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", ("Q8_0",))
    file = GgufFile(tmp_path / "m.gguf")
    theirs = {t.name: t for t in gguf.GGUFReader(str(tmp_path / "m.gguf")).tensors}
    store = GgufStore(file, {"t.F32": "a", "t.F16": "b"}, unchanged)
    assert np.array_equal(store.read("a"), theirs["t.F32"].data) and store.shape("a") == (5, 7)
    assert np.array_equal(store.read("b"), theirs["t.F16"].data.astype(np.float32))
    assert file.fields["tokenizer.ggml.tokens"].value == 3 and file.fields["llama.block_count"].value == 1


def test_gguf_config_copy_has_no_vocabulary_but_its_size(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", ("Q8_0",))
    (tmp_path / "c.gguf").write_bytes(GgufFile(tmp_path / "m.gguf").config_bytes())
    reader = gguf.GGUFReader(str(tmp_path / "c.gguf"))
    assert "tokenizer.ggml.tokens" not in reader.fields
    assert reader.fields["llama.vocab_size"].contents() == 3
    assert [t.name for t in reader.tensors] == ["t.Q8_0", "t.F32", "t.F16"]


def test_gguf_type_that_is_not_supported_is_named(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", ("IQ4_NL",))
    with pytest.raises(ElastixError, match=r"w in .*m.gguf is stored as IQ4_NL; wanted: F32, F16"):
        GgufStore(GgufFile(tmp_path / "m.gguf"), {"t.IQ4_NL": "w"}, unchanged)


@pytest.mark.parametrize("keep", [10, 60, 200, -1])
def test_truncated_gguf(tmp_path: Path, keep: int) -> None:
    write_gguf(tmp_path / "m.gguf", ("Q8_0",))
    data = (tmp_path / "m.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(data[: keep if keep > 0 else len(data) - 64])
    with pytest.raises(ElastixError, match=r"truncated"):
        GgufFile(tmp_path / "m.gguf")


def test_not_gguf(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"x" * 100)
    with pytest.raises(ElastixError, match=r"does not begin with GGUF"):
        GgufFile(tmp_path / "m.gguf")


def test_gguf_names_lead_to_hugging_face_names() -> None:
    names = gguf_names(
        "llama", 2, ["model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.weight", "lm_head.weight"]
    )
    assert names == {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.1.attn_q.weight": "model.layers.1.self_attn.q_proj.weight",
        "output.weight": "lm_head.weight",
    }
    with pytest.raises(ElastixError, match=r"architecture nothing"):
        gguf_names("nothing", 1, [])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_safetensors_values(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    save_file({"odd": torch.ones(3, dtype=torch.uint8), "w": tensor}, tmp_path / "model.safetensors")
    store = open_folder(tmp_path)
    assert store.read("w").dtype == np.float32
    assert np.array_equal(store.read("w"), tensor.float().numpy())
    assert store.read("odd").dtype == np.uint8


def test_sharded_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "one.safetensors")
    save_file({"b": torch.ones(3)}, tmp_path / "two.safetensors")
    index: dict[str, Any] = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    store = open_folder(tmp_path)
    assert store.names() == ["a", "b"] and store.shape("b") == (3,) and store.read("b").tolist() == [1, 1, 1]
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(ElastixError, match=r"no file .*two.safetensors"):
        open_folder(tmp_path)


def test_names_that_transformers_changes_when_it_loads(tmp_path: Path) -> None:
    """GPT-NeoX has its head as `embed_out` in files, as `lm_head` in memory."""
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL_NEOX))
    model.save_pretrained(tmp_path)
    store = open_weights(tmp_path)
    for name, parameter in model.named_parameters():
        assert np.array_equal(store.read(name), parameter.detach().numpy()), name


def test_truncated_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(100)}, tmp_path / "model.safetensors")
    data = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[:-8])
    with pytest.raises(ElastixError, match=r"truncated: .* a ends at"):
        SafetensorsStore(tmp_path / "model.safetensors")
    for short in (4, 40):
        (tmp_path / "model.safetensors").write_bytes(data[:short])
        with pytest.raises(ElastixError, match=r"is not a safetensors file"):
            SafetensorsStore(tmp_path / "model.safetensors")


def test_transposed_names() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    store = NamedStore({"w": (ArrayStore({"x": matrix}), "x")}, "here")
    assert store.shape("w.T") == (3, 2) and np.array_equal(store.read("w.T"), matrix.T)
    with pytest.raises(ElastixError, match=r"no weight named v in here"):
        store.read("v.T")


def test_scalars_stay_scalars() -> None:
    assert ArrayStore({"x": np.float64(3.0) * np.ones(())}).read("x").shape == ()
