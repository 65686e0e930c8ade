"""What a linear layer reads, rounded by C3 in torch."""

import torch
from torch import Tensor


def round_activations(x: Tensor, activation_bits: int) -> Tensor:
    """C3 and back, x̂·2^e, over the last dimension; fp32 in and out, exact but for the rounding that C3 is."""
    x = torch.where(x.abs() < torch.finfo(torch.float32).tiny, 0.0, x.float())
    largest = x.abs().amax(dim=-1, keepdim=True)
    # frexp's mantissa lies in [1/2, 1): floor(log2 m) is its exponent − 1. In float64 no step can under- or overflow.
    exponent = torch.frexp(largest).exponent.double() - 1 - (activation_bits - 2)
    step = torch.exp2(exponent)
    limit = (1 << (activation_bits - 1)) - 1
    return (torch.clamp(torch.round(x.double() / step), -limit, limit) * step).float()
