"""Simulated comparisons: masks of several experiments on the expressions of a simulated gallery."""

from collections.abc import Sequence

from assets.reports.comparison.figures import blocks_of
from assets.reports.comparison.knobs import KnobRow
from assets.reports.comparison.pairs import pairs_of
from assets.reports.comparison.published import Beside
from assets.reports.comparison.reading import Comparison, Part
from assets.reports.comparison.writing import Measured
from tests.galleries import simulated


def compared(names: Sequence[str], *, images: int = 12, truth: bool = True, trained: Sequence[str] = ()) -> Comparison:
    """Choices of all experiments, each of a seed of its own, and a model of those in `trained`."""
    gallery = simulated(images, truth=truth)
    worlds = {name: simulated(images, seed=seed) for seed, name in enumerate(names, 1)}
    choices = {name: one.methods[0] for name, one in worlds.items()}
    models = {name: worlds[name].methods[1] for name in trained}
    parts = [Part(title="ZSBootstrap", masks=models, absent=tuple(set(names) - set(trained)))] if trained else []
    return Comparison(
        dataset="simulated",
        experiments=tuple(names),
        splits=("train", "val"),
        images=gallery.images,
        rows=gallery.rows,
        truth=gallery.truth,
        classes=gallery.classes,
        parts=[*parts, Part(title="choice (S2)", masks=choices)],
        same=(),
        reviewed=(),
        lacking=(),
        knobs=[KnobRow(name="mask_choices.sigma", values=tuple(map(str, range(len(names)))))],
        published=Beside(why_not="Rendered."),
    )


def measured(comparison: Comparison) -> Measured:
    """With its numbers."""
    return Measured(comparison=comparison, blocks=blocks_of(comparison), pairs=pairs_of(comparison))
