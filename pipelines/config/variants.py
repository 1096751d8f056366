"""Experiments made on the command line: another one with a few knobs turned, under a name that says which.

The same settings always mean the same experiment: one that is there already, whatever it is called, or a new file.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.described import Described, unknown
from pipelines.config.experiment_files import Experiment, ExperimentFile, settle
from pipelines.config.plain_yaml import flow, plain
from pipelines.config.yaml_files import NAME, write_file
from resources.paths import home
from storage.digest import digest

Turned = dict[str, dict[str, Any]]
"""Stage -> knob -> value."""
WORD = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
LONGEST = 60
"""Characters of a name."""
MARK = 8
"""Hexadecimal digits of a digest that tell apart what would have the same name, or none."""


class Variant(NamedTuple):
    """An experiment with some knobs turned."""

    name: str
    file: ExperimentFile | None
    """What is to be written; None: an experiment of these settings is there."""
    settled: Experiment
    """With all that it inherits."""


def variant(parent: Experiment, settings: Sequence[str], known: Described[Experiment]) -> Variant:
    """The experiment that a parent becomes with settings such as `mask_choices.sigma=0.04`; nothing is written.

    Raises:
        Refused: a setting is not of that form, its stage or knob is unknown, or its value is wrong.
    """
    asked = ExperimentFile(extends=parent.name, knobs=parsed(settings))
    try:
        wanted = settle(parent.name, asked, known.known, STAGES)
    except Refused as problem:
        raise Refused(f"--set: {problem}") from problem
    for one in (parent, *known.values()):
        if (one.knobs, one.targets) == (wanted.knobs, wanted.targets):
            return Variant(one.name, None, one)
    turned = differences(parent, wanted)
    file = ExperimentFile(extends=parent.name, description=_description(parent, turned), knobs=turned)
    return Variant(_free(name_of(parent.name, turned), parent.name, turned, known), file, wanted)


def write_variant(new: Variant) -> None:
    """Put it among the user's own experiments, unless it is there.

    Raises:
        StoreError: the disk refuses.
    """
    if new.file is not None:
        settings = " ".join(f"--set {setting}" for setting in _settings(new.file.knobs))
        comment = f"Written by wordmask run -e {new.file.extends} {settings}"
        write_file(home() / "experiments" / f"{new.name}.yaml", new.file, comment=comment)


def parsed(settings: Sequence[str]) -> Turned:
    """Settings as an experiment file has them; the values are YAML.

    Raises:
        Refused: one is not of the form STAGE.KNOB=VALUE, or names no stage; or a knob is set twice.
    """
    turned: Turned = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        stage, dot, knob = path.strip().partition(".")
        if not (equals and dot and knob):
            raise Refused(f"--set {setting!r} is not of the form STAGE.KNOB=VALUE, such as mask_choices.sigma=0.04")
        if stage not in STAGES:
            raise Refused("--set: " + unknown("no stage is called", stage, STAGES, f"stages: {', '.join(STAGES)}"))
        if knob in turned.setdefault(stage, {}):
            raise Refused(f"--set: {path} is set twice")
        turned[stage][knob] = plain(value, f"--set {path}")
    return turned


def differences(parent: Experiment | None, experiment: Experiment) -> Turned:
    """The settled knobs in which an experiment is not its parent, or not the defaults where it has none."""
    turned: Turned = {}
    for stage, knobs in experiment.knobs.items():
        before = (parent.knobs[stage] if parent else STAGES[stage].knobs()).model_dump(mode="json")
        changed = {knob: value for knob, value in knobs.model_dump(mode="json").items() if value != before[knob]}
        if changed:
            turned[stage] = changed
    return turned


def name_of(parent: str, turned: Mapping[str, Mapping[str, Any]]) -> str:
    """A name that says what is turned, such as base_sigma_0p04: p stands for the point of a number, m for its minus.

    The stage is named where several have that knob. What cannot be said in letters, digits and single _, or is too
    long, is cut and marked with a digest.
    """
    said = [parent]
    whole = True
    for stage, knobs in turned.items():
        for knob, value in knobs.items():
            several = sum(knob in one.knobs.model_fields for one in STAGES.values()) > 1
            word = _word(value)
            whole &= WORD.fullmatch(word) is not None
            said += [*([stage] if several else []), knob, word]
    name = re.sub("[^A-Za-z0-9]+", "_", "_".join(said)).strip("_")
    return name if whole and len(name) <= LONGEST else _marked(name, parent, turned)


def _word(value: object) -> str:
    """A value in letters and digits, as far as that is possible."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value!r}".removesuffix(".0").replace(".", "p").replace("-", "m").replace("+", "")
    if isinstance(value, list):
        return "_".join(map(_word, value)) or "empty"
    return "none" if value is None else str(value)


def _marked(name: str, parent: str, turned: Mapping[str, Mapping[str, Any]]) -> str:
    mark = digest([parent, turned])[:MARK]
    return f"{name[: LONGEST - MARK - 1].rstrip('_')}_{mark}"


def _free(name: str, parent: str, turned: Turned, known: Described[Experiment]) -> str:
    """The name, marked where another experiment, or a broken file, is called so."""
    taken = {one.casefold() for one in (*known, *(file.path.stem for file in known.left_out))}
    free = _marked(name, parent, turned) if name.casefold() in taken else name
    if free.casefold() in taken or not NAME.fullmatch(free):
        raise Refused(f"an experiment called {free} exists already and is different; rename its file")
    return free


def _description(parent: Experiment, turned: Turned) -> str:
    said = [
        f"{stage}.{knob} = {flow(value)} (there {flow(parent.knobs[stage].model_dump(mode='json')[knob])})"
        for stage, knobs in turned.items()
        for knob, value in knobs.items()
    ]
    return f"{parent.name} with {', '.join(said)}."


def _settings(turned: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [f"{stage}.{knob}={flow(value)}" for stage, knobs in turned.items() for knob, value in knobs.items()]
