"""The tables of C15 that the C++ engines hold are those of the rules."""

import re

import numpy as np

from elastix.compiler.numbers.functions import TABLES, coefficients
from elastix.runtime.step_tables import HEADER, header


def test_the_header_is_what_the_rules_give() -> None:
    assert HEADER.read_text(encoding="utf-8") == header(), "run python -m elastix.runtime.step_tables"


def test_the_header_has_every_coefficient_of_every_table() -> None:
    tables = re.findall(r"k(\w+)\[256\]\[3\] = \{(.*?)\n\};", header(), re.DOTALL)
    assert [name.lower() for name, _ in tables] == [name.replace("_", "") for name in TABLES]
    for (_, text), name in zip(tables, TABLES, strict=True):
        numbers = np.array([int(each) for each in re.findall(r"-?\d+", text)])
        np.testing.assert_array_equal(numbers.reshape(256, 3), coefficients(name))
