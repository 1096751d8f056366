"""Requests about one image that share a pass against one pass each: `python -m tests.benchmarks.bench_serving`.

Eight clients at once, each with one sentence about the same image, through the queue of `wordmask serve` and the
embedded LAVT. Both ways run in turn, and processor time is what counts, so that a busy machine disturbs neither.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np

from assets.data.images import Pixels
from assets.segmenters.answers import Answer, Segment
from assets.segmenters.inference import MODEL, ReferringMasks
from ops.segmenters.lavt import Lavt
from pipelines.serving.batching import Batcher
from resources.models.referring import build

SENTENCES = ("the man in red", "left dog", "cup", "the big banana", "bird on top", "blue car", "a person", "the cat")
ROUNDS = 12


def main() -> None:
    """Print seconds of a round and the median ratio, for two sizes of image."""
    model, tokenizer = build(Lavt, "embedded")
    masks = ReferringMasks(model=model.eval(), tokenizer=tokenizer, bf16=False)

    def segment(sentences: Sequence[str], pixels: Pixels) -> list[Answer]:
        return [Answer(mask=mask.numpy(), reason=MODEL) for mask in masks(sentences, pixels).original_size_SHW]

    for height, width in ((192, 160), (480, 640)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        asyncio.run(_compare(segment, pixels))


async def _compare(segment: Segment, pixels: Pixels) -> None:
    ways = {shared: Batcher(segment=segment, together=shared, wait_seconds=0.005) for shared in (True, False)}
    for batcher in ways.values():
        batcher.start()
        await _round(batcher, pixels)
    spent: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for shared, batcher in ways.items():
            spent[shared].append(await _round(batcher, pixels))
    for batcher in ways.values():
        await batcher.stop()
    once, each = (statistics.median(spent[way]) for way in (True, False))
    ratio = statistics.median(apart / together for together, apart in zip(spent[True], spent[False], strict=True))
    sys.stdout.write(
        f"{len(SENTENCES)} requests about an image of {pixels.shape[1]} x {pixels.shape[0]}: one pass {once:.3f} s, "
        f"a pass each {each:.3f} s of processor time, ratio {ratio:.2f}\n"
    )


async def _round(batcher: Batcher, pixels: Pixels) -> float:
    begin = time.process_time()
    await asyncio.gather(*(batcher.ask("image", [text], pixels) for text in SENTENCES))
    return time.process_time() - begin


if __name__ == "__main__":
    main()
