"""Count network passes of Segment and Select on the tiny embedded world, beside what the reference code would spend.

The reference's numbers follow from S+S+C spec table 6: a blur and an image encoding for every (object, candidate) pair
of objects with more than one candidate (rows 1 and 3), a text encoding for every noun occurrence (row 4). Detector and
SAM encoder run once per image there too (row 5).

Run: python tests/benchmarks/bench_passes.py
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import resources.models.loading
from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from ops.images import gaussian_blur
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Artifact, Store

WORLD = "kind: toyref\ntoy: {style: toyref, size: tiny, seed: 0}\nexperiments: [base]\n"
STAGES = ("dataset_index", "references", "noun_phrases", "projected_classes", "candidate_masks", "mask_choices")


def main() -> None:
    """Run the stages with counting models and print the table."""
    with tempfile.TemporaryDirectory() as folder, patch.dict("os.environ", WORDMASK_HOME=folder):
        sys.stdout.write(table(*run(Path(folder))))


def table(made: dict[str, Artifact], models: dict[str, list[Any]], blurs: int) -> str:
    """Passes of ours and of the reference, side by side."""
    choices = made["mask_choices"].table("choices").to_pylist()
    several = {row["ref_id"]: len(row["candidates"]) for row in choices if len(row["candidates"]) > 1}
    expressions = made["references"].table("expressions").to_pylist()
    images, pairs = made["references"].table("images").num_rows, sum(several.values())
    occurrences = sum(len(nouns) for nouns in made["noun_phrases"].table("nouns")["nouns"].to_pylist())
    projection, choice = models["clip"]
    rows = (
        ("detector, images", models["detector"][0].passes, images),
        ("SAM encoder, images", models["segmenter"][0].passes, images),
        ("blurs", blurs, pairs),
        ("CLIP image encodings", choice.image_passes, pairs),
        ("CLIP text, nouns and labels", projection.text_passes, occurrences + 80),
        ("CLIP text, sentences", choice.text_passes, sum(row["ref_id"] in several for row in expressions)),
    )
    lines = [
        f"{images} images, {len(choices)} objects, {len(expressions)} sentences, {pairs} pairs of object and candidate",
        f"{'passes':<30}{'ours':>8}{'reference':>12}{'ratio':>8}{'per image':>12}{'per sentence':>14}",
    ]
    for name, ours, reference in rows:
        shares = f"{ours / images:>12.2f}{ours / len(expressions):>14.2f}"
        lines.append(f"{name:<30}{ours:>8}{reference:>12}{reference / max(ours, 1):>8.2f}{shares}")
    return "\n".join(lines) + "\n"


def run(home: Path) -> tuple[dict[str, Artifact], dict[str, list[Any]], int]:
    """Artifacts by stage, the models that were opened by kind, and the number of blurs."""
    (home / "datasets").mkdir()
    (home / "datasets" / "bench.yaml").write_text(WORLD)
    models: dict[str, list[Any]] = {"clip": [], "detector": [], "segmenter": []}
    blurs = 0

    def counting_blur(*args: Any, **kwargs: Any) -> Any:
        nonlocal blurs
        blurs += 1
        return gaussian_blur(*args, **kwargs)

    def keeping(kind: str, opener: Callable[..., Any]) -> Callable[..., Any]:
        def opened(*args: Any) -> Any:
            models[kind].append(opener(*args))
            return models[kind][-1]

        return opened

    with (
        patch("ops.ssc.visual_prompts.gaussian_blur", counting_blur),
        patch.object(
            resources.models.loading, "open_clip_model", keeping("clip", resources.models.loading.open_clip_model)
        ),
        patch.object(
            resources.models.loading, "open_detector", keeping("detector", resources.models.loading.open_detector)
        ),
        patch.object(
            resources.models.loading, "open_segmenter", keeping("segmenter", resources.models.loading.open_segmenter)
        ),
    ):
        store = Store(home / "store")
        made = {one.stage.name: run_stage(one, store, Runtime(), lambda _: None) for one in planned()}
    return made, models, blurs


def planned() -> list[StageInstance]:
    """The stages of base on the bench's world, inputs first."""
    return [one for one in load_plan() if one.dataset == "bench" and one.stage.name in STAGES]


if __name__ == "__main__":
    main()
