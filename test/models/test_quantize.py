"""`elastix quantize` on stories260K: the wanted size, the likelihood that is claimed, and every engine on the plan."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from conftest import data_path
from models.compiled_models import Command, compiled

from elastix.compiler.manifest import load_manifest
from elastix.tools.cli import main
from elastix.tools.session import Session

STORIES = ("--lines", "--bos", "--window", 256)
BITS = 4.64
"""Read for each weight: 4.2 of codes, scales and zero points, the rest row scales and padding of 64 and 172 columns."""


@pytest.fixture(scope="module")
def later_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The end of the stories; tests read their beginning."""
    file = tmp_path_factory.mktemp("text") / "later.txt"
    file.write_text(data_path("text", "tinystories_val.txt").read_text(encoding="utf-8")[-500_000:], encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def plan(later_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of 4.6 bits."""
    out = tmp_path_factory.mktemp("plan") / "plan"
    model, words = data_path("stories260K"), (*STORIES, "--tokens", 172_032, "--held-out", 8192, "--target-bits", BITS)
    assert (
        main(["quantize", str(model), "--calibration", str(later_text), "-o", str(out), "--json", *map(str, words)])
        == 0
    )
    return out


@pytest.fixture(scope="module")
def planned(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(data_path("stories260K"), tmp_path_factory.mktemp("out") / "planned", "--precision", plan)


@pytest.mark.slow
def test_a_plan_keeps_its_size_and_most_of_the_likelihood(plan: Path, planned: Path, elastix: Command) -> None:
    text = data_path("text", "tinystories_val.txt")
    found = elastix("eval", planned, "--text", text, "--lines", "--bos", "--context", 256, "--tokens", 20_000)
    assert BITS - 0.1 < found["bits_per_weight"] <= BITS
    assert found["nll"] <= 1.52
    layers = yaml.safe_load((plan / "plan.yaml").read_text())["layers"]
    assert len({(each["bits"], each["group"]) for each in layers.values()}) > 2
    assert (plan / "curve.svg").read_text().startswith("<svg") and (plan / "bits.svg").read_text().startswith("<svg")


def launches_compared(folder: Path, engine: str, beside: str, tokens: int) -> int:
    """Launches of a greedy text that two engines agreed on in every bit; a difference raises."""
    with ExitStack() as stack:
        session = Session(folder, engine, beside, stack)
        session.use(session.chosen)
        token = 1
        for position in range(tokens):
            token = int(session.step([token], position).argmax())
        assert session.checked is not None
        return session.checked.launches


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "beside", "tokens"), [("rtl", "emulator", 100), ("emulator", "oracle", 3)])
def test_mixed_precisions_agree_in_every_bit(planned: Path, engine: str, beside: str, tokens: int) -> None:
    layers = len(load_manifest(planned).layers)
    assert launches_compared(planned, engine, beside, tokens) == tokens * layers


SHORT = ("--lines", "--bos", "--window", 256, "--tokens", 8192, "--held-out", 2048)
HELD_OUT = ("--lines", "--bos", "--context", 256, "--offset", 8160, "--tokens", 2040)
"""What SHORT measures: 8 windows behind the first 32, each with 255 tokens of the text and the one it begins with."""


@pytest.mark.parametrize("kl", [0.1, 0.02])
def test_a_wanted_kl_is_what_the_plan_has(kl: float, later_text: Path, tmp_path: Path, elastix: Command) -> None:
    """Not more, and not so much less that bytes were wasted: measured again, from the plan's files."""
    model, out = data_path("stories260K"), tmp_path / "plan"
    found = elastix("quantize", model, "--calibration", later_text, "-o", out, *SHORT, "--target-kl", kl)
    again = elastix("eval", model, "--precision", out, "--text", later_text, *HELD_OUT, "--kv-bits", 32)
    assert 0.85 * kl <= again["kl"] <= kl
    assert again["kl"] == pytest.approx(found["kl_expected"], rel=0.01)
    assert again["bytes_per_token"] == found["bytes_per_token"]


def test_a_wanted_speed_is_what_the_boards_memory_allows(later_text: Path, tmp_path: Path, elastix: Command) -> None:
    """The compiled streams take no longer than was wanted, and not much less: a faster plan would be a worse one."""
    model, out, speed = data_path("stories260K"), tmp_path / "plan", 10_000
    words = ("--target-tokens-per-second", speed, "--board", "ecp5-85k-ddr3")
    found = elastix("quantize", model, "--calibration", later_text, "-o", out, *SHORT, *words)
    planned = elastix("compile", model, "-o", tmp_path / "out", "--precision", out)
    assert planned["bytes_per_token"] == found["bytes_per_token"]
    # 800 MT/s of 2 bytes, of which 93 % are taken to be used.
    assert speed <= 0.93 * 1.6e9 / planned["bytes_per_token"] <= 1.02 * speed


def test_a_text_that_is_too_short_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "short.txt").write_text("Once upon a time.")
    words = ["quantize", str(data_path("stories260K")), "--calibration", str(tmp_path / "short.txt")]
    assert main([*words, "-o", str(tmp_path / "plan"), "--window", "64", "--json"]) == 1
    assert "a text of" in capsys.readouterr().err
    assert not (tmp_path / "plan").exists() and not (tmp_path / "plan.partial").exists()


def test_text_that_is_no_utf8_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "latin.txt").write_bytes("Es war einmal ein König".encode("latin-1"))
    words = ["quantize", str(data_path("stories260K")), "--calibration", str(tmp_path / "latin.txt")]
    assert main([*words, "-o", str(tmp_path / "plan"), "--json"]) == 1
    assert "not UTF-8" in capsys.readouterr().err
