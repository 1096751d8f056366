"""How much clicks bring: `python -m tests.benchmarks.simulated_annotator --clicks 0 10 30 100 300`.

An annotator is simulated on the rendered worlds: of the training referents whose choice has the least margin, the first
k are shown, and the ground truth answers for a person: the candidate that overlaps it most, or "none of these" where no
candidate overlaps it by a half. The answers go the way of any person's: into the data set's file of reviews, and by
`reviews: on` into S2. These rows are supervised, and the experiment stands outside the weakly supervised graph. Columns
of the table: mIoU of S2 over the expressions of all training referents; the share of answers that were another mask
than the rule's; with `--train`, mIoU of the model that was trained on S2, on splits that nobody reviewed.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import inf

import numpy as np

from assets.data.source import ToyWorld
from assets.data.tables import Referent, ground_truth_of, images_in, referents_in
from assets.framework.asset_factory import run_stage
from assets.ssc.review_keys import mask_key, referent_keys
from assets.ssc.tables import CandidateRow, ChoiceRow, candidates_of, choices_of, read_rule_choices
from pipelines.commands.report import summary_of
from pipelines.config.dataset_files import DatasetFile, ask_for, write_once
from pipelines.graph.load import leading_to, planned
from resources.paths import home
from resources.reviews import decide, reviews_file
from resources.runtime import Runtime
from resources.store import open_store
from storage.artifact import Artifact
from storage.files import write_bytes
from storage.masks import Rle

EXPERIMENT = "annotated"
YAML = """extends: base
description: A simulated annotator's answers go before the rule; supervised.
targets: [choice_scores, scores]
knobs: {mask_choices: {reviews: on}}
"""
WHO = "simulated"
FITS = 0.5
"""IoU with the ground truth from which on a candidate is the answer."""
Artifacts = Mapping[str, Artifact]


def finish(dataset: str, until: str) -> dict[str, Artifact]:
    """Run what leads to a stage; its artifacts by stage."""
    stages = leading_to(until, planned(dataset, EXPERIMENT))
    return {one.stage.name: run_stage(one, open_store(), Runtime(), lambda _: None) for one in stages}


def training(made: Artifacts, dataset: str) -> list[Referent]:
    """The referents that may be shown."""
    source = planned(dataset, EXPERIMENT)[0].source
    return referents_in(made["references"], splits=source.train)


class Annotator:
    """Answers by ground truth, least margin first."""

    def __init__(self, made: Artifacts, dataset: str) -> None:
        self.dataset, self.images = dataset, images_in(made["references"])
        self.truths = {name: row.mask for name, row in ground_truth_of(made["ground_truth"]).items()}
        self.candidates = candidates_of(made["candidate_masks"])
        self.rule = {row.ref_id: row for row in read_rule_choices(made["mask_choices"])}
        self.keys = referent_keys(referents_in(made["references"]), self.images)
        shown = (one for one in training(made, dataset) if one.ref_id in self.rule)
        self.queue = sorted(shown, key=lambda one: _margin(self.rule[one.ref_id]))
        self.asked = self.mended = 0

    def answer(self, until: int) -> None:
        """Answer for the first so many referents; those that were asked before are not asked again."""
        for referent in self.queue[self.asked : until]:
            best = self.best(referent)
            image = self.images[referent.image_id]
            said = {"image": image.sha256, "referent": self.keys[referent.ref_id]}
            if best is None:
                decide(self.dataset, WHO, **said, decision="none")
            else:
                decide(self.dataset, WHO, **said, decision="mask", mask=mask_key(image, best.mask))
            self.mended += self.rule[referent.ref_id].mask != (best and best.mask)
            self.asked += 1

    def best(self, referent: Referent) -> CandidateRow | None:
        """The candidate that a person would take."""
        truth, choice = self.truths[referent.object_id], self.rule[referent.ref_id]
        mine = [one for one in self.candidates.get(referent.image_id, ()) if one.candidate in choice.candidates]
        best = max(mine, key=lambda one: one.mask.iou(truth), default=None)
        return best if best is not None and best.mask.iou(truth) >= FITS else None


def _margin(row: ChoiceRow) -> float:
    return inf if row.margin is None else row.margin


def s2_miou(made: Artifacts, annotator: Annotator) -> float:
    """Mean IoU of S2 over the expressions of all training referents."""
    choices = choices_of(made["mask_choices"])
    ious = [
        _iou(choices[one.ref_id].mask, annotator.truths[one.object_id])
        for one in annotator.queue
        for _ in one.expressions
    ]
    return float(np.mean(ious))


def _iou(mask: Rle | None, truth: Rle) -> float:
    return 0.0 if mask is None else mask.iou(truth)


def rows(dataset: str, clicks: Sequence[int], *, train: bool) -> Iterator[list[str]]:
    """A row of the table for each number of clicks, after a run each."""
    reviews_file(dataset).unlink(missing_ok=True)  # an earlier simulation's
    annotator = Annotator({**finish(dataset, "ground_truth"), **finish(dataset, "mask_choices")}, dataset)
    for count in sorted(clicks):
        annotator.answer(count)
        made = finish(dataset, "mask_choices")
        tally = made["mask_choices"].manifest.rows["choices"]
        mended = f"{annotator.mended / annotator.asked:.0%}" if annotator.asked else "-"
        supervision = "supervised" if annotator.asked else "weakly supervised"
        cells = [
            str(annotator.asked),
            supervision,
            str(tally.computed),
            mended,
            f"{100 * s2_miou(made, annotator):.2f}",
        ]
        if train:
            found = summary_of({"scores": finish(dataset, "scores")["scores"]}, ("mIoU",))
            cells += [
                f"{100 * value:.2f}" for (_, method), (value,) in sorted(found.items()) if method == "ZSBootstrap"
            ]
        yield cells


def main() -> None:
    """Print a table for each seed, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, nargs="+", default=[0, 10, 30, 100, 300], help="referents answered for")
    parser.add_argument("--seeds", type=int, default=1, help="worlds and trainings")
    parser.add_argument("--size", default="small", help="of the worlds")
    parser.add_argument("--train", action="store_true", help="train ZSBootstrap on S2, too")
    wanted = parser.parse_args()
    write_bytes(home() / "experiments" / f"{EXPERIMENT}.yaml", YAML.encode())
    for seed in range(wanted.seeds):
        dataset = f"annotated_{wanted.size}_seed{seed}"
        toy = ToyWorld.model_validate({"style": "toyref", "size": wanted.size, "seed": seed})
        write_once(dataset, DatasetFile(kind="toyref", toy=toy), "A world of the simulated annotator.")
        ask_for(dataset, [EXPERIMENT])
        splits = [f"{name} ZSBootstrap mIoU" for name in sorted(planned(dataset, EXPERIMENT)[0].source.evaluate)]
        head = [
            "clicks",
            "supervision",
            "rows computed",
            "other than the rule's",
            "train S2 mIoU",
            *(splits if wanted.train else []),
        ]
        sys.stdout.write(f"\n{dataset}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n")
        for cells in rows(dataset, wanted.clicks, train=wanted.train):
            sys.stdout.write(f"| {' | '.join(cells)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
