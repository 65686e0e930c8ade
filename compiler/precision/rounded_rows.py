# pyright: reportUnknownMemberType=false
"""Rounded layers while a plan is made: a file each, since all of them together may be larger than memory."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.quantize import dequantize
from elastix.compiler.precision.sites import Site


class RoundedRows:
    """Layers by name, the last that was put there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "rounded"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, Path] = {}

    def put(self, site: Site, rows: QuantizedRows) -> None:
        """Keep a layer's rows."""
        file = self._files.setdefault(site.name, self._folder / f"{len(self._files):05}.npz")
        zeros = np.empty(0, np.uint8) if rows.zeros is None else rows.zeros
        np.savez(
            file,
            form=np.array(str(rows.format)),
            codes=rows.codes,
            scales=rows.scales,
            rowscale=rows.rowscale,
            zeros=zeros,
        )

    def rows(self, name: str) -> QuantizedRows:
        """A layer's rows, read now."""
        with np.load(self._files[name]) as file:
            zeros = file["zeros"] if file["zeros"].size else None
            form = Format.parse(str(file["form"]))
            return QuantizedRows(form, file["codes"], file["scales"], file["rowscale"], zeros)

    def values(self, site: Site) -> Tensor:
        """The weights that a layer's rows stand for, fp32 [N, K]."""
        return torch.from_numpy(dequantize(self.rows(site.name)))
