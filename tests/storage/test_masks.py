import contextlib
import json
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco

from storage.masks import (
    RLE_COLUMNS,
    MaskError,
    Rle,
    decode,
    decode_many,
    encode,
    encode_many,
    ious,
    mask_row,
    rasterise,
)
from tests.paths import SHARED

Bool = NDArray[np.bool_]
VECTORS = SHARED / "vectors/ssc"

SIDES = st.integers(1, 70)
MASKS = st.tuples(st.integers(0, 4), SIDES, SIDES).flatmap(lambda shape: hnp.arrays(np.bool_, shape))
"""(N, H, W)."""


def square(x0: int, y0: int, x1: int, y1: int) -> list[int]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def box(height: int, width: int, x0: int, y0: int, x1: int, y1: int) -> Bool:
    mask_HW = np.zeros((height, width), dtype=np.bool_)
    mask_HW[y0:y1, x0:x1] = True
    return mask_HW


@given(MASKS)
def test_every_pixel_comes_back(masks_NHW: Bool) -> None:
    height, width = masks_NHW.shape[1:]
    rles = encode_many(masks_NHW)
    np.testing.assert_array_equal(decode_many(rles, height, width), masks_NHW, strict=True)
    for rle, mask_HW in zip(rles, masks_NHW, strict=True):
        assert encode(mask_HW) == rle
        np.testing.assert_array_equal(decode(rle, height, width), mask_HW, strict=True)


@given(st.data())
def test_area_iou_and_union_are_those_of_the_pixels(data: st.DataObject) -> None:
    a_NHW = data.draw(MASKS)
    height, width = a_NHW.shape[1:]
    b_MHW = data.draw(hnp.arrays(np.bool_, (data.draw(st.integers(0, 3)), height, width)))
    a, b = ([Rle.of(mask_HW) for mask_HW in masks] for masks in (a_NHW, b_MHW))
    assert [mask.area for mask in a] == a_NHW.sum(axis=(1, 2)).tolist()
    both_NM = (a_NHW[:, None] & b_MHW[None]).sum(axis=(2, 3))
    either_NM = (a_NHW[:, None] | b_MHW[None]).sum(axis=(2, 3))
    found_NM = np.array([[one.iou(two) for two in b] for one in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(found_NM, both_NM / np.maximum(either_NM, 1), rtol=1e-12)
    np.testing.assert_array_equal(Rle.union(a, height=height, width=width).decode(), a_NHW.any(axis=0))


@given(hnp.arrays(np.bool_, st.tuples(st.just(2), SIDES, SIDES)))
def test_pixels_of_two_masks_are_counted_as_their_pixels_are(masks_NHW: Bool) -> None:
    one_HW, other_HW = masks_NHW
    expected = int((one_HW & other_HW).sum()), int((one_HW | other_HW).sum())
    assert Rle.of(one_HW).pixels(Rle.of(other_HW)) == expected


def test_masks_of_two_sizes_have_neither_iou_nor_union() -> None:
    small, large = Rle.of(np.ones((2, 3), np.bool_)), Rle.of(np.ones((3, 2), np.bool_))
    with pytest.raises(ValueError, match="2 x 3 pixels is not compared with one of 3 x 2"):
        small.iou(large)
    with pytest.raises(ValueError, match="no union"):
        Rle.union([small, large], height=2, width=3)


@given(hnp.arrays(np.bool_, st.tuples(SIDES, SIDES)))
def test_an_annotation_is_read_as_the_mask_that_it_was(mask_HW: Bool) -> None:
    annotation = json.loads(json.dumps(Rle.of(mask_HW).annotation()))
    np.testing.assert_array_equal(rasterise(annotation["segmentation"], *mask_HW.shape), mask_HW)
    assert annotation["area"] == mask_HW.sum()
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    expected = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1] if mask_HW.any() else [0, 0, 0, 0]
    assert annotation["bbox"] == expected


def test_masks_of_a_view_or_a_transpose_are_encoded_as_they_look() -> None:
    base = np.random.default_rng(0).random((3, 20, 31)) < 0.4
    for view in (base[:, ::-1, ::2], base.transpose(0, 2, 1), base[1:]):
        np.testing.assert_array_equal(decode_many(encode_many(view), *view.shape[1:]), view)


def test_a_row_keeps_a_mask_through_parquet_types() -> None:
    mask_HW = box(7, 9, 2, 1, 5, 6)
    row = mask_row(mask_HW)
    assert row == Rle.of(mask_HW).columns()
    table = pa.Table.from_pylist([row], schema=pa.schema(RLE_COLUMNS))
    back = table.to_pylist()[0]
    np.testing.assert_array_equal(decode(back["rle"], back["height"], back["width"]), mask_HW)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((3, 4), dtype=np.uint8), "boolean, not uint8"),
        (np.zeros((3,), dtype=np.bool_), r"\(height, width\)"),
        (np.zeros((0, 4), dtype=np.bool_), "at least one pixel"),
    ],
)
def test_what_is_not_a_mask_is_refused(mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(mask)


@given(st.binary(max_size=12), SIDES, SIDES)
def test_bytes_that_are_no_mask_of_the_size_are_refused_never_misread(rle: bytes, height: int, width: int) -> None:
    try:
        mask_HW = Rle(rle, height, width).decode()
    except MaskError:
        return
    np.testing.assert_array_equal(decode(encode(mask_HW), height, width), mask_HW)


def counted(mask: Rle, other: Rle) -> tuple[float, ...]:
    """All that is counted on run lengths."""
    return (
        mask.area,
        Rle.union([mask, other], height=4, width=4).area,
        *mask.pixels(other),
        mask.iou(other),
        *ious([mask, other]).flat,
    )


@given(st.lists(st.integers(0, 3), max_size=9))
@example([8, *[0] * 40_000, 8])
def test_runs_of_no_pixels_are_decoded_and_not_counted(runs: list[int]) -> None:
    """As `pycocotools` reserves memory for no more runs of a union than there are pixels."""
    ends = [end for end in accumulate(runs, initial=0) if end <= 16]
    runs = [*runs[: len(ends) - 1], 16 - ends[-1]]
    mask = Rle(coco.frPyObjects({"size": [4, 4], "counts": runs}, 4, 4)["counts"], 4, 4)
    same, other = Rle.of(mask.decode()), Rle.of(np.eye(4, dtype=np.bool_))
    if all(runs[1:]):
        assert counted(mask, other) == counted(same, other)
    else:
        with pytest.raises(MaskError, match="do not fill"):
            counted(mask, other)


@given(st.binary(min_size=1, max_size=20) | st.lists(st.sampled_from(b"0?@Oo`P\0~")).map(bytes), st.integers(0, 4))
def test_bytes_that_are_no_mask_are_counted_as_something_or_refused(text: bytes, height: int) -> None:
    with contextlib.suppress(ValueError):  # also of two sizes, which are not compared
        counted(Rle(text, height, 4), Rle.of(np.eye(4, dtype=np.bool_)))


def test_a_wrong_size_is_refused() -> None:
    rle = encode(np.ones((4, 4), dtype=np.bool_))
    for height, width in ((3, 4), (5, 5), (4, 5)):
        with pytest.raises(MaskError, match="do not fill"):
            decode(rle, height, width)


def test_separate_polygons_are_united_in_both_modes() -> None:
    parts = [square(1, 1, 4, 4), square(6, 2, 9, 8)]
    expected = box(10, 12, 1, 1, 4, 4) | box(10, 12, 6, 2, 9, 8)
    for overlap in ("union", "compat"):
        np.testing.assert_array_equal(rasterise(parts, 10, 12, overlap=overlap), expected)


def test_overlapping_polygons_leave_a_hole_in_compat_only() -> None:
    parts = [square(1, 1, 7, 7), square(4, 4, 10, 9)]
    first, second = box(10, 12, 1, 1, 7, 7), box(10, 12, 4, 4, 10, 9)
    np.testing.assert_array_equal(rasterise(parts, 10, 12), first | second)
    np.testing.assert_array_equal(rasterise(parts, 10, 12, overlap="compat"), first ^ second)


def test_three_parts_over_one_pixel_stay_out_in_compat() -> None:
    parts = [square(1, 1, 7, 7)] * 3
    assert not rasterise(parts, 10, 12, overlap="compat").any()


@given(hnp.arrays(np.bool_, st.tuples(SIDES, SIDES)))
def test_run_lengths_in_every_layout_give_the_same_mask(mask_HW: Bool) -> None:
    size = list(mask_HW.shape)
    flat = mask_HW.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat))))
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    compressed = encode(mask_HW)
    for segmentation in (
        {"size": size, "counts": runs},
        {"size": size, "counts": compressed},
        {"size": size, "counts": compressed.decode()},
        [{"size": size, "counts": compressed.decode()}],
    ):
        np.testing.assert_array_equal(rasterise(segmentation, *mask_HW.shape), mask_HW)


def test_a_part_with_four_numbers_is_not_taken_for_a_box() -> None:
    expected = box(10, 12, 1, 1, 4, 4)
    np.testing.assert_array_equal(rasterise([[5, 5, 9, 9], square(1, 1, 4, 4)], 10, 12), expected)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "no polygon"),
        ([[1, 2, 3, 4]], "three corners"),
        ([[1, 2, 3]], "even number"),
        ([["a", "b"]], "even number"),
        ([[0, 0, float("nan"), 1, 2, 2]], "leaves the"),
        ([[0, 0, 1e9, 1, 2, 2]], "leaves the"),
        ("polygon", "even number"),
        ([square(1, 1, 4, 4), {"size": [10, 12], "counts": "0"}], "even number"),
        ({"size": [12, 10], "counts": [120]}, "do not fit an image of height 10, width 12"),
        ({"counts": [120]}, "do not fit"),
        ({"size": 10, "counts": [120]}, "do not fit"),
        ([[0, 0, 10**400, 1, 2, 2]], "leaves the"),
        ({"size": [10, 12], "counts": [60, -1, 61]}, "whole numbers"),
        ({"size": [10, 12], "counts": [60, 61]}, "do not fill"),
        ({"size": [10, 12], "counts": None}, "whole numbers"),
        ({"size": [10, 12], "counts": "é"}, "compressed text"),
        ({"size": [10, 12], "counts": "o"}, "not COCO"),
    ],
)
def test_an_annotation_that_cannot_be_drawn_says_why(segmentation: object, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        rasterise(segmentation, 10, 12)


def vectors(name: str) -> dict[str, NDArray[Any]]:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with np.load(path) as arrays:
        return dict(arrays)


def stored(map_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A label map through storage: one mask per label."""
    labels = np.unique(map_HW)
    masks_NHW = map_HW[None] == labels[:, None, None]
    back_NHW = decode_many(encode_many(masks_NHW), *map_HW.shape)
    assert (back_NHW.sum(axis=0) == 1).all()
    return labels[back_NHW.argmax(axis=0)]


def test_label_maps_that_palette_images_swap_or_merge_are_kept() -> None:
    arrays = vectors("storage_roundtrip.npz")
    maps = {name: array for name, array in arrays.items() if name.endswith("__map")}
    lost = sum(
        len(np.unique(arrays[name.replace("__map", "__stage3_P")])) != len(np.unique(array))
        for name, array in maps.items()
    )
    assert lost, "these maps are here because the palette loses labels of some of them"
    for name, map_HW in maps.items():
        np.testing.assert_array_equal(stored(map_HW), map_HW, err_msg=name)


def test_overlapping_candidates_that_a_painted_map_loses_are_kept() -> None:
    arrays = vectors("stage1_paint.npz")
    masks_B3HW = arrays["sam_masks_per_box_3"].astype(np.bool_)
    best_BHW = masks_B3HW[np.arange(len(masks_B3HW)), arrays["sam_scores"].argmax(axis=1)]
    assert (best_BHW.sum(axis=0) > 1).any(), "some pixels belong to two candidates"
    np.testing.assert_array_equal(decode_many(encode_many(best_BHW), *best_BHW.shape[1:]), best_BHW)
    for name, maps_OHW in arrays.items():
        for map_HW in maps_OHW if name.endswith("__maps") else ():
            np.testing.assert_array_equal(stored(map_HW), map_HW, err_msg=name)
