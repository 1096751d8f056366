"""The picture of README.md, from what the main job made of a data set; `make pictures` runs it."""

import sys
from pathlib import Path

from assets.data.source import Source
from assets.reports.picture import NEEDED, clearest_example, draw
from ops.refusal import Refused
from pipelines.graph.load import planned
from pipelines.graph.state import raw_data_problem, ready
from resources.datasets import open_dataset
from resources.datasets.images import load_image
from storage.files import write_bytes


def write_picture(file: Path, *, dataset: str, experiment: str) -> None:
    """Write the way of the clearest example as PNG.

    Raises:
        Refused: a stage is not finished, or no example is clear enough.
    """
    instances = planned(dataset, experiment)
    artifacts = ready(instances)
    if lacking := [stage.name for stage in NEEDED if stage.name not in artifacts]:
        raise Refused(
            f"{raw_data_problem(instances)}{', '.join(lacking)} not made yet: "
            f"`wordmask run -d {dataset} -e {experiment}` makes them"
        )
    source: Source = instances[0].source
    example = clearest_example(artifacts, source.evaluate)
    if example is None:
        raise Refused(
            f"no referent of {dataset} has a few large candidates, a right choice and an expression of a few words"
        )
    pixels = load_image(open_dataset(source.config).image_path(example.image.image_file))
    write_bytes(file, draw(example, pixels))


if __name__ == "__main__":
    write_picture(Path(sys.argv[3]), dataset=sys.argv[1], experiment=sys.argv[2])
