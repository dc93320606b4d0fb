from __future__ import annotations

import math

import pytest

from df2s2_d2 import load_config
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice
from df2s2_d2.modeling.multi_scale.tiling import padded_size

SHORT_800 = ImageScale(800)
ORIGINAL = ImageScale(factor=1.0)


def choice(*scales: ImageScale, tile_above=4096, max_pixels=4_000_000) -> ScaleChoice:
    return ScaleChoice(scales, tile_above, max_pixels, divisor=128)


def test_ordinary_images_have_the_sizes_of_the_config():
    for size in [(1, 1), (480, 640), (3000, 4000), (4096, 4096)]:
        assert choice(SHORT_800).scales_for(size) == [SHORT_800]
    assert choice(SHORT_800, ImageScale(600)).scales_for((480, 640)) == [SHORT_800, ImageScale(600)]


def test_large_images_are_looked_at_in_their_original_size_too():
    assert choice(SHORT_800).scales_for((3000, 4097)) == [SHORT_800, ORIGINAL]
    assert choice(SHORT_800).scales_for((4097, 3000)) == [SHORT_800, ORIGINAL]
    assert choice(SHORT_800, tile_above=0).scales_for((9000, 9000)) == [SHORT_800]
    assert choice(SHORT_800, tile_above=100).scales_for((900, 900)) == [SHORT_800, ORIGINAL]


def test_original_size_is_looked_at_once():
    enlarged = choice(SHORT_800, tile_above=500).scales_for((400, 600))
    assert enlarged == [SHORT_800]
    first, overview = choice(ORIGINAL).scales_for((5000, 6000))
    assert first == ORIGINAL and overview.factor < 1


@pytest.mark.parametrize("size", [(5000, 6000), (100, 30000), (30000, 100), (1, 10000), (2500, 90)])
@pytest.mark.parametrize("scale", [SHORT_800, ORIGINAL])
def test_some_copy_always_fits_and_none_is_enlarged_without_bound(size, scale):
    picked = choice(scale, tile_above=2000, max_pixels=1_000_000)
    copies = [s.resized(size) for s in picked.scales_for(size)]
    assert any(picked.fits(copy) for copy in copies)
    assert max(map(math.prod, copies)) <= max(math.prod(size), 4_000_000)


@pytest.mark.parametrize("size", [(2500, 2500), (5000, 6000), (20000, 700)])
def test_overview_is_as_large_as_fits(size):
    picked = choice(ORIGINAL, tile_above=0)
    overview = picked.scales_for(size)[-1].resized(size)
    padded = math.prod(padded_size(overview, 128))
    assert padded <= 4_000_000
    assert math.prod(side + 256 for side in overview) > 4_000_000


def test_sizes_come_from_the_config():
    def scales(*overrides):
        cfg = load_config(overrides=["TEST.AUG.ENABLED", False, *overrides])
        return ScaleChoice.from_config(cfg, tile_above=7, divisor=32).scales

    assert scales("INPUT.MIN_SIZE_TEST", 0) == (ORIGINAL,)
    plain = ["INPUT.MIN_SIZE_TEST", 500, "INPUT.MAX_SIZE_TEST"]
    assert scales(*plain, 0) == (ImageScale(500),)
    assert scales(*plain, 900) == (ImageScale(500, max_size=900),)
    augmented = ["TEST.AUG.ENABLED", True, "TEST.AUG.MAX_SIZE", 0]
    assert scales(*augmented, "TEST.AUG.SCALES", "[{'FACTOR': 2.0}]") == (ImageScale(factor=2.0),)
