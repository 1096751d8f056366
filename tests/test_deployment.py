"""What is deployed names what there is: services, modules, folders, and ports that nobody else reaches."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.refusal import Refused
from pipelines.commands.code_server import VARIABLE, workspace_file
from resources.paths import PROJECT

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SKETCH = re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / "deploying.md").read_text(), re.DOTALL)
OBJECTS: list[dict[str, Any]] = [one for text in SKETCH for one in yaml.safe_load_all(text)]
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def containers() -> list[dict[str, Any]]:
    return [
        container
        for one in OBJECTS
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize("command", [one["command"] for one in (*OURS.values(), *containers())], ids=" ".join)
def test_every_command_is_a_module_of_ours(command: list[str]) -> None:
    assert command[:2] == ["python", "-m"]
    assert find_spec(command[2]) is not None


def test_all_are_of_one_image() -> None:
    assert set(OURS) == {"code", "daemon", "pages"}
    assert {one["image"] for one in (*OURS.values(), *containers())} == {"wordmask:latest"}


def test_services_wait_for_services_that_there_are() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
    health = {name for name, service in COMPOSE["services"].items() if "healthcheck" in service}
    waited_for = {
        name
        for service in COMPOSE["services"].values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert waited_for <= health


def test_only_the_pages_are_published_and_to_this_host_only() -> None:
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports == {"pages": ["127.0.0.1:3000:3000"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    outside = [name for name, service in COMPOSE["services"].items() if "outside" in service["networks"]]
    assert outside == ["pages"]


def test_no_password_is_written_down() -> None:
    for name, value in {
        **COMPOSE["x-wordmask"]["environment"],
        **COMPOSE["services"]["postgres"]["environment"],
    }.items():
        if re.search("PASSWORD|SECRET|DATABASE", name):
            assert "${" in value


def test_the_image_takes_every_code_folder() -> None:
    lines = re.findall(r"^COPY --chown=\S+ (.+) \S+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    taken = {name for line in lines for name in line.split()}
    assert all((PROJECT / name).exists() for name in taken)
    assert taken >= {"pipelines", "assets", "ops", "resources", "storage", "workspace.yaml", "requirements.lock"}


def test_the_code_server_is_named_by_host_and_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    assert workspace_file() == PROJECT / "workspace.yaml"
    monkeypatch.setenv(VARIABLE, COMPOSE["x-wordmask"]["environment"][VARIABLE])
    server = {"host": "code", "port": 4000, "location_name": "wordmask"}
    assert yaml.safe_load(workspace_file().read_text()) == {"load_from": [{"grpc_server": server}]}
    for wrong in ("code", ":4000", "code:", "code:http"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(Refused, match="host:port"):
            workspace_file()
