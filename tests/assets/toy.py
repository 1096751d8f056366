"""Three stages of arithmetic, made into assets by the real factory: seeds -> numbers -> sums."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import yaml

from assets.data.source import Source
from assets.framework.asset_factory import build_stage_asset
from assets.framework.knobs import Knobs, NoKnobs
from assets.framework.stage import Body, Outcome, Stage, StageInstance
from assets.framework.work import Work
from ops.visualisation import preview_png
from pipelines.config.experiment_files import read_experiments
from pipelines.graph.planner import plan
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.datasets import DatasetConfig
from storage.artifact import Store
from storage.digest import digest
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import column, write_table

SCHEMA = pa.schema([column("number", pa.int64(), "a seed"), column("product", pa.int64(), "the seed times the factor")])


class NumberKnobs(Knobs):
    """What the toy stages can be told."""

    factor: int = 2
    bad: int = 0
    """So many units are quarantined."""


@dataclass
class Toy:
    """A store, raw data that can change, and a count of what was computed."""

    folder: Path
    instance: dg.DagsterInstance
    raw: str = "10 numbers"
    knobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    computed: list[str] = field(default_factory=list)
    error: Exception | None = None
    late: Exception | None = None
    """Raised when all rows are computed."""
    gpu: bool = False

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    def seeds(self, work: Work) -> Outcome:
        """So many numbers as the raw data say."""
        self.computed.append("seeds")
        count = int(self.raw.split()[0])
        table = pa.table({"number": list(range(count))})
        write_table(work.slot.content / "seeds.parquet", table)
        return Outcome(tallies={"seeds": Tally(reused=0, computed=count, quarantined=0, rows=count)})

    def numbers(self, work: Work) -> Outcome:
        """Every seed times the factor."""
        knobs = work.knobs_as(NumberKnobs)

        def rows(numbers: Sequence[int]) -> Iterator[tuple[int, Rows | Quarantined]]:
            if self.gpu and numbers:
                work.runtime.bf16()
            for place, number in enumerate(numbers):
                if self.error is not None and number >= 4:
                    raise self.error
                self.computed.append(f"number {number}")
                good = [{"number": number, "product": number * knobs.factor}]
                yield place, Quarantined("bad") if number < knobs.bad else good

        units = [Unit(digest(n), n) for n in work.inputs["seeds"].table("seeds")["number"].to_pylist()]
        tally = fill_table(work.slot, "numbers", units, rows, schema=SCHEMA, shard=4, reuse=work.reuse, log=work.log)
        if self.late is not None:
            raise self.late
        picture = np.zeros((20, 30, 3), dtype=np.uint8)
        return Outcome(
            tallies={"numbers": tally}, metrics={"factor": knobs.factor}, preview=preview_png([("", picture)])
        )

    def sums(self, work: Work) -> Outcome:
        """The sum of all products over the number of seeds."""
        self.computed.append("sums")
        total = sum(work.inputs["numbers"].table("numbers")["product"].to_pylist())
        return Outcome(metrics={"mean": total / work.inputs["seeds"].table("seeds").num_rows})

    def stages(self) -> dict[str, Stage]:
        stages = (
            seeds := _stage("seeds", self.seeds, knobs=NumberKnobs, raw=lambda _: self.raw),
            numbers := _stage("numbers", self.numbers, knobs=NumberKnobs, needs=(seeds,), gpu=self.gpu),
            _stage("sums", self.sums, knobs=NoKnobs, needs=(seeds, numbers)),
        )
        return {stage.name: stage for stage in stages}

    def planned(self) -> dict[str, StageInstance]:
        """Stage name -> instance under the present knobs."""
        source = Source(config=DatasetConfig(kind="refer", root=self.folder), train=("train",), evaluate=("val",))
        return planned(self.folder / "files", {"targets": ["sums"], "knobs": self.knobs}, source, self.stages())

    def run(self, *names: str, **runtime: Any) -> dg.ExecuteInProcessResult:
        """Materialize the named stages, or all."""
        instances = self.planned()
        return dg.materialize(
            [build_stage_asset(instances[name]) for name in names or instances],
            instance=self.instance,
            resources={"store": ArtifactStore(root=str(self.store.root)), "runtime": RuntimeResource(**runtime)},
            raise_on_error=False,
        )


def _stage(name: str, body: Body, **fields: Any) -> Stage:
    return Stage(name=name, body=body, version=1, description=body.__doc__ or name, **fields)


def planned(
    folder: Path, experiment: Mapping[str, Any], source: Source, stages: Mapping[str, Stage]
) -> dict[str, StageInstance]:
    """Stage name -> instance of one experiment, called base, on one data set, called set."""
    folder.mkdir(exist_ok=True)
    (folder / "base.yaml").write_text(yaml.safe_dump(dict(experiment)))
    known = read_experiments([folder], stages)
    return {one.stage.name: one for one in plan([("set", source, known["base"])], stages, lambda model: model)}


def with_body(stage: Stage, body: Any) -> Stage:
    """The stage with another body, for what needs a model."""
    return replace(stage, body=body)


def key_of(name: str) -> list[str]:
    return ["set", name] if name in ("seeds", "dataset_index") else ["set", "base", name]


def metadata_of(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    """What the page of an asset shows after a run."""
    step = "__".join(key_of(name))
    (found,) = result.asset_materializations_for_node(step)
    return {label: value.value for label, value in found.metadata.items()}


def data_version(result: dg.ExecuteInProcessResult, name: str) -> str:
    (found,) = result.asset_materializations_for_node("__".join(key_of(name)))
    assert found.tags
    return found.tags["dagster/data_version"]


def why(result: dg.ExecuteInProcessResult) -> str:
    """The message of the first failed step."""
    error = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert error is not None
    return error.message
