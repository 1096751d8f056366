"""What data sets look like in figures: embedded worlds beside real ones, as a table for the terminal."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from assets.data.source import ToyWorld
from assets.evaluation.slices import spatial_bin
from ops.evaluation.set_figures import Referred, set_figures
from ops.refusal import Refused
from ops.ssc.nouns import noun_phrases
from pipelines.commands.terminal import TextTable, folding
from pipelines.config.dataset_files import read_both
from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.ground_truth import ground_truth_mask
from resources.datasets.records import GroundTruth
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_all
from resources.toyref.refcoco_writer import write_toyref

STYLES = get_args(ToyWorld.model_fields["style"].annotation)


def worlds_table(names: Iterable[str], world: ToyWorld) -> TextTable:
    """Figures of data sets side by side.

    Args:
        names: a style of expressions, which is rendered; a registered data set; or a folder in the layout of RefCOCO,
            or one that holds several.
        world: size, seed and framing of what is rendered.

    Raises:
        Refused: a name means none of these, or its files can not be read.
    """
    figures: dict[str, dict[str, str]] = {}
    for name in names:
        with _configs(name, world) as configs:
            figures |= {title: figures_of(config) for title, config in configs.items()}
    table = folding("", *figures)
    for row in next(iter(figures.values())):
        table.add_row(row, *(column[row] for column in figures.values()))
    return table


def figures_of(config: DatasetConfig) -> dict[str, str]:
    """What a data set looks like, all its splits together."""
    referents = referred(config)
    nlp = open_parser("embedded")
    texts = list(dict.fromkeys(text for one in referents for text in one.expressions))
    nouns = dict(zip(texts, noun_phrases(texts, lambda batch: parse_all(nlp, batch)), strict=True))
    return set_figures(referents, nouns=nouns, has_place=lambda text: spatial_bin(text) == "with")


def referred(config: DatasetConfig) -> list[Referred]:
    """The referents of a data set, with the areas of those that have a mask."""
    dataset = open_dataset(config)
    areas = {truth.object_id: _area(truth) for truth in dataset.ground_truth()[0]}
    rows: dict[int, list[int]] = {}
    expressions = dataset.corpus().expressions
    for place, row in enumerate(expressions):
        rows.setdefault(row.ref_id, []).append(place)
    return [
        Referred(
            image=expressions[places[0]].image_id,
            size=(expressions[places[0]].width, expressions[places[0]].height),
            area=areas.get(expressions[places[0]].object_id),
            expressions=tuple(expressions[place].expression for place in places),
        )
        for places in rows.values()
    ]


def _area(truth: GroundTruth) -> float:
    return float(ground_truth_mask(truth).mean())


@contextmanager
def _configs(name: str, world: ToyWorld) -> Iterator[dict[str, DatasetConfig]]:
    """Title -> data set. A world that lies nowhere yet is rendered for as long as it is looked at."""
    if Path(name).is_dir():
        yield _in_folder(Path(name))
        return
    toy, config = (world.model_copy(update={"style": name}), None) if name in STYLES else _registered(name)
    if config is not None and (toy is None or (config.root / config.name).is_dir()):
        yield {name: config}
        return
    assert toy is not None
    with TemporaryDirectory() as folder:
        root = Path(folder) / "world"
        write_toyref(root, styles=(toy.style,), size=toy.size, seed=toy.seed, framing=toy.framing)
        config = DatasetConfig(kind="toyref", root=root, name=toy.style, split_by=toy.split_by)
        yield {f"{toy.style} ({toy.framing}, {toy.size}, {toy.seed})": config}


def _registered(name: str) -> tuple[ToyWorld | None, DatasetConfig]:
    source = read_both()[1].named(name).source
    return source.toy, source.config


def _in_folder(folder: Path) -> dict[str, DatasetConfig]:
    """Every `refs(<split_by>).p` in a folder or one below it."""
    found = sorted((*folder.glob("refs(*).p"), *folder.glob("*/refs(*).p")))
    if not found:
        raise Refused(f"{folder} holds no refs(...).p, nor does a folder in it; name one in the layout of RefCOCO")
    return {
        f"{path.parent.name} ({path.name[5:-3]})": DatasetConfig(
            kind="refer",
            root=path.parent.parent.resolve(),
            name=path.parent.resolve().name,
            split_by=path.name[5:-3],
            expect_published_counts=False,
        )
        for path in found
    }
