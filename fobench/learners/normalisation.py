"""Per-sample normalisation of an activity, and the way of a signal back through it, without a map beside the two.

Z_n = H_n / r_n,  r_n = sqrt(mean_i H_ni^2 + epsilon)
dL/dH_n = (D_n - Z_n mean_i(D_ni Z_ni)) / r_n          for D = dL/dZ

A mean and a scale over the batch would make the score of a sample depend on its neighbours; nothing here does.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8


def least(epsilon: float, H: Tensor) -> float:
    """Return what keeps a silent sample from being divided by 0: epsilon, or more where H's dtype would round that to 0."""
    return max(epsilon, torch.finfo(H.dtype).tiny)


def normalise_(H: Tensor) -> Tensor:
    """Divide each sample of H by its root mean square, in place; return r, N x 1 (x 1 x 1)."""
    norm: Tensor = torch.linalg.vector_norm(H, dim=list(range(1, H.dim())), keepdim=True)
    r = norm.square_().div_(H[0].numel()).add_(least(EPSILON, H)).sqrt_()
    H.div_(r)
    return r


def standardise_(H: Tensor, epsilon: float) -> Tensor:
    """Give each sample of H zero mean and unit variance, in place; return H."""
    dims = list(range(1, H.dim()))
    H.sub_(H.mean(dims, keepdim=True))
    norm = torch.linalg.vector_norm(H, dim=dims, keepdim=True)
    return H.div_(norm.square_().div_(H[0].numel()).add_(epsilon).sqrt_())


def normalised_derivative_(D: Tensor, Z: Tensor, r: Tensor, product: Tensor) -> Tensor:
    """Take D from the normalised activity Z to H, in place; `product` is sum_i D_ni Z_ni, N values."""
    share = product.div(Z[0].numel()).view_as(r)
    return D.addcmul_(Z, share, value=-1).div_(r)
