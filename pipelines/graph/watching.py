"""A sensor for each data set that lies in a folder: it looks at the folder, says what it sees, and may launch.

A look costs the names, sizes and times of the files; nothing is opened. It launches where the data set's file says
`watch: true` (or `watch: train`), once two looks in a row saw the same files, and once for the same files.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import dagster as dg

from assets.framework.asset_factory import RAW_DATA
from assets.framework.stage import AssetPath, StageInstance, fingerprint
from ops.refusal import Refused
from pipelines.config.dataset_files import read_datasets
from pipelines.config.yaml_files import dataset_folders
from pipelines.graph.state import CHANGED, GONE, UNREADABLE, stored
from resources.checkpoints import MISSING
from resources.datasets.folder_look import folder_look
from resources.datasets.raw_state import RawDataGone, memory_of, remembered_fingerprint
from resources.store import open_store
from storage.artifact import Artifact, StoreError

SECONDS = 30
SENSOR = "dagster/sensor_name"
"""Tag of the runs that a sensor launched."""
UNFINISHED = [status for status in dg.DagsterRunStatus if status.name not in ("SUCCESS", "FAILURE", "CANCELED")]


@dataclass(frozen=True)
class Memory:
    """What a sensor remembers from one look to the next."""

    seen: str = ""
    """The files at the last look."""
    as_read: str = ""
    """Files and artifact that were found to belong together."""
    launched: str = ""
    """The files that the last run was launched for."""
    launches: int = 0
    told: str = ""
    """What the check at the asset says, and of which artifact."""

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """An empty one, where the cursor was reset or is of another version."""
        with suppress(ValueError, TypeError):
            return cls(**json.loads(cursor or "{}"))
        return cls()


def folder_sensors(instances: Sequence[StageInstance]) -> list[dg.SensorDefinition]:
    """One for each data set whose raw data a person may change; `instances`: what it may launch, inputs first."""
    roots = [one for one in instances if one.watches_raw_data]
    return [_sensor(root, [one for one in instances if one.dataset == root.dataset]) for root in roots]


def launchable(instances: Sequence[StageInstance], *, train: bool) -> list[StageInstance]:
    """Those that need no training which was never made, inputs first; all of them with `train`.

    Raises:
        Refused: there is no store at the place.
        StoreError: the disk refuses.
    """
    if train:
        return list(instances)
    store = open_store()
    without: set[AssetPath] = set()
    for instance in instances:
        if not without.isdisjoint(instance.inputs.values()) or (
            instance.is_training and stored(instance.key, store) is None
        ):
            without.add(instance.key)
    return [instance for instance in instances if instance.key not in without]


def _sensor(index: StageInstance, instances: Sequence[StageInstance]) -> dg.SensorDefinition:
    name = f"look_at_{index.dataset}"

    @dg.sensor(
        name=name,
        target=dg.AssetSelection.assets(*(dg.AssetKey(list(one.key)) for one in instances)),
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Looks at {index.source.config.root} every {SECONDS} s and says whether the raw data changed. "
        f"With `watch: true` in {index.dataset}.yaml it launches what is made from them, with `watch: train` also "
        "trainings that were never made.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        latest = context.instance.get_runs(dg.RunsFilter(tags={SENSOR: name}, statuses=UNFINISHED), limit=1)
        return Look(index, instances, Memory.of(context.cursor), bool(latest)).result()

    return look


@dataclass(frozen=True)
class Look:
    """One look at a folder."""

    index: StageInstance
    """The stage that reads the folder."""
    instances: Sequence[StageInstance]
    """What may be launched, inputs first."""
    memory: Memory
    busy: bool
    """Whether a run that was launched earlier goes on."""

    def result(self) -> dg.SensorResult:
        """What Dagster is told."""
        try:
            files = folder_look(self.index.source.config)
        except RawDataGone as problem:
            place = f"put them back, or set root in {self.index.dataset}.yaml to where they lie"
            return self._broken(f"{GONE}: {problem}; {place}")
        except (Refused, OSError) as problem:
            return self._broken(f"{UNREADABLE}: {problem}")
        try:
            return self._judged(files)
        except (Refused, StoreError, OSError) as problem:  # of the store, or of the data set's file
            return dg.SensorResult(skip_reason=str(problem), cursor=json.dumps(asdict(self.memory)))

    def _judged(self, files: str) -> dg.SensorResult:
        artifact = stored(self.index.key, open_store())
        made = artifact.manifest.fingerprint if artifact else ""
        now = replace(self.memory, seen=files)
        if artifact is not None and self._as_read(files, artifact):
            now = replace(now, as_read=f"{files} {made}", launched="")
            return self._said("the files are as they were when they were read", now, passed=True, made=made)
        name = "/".join(self.index.key)
        what = f"{CHANGED} since {name} was made" if artifact else f"{name} was not made yet"
        switch = read_datasets(dataset_folders()).named(self.index.dataset).watch
        wanted = launchable(self.instances, train=switch == "train")
        if reason := self._why_not(files, switch=bool(switch)) or _lacking(wanted):
            return self._said(f"{what}: {reason}", now, passed=artifact is None, made=made, short=what)
        now = replace(now, launched=files, launches=now.launches + 1)
        said = self._said(what, now, passed=artifact is None, made=made)
        return said._replace(skip_reason=None, run_requests=[_request(now, wanted)])

    def _as_read(self, files: str, artifact: Artifact) -> bool:
        """Whether the artifact was made from the files as they lie there, as far as can be told without reading."""
        if self.memory.as_read == f"{files} {artifact.manifest.fingerprint}":
            return True
        raw = remembered_fingerprint(self.index.source.config, memory_of(self.index.dataset))
        return raw is not None and fingerprint(self.index, {}, raw=raw) == artifact.manifest.fingerprint

    def _why_not(self, files: str, *, switch: bool) -> str:
        """Why nothing is launched for changed files; empty where a run may be."""
        name = self.index.dataset
        if not switch:
            command = f"`wordmask run -d {name} -e {self.index.used_by[0]}`"
            return f"{command} reads the files, and with `watch: true` in {name}.yaml a run begins by itself"
        if files == self.memory.launched:
            return "a run was launched for them already; if it failed, look at its page and materialize again"
        if files != self.memory.seen:
            return f"files may still be being written: a run begins if they are the same in {SECONDS} s"
        return "a run that was launched earlier goes on; the next begins after it" if self.busy else ""

    def _broken(self, reason: str) -> dg.SensorResult:
        return self._said(reason, replace(self.memory, seen=""), passed=False, made="broken")

    def _said(self, reason: str, now: Memory, *, passed: bool, made: str, short: str = "") -> dg.SensorResult:
        """Skip with a reason; the check at the asset says it too, in short, where that is news."""
        news = f"{passed} {made}"
        told = self.memory.told == news or (passed and not self.memory.told)
        cursor = json.dumps(asdict(now if told else replace(now, told=news)))
        events = [] if told else [self._check(short or reason, passed=passed)]
        return dg.SensorResult(skip_reason=reason, cursor=cursor, asset_events=events)

    def _check(self, reason: str, *, passed: bool) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(list(self.index.key)),
            check_name=RAW_DATA,
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=reason,
        )


def _request(now: Memory, wanted: Sequence[StageInstance]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{now.seen} {now.launches}",  # files that come back are a launch of their own
        asset_selection=[dg.AssetKey(list(one.key)) for one in wanted],
        tags={"wordmask/raw_data": now.seen},
    )


def _lacking(wanted: Sequence[StageInstance]) -> str:
    """What a run would end at; empty where it has all its models."""
    known = {name: identity for one in wanted for name, identity in one.models.items()}
    missing = ", ".join(name for name, identity in known.items() if identity == MISSING)
    return f"nothing is launched, for models are not there ({missing}); `wordmask models get` fetches them" * bool(
        missing
    )
