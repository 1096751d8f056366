"""Schedules and the automation sensor. All are STOPPED until a person starts them: computing time is opted into."""

from collections.abc import Sequence

import dagster as dg

from assets.framework.stage import StageInstance

Automations = tuple[list[dg.SensorDefinition], list[dg.ScheduleDefinition]]


def automations(instances: Sequence[StageInstance]) -> Automations:
    """The sensor that follows changed recipes and inputs, the nightly look at raw data, the nightly stale run."""
    sensor = dg.AutomationConditionSensorDefinition(
        "follow_changes",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Materializes what a changed knob, weight or input made out of date, and all below it.",
    )
    roots = [dg.AssetKey(list(instance.key)) for instance in instances if not instance.inputs]
    nightly = dg.ScheduleDefinition(
        name="look_for_new_data",
        cron_schedule="0 3 * * *",
        target=dg.AssetSelection.assets(*roots),
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Reads the raw folders every night; new or changed files give dataset_index a new data version.",
    )

    @dg.schedule(
        cron_schedule="0 4 * * *",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Materializes what is stale, for those who leave the sensor off.",
    )
    def run_stale() -> dg.RunRequest:
        return dg.RunRequest(stale_assets_only=True)

    return [sensor], [nightly, run_stale]
