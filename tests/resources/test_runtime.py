"""Settings of the machine, what they come to on it, and what a manifest says of it."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from resources.dagster_resources import RuntimeResource
from resources.runtime import LIBRARIES, Runtime, library_versions, machine_line, machine_of
from storage.manifest import Manifest
from tests.paths import ROOT


def manifest(**fields: Any) -> Manifest:
    return Manifest(stage="s", fingerprint="f", recipe={}, created="now", checksums={}, **fields)


def test_the_launchpad_offers_the_fields_and_defaults_of_the_plain_settings() -> None:
    resource = RuntimeResource(shard=3)
    assert resource.unresolved() == Runtime(shard=3)
    assert type(resource.unresolved()) is Runtime
    assert {name: getattr(RuntimeResource(), name) for name in Runtime.model_fields} == Runtime().model_dump()


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="shrad"):
        Runtime(shrad=3)  # type: ignore[call-arg]


def test_batches_are_loaded_ahead_for_a_gpu_alone() -> None:
    assert Runtime(device="cpu").loaders() == 0
    assert Runtime(device="cuda:1", loader_workers=3).loaders() == 3


def test_a_stage_that_asks_for_no_device_has_none() -> None:
    machine = machine_of(Runtime())
    assert (machine["device"], machine["precision"], machine["gpu"]) == (None, None, None)
    assert machine["processor"]


@pytest.mark.parametrize(
    ("asked", "fast", "resolved"),
    [(None, True, "float32"), ("device", True, "bfloat16"), ("device", False, "float32"), ("float32", True, "float32")],
)
def test_what_a_stage_asked_for_is_noted_as_it_came_out(
    monkeypatch: pytest.MonkeyPatch, asked: Any, fast: bool, resolved: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    runtime = Runtime(device="cpu", accumulate=4, processes=2)
    assert runtime.torch_device() == "cpu"
    if asked is not None:
        assert runtime.bf16(asked) == (resolved == "bfloat16")
    machine = machine_of(runtime)
    assert (machine["device"], machine["precision"], machine["gpu"]) == ("cpu", resolved, None)
    assert (machine["accumulate"], machine["processes"]) == (4, 2)
    assert json.loads(json.dumps(machine)) == machine


def test_what_one_stage_resolved_is_not_told_of_the_next() -> None:
    runtime = Runtime(device="cpu", threads=0)
    runtime.torch_device()
    assert machine_of(runtime.unresolved())["device"] is None
    assert runtime.unresolved() == Runtime(device="cpu")


def test_what_another_process_of_the_stage_resolved_is_taken_over() -> None:
    runtime = Runtime(processes=2)
    runtime.note({"device": "cpu", "precision": "bfloat16"})
    assert machine_of(runtime)["precision"] == "bfloat16"


def test_the_line_for_a_page_names_machine_precision_and_versions() -> None:
    machine = {"processor": "A CPU", "device": "cuda", "gpu": "A GPU", "precision": "bfloat16"}
    versions = {"python": "3.11.7", "torch": "2.11.0"}
    line = machine_line(manifest(versions=versions, extra={"machine": {**machine, "accumulate": 4, "processes": 2}}))
    assert line == (
        "Made on A GPU, in bfloat16, 4 forward passes per optimizer step, 2 processes, "
        "with python 3.11.7, torch 2.11.0."
    )
    alone = {**machine, "gpu": None, "precision": None, "accumulate": 1, "processes": 1}
    assert machine_line(manifest(versions=versions, extra={"machine": alone})) == (
        "Made on A CPU, with python 3.11.7, torch 2.11.0."
    )
    assert machine_line(manifest(versions=versions)) == "Made with python 3.11.7, torch 2.11.0."


def test_versions_are_known_without_importing_the_libraries() -> None:
    assert set(library_versions()) == {"python", *LIBRARIES}
    code = (
        "import sys; from resources.runtime import Runtime, library_versions, machine_of; library_versions();"
        "machine_of(Runtime()); print([m for m in ('torch', 'dagster', 'spacy', 'numpy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
