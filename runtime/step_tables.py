"""The tables of C15 as a header, so that a host without Python has them: `python -m elastix.runtime.step_tables`.

The header stays beside the sources; `test_runtime_step_tables.py` holds it to `functions.py`.
"""

from pathlib import Path
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.functions import TABLES, coefficients

HEADER: Final = Path(__file__).with_name("step_tables.h")
_LIMIT: Final = 1 << 19
"""With |c1|, |c2| below this, Y of C15 fits 32 bits: (|c1| + |c2|)·4095 < 2^31."""
_WIDTH: Final = 136


def header() -> str:
    """The text of step_tables.h: `constexpr int32_t k<Name>[256][3]` for each table of C15."""
    lines = [
        "// The tables of C15 (compiler/numbers/README.md), c0, c1, c2 a segment, written by step_tables.py.",
        "#pragma once",
        "#include <cstdint>",
        "",
        "namespace elastix {",
    ]
    for name in TABLES:
        rows = coefficients(name)
        if abs(rows[:, 1:]).max() >= _LIMIT:
            raise ElastixError(f"table {name} with coefficients from {_LIMIT} on", wanted="Y within 32 bits")
        title = "".join(word.capitalize() for word in name.split("_"))
        lines += ["", f"alignas(64) constexpr int32_t k{title}[256][3] = {{"]
        line = "   "
        for row in rows.tolist():
            entry = " {" + ", ".join(str(c) for c in row) + "},"
            if len(line) + len(entry) > _WIDTH:
                lines.append(line)
                line = "   "
            line += entry
        lines += [line, "};"]
    return "\n".join([*lines, "", "}  // namespace elastix", ""])


if __name__ == "__main__":
    HEADER.write_text(header(), encoding="utf-8")
