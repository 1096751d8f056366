"""How much correction mends of a teacher's faults: `python -m tests.benchmarks.simulated_teacher --seeds 3`.

The teacher is simulated on the rendered worlds: of every referent it gives the ground truth, but eroded, and for a
fifth of the referents another object of the image, by all expressions alike, so that no vote can mend it. Its masks go
the way of any teacher's: into files of the documented form, through `wordmask import-masks`, into S1 and S2. Rows of
the table: the teacher's own masks, a student trained on them, the student trained on for as long (no correction), the
student corrected by matching over the teacher's candidates and over ours, and the student of whole ground truth.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from assets.data.dataset_index import raw_fingerprint
from assets.data.images import Mask
from pipelines.commands.import_masks import import_masks
from pipelines.commands.results import markdown, register, run_rows, world
from pipelines.config.paper_tables import PaperTable, Row
from pipelines.graph.load import load_plan
from resources.datasets import DatasetConfig, Expression, open_dataset
from resources.datasets.ground_truth import ground_truth_mask
from resources.paths import home
from storage.files import write_bytes
from storage.masks import Rle

WRONG = 0.2
"""Share of the referents for which the teacher shows another object."""
EROSION = 0.03
"""Pixels taken off every edge, as a share of the square root of the mask's area, but one at least: an IoU of 0.77."""
CHOICES, CANDIDATES = "simulated", "simulated_candidates"
EXPERIMENTS = {
    "teacher": f"""extends: correct
targets: [choice_scores, scores, corrected_scores, supervised_scores]
knobs:
  candidate_masks: {{source: imported, teacher: {CANDIDATES}}}
  mask_choices: {{rule: imported, teacher: {CHOICES}}}
""",
    "teacher_longer": "extends: teacher\ntargets: [corrected_scores]\nknobs: {corrected: {rule: chosen}}\n",
    "teacher_our_masks": """extends: teacher
targets: [choice_scores, scores, corrected_scores]
knobs: {candidate_masks: {source: detector}}
""",
}
ROWS = (
    ("the teacher's own masks", "teacher", "choice_scores", "S+S"),
    ("student of the teacher", "teacher", "scores", "ZSBootstrap"),
    ("+ as many epochs", "teacher_longer", "corrected_scores", "S+S+C"),
    ("+ correction over the teacher's candidates", "teacher", "corrected_scores", "S+S+C"),
    ("the teacher's choices among our candidates", "teacher_our_masks", "choice_scores", "S+S"),
    ("student of these", "teacher_our_masks", "scores", "ZSBootstrap"),
    ("+ correction over our candidates", "teacher_our_masks", "corrected_scores", "S+S+C"),
    ("student of ground truth", "teacher", "supervised_scores", "supervised"),
)
TABLE = PaperTable(
    number=90,
    title=f"a teacher with {WRONG:.0%} wrong objects and eroded masks",
    rows=tuple(Row(label=label, experiment=name, stage=stage, method=method) for label, name, stage, method in ROWS),
)


def simulate(config: DatasetConfig, folder: Path, *, seed: int = 0, wrong: float = WRONG) -> tuple[Path, Path]:
    """Write what the teacher says of a data set, `choices.json` and `candidates.json`; both again.

    Args:
        config: a data set with ground truth.
        folder: where to.
        seed: of the faults.
        wrong: share of the referents that get another object of their image.
    """
    dataset, rng = open_dataset(config), np.random.default_rng(seed)
    expressions = dataset.corpus().expressions
    masks = {one.object_id: Rle.of(eroded(ground_truth_mask(one))) for one in dataset.ground_truth()[0]}
    images = {one.image_file: one for one in expressions}
    objects = {file: sorted({one.object_id for one in expressions if one.image_file == file}) for file in images}
    meant = shown_objects(expressions, objects, rng, wrong=wrong)
    choices = [
        {"image": one.image_file, "expression": one.expression, "sent_id": one.sent_id, "score": score(rng)}
        | {"segmentation": masks[meant[one.ref_id]].segmentation()}
        for one in expressions
    ]
    candidates = [
        {"image": file, "score": score(rng), "segmentation": masks[object_id].segmentation()}
        for file, here in objects.items()
        for object_id in here
    ]
    return _write(folder / "choices.json", choices), _write(folder / "candidates.json", candidates)


def shown_objects(
    expressions: Iterable[Expression], objects: dict[str, list[str]], rng: np.random.Generator, *, wrong: float
) -> dict[int, str]:
    """Referent -> the object that the teacher shows; wrong ones fall on images with several objects."""
    referents = {one.ref_id: one for one in expressions}
    meant = {ref_id: one.object_id for ref_id, one in referents.items()}
    rivals = {
        ref_id: [other for other in objects[one.image_file] if other != one.object_id]
        for ref_id, one in referents.items()
    }
    confusable = [ref_id for ref_id, others in rivals.items() if others]
    count = min(round(wrong * len(meant)), len(confusable))
    for ref_id in rng.choice(confusable, size=count, replace=False) if count else ():
        meant[int(ref_id)] = str(rng.choice(rivals[int(ref_id)]))
    return meant


def eroded(mask_HW: Mask) -> Mask:
    """A mask without its edge; as it is where nothing would be left."""
    side = 2 * max(round(EROSION * float(np.sqrt(mask_HW.sum()))), 1) + 1
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    smaller_HW = cv2.erode(mask_HW.astype(np.uint8), shape, borderValue=0).astype(bool)
    return smaller_HW if smaller_HW.any() else mask_HW


def score(rng: np.random.Generator) -> float:
    """How sure the teacher says it is, which tells nothing."""
    return round(float(rng.uniform(0.5, 1)), 3)


def bring_in(datasets: Sequence[str], *, wrong: float) -> None:
    """Draw the worlds that are not there yet, and import the simulated teacher for each."""
    first = {one.dataset: one for one in load_plan() if one.stage.name == "dataset_index"}
    for name in datasets:
        raw_fingerprint(first[name])
        source = first[name].source
        choices, candidates = simulate(source.config, home() / "simulated" / name, seed=source.seed, wrong=wrong)
        import_masks(choices, name, CHOICES, "choices")
        import_masks(candidates, name, CANDIDATES, "candidates")


def _write(path: Path, records: list[dict[str, Any]]) -> Path:
    write_bytes(path, json.dumps(records, ensure_ascii=False).encode())
    return path


def main() -> None:
    """Print the table over the seeds, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="worlds and trainings")
    parser.add_argument("--style", default="toyref", help="of expressions")
    parser.add_argument("--wrong", type=float, default=WRONG, help="share of wrong objects")
    wanted = parser.parse_args()
    for name, text in EXPERIMENTS.items():
        write_bytes(home() / "experiments" / f"{name}.yaml", text.encode())
    seeds = range(wanted.seeds)
    register([wanted.style], seeds, [TABLE])
    bring_in([world(wanted.style, seed) for seed in seeds], wrong=wanted.wrong)
    failed = run_rows(load_plan(), [wanted.style], seeds, [TABLE], lambda: None)
    page = markdown([wanted.style], seeds, [TABLE])
    command = " ".join(["python -m tests.benchmarks.simulated_teacher", *sys.argv[1:]])
    sys.stdout.write(re.sub(r"`wordmask results --seeds[^`]*`", f"`{command}`", page))
    sys.exit("\n".join(f"failed: {command}" for command in failed) or 0)


if __name__ == "__main__":
    main()
