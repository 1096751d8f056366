"""A person stops a run on its page: the training ends, is cancelled, and is not tried again."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.graph.jobs import job_name
from tests.browser.serving import ask, pages
from tests.homes import copy_home
from tests.kills.victim import LONG, STEP

LAUNCH = """mutation {{ launchRun(executionParams: {{
  selector: {{jobName: "{job}", repositoryName: "__repository__", repositoryLocationName: "wordmask"}},
  runConfigData: "{{}}"
}}) {{ __typename ... on LaunchRunSuccess {{ run {{ runId }} }} ... on PythonError {{ message }} }} }}"""
STOP = """mutation {{ terminateRun(runId: "{run}") {{ __typename }} }}"""
LOOK = """{{ runOrError(runId: "{run}") {{ ... on Run {{
  status eventConnection {{ events {{ __typename ... on MessageEvent {{ message }} }} }}
}} }} }}"""


def look(address: str, run: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(address, LOOK.format(run=run))["runOrError"]
    return found


def events(shown: dict[str, Any]) -> list[dict[str, str]]:
    return list(shown["eventConnection"]["events"])


def training(shown: dict[str, Any]) -> bool:
    return any(STEP.search(one.get("message") or "") for one in events(shown))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_training_that_is_stopped_on_its_page_is_cancelled_and_not_tried_again(
    described: Path, tmp_path: Path
) -> None:
    home = copy_home(described, tmp_path / "home", experiments={"long": LONG})
    with pages(home, patience=150.0) as address:
        answer = ask(address, LAUNCH.format(job=job_name("little", "long")))["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", json.dumps(answer)
        run = answer["run"]["runId"]
        deadline = time.monotonic() + 200
        while not training(shown := look(address, run)):
            assert shown["status"] in ("QUEUED", "STARTING", "STARTED", "NOT_STARTED"), shown
            assert time.monotonic() < deadline, "no training step within 200 seconds"
            time.sleep(1)
        ask(address, STOP.format(run=run))
        deadline = time.monotonic() + 60
        while (shown := look(address, run))["status"] in ("STARTED", "CANCELING"):
            assert time.monotonic() < deadline, "the run goes on although it was stopped"
            time.sleep(0.5)
    assert shown["status"] == "CANCELED"
    assert "ExecutionStepUpForRetryEvent" not in {one["__typename"] for one in events(shown)}
