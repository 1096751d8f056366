"""What looks and launches by itself.

Sensors that look at folders run always: a look costs nothing and launches only what a data set's file allows. All that
spends computing time by itself is STOPPED until a person starts it. Nothing trains for the first time.
"""

from collections.abc import Sequence

import dagster as dg

from assets.framework.stage import StageInstance
from pipelines.graph.watching import folder_sensors, launchable

Automations = tuple[list[dg.SensorDefinition], list[dg.ScheduleDefinition]]


def automations(instances: Sequence[StageInstance]) -> Automations:
    """Looks at folders, the sensor that follows changed recipes and inputs, nightly looks and runs of what is stale.

    Args:
        instances: what automation may launch, inputs first.
    """
    everything = selection(instances)
    follow_changes = dg.AutomationConditionSensorDefinition(
        "follow_changes",
        target=everything,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Materializes what a changed knob, weight or input made out of date, and all below it.",
    )
    nightly = dg.ScheduleDefinition(
        name="look_for_new_data",
        cron_schedule="0 3 * * *",
        target=selection([instance for instance in instances if not instance.inputs]),
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Reads the raw folders every night; new or changed files give dataset_index a new data version.",
    )

    @dg.schedule(
        cron_schedule="0 4 * * *",
        target=everything,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Materializes what is stale, for those who leave the sensor off.",
    )
    def run_stale() -> dg.RunRequest | dg.SkipReason:
        kept = launchable(instances, train=False)
        if not kept:
            return dg.SkipReason("nothing was asked for")
        return dg.RunRequest(asset_selection=[dg.AssetKey(list(one.key)) for one in kept], stale_assets_only=True)

    return [follow_changes, *folder_sensors(instances)], [nightly, run_stale]


def selection(instances: Sequence[StageInstance]) -> dg.AssetSelection:
    """Their assets."""
    return dg.AssetSelection.assets(*(dg.AssetKey(list(instance.key)) for instance in instances))
