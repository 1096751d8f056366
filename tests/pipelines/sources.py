"""Which code makes a stage's result: every definition that its body reaches, with comments and formatting left out.

Followed are names, inside a module and across imports, through `assets`, `ops` and `resources`. What a result does not
depend on is not followed: knobs and weights (recipes hold them), pictures, storage, and the machine.
"""

import ast
import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assets.framework.stage import Stage
from tests.paths import ROOT

FOLLOWED = ("assets", "ops", "resources")
DESCRIBED = {"column": 2, "Column": 1}
"""Calls whose arguments after the first so many describe a column."""
LEFT_OUT = re.compile(
    r"assets\.framework\..*|assets\.(.*\.)?(knobs|stages)|assets\.data\.source|assets\.reports\.previews"
    r"|resources\.(checkpoints|runtime|engines\..*|toyref\.refcoco_writer)"
)
"""Modules. Recipes hold knobs and weights, fingerprints hold raw data, rendered worlds too; previews are for people."""

READERS = ("resources.datasets", "open_dataset")
"""What the stages of `assets.data` reach through `work.dataset`; later stages only read their tables."""

Definition = tuple[str, str]
"""Module and name of something at its top level."""


@dataclass(frozen=True)
class Module:
    """A module by its top level: definitions, and where imported names come from."""

    definitions: dict[str, ast.stmt]
    imports: dict[str, Definition]


def code_of(stage: Stage) -> dict[str, str]:
    """Module -> digest of all that a stage's body reaches in it."""
    assert isinstance(stage.body, str)
    module, _, name = stage.body.partition(":")
    found = reached((module, name))
    if module.startswith("assets.data."):
        found |= reached(READERS)
    parts: dict[str, list[str]] = {}
    for module, name in sorted(found):
        parts.setdefault(module, []).append(text_of(module, name))
    return {module: hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] for module, texts in parts.items()}


def reached(start: Definition) -> set[Definition]:
    """The definition and all that it uses, at whatever distance."""
    found: set[Definition] = set()
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += uses(*one)
    return found


@cache
def uses(module: str, name: str) -> frozenset[Definition]:
    """Definitions of this project that a definition names."""
    return frozenset(_uses(module, name))


def _uses(module: str, name: str) -> Iterator[Definition]:
    page = module_of(module)
    node = page.definitions[name]
    known = {**page.imports, **imports_in(node)}
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            here = (module, part.id) if part.id in page.definitions else known.get(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in known:
            here = (".".join(known[part.value.id]), part.attr)  # an imported module's definition
        else:
            here = None
        if here is not None and (there := resolved(*here)) is not None:
            yield there


def resolved(module: str, name: str) -> Definition | None:
    """Where something is defined, through modules that pass it on; None outside the followed code."""
    if module.split(".")[0] not in FOLLOWED or LEFT_OUT.fullmatch(module) or path_of(module) is None:
        return None
    page = module_of(module)
    if name in page.definitions:
        return module, name
    passed_on = page.imports.get(name, (module, name))
    return resolved(*passed_on) if passed_on != (module, name) else None


@cache
def module_of(name: str) -> Module:
    """Parse a module of this project."""
    path = path_of(name)
    assert path is not None
    tree = ast.parse(path.read_text())
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            definitions[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
            definitions |= dict.fromkeys(names, node)
    return Module(definitions, {name: there for node in tree.body for name, there in imports_in(node).items()})


def imports_in(node: ast.AST) -> dict[str, Definition]:
    """Local name -> module and name it stands for."""
    return {
        alias.asname or alias.name: (part.module, alias.name)
        for part in ast.walk(node)
        if isinstance(part, ast.ImportFrom) and part.module
        for alias in part.names
    }


def path_of(module: str) -> Path | None:
    """The file of a module of this project."""
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def text_of(module: str, name: str) -> str:
    """A definition of a module as it counts."""
    return normalised(module_of(module).definitions[name])


def normalised(node: ast.stmt) -> str:
    """The code as a tree without positions, docstrings, annotations and column descriptions."""
    text = ast.dump(_Bare().visit(copy.deepcopy(node)))
    return text.replace(", type_params=[]", "")  # Python 3.12 has a field that 3.11 has not


class _Bare(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in DESCRIBED:
            node.args = node.args[: DESCRIBED[node.func.id]]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)
