"""What was imported of which teacher: a page of JSON for each below `<home>/teachers/<data set>`, beside its tables.

`<name>.json` says which tables count. It is replaced in one rename after they are whole, so that a kill in the middle
of an import leaves the earlier one. Nothing heavy is imported here: every look at a plan's state reads such a page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ops.refusal import Refused
from resources.datasets.table_rows import shown
from resources.opening import read_file
from resources.paths import home
from resources.teachers.records import Purpose
from storage.files import explain, safe_part, subfolders, write_bytes
from storage.locks import exclusive

MOST_BYTES = 1 << 20
"""Of a page."""
PURPOSES: tuple[Purpose, ...] = ("candidates", "choices")


@dataclass(frozen=True, kw_only=True)
class Import:
    """The masks of one teacher for one data set."""

    dataset: str
    name: str
    purpose: Purpose
    fingerprint: str
    """Digest of the masks and of what they are for."""
    source: str
    """Name of the file or folder that they came from."""
    masks: int
    images: int
    """With at least one mask."""
    left_out: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Kind of reason -> rows left out for it."""

    @property
    def table(self) -> Path:
        """The masks."""
        return imports_folder(self.dataset) / f"{self.name}-{self.fingerprint}.parquet"

    @property
    def left_out_table(self) -> Path:
        """The rows that were left out, each with its reason."""
        return imports_folder(self.dataset) / f"{self.name}-{self.fingerprint}-left_out.parquet"


def imports_folder(dataset: str) -> Path:
    """Where the imports of a data set lie."""
    return home() / "teachers" / safe_part(dataset)


def imported(dataset: str, name: str) -> Import:
    """The import of that name.

    Raises:
        Refused: there is none, with those that there are and what makes one; or its page is damaged.
    """
    known = {one.name: one for one in imports_of(dataset)}
    if name in known:
        return known[name]
    near = get_close_matches(name, list(known), n=1)
    raise Refused(
        f"no teacher called {shown(name)} was imported for {dataset}; "
        f"{f'did you mean {near[0]}? ' if near else ''}"
        f"{'there are ' + ', '.join(known) + '; ' if known else ''}"
        f"`wordmask import-masks FILE -d {dataset} --as candidates|choices --name {shown(name)}` imports one"
    )


def imports_of(dataset: str) -> list[Import]:
    """All imports for a data set, by name; raises as `imported` does where a page is damaged."""
    folder = imports_folder(dataset)
    return [_read(dataset, path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []


def all_imports() -> list[Import]:
    """The imports for every data set."""
    return [one for folder in subfolders(home() / "teachers") for one in imports_of(folder.name)]


def point_at(new: Import) -> None:
    """Make an import whose tables are whole the one of its name, and drop those of an earlier one."""
    page = {name: value for name, value in asdict(new).items() if name not in ("dataset", "name")}
    write_bytes(_page(new.dataset, new.name), json.dumps(page, ensure_ascii=False, indent=2).encode())
    _drop(new.dataset, new.name, keep={new.table, new.left_out_table})


def remove_import(dataset: str, name: str) -> Import:
    """Delete an import; raises as `imported` does. What stages made of it stays in the store."""
    gone = imported(dataset, name)
    with importing(dataset):
        with explain(_page(dataset, name), act="remove"):
            _page(dataset, name).unlink(missing_ok=True)
        _drop(dataset, name, keep=set())
    return gone


def importing(dataset: str) -> Any:
    """Hold what keeps two processes from changing the imports of a data set at once."""
    return exclusive(imports_folder(dataset) / ".lock", timeout=600)


def _page(dataset: str, name: str) -> Path:
    return imports_folder(dataset) / f"{safe_part(name)}.json"


def _drop(dataset: str, name: str, *, keep: set[Path]) -> None:
    for path in imports_folder(dataset).glob(f"{safe_part(name)}-*"):
        if path not in keep:
            with suppress(OSError):
                path.unlink()


def _read(dataset: str, path: Path) -> Import:
    try:
        page = json.loads(read_file(path, at_most=MOST_BYTES))
        found = Import(dataset=dataset, name=path.stem, **page)
        safe_part(found.fingerprint)
    except (ValueError, TypeError, RecursionError) as problem:
        raise Refused(f"{path} is damaged ({problem}); delete it, and import the teacher's masks again") from problem
    if found.purpose not in PURPOSES:
        raise Refused(f"{path} is damaged (purpose {shown(str(found.purpose))}); delete it and import again")
    return found
