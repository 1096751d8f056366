"""The gallery as a folder that a browser opens from the disk: a page, its script, data as scripts, small pictures.

A browser lets a page on the disk neither fetch files nor load modules: data are classic scripts that call a function.
The page of a comparison is written in the same way.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from assets.data.images import READERS, Pixels, ahead
from assets.data.tables import ImageRow
from assets.reports.gallery.chunks import IMAGES, chunks_of, count_of
from assets.reports.gallery.index import Places, index_columns, places_of
from assets.reports.gallery.parts import count_of_parts, in_parts
from assets.reports.gallery.reading import Gallery
from assets.reports.html import render
from resources.datasets import ImageChangedError
from storage.digest import digest
from storage.files import read_if_there
from storage.outputs import Outputs, outputs

SIDE = 320
"""Of a small picture, the longer one, pixels."""
QUALITY = 80
"""Of its JPEG."""
INDEX, PAGE, LINKS = "/data/index.js", "/index.html", "/data/links.js"
Link = tuple[str, str]
"""What it says, and where it leads."""


@dataclass(frozen=True, kw_only=True)
class Shell:
    """What is written around the data of a gallery."""

    name: str
    """Of the folder."""
    of: str
    """Digest of what the folder is for, see `storage.outputs`."""
    template: str
    files: tuple[str, ...]
    """Scripts and style sheets, below `assets/reports`."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """What the template asks for beside the index."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of the index."""
    scripts: Mapping[str, bytes] = field(default_factory=dict)
    """Further scripts by their endings."""
    in_parts: bool = False
    """Whether a large index is read part by part."""
    drawn: Path | None = None
    """Where small pictures may lie already."""

    def assets(self) -> dict[str, bytes]:
        """Ending -> bytes of scripts and style sheets."""
        packaged = files("assets.reports")
        return {f"/{Path(name).name}": packaged.joinpath(name).read_bytes() for name in self.files} | {**self.scripts}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written."""

    page: Path
    expressions: int
    images: int
    drawn: int
    """Small pictures that were not there yet."""
    lost: tuple[str, ...]
    """Images that cannot be shown, since they changed."""


def write_gallery(
    gallery: Gallery, folder: Path, read: Callable[[ImageRow], Pixels], *, links: Sequence[Link] = ()
) -> Written:
    """Write a folder of the data set's name into `folder`; small pictures that are there are kept.

    Args:
        gallery: what is shown.
        folder: a person's own; what lies there and is not of this gallery stays, and one beside it is taken.
        read: the pixels of an image as the stages saw it.
        links: to comparisons on the same data set.

    Raises:
        StoreError: the disk refuses.
    """
    shell = Shell(
        name=gallery.dataset,
        of=_origin(gallery.dataset),
        template="gallery.html.j2",
        files=("gallery/shared.js", "gallery/gallery.js", "gallery/gallery.css"),
        scripts={LINKS: script("links", links)},
        in_parts=True,
    )
    return write_pages(gallery, folder, read, shell)


def write_links(dataset: str, folder: Path, links: Sequence[Link]) -> None:
    """Let the gallery of a data set, if it lies in `folder`, lead to other pages; `StoreError` if the disk refuses."""
    with outputs(folder, dataset, [LINKS], of=_origin(dataset)) as out:
        if out.path(PAGE).exists():
            out.write(LINKS, script("links", links))


def _origin(dataset: str) -> str:
    return digest(["gallery", dataset])


def write_pages(gallery: Gallery, folder: Path, read: Callable[[ImageRow], Pixels], shell: Shell) -> Written:
    """Write a page over the data of a gallery; arguments and errors as those of `write_gallery`."""
    places = places_of(gallery)
    images = {f"/{_thumb(image)}": image for image in map(gallery.images.__getitem__, places.images)}
    chunks = [_chunk_name(number) for number in range(count_of(places))]
    parts = map(_part_name, range(1, 1 + count_of_parts(len(gallery.rows)) if shell.in_parts else 1))
    endings = [PAGE, *shell.assets(), INDEX, *parts, *chunks, *images]
    with outputs(folder, shell.name, endings, of=shell.of) as out:
        lacking = {ending: image for ending, image in images.items() if not out.path(ending).exists()}
        copied = _copy(out, lacking, shell.drawn)
        lost = _draw(out, {ending: image for ending, image in lacking.items() if ending not in copied}, read)
        _write_data(out, gallery, places, lost, shell)
        out.keep_only(endings)
        return Written(
            page=out.path(PAGE),
            expressions=len(gallery.rows),
            images=len(places.images),
            drawn=len(lacking) - len(lost),
            lost=tuple(lost.values()),
        )


def _chunk_name(number: int) -> str:
    return f"/data/masks-{number:05}.js"


def _part_name(number: int) -> str:
    return f"/data/index-{number:05}.js"


def _thumb(image: ImageRow) -> str:
    """Named by content, never by the file: another image, or another size, is another picture."""
    return f"thumbs/{image.sha256}-{SIDE}.jpg"


def _write_data(out: Outputs, gallery: Gallery, places: Places, lost: Mapping[str, str], shell: Shell) -> None:
    """Everything but pictures; the page at last, so that it is there when all is."""
    for number, content in enumerate(chunks_of(gallery, places)):
        out.write(_chunk_name(number), script("chunk", number, content))
    shown = {image_id: gallery.images[image_id] for image_id in places.images}
    thumbs = {image_id: None if image.sha256 in lost else _thumb(image) for image_id, image in shown.items()}
    index = {**index_columns(gallery, places, thumbs), "imagesPerChunk": IMAGES, "side": SIDE, **shell.more}
    first, *further = in_parts(index) if shell.in_parts else [index]
    for number, part in enumerate(further, start=1):
        out.write(_part_name(number), script("more", part))
    out.write(INDEX, script("index", first))
    for ending, asset in shell.assets().items():
        out.write(ending, asset)
    out.write(PAGE, render(shell.template, index=index, **shell.parts).encode())


def script(function: str, *arguments: Any) -> bytes:
    """A call of the page's function. All but ASCII is escaped; the data are no markup, whatever they hold."""
    given = ", ".join(json.dumps(one, separators=(",", ":"), allow_nan=False) for one in arguments)
    return f"wordmask.{function}({given.replace('<', chr(92) + 'u003c')});\n".encode()


def _copy(out: Outputs, lacking: Mapping[str, ImageRow], drawn: Path | None) -> set[str]:
    """Small pictures that another page of the same images has; which ones these were."""
    found = {ending: read_if_there(drawn / ending.lstrip("/")) for ending in lacking} if drawn else {}
    copied = {ending: content for ending, content in found.items() if content}
    for ending, content in copied.items():
        out.write(ending, content)
    return {*copied}


def _draw(out: Outputs, lacking: Mapping[str, ImageRow], read: Callable[[ImageRow], Pixels]) -> dict[str, str]:
    """Small pictures; hash -> name of the images that changed, of which there is none."""
    lost: dict[str, str] = {}

    def small(item: tuple[str, ImageRow]) -> tuple[str, ImageRow, bytes | None]:
        try:
            return (*item, thumbnail(read(item[1])))
        except ImageChangedError:
            return (*item, None)

    with ThreadPoolExecutor(READERS) as pool:
        drawn: Iterator[tuple[str, ImageRow, bytes | None]] = ahead(pool, small, lacking.items(), at_most=2 * READERS)
        for ending, image, content in drawn:
            if content is None:
                lost[image.sha256] = image.image_file
            else:
                out.write(ending, content)
    return lost


def thumbnail(pixels: Pixels, *, side: int = SIDE) -> bytes:
    """A JPEG without anything of the file that the pixels came from; `side` pixels long at most."""
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
