"""In what experiments differ: knobs, and stages that only some of them have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assets.framework.stage import StageInstance

USED, UNUSED = "in use", "-"


@dataclass(frozen=True, kw_only=True)
class KnobRow:
    """A knob that is not set alike everywhere, or a stage that not all have."""

    name: str
    """`stage.knob`, or the stage."""
    values: tuple[str, ...]
    """By experiment; `UNUSED` where the stage is none of its."""


def knob_rows(planned: Mapping[str, Sequence[StageInstance]]) -> list[KnobRow]:
    """Stage by stage, in the order in which they run; of a stage that only some have, what these set differently."""
    stages = {name: {one.stage.name: one for one in instances} for name, instances in planned.items()}
    ordered = dict.fromkeys(stage for instances in stages.values() for stage in instances)
    return [row for stage in ordered for row in _of_stage(stage, [each.get(stage) for each in stages.values()])]


def _of_stage(stage: str, instances: Sequence[StageInstance | None]) -> Iterator[KnobRow]:
    if None in instances:
        yield KnobRow(name=stage, values=tuple(USED if one else UNUSED for one in instances))
    settings = [_settings(one) if one else {} for one in instances]
    for knob in dict.fromkeys(name for each in settings for name in each):
        if len({each[knob] for each in settings if knob in each}) > 1:
            yield KnobRow(name=f"{stage}.{knob}", values=tuple(each.get(knob, UNUSED) for each in settings))


def _settings(one: StageInstance) -> dict[str, str]:
    """Knob -> value as people write it, and the weights; knobs without effect are left out."""
    knobs = one.knobs.model_dump(mode="json", exclude=set(one.knobs.unread()))
    return {name: _written(value) for name, value in knobs.items()}


def _written(value: Any) -> str:
    """As in an experiment file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_written(one)}' for name, one in value.items())}}}"
    return "null" if value is None else str(value)
