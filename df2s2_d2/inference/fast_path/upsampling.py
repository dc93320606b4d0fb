"""Transposed convolutions whose outputs do not overlap, as matrix products."""

from __future__ import annotations

from torch import Tensor, nn


class UpsampleByProduct(nn.Module):
    """A transposed convolution of kernel 2 and stride 2, for inference.

    Every cell makes a 2x2 block of outputs of its own, so that one product of all cells with the
    weights is all there is to compute.

    Args:
        conv: whose weights are taken; see :meth:`replaces`.
    """

    def __init__(self, conv: nn.ConvTranspose2d):
        super().__init__()
        weight = conv.weight.detach().permute(0, 2, 3, 1)  # (C, 2, 2, K)
        self.register_buffer("weight", weight.flatten(1).contiguous())
        self.register_buffer("bias", conv.bias.detach().clone())

    @staticmethod
    def replaces(conv: nn.ConvTranspose2d) -> bool:
        """Whether the convolution has the form that this class computes."""
        return (
            conv.kernel_size == conv.stride == (2, 2)
            and conv.padding == conv.output_padding == (0, 0)
            and conv.dilation == (1, 1)
            and conv.groups == 1
            and conv.bias is not None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, 2 H, 2 W), channels last in memory."""
        x = x.permute(0, 2, 3, 1)
        images, height, width, _ = x.shape
        blocks = (x @ self.weight).view(images, height, width, 2, 2, -1) + self.bias
        outputs = blocks.transpose(2, 3).reshape(images, 2 * height, 2 * width, -1)
        return outputs.permute(0, 3, 1, 2)
