"""3x3 convolutions by Winograd's minimal filtering, which takes a quarter of the multiplications.

Tiles of 6x6 inputs give 4x4 outputs each: F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks" (2016). Processors whose libraries convolve directly gain from it;
a float32 result is about ten times less exact, near 1e-5 of the largest value.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_INPUT, _OUTPUT = 6, 4  # sides of a tile

_INPUT_TRANSFORM = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FILTER_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT_TRANSFORM = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)

# Transformed tiles held at once, as float32 values: what the processor's caches hold.
_VALUES_PER_STEP = 36 * 160 * 256


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1 that keeps the size of the map, for inference.

    Args:
        conv: whose weights are taken, with its activation if it has one; its padding equals its
            dilation, and it has neither groups nor a norm.

    Raises:
        ValueError: if :meth:`replaces` says that it cannot.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        if not self.replaces(conv):
            raise ValueError(f"{conv} is not a 3x3 convolution that keeps the size of the map")
        self.dilation = conv.dilation[0]
        self.activation = getattr(conv, "activation", None)
        double = {"dtype": torch.float64, "device": conv.weight.device}
        one_side = torch.tensor(_FILTER_TRANSFORM, **double)
        taps = conv.weight.double().permute(2, 3, 1, 0).flatten(0, 1)  # (9, C, K)
        weight = torch.einsum("ut,tck->uck", torch.kron(one_side, one_side), taps)
        self.register_buffer("weight", weight.to(conv.weight.dtype).contiguous())  # (36, C, K)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())
        for name, one_side in (("from_tile", _INPUT_TRANSFORM), ("to_tile", _OUTPUT_TRANSFORM)):
            matrix = torch.tensor(one_side, **double)
            matrix = torch.kron(matrix, matrix).to(conv.weight.dtype)
            self.register_buffer(name, matrix, persistent=False)

    @staticmethod
    def replaces(conv: nn.Conv2d) -> bool:
        """Whether the convolution has a form that this class can take over."""
        return (
            conv.kernel_size == (3, 3)
            and conv.stride == (1, 1)
            and conv.groups == 1
            and conv.dilation[0] == conv.dilation[1]
            and conv.padding == conv.dilation
            and conv.padding_mode == "zeros"
            and getattr(conv, "norm", None) is None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H, W), channels last in memory."""
        x = x.permute(0, 2, 3, 1)
        count, height, width, _ = x.shape
        border, step = self.dilation, self.dilation * _OUTPUT  # a row of tiles gives step rows
        rows, columns = math.ceil(height / step), math.ceil(width / step)
        outputs = x.new_empty(count, rows * step, columns * step, self.weight.shape[2])
        tiles = columns * self.dilation**2
        room = max(1, _VALUES_PER_STEP // (len(self.weight) * max(self.weight.shape[1:])))
        images_per_step = max(1, min(count, room // tiles))
        rows_per_step = max(1, room // (tiles * images_per_step)) * step
        for image in range(0, count, images_per_step):
            images = slice(image, image + images_per_step)
            for top in range(0, rows * step, rows_per_step):
                bottom = min(rows * step, top + rows_per_step)
                # Padded piece by piece, for a padded copy of a large map would leave the caches.
                first, last = max(0, top - border), min(height, bottom + border)
                above, below = first - (top - border), bottom + border - last
                left, right = border, columns * step + border - width
                part = F.pad(x[images, first:last], (0, 0, left, right, above, below))
                outputs[images, top:bottom] = self._convolve(part)
        return outputs[:, :height, :width].permute(0, 3, 1, 2)

    def _convolve(self, x: Tensor) -> Tensor:
        """Whole tiles, (n, h + 2 dilation, w + 2 dilation, C), to (n, h, w, K)."""
        d, step = self.dilation, self.dilation * _OUTPUT
        images, rows, columns = len(x), (x.shape[1] - 2 * d) // step, (x.shape[2] - 2 * d) // step
        image_stride, row_stride, column_stride, _ = x.stride()
        # A dilated convolution is an undilated one on each of the d x d grids of every d-th cell.
        tiles = x.as_strided(
            (_INPUT, _INPUT, images, rows, d, columns, d, x.shape[3]),
            (
                d * row_stride,
                d * column_stride,
                image_stride,
                step * row_stride,
                row_stride,
                step * column_stride,
                column_stride,
                1,
            ),
            x.storage_offset(),
        )
        tiles = self.from_tile @ tiles.reshape(_INPUT**2, -1)
        products = torch.bmm(tiles.view(_INPUT**2, -1, x.shape[3]), self.weight)
        outputs = self.to_tile @ products.flatten(1)
        outputs = outputs.view(_OUTPUT, _OUTPUT, images, rows, d, columns, d, -1)
        if self.bias is not None:
            outputs += self.bias
        if self.activation is not None:
            outputs = self.activation(outputs)
        outputs = outputs.permute(2, 3, 0, 4, 5, 1, 6, 7)  # image, row, ..., column, ..., channel
        return outputs.reshape(images, rows * step, columns * step, -1)
