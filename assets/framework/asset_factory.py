"""From planned stage instances to Dagster assets: claim, run, commit, point, tell.

One function makes every asset: caching, resume, refusal of stale inputs, metadata and checks are the same everywhere.
"""

import base64
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import dagster as dg

from assets.framework.distributed import run_in_processes
from assets.framework.failures import PERSON_HAS_TO_ACT, is_transient
from assets.framework.stage import Outcome, StageInstance, fingerprint, group_name, raw_of, related_recipes
from assets.framework.work import Work
from assets.reports.text import visible
from resources.checkpoints import revisions_of
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.database import claimed
from resources.engines.engine import demand_ray
from resources.models.staying import let_go
from resources.runtime import Runtime, library_versions, machine_of
from storage.artifact import Artifact, Store, StoreError
from storage.files import write_bytes

AC = dg.AutomationCondition
_CHANGED = AC.code_version_changed() | AC.any_deps_match(AC.data_version_changed() | AC.will_be_requested())
OUT_OF_DATE = (
    _CHANGED.since_last_handled()  # type: ignore[misc]  # its self type is narrower than what | returns
    & ~AC.any_deps_missing()
    & ~AC.any_deps_in_progress()
    & ~AC.in_progress()
).with_label("recipe or input changed")
TRAINED_OUT_OF_DATE = (OUT_OF_DATE & ~AC.missing()).with_label("recipe or input changed, of what was trained before")
RAW_DATA = "raw_data"
"""The check that says whether the raw data are still those that were read."""


def build_stage_asset(instance: StageInstance) -> dg.AssetsDefinition:
    """The asset of one stage instance."""
    stage = instance.stage

    @dg.asset(
        key=dg.AssetKey(list(instance.key)),
        deps=[dg.AssetKey(list(key)) for key in instance.inputs.values()],
        group_name=group_name(instance.dataset, instance.experiment),
        code_version=instance.code_version,
        description=stage.description,
        kinds=set(stage.kinds),
        tags={"dataset": instance.dataset, "experiment": instance.experiment, "stage": stage.name},
        metadata={
            "knobs": dg.MetadataValue.json(instance.knobs.model_dump(mode="json")),
            "changed": dg.MetadataValue.json(dict(instance.changed)),
            "used_by": dg.MetadataValue.json(list(instance.used_by)),
        },
        pool="gpu" if stage.gpu else None,
        automation_condition=_automation(instance),
        check_specs=_checks(instance),
    )
    def materialize(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], runtime: RuntimeResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        def log(text: str) -> None:
            context.log.info(visible(text))

        try:
            artifact = run_stage(instance, store.open(), runtime, log, launch=partial(_pipe, context))
        except PERSON_HAS_TO_ACT as error:
            raise dg.Failure(visible(str(error)), allow_retries=False) from error
        except Exception as error:
            if not is_transient(error):
                raise
            # Asked for here, since Dagster's own policy would also try again what a person interrupted.
            raise dg.RetryRequested(max_retries=2, seconds_to_wait=30 * 2**context.retry_number) from error
        return dg.MaterializeResult(
            data_version=dg.DataVersion(artifact.manifest.fingerprint),
            metadata=describe(artifact),
            check_results=[
                _quarantine_check(instance, artifact, runtime.quarantine_limit),
                *([_read_just_now(instance)] if instance.watches_raw_data else []),
            ],
        )

    return materialize


def _automation(instance: StageInstance) -> dg.AutomationCondition | None:  # type: ignore[type-arg]
    """A first training is begun by people only."""
    if not instance.inputs:
        return None
    return TRAINED_OUT_OF_DATE if instance.is_training else OUT_OF_DATE


def _checks(instance: StageInstance) -> list[dg.AssetCheckSpec]:
    key = dg.AssetKey(list(instance.key))
    checks = [dg.AssetCheckSpec("quarantine", asset=key, blocking=True)]
    if instance.watches_raw_data:
        looks = "Whether the files are still those that were read; a sensor looks every 30 s."
        checks.append(dg.AssetCheckSpec(RAW_DATA, asset=key, description=looks))
    return checks


def _read_just_now(instance: StageInstance) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=RAW_DATA, asset_key=dg.AssetKey(list(instance.key)), passed=True, description="read by this run"
    )


def run_stage(
    instance: StageInstance,
    store: Store,
    runtime: Runtime,
    log: Callable[[str], None],
    *,
    launch: Callable[[Sequence[str]], object] = subprocess.check_call,
) -> Artifact:
    """Make or find the instance's artifact and point its key at it."""
    store = replace(store, log=log)
    inputs = {name: resolve_input(store, instance, name) for name in instance.inputs}
    demand_agreement(instance, inputs)
    raw = raw_of(instance)
    artifact_fingerprint = fingerprint(
        instance, {name: artifact.manifest.fingerprint for name, artifact in inputs.items()}, raw=raw
    )
    recipe = {"own": instance.own_recipe, "knobs": instance.knobs.model_dump(mode="json")}
    with (
        store.reading(inputs.values()),
        claimed(f"{instance.stage.name}/{artifact_fingerprint}", log),
        store.claim(instance.stage.name, artifact_fingerprint, recipe=recipe, force=runtime.force) as slot,
    ):
        if slot.complete:
            log(f"{instance.stage.name}: found an equal artifact ({artifact_fingerprint}); nothing to compute")
        else:
            kin = () if runtime.force else related_recipes(instance)
            reuse = [one for own in kin for one in store.siblings(instance.stage.name, own)]
            with store.reading(reuse):
                work = Work(
                    instance=instance,
                    inputs=inputs,
                    slot=slot,
                    reuse=reuse,
                    runtime=runtime.unresolved(),
                    log=log,
                    raw=raw,
                    launch=launch,
                )
                _commit(work, artifact_fingerprint)
        # still locked, so that no collection of garbage comes between
        store.point(instance.key, instance.stage.name, artifact_fingerprint, planned=instance.recipe)
        return store.resolve(instance.key)


def resolve_input(store: Store, instance: StageInstance, name: str) -> Artifact:
    """The artifact that `instance` reads as `name`; refused unless it was made by the planned recipe.

    Raises:
        dagster.Failure: the input is missing or was made by other settings; says which asset to materialize.
    """
    key = instance.inputs[name]
    try:
        artifact = store.resolve(key)
    except StoreError as error:
        raise dg.Failure(f"{error} Materialize {'/'.join(key)} first.", allow_retries=False) from error
    if artifact.planned != instance.planned_inputs[name]:
        raise dg.Failure(
            f"{'/'.join(key)} was made with other settings than the experiment files ask for; materialize it first.",
            allow_retries=False,
        )
    return artifact


def demand_agreement(instance: StageInstance, inputs: Mapping[str, Artifact]) -> None:
    """Refuse inputs that were made from different states of the data, as after new data reached only some of them.

    Raises:
        dagster.Failure: an input was made from another artifact than the one that lies beside it now.
    """
    for name, artifact in inputs.items():
        for read, artifact_fingerprint in artifact.manifest.inputs.items():
            if read in inputs and inputs[read].manifest.fingerprint != artifact_fingerprint:
                raise dg.Failure(
                    f"{'/'.join(instance.inputs[name])} was made from an earlier {'/'.join(instance.inputs[read])}; "
                    "materialize it first.",
                    allow_retries=False,
                )


def describe(artifact: Artifact) -> dict[str, dg.MetadataValue]:
    """What the UI shows of an artifact: rows, columns, tallies, numbers, picture."""
    manifest = artifact.manifest
    metadata: dict[str, dg.MetadataValue] = {"dagster/uri": dg.MetadataValue.path(str(artifact.path))}
    for table, tally in manifest.rows.items():
        for name in ("rows", "reused", "computed", "quarantined"):
            metadata[f"{table}: {name}"] = dg.MetadataValue.int(getattr(tally, name))
    if manifest.rows:
        main = next(iter(manifest.rows))
        metadata["dagster/row_count"] = dg.MetadataValue.int(manifest.rows[main].rows)
        if artifact.has(f"{main}.parquet"):  # a page counts its examples and has no table
            metadata["dagster/column_schema"] = _column_schema(artifact, main)
    for name, number in manifest.metrics.items():
        metadata[visible(name)] = (
            dg.MetadataValue.text(visible(number)) if isinstance(number, str) else dg.MetadataValue.float(float(number))
        )
    if artifact.has("preview.png"):
        picture = base64.b64encode(artifact.file("preview.png").read_bytes()).decode()
        metadata["preview"] = dg.MetadataValue.md(f"![preview](data:image/png;base64,{picture})")
    return metadata


def _pipe(context: dg.AssetExecutionContext, command: Sequence[str]) -> None:
    """Run a command whose lines appear on the page of the run, and which ends when the run is cancelled."""
    dg.PipesSubprocessClient().run(context=context.op_execution_context, command=command)


def _run(work: Work) -> Outcome:
    """The body in this process; a training in several where the settings say so, or on a cluster."""
    if work.instance.stage.trains:
        let_go()
    if work.instance.stage.trains and work.runtime.engine == "ray":
        demand_ray()
        from assets.framework.cluster_training import run_on_cluster  # an extra that one machine does without

        return run_on_cluster(work)
    together = work.instance.stage.trains and work.runtime.processes > 1
    return run_in_processes(work) if together else work.run_body()


def _commit(work: Work, artifact_fingerprint: str) -> None:
    instance = work.instance
    work.log(f"{instance.stage.name}: " + (f"needs {', '.join(instance.models)}" if instance.models else "begins"))
    work.runtime.keep(work.slot.partial / "machine.json")
    resumed, started = any(work.slot.scratch.iterdir()), time.monotonic()
    outcome = _run(work)
    seconds = round(time.monotonic() - started, 3)
    if outcome.preview is not None:
        write_bytes(work.slot.content / "preview.png", outcome.preview)
    revisions = revisions_of(instance.models)
    work.slot.commit(
        inputs={name: artifact.manifest.fingerprint for name, artifact in work.inputs.items()},
        rows=outcome.tallies,
        metrics=outcome.metrics,
        versions=library_versions(),
        extra={
            "key": list(instance.key),
            "models": dict(instance.models),
            **({"revisions": revisions} if revisions else {}),
            "fingerprint": artifact_fingerprint,
            "machine": machine_of(work.runtime),
            # of a training that resumed, its steps were not all made within them
            **({} if resumed and instance.stage.trains else {"seconds": seconds}),
        },
    )


def _column_schema(artifact: Artifact, table: str) -> dg.MetadataValue:
    from storage.tables import description  # brings pyarrow, which the definitions do without

    columns = [
        dg.TableColumn(
            name=field.name,
            type=str(field.type),
            description=description(field) or None,
        )
        for field in artifact.schema(table)
    ]
    return dg.MetadataValue.table_schema(dg.TableSchema(columns=columns))


def _quarantine_check(instance: StageInstance, artifact: Artifact, limit: float) -> dg.AssetCheckResult:
    tallies = artifact.manifest.rows.values()
    bad = sum(tally.quarantined for tally in tallies)
    units = sum(tally.reused + tally.computed + tally.quarantined for tally in tallies)
    share = bad / units if units else 0.0
    limited = "more than a half, so nothing goes on" if share > 0.5 else f"the limit is {limit:.0%}"
    return dg.AssetCheckResult(
        check_name="quarantine",
        description=f"{bad} of {units} left out ({limited}); why is in the ledgers and the table `quarantine`",
        asset_key=dg.AssetKey(list(instance.key)),
        passed=share <= limit,
        severity=dg.AssetCheckSeverity.ERROR if share > 0.5 else dg.AssetCheckSeverity.WARN,
        metadata={"quarantined": bad, "units": units, "share": share, "limit": limit},
    )
