"""A training step of LAVT at full size (Swin-B, BERT-base, 480 x 480, random weights).

    python -m tests.benchmarks.bench_lavt_step [batch size ...]

On a CPU: seconds of each part at batch 1, then of one image without gradients with the backbone's attention in one
kernel and in plain products, in turn, and their ratio. On a GPU, for every batch size (8 and 16 unless named), float32,
bfloat16, and bfloat16 compiled with channels last: samples a second, peak memory, and the share of the card's
matrix-product speed in the same precision, which is measured beside it. 199 GMAC forward a sample; a step is three
forwards.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import chain, pairwise

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from ops.backbones.language import Bert
from ops.backbones.swin import Swin, WindowAttention
from ops.segmenters.lavt import SWIN_B_480, SWIN_T_384, Lavt, optimizer_groups
from ops.training.losses import per_sample

FLOP_PER_SAMPLE = 3 * 2 * 199e9
WORDS = 20
GPU_MODES = ("float32", "bfloat16", "bfloat16, compiled, channels last")


def new_model() -> Lavt:
    """LAVT of the published size."""
    torch.manual_seed(0)
    return Lavt(SWIN_B_480, new_bert()).train()


def new_bert() -> Bert:
    """BERT-base."""
    return Bert(BertModel(BertConfig(), add_pooling_layer=False))


def example(batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, word pieces, their mask and target masks at random."""
    side = SWIN_B_480.image_size
    images = torch.randint(0, 255, (batch, 3, side, side), dtype=torch.uint8)
    return images, torch.randint(0, 30_000, (batch, WORDS)), torch.ones(batch, WORDS).long(), images[:, 0] > 127


def on_cpu() -> Iterator[str]:
    """Two steps at batch 1, the second one timed by its parts."""
    model = new_model()
    optimizer = torch.optim.AdamW(optimizer_groups(model), lr=5e-5, fused=True)
    images, ids, words, targets = example(1)
    for step in (1, 2):
        marks = [time.perf_counter()]
        loss = per_sample(model(images, ids, words), targets)
        marks.append(time.perf_counter())
        loss.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        forward, backward, update = (after - before for before, after in pairwise(marks))
        yield (
            f"step {step}, batch 1, CPU with {torch.get_num_threads()} threads: forward {forward:.1f} s, "
            f"backward {backward:.1f} s, AdamW {update:.2f} s, together {marks[-1] - marks[0]:.1f} s"
        )


def attention_on_cpu() -> Iterator[str]:
    """Processor seconds of Swin-B and of Swin-T without gradients, with both ways of attention in turn."""
    for name, config in (("Swin-B, 480", SWIN_B_480), ("Swin-T, 384", SWIN_T_384)):
        swin = Swin(config.swin).eval()
        images = torch.randn(1, 3, config.image_size, config.image_size)
        runs = [(_attending(swin, images, fused=True), _attending(swin, images, fused=False)) for _ in range(6)][1:]
        one, plain = (statistics.median(seconds) for seconds in zip(*runs, strict=True))
        yield f"{name}, no gradients: one kernel {one:.2f} s, plain {plain:.2f} s, ratio {plain / one:.2f}"


@torch.inference_mode()
def _attending(swin: Swin, images: Tensor, *, fused: bool) -> float:
    for part in swin.modules():
        if isinstance(part, WindowAttention):
            part.fused = fused
    start = time.process_time()
    swin(images)
    return time.process_time() - start


def on_gpu(batches: list[int]) -> Iterator[str]:
    """Every mode at every batch size."""
    for mode in GPU_MODES:
        bf16 = mode != "float32"
        peak = matmul_peak(torch.bfloat16 if bf16 else torch.float32)
        model = new_model().cuda()
        run: Callable[..., Tensor] = model
        if "compiled" in mode:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own types
            run = torch.compile(model)
        optimizer = torch.optim.AdamW(optimizer_groups(model), lr=5e-5, fused=True)
        for batch in batches:
            images, ids, words, targets = (one.cuda() for one in example(batch))

            def step(
                images: Tensor = images, ids: Tensor = ids, words: Tensor = words, targets: Tensor = targets
            ) -> None:
                with torch.autocast("cuda", torch.bfloat16) if bf16 else nullcontext():  # noqa: B023
                    logits = run(images, ids, words)  # noqa: B023
                per_sample(logits.float(), targets).backward()
                optimizer.step()  # noqa: B023
                optimizer.zero_grad()  # noqa: B023

            torch.cuda.reset_peak_memory_stats()
            seconds = timed(step, warm=5, times=10)
            speed = batch / seconds
            yield (
                f"{mode}, batch {batch}: {speed:.1f} samples/s, {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB, "
                f"{100 * speed * FLOP_PER_SAMPLE / peak:.0f} % of {peak / 1e12:.0f} TFLOP/s"
            )


def matmul_peak(dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    side = 8192
    one, other = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * side**3 / timed(lambda: one @ other, warm=5, times=20)


def timed(step: Callable[[], object], *, warm: int, times: int) -> float:
    """Mean seconds on the GPU."""
    for _ in range(warm):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def main() -> None:
    """Print one line a measurement."""
    batches = [int(word) for word in sys.argv[1:]] or [8, 16]
    for line in on_gpu(batches) if torch.cuda.is_available() else chain(attention_on_cpu(), on_cpu()):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
