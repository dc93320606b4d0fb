"""Depthwise convolutions on processors: bfloat16 forward, float32 backward."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


def use_float32_gradients(model: nn.Module) -> None:
    """Let depthwise convolutions compute their gradients in float32 within autocast to bfloat16.

    Processors multiply matrices fast in bfloat16, but a depthwise convolution is none: its
    gradients take oneDNN up to six times as long as in float32. Forward, bfloat16 is faster.

    Args:
        model: changed in place; not to be copied afterwards.
    """
    for module in model.modules():
        if (
            isinstance(module, nn.Conv2d)
            and 1 < module.groups == module.in_channels
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
        ):
            module._conv_forward = partial(_forward, module)


def _forward(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not (torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()):
        return type(conv)._conv_forward(conv, x, weight, bias)
    return _Convolution.apply(x, weight, bias, conv.stride, conv.padding, conv.dilation)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, dilation):
        ctx.dtypes = x.dtype, weight.dtype
        x = x.bfloat16()
        ctx.save_for_backward(x, weight)
        ctx.bias_size = None if bias is None else bias.shape
        ctx.geometry = stride, padding, dilation
        weight, bias = weight.bfloat16(), None if bias is None else bias.bfloat16()
        return nn.functional.conv2d(x, weight, bias, *ctx.geometry, groups=x.shape[1])

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        gradients = torch.ops.aten.convolution_backward(
            gradient.float(),
            x.float(),
            weight.float(),
            ctx.bias_size,
            *ctx.geometry,
            False,  # not transposed
            (0, 0),
            x.shape[1],  # groups
            (*ctx.needs_input_grad[:2], ctx.bias_size is not None),
        )
        of_x, of_weight = (
            None if part is None else part.to(dtype)
            for part, dtype in zip(gradients[:2], ctx.dtypes, strict=True)
        )
        return of_x, of_weight, gradients[2], None, None, None
