"""What matching gives to objects, epoch by epoch, for the first images of the training split.

Written beside the weights of what learns over all candidates, so that a report can show which mistakes of the choice
were mended. Every finished epoch lies in the slot's scratch folder: a resumed training loses none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.framework.stage import Work
from assets.knobs_old import CorrectKnobs
from assets.segmenters.training_set import TrainingSet
from storage.tables import column, read_table, write_table

if TYPE_CHECKING:
    from ops.segmenters.prediction import Segmenter
    from ops.ssc.matching import MatchingLoss

WATCHED_IMAGES = 60
MATCHES = pa.schema(
    [
        column("epoch", pa.int32(), "epochs trained; 0 is before the first"),
        column("ref_id", pa.int64(), "reference"),
        column("candidate", pa.int32(), "candidate that matching gives to it; null: left over", nullable=True),
    ]
)

Watch = Callable[["Segmenter", int], None]


def watching(work: Work, data: TrainingSet, matching: MatchingLoss) -> Watch:
    """A function that notes what matching gives to the watched objects after an epoch."""
    import torch

    from ops.ssc.matching import NONE

    samples, folder = data.samples, work.slot.scratch / "matches"
    folder.mkdir(exist_ok=True)
    bf16 = work.runtime.bf16(work.knobs_as(CorrectKnobs).precision)

    @torch.inference_mode()
    def watch(model: Segmenter, epoch: int) -> None:
        model.eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(epoch)  # for matching by chance
            note(model, epoch)

    def note(model: Segmenter, epoch: int) -> None:
        rows = []
        for image in sorted(samples.objects_of_image)[:WATCHED_IMAGES]:
            mine = samples.objects_of_image[image]
            said = [(number, row) for number in mine for row in range(samples.sentences_of(number, "all"))]
            batch = samples.batch(said).to(model.device)
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                logits = model(batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B)
            found = dict(
                zip((number for number, _ in said), matching.match(logits.float(), batch).candidates, strict=True)
            )
            for number, row in found.items():
                one = samples.objects[number]
                candidate = None if row == NONE else data.keys[one.image][row]
                rows.append({"epoch": epoch, "ref_id": one.name, "candidate": candidate})
        write_table(folder / f"{epoch:04d}.parquet", pa.Table.from_pylist(rows, schema=MATCHES))

    return watch


def write_matches(work: Work) -> None:
    """Gather the epochs into the table `matches`."""
    parts = sorted((work.slot.scratch / "matches").glob("*.parquet"))
    write_table(work.slot.content / "matches.parquet", pa.concat_tables([read_table(part) for part in parts]))
