"""The paper's models at full size with random weights: the same code path as the embedded ones."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from resources.toyref.scenes import render_scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.kron(render_scene(1_000_000_123).image_HW3, np.ones((3, 3, 1), dtype=np.uint8))


def test_grounding_dino_swin_t_answers_in_pixels_of_the_picture(picture: NDArray[np.uint8]) -> None:
    from ops.ssc.captions import caption, token_spans
    from ops.ssc.detections import keep_detections
    from resources.models.grounding_dino import load_detector

    asked = caption(["dog", "sports ball"])
    raw = load_detector("swint_ogc", random_weights_seed=0).detect(picture, asked.text)
    height, width = picture.shape[:2]
    assert raw.boxes_Q4.shape == (900, 4)
    spans = token_spans(raw.offsets, asked.spans)
    kept = keep_detections(raw.boxes_Q4, raw.token_scores_QT, spans, box_threshold=0.0, text_threshold=0.0)
    assert len(kept.boxes_N4)
    assert kept.boxes_N4.max() <= max(height, width)


def test_sam_vit_b_gives_three_masks_a_box(picture: NDArray[np.uint8]) -> None:
    from ops.ssc.detections import best_of_three
    from resources.models.sam import load_segmenter

    boxes = np.array([[10, 10, 200, 200], [50, 60, 300, 280]], dtype=np.float32)
    masks, scores = load_segmenter("vit_b", random_weights=True).segment(picture, boxes)
    assert masks.shape == (2, 3, *picture.shape[:2])
    best, _ = best_of_three(masks, scores)
    assert best.shape == (2, *picture.shape[:2])


@pytest.mark.parametrize(("name", "width"), [("ViT-B-32", 512), ("ViT-L-14-336", 768)])
def test_clip_scores_prompted_pictures(picture: NDArray[np.uint8], name: str, width: int) -> None:
    from ops.images import to_tensor
    from ops.ssc.similarity import mean_similarity
    from ops.ssc.visual_prompts import reverse_blur
    from resources.models.clip import load_clip

    clip = load_clip(name, random_weights=True)
    masks = np.zeros((2, *picture.shape[:2]), dtype=bool)
    masks[0, 50:150, 50:150] = masks[1, 200:300, 200:300] = True
    images = clip.encode_images(reverse_blur(to_tensor(picture), masks), crop="center")
    texts = clip.encode_texts(["the man on the left", "a dog"])
    assert images.shape == texts.shape == (2, width)
    assert len(mean_similarity(texts, images)) == 2


@pytest.mark.parametrize("text", ["bert", "clip"])
def test_lavt_swin_b_takes_a_training_step_and_predicts(picture: NDArray[np.uint8], text: Any) -> None:
    import torch

    from ops.images import resize_image, to_tensor
    from ops.segmenters.lavt import Lavt
    from ops.segmenters.prediction import predict
    from ops.segmenters.training import SegmenterPlan, train
    from ops.training.dataset import ReferentDataset, TrainingReferent
    from resources.models.referring import build

    model, tokenizer = build(Lavt, "swin_b", text=text, random_weights=True)
    size = model.config.image_size
    ids, mask = tokenizer.encode(["the man on the left", "left man"])
    image = resize_image(to_tensor(picture), height=size, width=size)
    masks = torch.zeros(1, size, size, dtype=torch.bool)
    masks[0, 100:300, 100:300] = True
    referent = TrainingReferent(image=0, candidates=(0,), token_ids_ST=ids, token_mask_ST=mask)
    data = ReferentDataset(image[None], [masks], [referent])
    history = train(model, data, SegmenterPlan(epochs=1, batch_size=1, bf16=True))
    assert len(history.loss) == 1
    found = predict(model, image, token_ids_ST=ids, token_mask_ST=mask, original_size=picture.shape[:2])
    assert found.model_size_Shw.shape == (2, 480, 480)
    assert found.original_size_SHW.shape == (2, *picture.shape[:2])
