"""The rules of the house: arrows point down, no cycles, ops and storage know neither Dagster nor each other."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.paths import ROOT

FLOORS = {"pipelines": 4, "assets": 3, "resources": 2, "ops": 1, "storage": 1}
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "RESULTS.md",
    "LICENSE",
    "NOTICE",
    "Makefile",
    "Dockerfile",
    "compose.yaml",
    "requirements.lock",
}
TOP_LEVEL |= {"CHANGELOG.md", "docs", "workspace.yaml", "tests", *FLOORS}
MODULES = {path: ast.parse(path.read_text()) for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_every_import_points_down() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path, tree in MODULES.items()
        for name in imports_of(tree)
        if (there := FLOORS.get(name.split(".")[0])) is not None
        and name.split(".")[0] != path.relative_to(ROOT).parts[0]
        and there >= FLOORS[path.relative_to(ROOT).parts[0]]
    ]
    assert not wrong


def test_no_two_modules_import_each_other() -> None:
    known = {name_of(path) for path in MODULES}
    graph = {name_of(path): (imports_of(tree) & known) - {name_of(path)} for path, tree in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError and names the cycle


@pytest.mark.parametrize("floor", ["ops", "storage"])
def test_the_ground_floor_does_not_know_dagster(floor: str) -> None:
    wrong = [
        name_of(path)
        for path, tree in MODULES.items()
        if name_of(path).startswith(floor) and "dagster" in imports_of(tree)
    ]
    assert not wrong


def test_ops_open_no_file() -> None:
    calls = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in MODULES.items()
        if name_of(path).startswith("ops")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]
    assert not calls
    assert not [
        name_of(path)
        for path, tree in MODULES.items()
        if name_of(path).startswith("ops") and "pathlib" in imports_of(tree)
    ]


def test_no_module_is_longer_than_400_lines() -> None:
    assert not [name_of(path) for path in MODULES if len(path.read_text().splitlines()) > 400]


def test_the_top_level_holds_what_was_asked_for() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: the list of tracked files cannot be read")
    tops = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert not {top for top in tops if not top.startswith(".")} - TOP_LEVEL


def test_definitions_import_no_model_and_no_table() -> None:
    heavy = ("torch", "spacy", "transformers", "numpy", "pyarrow", "PIL", "pycocotools", "scipy", "cv2", "matplotlib")
    code = f"import sys, pipelines.definitions; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
