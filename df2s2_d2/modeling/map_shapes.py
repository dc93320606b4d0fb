"""Shapes of maps: how they are said, and whether two parts of a model agree in them."""

from __future__ import annotations

from collections.abc import Mapping

from detectron2.layers import ShapeSpec


def map_shapes(**channels: int) -> dict[str, ShapeSpec]:
    """Shapes of maps whose names say their strides: c2 or p2 of 4, c3 or p3 of 8, and so on.

    Args:
        channels: of each map, such as ``c2=256, c3=512``.
    """
    return {
        name: ShapeSpec(channels=width, stride=2 ** int(name[1:]))
        for name, width in channels.items()
    }


def check_maps(
    reader: str, wanted: Mapping[str, ShapeSpec], giver: str, given: Mapping[str, ShapeSpec]
) -> None:
    """Check names, channels and strides of maps.

    Args:
        reader, giver: the parts, as they are to be called in messages.
        wanted: what the one was built for.
        given: what the other gives; more is no fault.

    Raises:
        ValueError: naming what differs.
    """
    if missing := [name for name in wanted if name not in given]:
        raise ValueError(f"{reader} reads the maps {missing}, but {giver} gives {list(given)}")
    for quantity in ("channels", "stride"):
        expected = {name: getattr(shape, quantity) for name, shape in wanted.items()}
        found = {name: getattr(given[name], quantity) for name in wanted}
        if expected != found:
            raise ValueError(
                f"{reader} was built for {quantity} {expected}, but those of {giver} are {found}: "
                "build one of them for the other, by its input_shape or out_channels"
            )
