"""A home folder as a person leaves it: files of data sets and of experiments."""

from collections.abc import Mapping
from pathlib import Path


def write_home(home: Path, *, datasets: Mapping[str, str], experiments: Mapping[str, str]) -> Path:
    """One YAML file per entry, name -> text; `home` again."""
    for kind, pages in (("datasets", datasets), ("experiments", experiments)):
        (home / kind).mkdir(parents=True)
        for name, text in pages.items():
            (home / kind / f"{name}.yaml").write_text(text)
    return home
