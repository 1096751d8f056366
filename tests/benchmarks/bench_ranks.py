"""A training of the embedded LAVT on a CPU: two processes of a thread each beside one of two threads, in turn.

    python -m tests.benchmarks.bench_ranks [steps]

Prints the samples a second of each, and their ratio. Random images, expressions and masks; 48 samples of 16 images a
step, as in the demo. Start-up is not counted.
"""

import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed
from transformers import BertConfig

from assets.pretraining.bert import ARCHITECTURE, word_pieces
from ops.backbones.language import Bert
from ops.segmenters.lavt import EMBEDDED, Lavt
from ops.segmenters.training import SegmenterPlan, train
from ops.training.dataset import ReferentDataset, TrainingReferent
from ops.training.distributed import ALONE, ProcessGroup
from resources.models.swin_bert import new_bert

IMAGES, EACH, TOKENS = 16, 3, 12


def trained(steps: int, group: ProcessGroup) -> float:
    """Samples a second of all processes together; the median over the second half of the steps."""
    torch.manual_seed(0)
    vocabulary = len(word_pieces())
    model = Lavt(EMBEDDED, Bert(new_bert(BertConfig(vocab_size=vocabulary, **ARCHITECTURE))))
    side = EMBEDDED.image_size
    images = torch.randint(0, 256, (IMAGES, 3, side, side), dtype=torch.uint8)
    masks = [torch.rand(EACH, side, side) > 0.9 for _ in range(IMAGES)]
    referents = [
        TrainingReferent(
            image=image,
            candidates=(number,),
            token_ids_ST=torch.randint(5, vocabulary, (1, TOKENS)),
            token_mask_ST=torch.ones(1, TOKENS, dtype=torch.long),
        )
        for image in range(IMAGES)
        for number in range(EACH)
    ]
    plan = SegmenterPlan(epochs=steps, batch_size=IMAGES * EACH, lr=1e-3, bf16=fast_in_bf16())
    history = train(model, ReferentDataset(images, masks, referents), plan, group=group)
    return statistics.median(history.samples_per_second[steps // 2 :])


def fast_in_bf16() -> bool:
    """As the pipeline decides it."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def in_processes(steps: int, count: int) -> float:
    """Start that many processes, with two threads in all, and return what the first one says."""
    with TemporaryDirectory() as folder:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(steps), str(rank), str(count), folder],
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        said = [process.communicate()[0] for process in started]
        return float(said[0])


def rank_of(steps: int, rank: int, count: int, folder: str) -> None:
    """One of the processes."""
    torch.set_num_threads(2 // count)
    group = ALONE
    if count > 1:
        met = (Path(folder) / "met").as_uri()
        distributed.init_process_group("gloo", init_method=met, rank=rank, world_size=count)
        group = ProcessGroup(rank=rank, size=count)
    speed = trained(steps, group)
    sys.stdout.write(f"{speed}\n")


def main() -> None:
    """Measure in turn, and print."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    pairs = [(in_processes(steps, 2), in_processes(steps, 1)) for _ in range(3)]
    two, one = (statistics.median(speeds) for speeds in zip(*pairs, strict=True))
    sys.stdout.write(f"two processes {two:.0f} samples/s, two threads {one:.0f} samples/s, ratio {two / one:.2f}\n")


if __name__ == "__main__":
    if len(sys.argv) == 5:
        rank_of(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
