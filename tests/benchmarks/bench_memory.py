"""Memory and processor time over the number of expressions: `python -m tests.benchmarks.bench_memory 10000 100000`.

    python -m tests.benchmarks.bench_memory [expressions ...] [--stages NAME ...] [--keep FOLDER] [--written-nouns]

A world of tiny images, a tenth as many as expressions, goes through index, references, ground truth, nouns, classes,
choices by the rule `random`, scores, report and gallery; candidate masks are written as they are drawn here. Each stage
is a process of its own. Told are its peak of resident memory (`ru_maxrss`, what /usr/bin/time -v calls maximum resident
set size), processor seconds in all and for 10,000 expressions, shards written, and the files of the artifact. A million
takes 35 minutes of a core, of which nouns are two fifths; with `--written-nouns` they are written, too. With `--keep`
worlds stay, and stages that are finished are not made again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.framework.asset_factory import run_stage
from assets.framework.stage import Outcome, StageInstance
from assets.framework.work import Work
from assets.ssc.stages import CANDIDATE_MASKS, NOUN_PHRASES
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Store
from storage.masks import Rle
from storage.parquet_shards import write_shard
from storage.rows import Tally

PER_IMAGE, OBJECTS = 10, 2
"""Expressions and referents of an image."""
HEIGHT, WIDTH = 24, 32
MASKS = 16
"""Different drawings of an object."""
COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "gray", "orange", "pink", "dark", "small")
THINGS = ("dog", "car", "bus", "cup", "chair", "bird", "horse", "truck", "person", "cat", "boat", "sheep", "clock")
PLACES = ("on the left", "on the right", "in front", "behind", "at the top", "below", "near the middle", "far away")
STAGES = (
    *("dataset_index", "references", "ground_truth", "noun_phrases", "projected_classes", "candidate_masks"),
    *("mask_choices", "choice_scores", "report"),
)
GALLERY = "gallery"
EXPERIMENT = """extends: base
datasets: [many]
targets: [report]
knobs:
  mask_choices: {rule: random}
  report: {trained: false, examples: 4}
"""


def write_world(home: Path, expressions: int) -> None:
    """A folder of images with expressions, and the files that describe it; nothing where it is there."""
    root = home / "many"
    if (root / "expressions.csv").exists():
        return
    (root / "masks").mkdir(parents=True)
    for number in range(MASKS):
        Image.fromarray(255 * drawn(number).astype(np.uint8)).save(root / "masks" / f"{number}.png")
    images = -(-expressions // PER_IMAGE)
    for number in range(images):
        folder = root / f"{number // 1000:04}"
        folder.mkdir(exist_ok=True)
        pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        pixels[0, :4, 0] = list(number.to_bytes(4))
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
    (root / "expressions.csv").write_text("image,expression,object_id,split,mask\n" + "".join(lines(images)))
    for kind, text in {
        "datasets/many": f"{{kind: folder, root: {root}, train: [train], evaluate: [val]}}",
        "experiments/flat": EXPERIMENT,
    }.items():
        (home / f"{kind}.yaml").parent.mkdir(exist_ok=True)
        (home / f"{kind}.yaml").write_text(text)


def lines(images: int) -> Iterator[str]:
    """Of the table; one image of ten trains, the others are scored."""
    texts = expressions_without_end()
    for number in range(images):
        for place, text in enumerate(islice(texts, PER_IMAGE)):
            thing = place % OBJECTS
            split = "val" if number % 10 else "train"
            yield f"{number // 1000:04}/{number}.png,{text},{thing},{split},masks/{(number + thing) % MASKS}.png\n"


def expressions_without_end() -> Iterator[str]:
    """Each one different, of eight to eleven words."""
    for number, beside, other in product(range(1000), THINGS, COLOURS):
        for colour, thing, place in product(COLOURS, THINGS, PLACES):
            yield f"the {colour} {thing} {place} of the {other} {beside}{f' {number}' if number else ''}"


def drawn(number: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A box (HEIGHT, WIDTH)."""
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[2 + number % 4 : 14 + number % 8, 3 + number : 12 + number] = True
    return mask_HW


def written_candidates(work: Work) -> Outcome:
    """In the place of detector and SAM: four boxes of no class an image."""
    from assets.data.tables import images_of
    from assets.ssc.tables import CANDIDATES, CandidateRow  # bring torch, which stages that only read do without

    masks = [Rle.of(drawn(number)) for number in range(MASKS)]
    images = images_of(work).values()
    count = 0

    def rows() -> Iterator[CandidateRow]:
        nonlocal count
        for number, image in enumerate(images):
            for place in range(4):
                count += 1
                mask = masks[(number + place) % MASKS]
                yield CandidateRow(
                    **dict.fromkeys(("x0", "y0", "x1", "y1", "detector_score")),  # type: ignore[arg-type]
                    image_id=image.image_id,
                    candidate=place,
                    label="",
                    segmenter_score=0.9,
                    area=mask.area,
                    **mask.columns(),
                )

    CANDIDATES.write(work.slot, rows())
    return Outcome(tallies={"candidates": Tally.computed_anew(count)})


def written_nouns(work: Work) -> Outcome:
    """In the place of the parser: the things that an expression names."""
    from assets.data.tables import EXPRESSIONS
    from assets.ssc.tables import NOUNS, NounRow

    texts = dict.fromkeys(row.expression for row in EXPRESSIONS.rows(work.inputs["references"]))
    rows = (NounRow(expression=text, nouns=[word for word in text.split() if word in THINGS]) for text in texts)
    return Outcome(tallies={"nouns": Tally.computed_anew(NOUNS.write(work.slot, rows))})


def make(name: str, home: Path, written: bool) -> None:
    """One stage, in this process; prints how many shards it wrote and what lies there then."""
    if name == GALLERY:
        from assets.reports.gallery.writing import INDEX, PAGE
        from pipelines.commands.gallery import gallery

        gallery("many", home / "pages", show=False)
        page = home / "pages" / "many"
        sizes = [(page / ending.lstrip("/")).stat().st_size for ending in (PAGE, INDEX, "/data/masks-00000.js")]
        told = f"page, index and first chunk {sum(sizes) / 1024:.0f} KiB"
        sys.stdout.write(json.dumps([0, sum(path.is_file() for path in page.rglob("*")), told]))
        return
    shards = 0

    def counted(*arguments: Any) -> Any:
        nonlocal shards
        shards += 1
        return write_shard(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.rows.write_shard", counted)
        runtime = Runtime(threads=1, workers=1)
        artifact = run_stage(_planned(name, written), Store(home / "store"), runtime, lambda _: None)
    files = [path for path in artifact.path.rglob("*") if path.is_file()]
    told = f"page {artifact.file('report.html').stat().st_size / 1024:.0f} KiB" if name == "report" else ""
    sys.stdout.write(json.dumps([shards, len(files), told]))


def _planned(name: str, written: bool) -> StageInstance:
    instance = next(one for one in load_plan() if one.dataset == "many" and one.stage.name == name)
    bodies = {CANDIDATE_MASKS.name: "candidates"} | ({NOUN_PHRASES.name: "nouns"} if written else {})
    if name not in bodies:
        return instance
    body = f"tests.benchmarks.bench_memory:written_{bodies[name]}"
    return replace(instance, stage=replace(instance.stage, body=body))


def measured(name: str, home: Path, written: bool) -> tuple[float, float, list[Any]]:
    """Peak in MiB, processor seconds, and what the stage says of files."""
    environment = {**os.environ, "WORDMASK_HOME": str(home)}
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bench_memory",
        "--make",
        name,
        str(home),
        *(["--written"] * written),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{name} failed")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, json.loads(said.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expressions", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--stages", nargs="+", default=[*STAGES, GALLERY])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--written-nouns", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for count in wanted.expressions:
            home = (wanted.keep or Path(temporary)) / str(count)
            write_world(home, count)
            sys.stdout.write(f"{count:,} expressions of {count // PER_IMAGE:,} images\n")
            for name in wanted.stages:
                peak, seconds, (shards, files, told) = measured(name, home, wanted.written_nouns)
                sys.stdout.write(
                    f"  {name:18} {peak:6.0f} MiB {seconds:7.1f} s, {seconds * 10_000 / count:6.2f} s for 10,000; "
                    f"{shards} shards, {files} files {told}\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], Path(sys.argv[3]), "--written" in sys.argv)
    else:
        main()
