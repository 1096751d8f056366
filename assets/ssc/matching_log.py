"""What matching gives to referents, epoch by epoch, for the first images of the training split.

Written beside the weights of what learns over all candidates, so that a report can show which mistakes of the choice
were fixed. Every finished epoch lies in the slot's scratch folder: a resumed training loses none.
"""

from collections.abc import Callable
from typing import cast

import pyarrow as pa
import torch

from assets.framework.work import Work
from assets.segmenters.training_set import TrainingSet
from assets.ssc.knobs import MatchingKnobs
from assets.ssc.tables import MATCHES, MatchRow
from ops.segmenters.prediction import Segmenter
from ops.ssc.matching import NONE, MatchingLoss
from storage.files import make_folder
from storage.tables import read_table, write_table

LOGGED_IMAGES = 60

LogEpoch = Callable[[Segmenter, int], None]
"""(model, epochs trained) -> nothing; 0 is before the first."""


def logging_matches(work: Work, data: TrainingSet, matching: MatchingLoss) -> LogEpoch:
    """What notes, after an epoch, the candidates that matching gives to the logged referents."""
    folder = make_folder(work.slot.scratch / "matches")
    epochs, bf16 = work.knobs_as(MatchingKnobs).epochs, work.runtime.bf16(work.knobs_as(MatchingKnobs).precision)

    @torch.inference_mode()
    def log_epoch(model: Segmenter, epoch: int) -> None:
        model.eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(epoch)  # for matching by chance
            rows = matches_of(model, data, matching.at(epoch / epochs), epoch=epoch, bf16=bf16)
        table = pa.Table.from_pylist([MATCHES.columns(row) for row in rows], schema=MATCHES.schema)
        write_table(folder / f"{epoch:04d}.parquet", table)

    return log_epoch


def matches_of(
    model: Segmenter, data: TrainingSet, matching: MatchingLoss, *, epoch: int, bf16: bool
) -> list[MatchRow]:
    """A row for each referent of the first images."""
    dataset, rows = data.dataset, []
    for image in sorted(dataset.referents_of_image)[:LOGGED_IMAGES]:
        numbers = dataset.referents_of_image[image]
        samples = [(number, row) for number in numbers for row in range(len(dataset.referents[number].token_ids_ST))]
        batch = dataset.batch(samples).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B)
        candidates = matching.match(logits.float(), batch).candidates
        given = dict(zip((number for number, _ in samples), candidates, strict=True))
        for number, row in given.items():
            referent = dataset.referents[number]
            candidate = None if row == NONE else cast("int", data.keys[referent.image][row])
            rows.append(MatchRow(epoch=epoch, ref_id=referent.name, candidate=candidate))
    return rows


def write_matches(work: Work) -> None:
    """Gather the epochs into the table `matches`."""
    parts = sorted((work.slot.scratch / "matches").glob("*.parquet"))
    write_table(work.slot.content / "matches.parquet", pa.concat_tables([read_table(part) for part in parts]))
