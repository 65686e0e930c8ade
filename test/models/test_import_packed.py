"""GPTQ and AWQ checkpoints: the weights are those that were packed, and their codes are kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packed_checkpoints import write_checkpoint

from elastix.compiler.errors import ElastixError
from elastix.compiler.evaluate_streamed import RoundedStore, Rounding
from elastix.compiler.importer.block_codes import BlockCodes, NoCodes
from elastix.compiler.importer.hugging_face import open_weights
from elastix.compiler.importer.packed_store import PackedStore, Packing
from elastix.compiler.importer.store import ArrayStore
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.keep import keep_codes, natural_format
from elastix.compiler.numbers.plan import Plan
from elastix.compiler.numbers.quantize import dequantize, quantize

Q = "model.layers.1.self_attn.q_proj.weight"
DOWN = "model.layers.0.mlp.down_proj.weight"


def gptq(bits: int = 4, group: int = 32, **more: Any) -> dict[str, Any]:
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, **more}


AWQ: dict[str, Any] = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize(
    "quantization",
    [
        gptq(),
        gptq(2),
        gptq(3, -1),
        gptq(8),
        gptq(4, 64, checkpoint_format="gptq_v2"),
        gptq(3, checkpoint_format="gptq_v2"),
        AWQ,
    ],
    ids=["gptq4", "gptq2", "gptq3-rows", "gptq8", "gptq4-v2", "gptq3-v2", "awq"],
)
def test_weights_are_what_was_packed(tmp_path: Path, quantization: dict[str, Any], symmetric: bool) -> None:
    model, linears = write_checkpoint(tmp_path / "m", quantization, symmetric=symmetric)
    store = open_weights(tmp_path / "m")
    for name, parameter in model.named_parameters():
        assert store.shape(name) == tuple(parameter.shape)
        assert np.array_equal(store.read(name), parameter.detach().numpy()), name
    for name, linear in linears.items():
        codes = store.codes(name)
        assert isinstance(codes, BlockCodes), name
        assert np.array_equal(codes.q, linear.q) and np.array_equal(codes.values(), store.read(name))
        assert natural_format(codes).zero == ("symmetric" if symmetric else "asymmetric")
        kept = keep_codes(codes, natural_format(codes))
        assert np.array_equal(kept.rows.codes, linear.q) and kept.rounded_rows == 0
        assert kept.error < 1e-5 * kept.energy
        assert np.abs(dequantize(kept.rows) - linear.values()).max() < 0.02
    assert store.codes("lm_head.weight") == NoCodes("the file has no codes")


def test_columns_out_of_order_are_read_as_numbers(tmp_path: Path) -> None:
    model, _ = write_checkpoint(tmp_path / "m", gptq(desc_act=True), symmetric=False, act_order=True)
    store = open_weights(tmp_path / "m")
    assert np.array_equal(store.read(Q), model.get_parameter(Q).detach().numpy())
    assert store.codes(Q) == NoCodes("the columns of its groups are not neighbours (desc_act)")


def test_groups_that_are_no_multiples_of_32_are_read_as_numbers(tmp_path: Path) -> None:
    model, _ = write_checkpoint(tmp_path / "m", gptq(group=16))
    store = open_weights(tmp_path / "m")
    assert np.array_equal(store.read(Q), model.get_parameter(Q).detach().numpy())
    assert store.codes(Q) == NoCodes("it has groups of 16 columns, ours are multiples of 32")


def test_zero_points_that_borrow() -> None:
    """The first format subtracts 1 from all zero points of a word at once: 0 borrows from the one above."""
    zero = np.array([[0, 8, 0, 0, 15, 3, 1, 15]])
    word = (sum(int(z) << 4 * i for i, z in enumerate(zero[0])) - 0x11111111) % 2**32
    parts = {
        "w.qweight": np.zeros((4, 8), np.int32),
        "w.qzeros": np.array([[word]], np.uint32).view(np.int32),
        "w.scales": np.ones((1, 8), np.float16),
    }
    store = PackedStore(ArrayStore(parts), Packing("gptq", 4, 32, zeros_less_one=True), "memory")
    assert np.array_equal(store.read("w.weight"), np.broadcast_to(-zero.T, (8, 32)))


def test_the_evaluator_keeps_codes_as_compiling_does(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "m", AWQ, symmetric=False)
    store, form = open_weights(tmp_path / "m"), Format(4, 32, "s8c8", "asymmetric")
    codes, formats = store.codes(Q), dict.fromkeys((Q, "lm_head.weight"), form)
    assert isinstance(codes, BlockCodes)
    kept = RoundedStore(store, formats, Rounding(Plan(form)))
    assert np.array_equal(kept.read(Q), dequantize(keep_codes(codes, form).rows))
    head = dequantize(quantize(store.read("lm_head.weight"), form).rows)
    assert np.array_equal(kept.read("lm_head.weight"), head)
    anew = RoundedStore(store, formats, Rounding(Plan(form), keep_codes=False))
    assert np.array_equal(anew.read(Q), dequantize(quantize(store.read(Q), form).rows))


def test_the_model_compiles_with_its_codes_kept(tmp_path: Path, elastix: Callable[..., dict[str, Any]]) -> None:
    write_checkpoint(tmp_path / "m", AWQ, symmetric=False)
    figures = elastix("compile", tmp_path / "m", "-o", tmp_path / "out", "--bits", 4)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    codes = {layer["name"]: layer["codes"] for layer in report["by_layer"]}
    plain = {name for name, said in codes.items() if said == "rounded: the file has no codes"}
    assert plain == {"model.embed_tokens", "lm_head"}
    assert {said for name, said in codes.items() if name not in plain} == {"kept from AWQ"}
    assert figures["codes_kept"] == len(codes) - 2 == 14
    assert all(layer["error"] < 1e-5 for layer in report["by_layer"] if layer["name"] not in plain)
    assert "| kept from AWQ |" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quant_method": "bitsandbytes"}, "quant_method bitsandbytes; wanted: gptq or awq"),
        ({"bits": 5}, "bits 5; wanted: 2 or 3 or 4 or 8"),
        ({"group_size": 0}, "group_size 0; wanted: a number of columns, or -1"),
        ({"checkpoint_format": "marlin"}, "checkpoint_format marlin; wanted: gptq or gptq_v2"),
        (AWQ | {"version": "gemv"}, "version gemv; wanted: gemm"),
        ({"group_size": 64}, "is for 64 rows and 2 groups; wanted: 64 and 1"),
        ({"bits": 8}, "is for 64 rows and "),
    ],
)
def test_other_packings_are_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_checkpoint(tmp_path / "m", gptq())
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] |= change
    path.write_text(json.dumps(config))
    with pytest.raises(ElastixError, match=message):
        open_weights(tmp_path / "m").read(Q)


def test_a_missing_part_is_named() -> None:
    store = PackedStore(ArrayStore({"w.qweight": np.zeros((4, 8), np.int32)}), Packing("gptq", 4, 32, True), "here")
    with pytest.raises(ElastixError, match=r"no weight named w\.qzeros in here"):
        store.read("w.weight")
