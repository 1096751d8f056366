"""Where the pages about a data set lie in the home, and how they lead to each other."""

import os
from pathlib import Path
from urllib.parse import quote

from resources.paths import home

GALLERY, COMPARISON = "gallery", "comparison"
"""Folders of the home, and the paths under which `wordmask ui` serves them."""
Link = tuple[str, str]
"""What it says, and where it leads."""
INDEX = "index.html"


def gallery_folder() -> Path:
    """Has a folder for each data set."""
    return home() / GALLERY


def comparison_folder(dataset: str) -> Path:
    """Has a folder for each comparison."""
    return home() / COMPARISON / dataset


def served_address(page: Path) -> str:
    """Where `wordmask ui` serves a page of the home, with the slash in front."""
    return "/" + quote(page.relative_to(home()).as_posix())


def address(target: Path, folder: Path) -> str:
    """The relative address of a file for a page in a folder; empty where the two are not both in the home."""
    if not target.exists() or not all(path.resolve().is_relative_to(home().resolve()) for path in (target, folder)):
        return ""
    return quote(Path(os.path.relpath(target, folder)).as_posix())


def gallery_address(dataset: str, folder: Path) -> str:
    """Of the data set's gallery; empty where there is none."""
    return address(gallery_folder() / dataset / INDEX, folder)


def comparison_pages(dataset: str) -> list[Path]:
    """Those that were written, by name."""
    return sorted(comparison_folder(dataset).glob(f"*/{INDEX}"))


def comparison_links(dataset: str, folder: Path) -> list[Link]:
    """To all comparisons on a data set, from a page in a folder."""
    addresses = {page.parent.name: address(page, folder) for page in comparison_pages(dataset)}
    return [(f"Comparison of {name.replace('_and_', ' and ')}", href) for name, href in addresses.items() if href]
