"""What finished runs took: seconds a sample, masks an image, and how long trainings last, as S+S+C tells of itself.

All of it stands in the manifests of finished stages; nothing is run. A stage's seconds include loading its models.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType

from assets.data.stages import REFERENCES
from assets.ssc.stages import (
    CANDIDATE_MASKS,
    CORRECTED,
    MASK_CHOICES,
    NOUN_PHRASES,
    PROJECTED_CLASSES,
    SUPERVISED,
    ZS_BOOTSTRAP,
)
from ops.refusal import Refused
from pipelines.commands.terminal import folding
from pipelines.graph.forecast import Past
from pipelines.graph.load import in_use, read_plan
from pipelines.graph.state import ready
from storage.artifact import Artifact

Artifacts = Mapping[str, Artifact]
"""Stage -> what an experiment has finished."""
SELECT = (NOUN_PHRASES.name, PROJECTED_CLASSES.name, CANDIDATE_MASKS.name, MASK_CHOICES.name)
"""What a mask takes without a trained segmenter."""
DETECTORLESS = SELECT[2:]
"""The same where a segmenter needs no class."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to a mask for an expression."""

    name: str
    experiment: str
    stages: Sequence[str]
    """All that it takes for an image that it has not seen."""
    published: str = ""
    """The paper's seconds a sample, on an A40."""
    published_masks: str = ""
    """The paper's masks an image."""


METHODS = (
    Method(name="S+S", experiment="base", stages=SELECT, published="1.78"),
    Method(name="SAM + Select", experiment="sam_select", stages=DETECTORLESS, published_masks="111"),
    Method(name="GL-CLIP (SAM)", experiment="gl_clip", stages=DETECTORLESS, published="2.95", published_masks="111"),
    Method(name="S+S+C", experiment="correct", stages=("corrected_predictions",), published="0.2"),
    Method(name="TRIS Step 1", experiment="tris", stages=("response_maps",)),
    Method(name="TRIS Step 2", experiment="tris", stages=("tris_predictions",)),
    Method(name="MERES", experiment="meres", stages=("meres_predictions",)),
)
TRAININGS = (ZS_BOOTSTRAP.name, CORRECTED.name)
OVERHEAD = "2.5"
"""What the paper's whole pipeline takes, as a multiple of a training of LAVT."""


def times_table(dataset: str) -> RenderableType:
    """Seconds a sample and masks an image of what is finished on a data set, beside the paper's.

    Raises:
        Refused: the data set is unknown, or none of the methods is finished on it.
    """
    plan = read_plan()
    plan.datasets.named(dataset)
    finished = {
        name: ready(in_use(plan.instances, dataset, name)) for name in dict.fromkeys(one.experiment for one in METHODS)
    }
    rows = [row for method in METHODS if (row := row_of(method, finished[method.experiment]))]
    if not rows:
        raise Refused(
            f"no method is finished on {dataset}: `wordmask run -d {dataset} -e correct` makes the first of them"
        )
    heads = ("method", "seconds a sample", "paper, A40", "masks an image", "paper", "machine")
    table = folding(*heads, title=f"{dataset}: what a mask for an expression takes")
    for row in rows:
        table.add_row(*row)
    table.caption = (
        "from the manifests of finished stages, loading of models included; GL-CLIP (FreeSOLO), 0.49 s, 49 masks"
    )
    return Group(table, *training_line(finished["correct"]))


def row_of(method: Method, finished: Artifacts) -> tuple[str, ...] | None:
    """The cells of a method; None until its last stage is finished."""
    if method.stages[-1] not in finished:
        return None
    seconds = seconds_a_sample(method.stages, finished)
    masks = masks_an_image(finished) if CANDIDATE_MASKS.name in method.stages else None
    return (
        method.name,
        "-" if seconds is None else f"{seconds:.3f}",
        method.published or "-",
        "-" if masks is None else f"{masks:.1f}",
        method.published_masks or "-",
        Past(finished[method.stages[-1]].manifest).machine,
    )


def seconds_a_sample(stages: Sequence[str], finished: Artifacts) -> float | None:
    """Seconds of all these stages for one expression; None where a stage computed nothing that was timed.

    Stages up to a choice are those of whole images with all their expressions, which share them.
    """
    spent = [time_of(finished[stage]) for stage in stages]
    known = [seconds for seconds in spent if seconds is not None]
    samples = rows_of(finished[REFERENCES.name if stages[-1] == MASK_CHOICES.name else stages[-1]])
    return sum(known) / samples if len(known) == len(spent) and samples else None


def time_of(artifact: Artifact) -> float | None:
    """Seconds that all units of a stage take, also those that were copied; None where none was timed."""
    past = Past(artifact.manifest)
    return None if past.unit_seconds is None else past.unit_seconds * past.units


def rows_of(artifact: Artifact) -> int:
    """Rows of an artifact's first table."""
    return next((tally.rows for tally in artifact.manifest.rows.values()), 0)


def masks_an_image(finished: Artifacts) -> float | None:
    """Candidate masks for each image, those without any counted too."""
    from assets.ssc.tables import candidates_of  # brings pyarrow

    images = finished[REFERENCES.name].manifest.metrics.get("images")
    count = sum(map(len, candidates_of(finished[CANDIDATE_MASKS.name]).values()))
    return count / images if isinstance(images, int) and images else None


def training_line(finished: Artifacts) -> Iterable[str]:
    """How long S+S+C trains, as a multiple of LAVT on ground truth; nothing until all three are finished and timed."""
    spent = [time_of(finished[name]) for name in (*TRAININGS, SUPERVISED.name) if name in finished]
    known = [seconds for seconds in spent if seconds is not None]
    if len(known) == len(TRAININGS) + 1:
        bootstrap, corrected, supervised = known
        yield (
            f"Trainings: ZSBootstrap {bootstrap:.0f} s and correction {corrected:.0f} s, together "
            f"{(bootstrap + corrected) / supervised:.1f} times LAVT on ground truth ({supervised:.0f} s); "
            f"the paper's whole pipeline: {OVERHEAD} times."
        )
