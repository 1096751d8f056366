"""What lies in the raw data, and a hash of their content."""

from assets.data.tables import SPLITS, SplitRow
from assets.framework.stage import Outcome, StageInstance
from assets.framework.work import Work
from ops.refusal import Refused
from resources.datasets.raw_state import hashed_fingerprint, memory_of
from resources.toyref.refcoco_writer import require_world, write_toyref
from storage.artifact import Artifact
from storage.files import explain
from storage.locks import exclusive
from storage.rows import Tally

CONTENT = "content"
"""The metric of `dataset_index` that says which raw data it saw."""
RENDERING_SECONDS = 3600.0
"""How long to wait for another process that renders the same embedded world."""


def raw_fingerprint(instance: StageInstance) -> str:
    """Content hash of the raw data, remembered; an embedded world is rendered first where it is not there yet."""
    config, toy = instance.source.config, instance.source.toy
    if toy is not None:
        if not (config.root / config.name).is_dir():
            with exclusive(config.root.with_name(f".{config.root.name}.lock"), timeout=RENDERING_SECONDS):
                if not (config.root / config.name).is_dir():  # another process may have rendered it meanwhile
                    with explain(config.root):
                        write_toyref(
                            config.root, styles=(toy.style,), size=toy.size, seed=toy.seed, framing=toy.framing
                        )
        require_world(config.root / config.name, size=toy.size, seed=toy.seed, framing=toy.framing)
    return hashed_fingerprint(config, memory_of(instance.dataset))


def dataset_index(work: Work) -> Outcome:
    """Images, referents and expressions per split."""
    corpus = work.dataset.corpus()
    rows = [
        SplitRow(
            split=split,
            images=len({row.image_id for row in corpus.of(split)}),
            objects=len({row.ref_id for row in corpus.of(split)}),
            expressions=len(corpus.of(split)),
        )
        for split in corpus.splits
    ]
    SPLITS.write(work.slot, rows)
    assert work.raw is not None, "the graph hashes the raw data first"
    metrics: dict[str, float | int | str] = {CONTENT: work.raw}
    metrics |= {f"{row.split}: expressions": row.expressions for row in rows}
    return Outcome(tallies={"splits": Tally.computed_anew(len(rows))}, metrics=metrics)


def require_unchanged(instance: StageInstance, dataset_index: Artifact) -> None:
    """Refuse what was read from other raw data than `dataset_index` hashed.

    Raises:
        Refused: they changed meanwhile.
    """
    seen = dataset_index.manifest.metrics.get(CONTENT)
    if seen is not None and raw_fingerprint(instance) != seen:
        raise Refused("the raw data changed while they were read: start a new run, which reads them anew")
