"""What one tensor operation costs, from shapes alone: formulas of contractions, and the table of everything else.

A contraction is a sum of products (matrix products, convolutions, outer products, attention, recurrent layers); it costs
multiply-accumulates. Any other arithmetic is elementwise. Operations that only move, create or view data cost nothing.
What stands in neither table has no formula, and is to be listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from fobench.contracts import Role


class Kind(Enum):
    """What an operation does, as far as counting goes."""

    CONTRACTION = auto()
    ELEMENTWISE = auto()
    MOVEMENT = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Product:
    """One contraction: its multiply-accumulates, its factors (the signal first), its result's shape.

    `role` is set where the operation itself tells it: the two halves of a convolution's backward.
    """

    macs: int
    factors: tuple[Tensor, ...]
    shape: tuple[int, ...]
    role: Role | None = None


Formula = Callable[[tuple[Any, ...], Any], list[Product]]


# --- contractions -------------------------------------------------------------------------------------------------------


def _matrix(first: Tensor, second: Tensor, out: Tensor) -> list[Product]:
    """Every element of `first` meets every column of `second`: mm, bmm, mv and dot alike."""
    columns = second.shape[-1] if second.dim() > 1 else 1
    return [Product(first.numel() * columns, (first, second), tuple(out.shape))]


def _outer(first: Tensor, second: Tensor, shape: tuple[int, ...]) -> list[Product]:
    return [Product(_size(shape), (first, second), shape)]


def _convolution(args: tuple[Any, ...], out: Tensor) -> list[Product]:
    """Each output (transposed: each input) value meets the weights of one filter, padding included."""
    inputs, weight, transposed = args[0], args[1], args[6]
    return [Product(_slid(inputs if transposed else out, weight), (inputs, weight), tuple(out.shape))]


def _convolution_backward(args: tuple[Any, ...], out: Any) -> list[Product]:
    """Each of the two gradients asked for costs as much as the forward convolution, whatever the groups."""
    grad, inputs, weight, transposed, asked = args[0], args[1], args[2], args[7], args[10]
    macs = _slid(inputs if transposed else grad, weight)
    parts = (
        Product(macs, (grad, weight), tuple(inputs.shape), Role.INPUT_GRADIENT),
        Product(macs, (grad, inputs), tuple(weight.shape), Role.WEIGHT_UPDATE),
    )
    return [part for part, wanted in zip(parts, asked, strict=False) if wanted]


def _slid(values: Tensor, weight: Tensor) -> int:
    return values.numel() * (weight.numel() // weight.shape[0] if weight.shape[0] else 0)


def _attention(args: tuple[Any, ...], out: Any) -> list[Product]:
    """Return Q K^T and its product with V."""
    query, key, value = args[:3]
    macs = _scores(query, key) * (query.shape[-1] + value.shape[-1])
    return [Product(macs, (query, key, value), tuple(query.shape))]


def _attention_backward(args: tuple[Any, ...], out: Any) -> list[Product]:
    """Return the five products of a fused backward: Q K^T once more, dV, dP, dQ, dK."""
    query, key, value = args[1:4]
    macs = _scores(query, key) * (3 * query.shape[-1] + 2 * value.shape[-1])
    return [Product(macs, (query, key, value), tuple(query.shape), Role.INPUT_GRADIENT)]


def _scores(query: Tensor, key: Tensor) -> int:
    return _size(query.shape[:-1]) * key.shape[-2]


def _recurrent(args: tuple[Any, ...], out: Any) -> list[Product]:
    """One layer in one direction: at every step, every gate's weights on the input and on the state before."""
    inputs, weights = args[0], args[1:3]
    return [Product(_unrolled(inputs, weights), (inputs, *weights), tuple(out[0].shape))]


def _recurrent_backward(args: tuple[Any, ...], out: Any) -> list[Product]:
    inputs, weights = args[0], args[1:3]
    macs = _unrolled(inputs, weights)
    return [
        Product(macs, (inputs, *weights), tuple(inputs.shape), Role.INPUT_GRADIENT),
        Product(macs, (inputs, *weights), tuple(weights[0].shape), Role.WEIGHT_UPDATE),
    ]


def _unrolled(inputs: Tensor, weights: tuple[Tensor, ...]) -> int:
    return _size(inputs.shape[:-1]) * sum(weight.numel() for weight in weights)


def _size(shape: Any) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(
        ("mm", "bmm", "mv", "dot", "vdot", "_int_mm", "_scaled_mm"), lambda a, out: _matrix(a[0], a[1], out)
    ),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "_addmm_activation"), lambda a, out: _matrix(a[1], a[2], out)),
    "addbmm": lambda a, out: _matrix(a[1], a[2], out),
    "addr": lambda a, out: _outer(a[1], a[2], tuple(out.shape)),
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "mkldnn_rnn_layer": _recurrent,
    "mkldnn_rnn_layer_backward": _recurrent_backward,
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
        ),
        _attention,
    ),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu_backward",
            "_scaled_dot_product_flash_attention_backward",
            "_scaled_dot_product_efficient_attention_backward",
            "_scaled_dot_product_cudnn_attention_backward",
        ),
        _attention_backward,
    ),
}
"""Formula of each contraction by its aten name; the in-place and `out=` variants share it."""


def products(func: Any, args: tuple[Any, ...], out: Any) -> list[Product]:
    """Return the contractions of one call; none if it is not one."""
    name = func._schema.name.partition("::")[2]
    formula = FORMULAS.get(name) or FORMULAS.get(name.removesuffix("_"))
    if formula:
        return formula(args, out)
    if name.removesuffix("_") in _MULTIPLICATIONS:
        return _outer_by_broadcast(args[-2:])
    return []


_MULTIPLICATIONS = ("mul", "addcmul")


def _outer_by_broadcast(factors: tuple[Any, ...]) -> list[Product]:
    """Recognise the outer product that `torch.outer` and `einsum` reach as: a multiplication that expands both factors."""
    if not all(isinstance(factor, Tensor) for factor in factors):
        return []
    shape = tuple(torch.broadcast_shapes(*(factor.shape for factor in factors)))  # type: ignore[no-untyped-call]
    expanded = max(factor.numel() for factor in factors) < _size(shape)
    return _outer(factors[0], factors[1], shape) if expanded else []


# --- everything else ----------------------------------------------------------------------------------------------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTWISE = _names(
    """
    all amax amin aminmax any argmax argmin count_nonzero linalg_vector_norm logsumexp max mean min nansum norm prod std
    std_mean sum var var_mean trace dist native_norm renorm median nanmedian mode kthvalue sort topk isin bucketize
    searchsorted nonzero bincount histc unique unique2 unique_dim unique_consecutive
    cumsum cumprod cummax cummin logcumsumexp cummax_helper cummin_helper
    softmax log_softmax safe_softmax masked_softmax log_sigmoid glu hardswish hardsigmoid hardtanh softplus prelu_kernel
    rrelu_with_noise add_relu floor_divide masked_scale complex polar lerp
    native_layer_norm native_group_norm native_batch_norm native_batch_norm_legit native_batch_norm_legit_no_training
    native_batch_norm_legit_functional batch_norm_with_update batch_norm_no_update cudnn_batch_norm fused_rms_norm
    weight_norm_interface
    avg_pool2d avg_pool3d adaptive_avg_pool2d adaptive_avg_pool3d max_pool2d_with_indices max_pool3d_with_indices
    adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d
    upsample_nearest1d upsample_nearest2d upsample_linear1d upsample_bilinear2d upsample_bicubic2d
    binary_cross_entropy binary_cross_entropy_with_logits nll_loss nll_loss2d mse_loss smooth_l1_loss huber_loss
    soft_margin_loss multi_margin_loss
    scatter_add scatter_reduce index_add index_reduce col2im embedding_dense unfold_backward
    rand randn randint randperm rand_like randn_like randint_like uniform normal normal_functional bernoulli random
    exponential geometric log_normal cauchy multinomial poisson binomial native_dropout fused_dropout
    fused_sgd fused_adam fused_adamw fused_adagrad thnn_fused_lstm_cell thnn_fused_gru_cell
    amp_foreach_non_finite_check_and_unscale amp_update_scale
    """
)
"""Arithmetic that torch does not tag as pointwise: reductions, norms, pools, losses, draws, fused optimizers, cells."""

MOVEMENT = _names(
    """
    clone copy to_copy lift lift_fresh fill zero detach alias contiguous unsafe_view reshape_copy resize resize_as set
    resize_output as_strided squeeze unsqueeze t transpose lazy_clone
    empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros ones ones_like
    new_ones full full_like new_full arange range linspace logspace eye scalar_tensor tril_indices triu_indices
    efficientzerotensor
    cat stack chunk_cat unsafe_split unsafe_split_with_sizes split_with_sizes_copy repeat flip roll rot90 block_diag
    index unsafe_index index_select gather take masked_select embedding index_put index_put_impl unsafe_index_put
    index_copy index_fill put scatter masked_scatter select slice diagonal select_scatter slice_scatter diagonal_scatter
    as_strided_scatter tril triu diag_embed constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d
    replication_pad2d im2col pixel_shuffle pixel_unshuffle channel_shuffle
    local_scalar_dense is_pinned pin_memory record_stream is_same_size is_set_to has_same_storage_numel is_all_true
    is_any_true assert_async assert_scalar assert_tensor_metadata cudnn_init_dropout_state
    """
)
"""Operations that create, copy, gather, view or look at data; conversion of type and device among them."""

_OTHER_NAMESPACES = ("prim", "prims", "profiler")


@cache
def kind(func: Any) -> Kind:
    """Classify an operation by its name, its tags and whether its result is a view."""
    namespace, _, name = func._schema.name.partition("::")
    if namespace != "aten":
        return Kind.MOVEMENT if namespace in _OTHER_NAMESPACES else Kind.UNKNOWN
    if name in FORMULAS or name.removesuffix("_") in FORMULAS:
        return Kind.CONTRACTION
    for base in _bases(name):
        if base in ELEMENTWISE:
            return Kind.ELEMENTWISE
        if base in MOVEMENT:
            return Kind.MOVEMENT
    if func.is_view:
        return Kind.MOVEMENT
    return Kind.ELEMENTWISE if any(_is_pointwise(base) for base in _bases(name)) else Kind.UNKNOWN


def _bases(name: str) -> Iterator[str]:
    """Yield a name without the marks of its variants: in place, private, for lists, forward, backward."""
    bare = name.strip("_").removeprefix("foreach_")
    yield bare
    for suffix in ("_backward_data", "_backward_impl", "_backward", "_forward"):
        if bare.endswith(suffix):
            yield bare.removesuffix(suffix)
            return


def _is_pointwise(base: str) -> bool:
    packet = getattr(torch.ops.aten, base, None)
    overloads = packet.overloads() if packet else ()
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in overloads)


def elements(func: Any, args: tuple[Any, ...], out: Any) -> int:
    """Return the elements of the largest operand or result; for operations on lists, the sum over the first list."""
    if isinstance(args[0] if args else None, list | tuple) and func._schema.name.startswith(
        ("aten::_foreach", "aten::_fused")
    ):
        return sum(tensor.numel() for tensor in args[0])
    return max((leaf.numel() for leaf in tree_leaves((args, out)) if isinstance(leaf, Tensor)), default=0)
