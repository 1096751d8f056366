"""S1 and S2 at full size with random weights, beside a plain loop over the packages' own predictors.

    python -m tests.benchmarks.bench_candidates [--sam vit_b|vit_l|vit_h] [--clip ViT-B-32|ViT-L-14-336] [--images N]

The loop is what the packages' pages show: groundingdino's `predict`, `SamPredictor`, and open_clip on one masked image
at a time, each with a blur of its own, in float32. Ours are the adapters that the stages use: batches, fused attention,
one blur an image, and the device's fastest precision. Both segment the same `BOXES` boxes of an image and score the
same `CANDIDATES` masks, since random weights find nothing. Images, times a part, their ratio, and on a GPU peak memory.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import groundingdino.datasets.transforms as dino_transforms
import numpy as np
import open_clip
import torch
from groundingdino.util.inference import predict
from PIL import Image
from segment_anything import SamPredictor

from ops.images import to_tensor
from ops.ssc.visual_prompts import reverse_blur
from resources.models.batches import passes, settle
from resources.models.clip import FULL_SIZES, load_clip
from resources.models.grounding_dino import load_detector, quiet
from resources.models.sam import load_segmenter
from resources.runtime import Runtime

BOXES, CANDIDATES = 8, 6
CAPTION = "man . woman . dog . cup . car . chair ."
SIGMA = 50.0
Pixels = np.ndarray


@dataclass
class Clock:
    """Seconds of each part."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, part: str, call: Callable[[], object]) -> object:
        """What the call gives."""
        begun = now()
        result = call()
        self.seconds[part] = self.seconds.get(part, 0.0) + now() - begun
        return result


def now() -> float:
    """Seconds, once the device has done what it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--sam", default="vit_b", choices=("vit_b", "vit_l", "vit_h"))
    asked.add_argument("--clip", default="ViT-B-32", choices=("ViT-B-32", "ViT-L-14-336"))
    asked.add_argument("--images", default=4, type=int)
    chosen, runtime = asked.parse_args(), Runtime()
    images, boxes, masks = work(chosen.images)
    models = Models(chosen.sam, chosen.clip, runtime)
    for warm in (True, False):
        several = images[: runtime.batch()] if warm else images
        plain = Clock()
        for image, boxes_N4, masks_NHW in zip(several, boxes, masks, strict=False):
            models.plainly(image, boxes_N4, masks_NHW, plain)
        fast = Clock()
        for start in range(0, len(several), runtime.batch()):
            rows = range(start, min(start + runtime.batch(), len(several)))
            models.together(
                [images[row] for row in rows], [boxes[row] for row in rows], [masks[row] for row in rows], fast
            )
    sys.stdout.write(table(plain, fast, len(images), runtime))


def work(count: int) -> tuple[list[Pixels], list[np.ndarray], list[np.ndarray]]:
    """Images of 480 x 640 pixels, boxes in each, and masks."""
    rng = np.random.default_rng(0)
    images = [cv2.blur(rng.integers(0, 255, (480, 640, 3), np.uint8), (9, 9)) for _ in range(count)]
    corners = rng.uniform((0, 0), (500, 340), (count, BOXES, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(40, 130, corners.shape)], axis=-1).astype(np.float32)
    masks = np.zeros((count, CANDIDATES, 480, 640), bool)
    for of_image, boxes_N4 in zip(masks, boxes.astype(int), strict=True):
        for mask_HW, (x0, y0, x1, y1) in zip(of_image, boxes_N4, strict=False):
            mask_HW[y0:y1, x0:x1] = True
    return images, list(boxes), list(masks)


class Models:
    """The three networks, each twice: as the packages build it, and as the stages open it."""

    def __init__(self, sam: str, clip: str, runtime: Runtime) -> None:
        device = self.device = runtime.torch_device()
        self.runtime = runtime
        self.detector = load_detector("swint_ogc", random_weights_seed=0, device=device)
        self.plain_sam = load_segmenter(sam, random_weights=True, device=device)
        self.fast_sam = load_segmenter(sam, random_weights=True, device=device)
        for block in self.plain_sam.sam.image_encoder.blocks:
            del block.attn.forward  # the package's own again
        self.clip = load_clip(clip, random_weights=True, device=device)
        _, _, self.preprocess = open_clip.create_model_and_transforms(FULL_SIZES[clip], load_weights=False)
        for model in (self.fast_sam.sam, self.clip.model):
            settle(model, runtime)

    @torch.inference_mode()
    def plainly(self, image: Pixels, boxes_N4: np.ndarray, masks_NHW: np.ndarray, clock: Clock) -> None:
        """One image as the packages' pages show it."""
        clock.time("detector", lambda: self._predict(image))
        clock.time("SAM", lambda: self._prompted(image, boxes_N4))
        clock.time("CLIP", lambda: [self._scored(image, mask_HW) for mask_HW in masks_NHW])

    def _predict(self, image: Pixels) -> object:
        transform = dino_transforms.Compose(
            [
                dino_transforms.RandomResize([800], max_size=1333),
                dino_transforms.ToTensor(),
                dino_transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )
        pixels_3HW, _ = transform(Image.fromarray(image), None)
        with quiet():
            return predict(self.detector.model, pixels_3HW, CAPTION, 1.1, 1.1, device=self.device)

    def _prompted(self, image: Pixels, boxes_N4: np.ndarray) -> object:
        predictor = SamPredictor(self.plain_sam.sam)
        predictor.set_image(image)
        boxes = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes_N4), image.shape[:2]).to(self.device)
        masks, scores, _ = predictor.predict_torch(
            point_coords=None, point_labels=None, boxes=boxes, multimask_output=True
        )
        return masks.cpu(), scores.cpu()

    def _scored(self, image: Pixels, mask_HW: np.ndarray) -> object:
        blurred = cv2.GaussianBlur(image, (0, 0), SIGMA, borderType=cv2.BORDER_REFLECT_101)
        shown = Image.fromarray(np.where(mask_HW[..., None], image, blurred))
        return self.clip.model.encode_image(self.preprocess(shown)[None].to(self.device), normalize=True).cpu()

    def together(
        self,
        images: Sequence[Pixels],
        boxes: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        clock: Clock,
    ) -> None:
        """Some images as the stages do it."""
        self.detector.together = True
        with passes(self.runtime, "device"):
            clock.time("detector", lambda: self.detector.score(images, [CAPTION] * len(images)))
            clock.time("SAM", lambda: self.fast_sam.segment_batch(images, boxes))
            clock.time("CLIP", lambda: list(map(self._embedded, images, masks)))

    def _embedded(self, image: Pixels, masks_NHW: np.ndarray) -> object:
        prompted = reverse_blur(to_tensor(image).to(self.device), masks_NHW, sigma=SIGMA)
        return self.clip.encode_images(prompted, crop="center")


def table(plain: Clock, fast: Clock, count: int, runtime: Runtime) -> str:
    """Seconds an image of each part, and how many times as many images a second."""
    lines = [
        f"{count} images of 480 x 640, {BOXES} boxes and {CANDIDATES} candidates each; {runtime.torch_device()}, "
        f"{runtime.resolved['precision']}, {runtime.batch()} a pass",
        f"{'seconds an image':<20}{'plain loop':>12}{'stages':>10}{'ratio':>8}",
    ]
    rows = {**{part: (plain.seconds[part], fast.seconds[part]) for part in plain.seconds}}
    rows["all"] = (sum(plain.seconds.values()), sum(fast.seconds.values()))
    lines += [f"{part:<20}{a / count:>12.3f}{b / count:>10.3f}{a / b:>8.2f}" for part, (a, b) in rows.items()]
    if torch.cuda.is_available():
        lines.append(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
