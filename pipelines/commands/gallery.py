"""The gallery of a data set: a folder with every expression and what all finished stages made of it."""

import webbrowser
from functools import partial
from pathlib import Path

from assets.data.images import read_pixels
from assets.reports.gallery.reading import read_gallery
from assets.reports.gallery.writing import Written, write_gallery
from ops.refusal import Refused
from pipelines.graph.load import read_plan
from pipelines.graph.state import among, raw_data_problem, states_of
from pipelines.pages import comparison_links, gallery_folder
from resources.datasets import open_dataset
from resources.reviews import read_reviews
from resources.store import open_store


def gallery(dataset: str, folder: Path | None, *, show: bool) -> str:
    """Write it, below the home where no folder is given, and say what was written.

    Raises:
        Refused: no file describes the data set, or its expressions were not read yet.
        StoreError: the disk refuses, or an artifact is damaged.
    """
    written = write_gallery_of(dataset, folder)
    if show:
        webbrowser.open(written.page.resolve().as_uri())
    lost = (
        f"\n{len(written.lost)} images changed and are not shown: {', '.join(written.lost[:5])}" if written.lost else ""
    )
    return (
        f"{written.expressions} expressions of {written.images} images, {written.drawn} of them drawn anew{lost}\n"
        f"The gallery: {written.page}"
    )


def write_gallery_of(dataset: str, folder: Path | None = None) -> Written:
    """Write it, below the home where no folder is given; errors as of `gallery`."""
    folder = gallery_folder() if folder is None else folder
    plan = read_plan()
    plan.datasets.named(dataset)
    instances = [one for one in plan.instances if one.dataset == dataset]
    states = states_of(instances, open_store())
    finished = [(one, artifact) for one in instances for artifact in among(states, [one]).values()]
    if not any(one.stage.name == "references" for one, _ in finished):
        raise Refused(
            f"{raw_data_problem(instances)}the expressions of {dataset} were not read yet: "
            f"`wordmask run -d {dataset} -e base` does so"
        )
    read = partial(read_pixels, open_dataset(instances[0].source.config))
    shown = read_gallery(finished, read_reviews(dataset).counted)
    return write_gallery(shown, folder, read, links=comparison_links(dataset, folder / dataset))
