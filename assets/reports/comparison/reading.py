"""What finished artifacts of several experiments on one data set have in common: masks of the same expressions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assets.data.stages import REFERENCES
from assets.data.tables import EXPRESSIONS, ExpressionRow, ImageRow, images_in
from assets.framework.stage import AssetPath, StageInstance
from assets.reports.comparison.curves import Curves, curves_of
from assets.reports.comparison.knobs import KnobRow, knob_rows
from assets.reports.comparison.published import Beside, published_beside
from assets.reports.gallery.reading import (
    RANK,
    Finished,
    Masks,
    Method,
    kind_of,
    method_of,
    projected_classes,
    title_of,
    truth_and_categories,
)
from assets.ssc.stages import MASK_CHOICES
from assets.stages import SEGMENTERS
from ops.refusal import Refused

FINAL = "final masks"
"""What each experiment is about: those of its model, or of the last stage that gives any."""
Planned = Mapping[str, Sequence[StageInstance]]
"""Experiment -> its stages, inputs first."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Masks of one kind, of the experiments that have them; the first is the baseline."""

    title: str
    masks: Mapping[str, Method]
    """By experiment, at least two."""
    absent: tuple[str, ...] = ()
    """Experiments without such masks."""

    @property
    def baseline(self) -> str:
        """Whom the others are compared with."""
        return next(iter(self.masks))

    @property
    def note(self) -> str:
        """Whose masks they are where experiments end in different stages, and who has none."""
        kinds = {name: method.name for name, method in self.masks.items()}
        said = []
        if len({*kinds.values()}) > 1:
            said.append(f"{'; '.join(f'{name}: {kind}' for name, kind in kinds.items())}.")
        if self.absent:
            said.append(f"Without such masks: {', '.join(self.absent)}. The baseline here is {self.baseline}.")
        return " ".join(said)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Experiments on one data set."""

    dataset: str
    experiments: tuple[str, ...]
    """The first is the baseline."""
    splits: tuple[str, ...]
    images: Mapping[str, ImageRow]
    rows: Sequence[ExpressionRow]
    truth: Masks
    classes: Mapping[int, str]
    """Referent -> its category, or the class that its noun was taken for."""
    parts: Sequence[Part]
    same: tuple[str, ...]
    """Sentences on masks that all experiments share."""
    lacking: tuple[str, ...]
    """Sentences on what is not finished."""
    reviewed: tuple[str, ...]
    """Sentences on the experiments in which persons chose masks."""
    knobs: Sequence[KnobRow]
    published: Beside
    curves: Curves = field(default_factory=Curves)
    train: tuple[str, ...] = ()
    """Splits that train."""


def read_comparison(planned: Planned, finished: Finished) -> Comparison:
    """Join what is finished.

    Args:
        planned: of two experiments or more, the baseline first.
        finished: what is up to date on the data set, of whatever experiments: they have one ground truth.

    Raises:
        Refused: the expressions were not read yet, or fewer than two experiments have masks.
        StoreError: a table is damaged.
    """
    made = {name: [pair for pair in finished if name in pair[0].used_by] for name in planned}
    everything = [pair for pairs in made.values() for pair in pairs]
    references = next((artifact for one, artifact in everything if one.stage.name == REFERENCES.name), None)
    instance = next(one for instances in planned.values() for one in instances)
    lacking = tuple(_lacking(planned, made))
    if references is None:
        raise Refused(f"the expressions of {instance.dataset} were not read yet. {' '.join(lacking)}")
    rows = EXPRESSIONS.read(references)
    masks = _masks(made, rows)
    if sum(map(bool, masks.values())) < 2:
        raise Refused(f"fewer than two of these experiments have masks. {' '.join(lacking)}")
    truth, categories = truth_and_categories(finished, rows)
    parts, same = parts_of(masks)
    return Comparison(
        dataset=instance.dataset,
        experiments=tuple(planned),
        splits=tuple(dict.fromkeys((*instance.source.splits, *(row.split for row in rows)))),
        images=images_in(references),
        rows=rows,
        truth=truth,
        classes=projected_classes(everything) | categories,
        parts=parts,
        same=same,
        lacking=lacking,
        reviewed=tuple(reviews_in(masks)),
        knobs=knob_rows(planned),
        published=published_beside(
            instance.source,
            rows,
            embedded=any("embedded" in str(artifact.manifest.extra.get("models", "")) for _, artifact in everything),
        ),
        curves=curves_of(made),
        train=instance.source.train,
    )


def _masks(finished: Mapping[str, Finished], rows: Sequence[ExpressionRow]) -> dict[str, dict[str, Method]]:
    """Experiment -> stage -> its masks; a stage that several experiments share is read once."""
    read: dict[AssetPath, Method | None] = {}
    masks: dict[str, dict[str, Method]] = {}
    for name, pairs in finished.items():
        masks[name] = {}
        for one, artifact in pairs:
            if one.key not in read:
                read[one.key] = method_of(one, artifact, rows, name=title_of(one.stage.name))
            method = read[one.key]
            if method is not None:
                masks[name][one.stage.name] = method
    return masks


def parts_of(masks: Mapping[str, Mapping[str, Method]]) -> tuple[list[Part], tuple[str, ...]]:
    """What is compared, the final masks first, and sentences on what is the same.

    Args:
        masks: experiment -> stage -> its masks, inputs first; one object where experiments share a result.
    """
    final = {name: final_stage(list(stages)) for name, stages in masks.items() if stages}
    stages = sorted({stage for of_one in masks.values() for stage in of_one}, key=_last_first)
    parts, same = [], []
    if len({*final.values()}) > 1:
        found = {name: masks[name][stage] for name, stage in final.items()}
        parts.append(Part(title=FINAL, masks=found, absent=_absent(masks, found)))
    for stage in stages:
        found = {name: of_one[stage] for name, of_one in masks.items() if stage in of_one}
        if len(found) < 2:
            continue
        if len({id(method) for method in found.values()}) == 1 and (parts or stage not in final.values()):
            same.append(f"{title_of(stage)}: one result that {' and '.join(found)} share.")
        else:
            parts.append(Part(title=title_of(stage), masks=found, absent=_absent(masks, found)))
    return parts, tuple(same)


def reviews_in(masks: Mapping[str, Mapping[str, Method]]) -> Iterator[str]:
    """A sentence for each experiment with masks that persons chose: its numbers are no weakly supervised ones."""
    for name, stages in masks.items():
        choices = stages[MASK_CHOICES.name].choices.values() if MASK_CHOICES.name in stages else ()
        count = sum(choice.by_person for choice in choices)
        if count:
            yield f"{name} is supervised in part: persons decided on {count} of {len(choices)} referents (reviews)."


def _absent(masks: Mapping[str, object], found: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in masks if name not in found)


def final_stage(stages: Sequence[str]) -> str:
    """Of stages with masks, inputs first: the predictions of the model that an experiment is about, or the last one."""
    predictions = (model.predictions.name for model in SEGMENTERS)
    return next((stage for stage in predictions if stage in stages), stages[-1])


def _last_first(stage: str) -> tuple[int, str]:
    return -RANK[kind_of(stage)], stage


def _lacking(planned: Planned, finished: Mapping[str, Finished]) -> Iterator[str]:
    """A sentence for each experiment of which something is not up to date."""
    for name, instances in planned.items():
        there = {one.key for one, _ in finished[name]}
        missing = [one.stage.name for one in instances if one.key not in there]
        if missing:
            some = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
            dataset = instances[0].dataset
            yield f"{name}: {some} not ready; `wordmask run -d {dataset} -e {name}` makes what is missing."
