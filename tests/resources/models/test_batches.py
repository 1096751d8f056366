"""Images that share a pass: the batch halves where memory ends, and a published network gives what it gives alone."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from resources.models.batches import Batches, encoder_of, passes, settle
from resources.models.grounding_dino import load_detector
from resources.models.sam import PackageSam, SamShape, build_small_sam, fuse_attention
from resources.runtime import Runtime, machine_of

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 255, (height, width, 3), np.uint8) for height, width in ((60, 80), (80, 60), (60, 80))]
BOXES = [
    np.array([[5, 5, 40, 40], [20, 10, 70, 50]], np.float32),
    np.zeros((0, 4), np.float32),
    np.array([[1, 2, 30, 50]], np.float32),
]


@pytest.mark.parametrize(("holds", "sizes", "left"), [(9, [5], 8), (4, [3, 2], 3), (2, [2, 2, 1], 2), (1, [1] * 5, 1)])
def test_a_batch_halves_until_it_fits_and_stays_so(holds: int, sizes: list[int], left: int) -> None:
    asked: list[int] = []

    def compute(items: Sequence[int]) -> list[int]:
        if len(items) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        asked.append(len(items))
        return [item * item for item in items]

    runtime = Runtime()
    batches = Batches(compute, runtime=runtime, size=8)
    assert batches(range(5)) == [0, 1, 4, 9, 16]
    assert asked == sizes
    assert batches.size == left
    assert machine_of(runtime)["images_at_once"] == left


def test_what_does_not_fit_alone_is_told() -> None:
    def never(_: Sequence[int]) -> list[int]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Batches(never, runtime=Runtime(), size=4)([1, 2])


def test_a_pass_is_in_the_precision_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    layer, runtime = nn.Linear(3, 3), Runtime(device="cpu")
    for precision, kind in (("device", torch.bfloat16), ("float32", torch.float32)):
        with passes(runtime, precision):  # type: ignore[arg-type]
            assert layer(torch.ones(1, 3)).dtype == kind
        assert runtime.resolved["precision"] == str(kind).removeprefix("torch.")


def sam(*, use_rel_pos: bool) -> PackageSam:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_small_sam(SamShape(encoder_depth=2, global_blocks=(1,)))
        for block in model.image_encoder.blocks if use_rel_pos else ():
            block.attn.use_rel_pos = True
            cells = 2 * (block.window_size or 20) - 1
            for name in ("rel_pos_h", "rel_pos_w"):
                setattr(block.attn, name, nn.Parameter(torch.randn(cells, 24)))
    return PackageSam(model, boxes_at_once=1)


@pytest.mark.parametrize("use_rel_pos", [False, True])
def test_fused_attention_gives_the_packages_masks(use_rel_pos: bool) -> None:
    plain, fused = sam(use_rel_pos=use_rel_pos), sam(use_rel_pos=use_rel_pos)
    fuse_attention(fused.sam)
    inputs = torch.from_numpy(RNG.normal(size=(2, 3, 160, 160)).astype(np.float32))
    with torch.inference_mode():
        expected, found = plain.sam.image_encoder(inputs), fused.sam.image_encoder(inputs)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_images_that_share_a_pass_of_sam_get_the_masks_they_get_alone() -> None:
    model = sam(use_rel_pos=False)
    together = model.segment_batch(IMAGES, BOXES)
    assert model.passes == 2
    for (masks_N3HW, scores_N3), image, boxes_N4 in zip(together, IMAGES, BOXES, strict=True):
        expected_N3HW, expected_N3 = model.segment(image, boxes_N4)
        assert masks_N3HW.shape == expected_N3HW.shape == (len(boxes_N4), 3, *image.shape[:2])
        assert (masks_N3HW != expected_N3HW).sum() <= masks_N3HW.size / 1000
        np.testing.assert_allclose(scores_N3, expected_N3, atol=1e-3)


def test_images_of_one_size_share_a_pass_of_the_detector() -> None:
    model = load_detector("embedded")
    captions = ["dog .", "chair . apple .", "person . bicycle . dog ."]
    alone = [model.detect(image, caption) for image, caption in zip(IMAGES, captions, strict=True)]
    model.together = True
    shapes: list[int] = []
    model.model.register_forward_pre_hook(lambda _, inputs: shapes.append(len(inputs[0])))
    for one, several in zip(alone, model.score(IMAGES, captions), strict=True):
        np.testing.assert_allclose(several.boxes_Q4, one.boxes_Q4, atol=0.05)
        np.testing.assert_allclose(several.token_scores_QT, one.token_scores_QT, atol=1e-3)
        assert several.offsets == one.offsets
    assert shapes == [2, 1]


@pytest.mark.filterwarnings("ignore")  # importing the compiler warns of its own past
def test_the_encoder_of_images_is_found_and_compiled_where_asked() -> None:
    model = build_small_sam(SamShape(encoder_depth=1, global_blocks=()))
    assert encoder_of(model) is model.image_encoder
    assert encoder_of(layer := nn.Linear(1, 1)) is layer
    settle(model, Runtime(device="cpu"))
    assert model.image_encoder._compiled_call_impl is None
    settle(model, Runtime(device="cpu", compile=True))
    assert model.image_encoder._compiled_call_impl is not None
