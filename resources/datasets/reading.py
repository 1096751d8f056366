"""From a manifest to a corpus: the rules that hold for every layout.

A layout's own module yields a `Manifest`; here expressions are checked, images are inspected, and the fingerprint is
taken. What a particular file format means does not belong here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.images import ImageProblem, check_files, inspect_image, safe_path
from resources.datasets.records import (
    READER_VERSION,
    Corpus,
    DatasetConfig,
    Expression,
    GroundTruth,
    Limits,
    QuarantinedRow,
    split_names,
)
from storage.files import sha256_of


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the files of a set say, before any image was looked at."""

    files: tuple[Path, ...]
    """The manifest files; their bytes enter the fingerprint."""
    image_folder: Path
    rows: tuple[Expression, ...]
    """Expressions in file order; width and height are 0 where the manifest does not know them."""
    quarantined: tuple[QuarantinedRow, ...]
    mask_files: tuple[Path, ...] = ()
    """Files of ground-truth masks outside the manifest; their bytes enter the fingerprint."""


GroundTruths = tuple[list[GroundTruth], list[QuarantinedRow]]
"""Objects with a mask, and those whose mask is broken."""


@dataclass(frozen=True)
class Layout:
    """How one kind of data set is read."""

    manifest: Callable[[DatasetConfig], Manifest]
    ground_truth: Callable[[DatasetConfig], GroundTruths]


class Dataset:
    """One data set on disk. The manifest is read once and kept."""

    def __init__(self, config: DatasetConfig, layout: Layout) -> None:
        self.config = config
        self._layout = layout

    @cached_property
    def _manifest(self) -> Manifest:
        if not self.config.root.is_dir():
            raise Refused(f"{self.config.root} is no folder; set root to the folder that holds the data set")
        manifest = self._layout.manifest(self.config)
        if not manifest.rows and not manifest.quarantined:
            raise Refused(f"{manifest.files[0]} holds no references; check that it is the right file")
        return manifest

    @property
    def image_folder(self) -> Path:
        """The folder that `Expression.image_file` is relative to."""
        return self._manifest.image_folder

    def image_path(self, image_file: str) -> Path:
        """Where an image lies.

        Raises:
            ImageProblem: The name leads out of the image folder.
        """
        return safe_path(self._manifest.image_folder, image_file)

    def fingerprint(self) -> str:
        """Content hash (hex) of the configuration, the manifest files and every image they name."""
        manifest, config = self._manifest, self.config
        described = asdict(replace(config, root=Path(), image_identity="content"))
        described.update(root="", split_map=sorted(config.split_map.items()))
        total = hashlib.sha256(json.dumps([READER_VERSION, described], sort_keys=True).encode())
        for file in manifest.files:
            total.update(f"\n{file.name} {sha256_of(file)}".encode())
        names = list(dict.fromkeys(row.image_file for row in manifest.rows))
        with ThreadPoolExecutor(max_workers=2) as pool:
            for name, identity in zip(names, pool.map(self._image_identity, names), strict=True):
                total.update(json.dumps([name, identity]).encode())
            for file, identity in zip(manifest.mask_files, pool.map(_identity, manifest.mask_files), strict=True):
                total.update(json.dumps([file.name, identity]).encode())
        return total.hexdigest()

    def files(self) -> tuple[Path, ...]:
        """All files that the fingerprint is taken of, whether they are there or not."""
        manifest = self._manifest
        names = dict.fromkeys(row.image_file for row in manifest.rows)
        images = (manifest.image_folder / name for name in names)
        return (*manifest.files, *images, *manifest.mask_files)

    def corpus(self) -> Corpus:
        """All usable expressions in file order; problems of text, header or size are quarantined.

        Raises:
            Refused: The manifest itself is missing, malformed or not the published one.
        """
        manifest = self._manifest
        where = manifest.files[0].name
        kept, lost = _checked_expressions(manifest.rows, where, self.config.limits)
        sizes, reasons = self._inspect(kept)
        lost.extend(_lost(row, where, reasons[row.image_file]) for row in kept if row.image_file in reasons)
        usable = tuple(
            replace(row, width=sizes[row.image_file][0], height=sizes[row.image_file][1])
            for row in kept
            if row.image_file in sizes
        )
        return _corpus(usable, (*manifest.quarantined, *lost))

    def ground_truth(self) -> GroundTruths:
        """The ground-truth masks of all referred objects, and those that are broken. For evaluation only."""
        if not self.config.root.is_dir():
            raise Refused(f"{self.config.root} is no folder; set root to the folder that holds the data set")
        return self._layout.ground_truth(self.config)

    def _inspect(self, rows: Iterable[Expression]) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
        sizes: dict[str, tuple[int, int]] = {}
        reasons: dict[str, str] = {}
        for row in {row.image_file: row for row in rows}.values():
            expected = (row.width, row.height) if row.width and row.height else None
            try:
                header = inspect_image(
                    self.image_path(row.image_file),
                    expected_size=expected,
                    max_pixels=self.config.limits.max_pixels,
                )
                sizes[row.image_file] = (header.width, header.height)
            except ImageProblem as problem:
                reasons[row.image_file] = str(problem)
        return sizes, reasons

    def _image_identity(self, name: str) -> str:
        try:
            path = self.image_path(name)
        except ImageProblem:
            return "refused"
        return _identity(path, content=self.config.image_identity == "content")


def check_images(dataset: Dataset, corpus: Corpus, *, workers: int = 2) -> Corpus:
    """Decode every image of a corpus once and quarantine the rows of those that fail.

    Later stages may then trust that every image decodes to the size its expressions carry.

    Args:
        dataset: Where the images lie.
        corpus: From `dataset.corpus()`.
        workers: Threads that decode.

    Returns:
        The corpus without the rows of broken images; those rows are added to its quarantine.
    """
    sizes = {dataset.image_path(row.image_file): (row.width, row.height) for row in corpus.expressions}
    problems = check_files(sizes, max_pixels=dataset.config.limits.max_pixels, workers=workers)
    reasons = {row.image_file: problems.get(dataset.image_path(row.image_file)) for row in corpus.expressions}
    where = "images"
    good = tuple(row for row in corpus.expressions if reasons[row.image_file] is None)
    bad = [_lost(row, where, reason) for row in corpus.expressions if (reason := reasons[row.image_file]) is not None]
    return _corpus(good, (*corpus.quarantined, *bad))


def expression_problem(expression: str, limits: Limits) -> str | None:
    """Why an expression can not be used, or None."""
    if not expression.strip():
        return "the expression is empty"
    words = len(expression.split())
    if words > limits.max_words:
        return f"the expression has {words:,} words, more than {limits.max_words}"
    if len(expression) > limits.max_characters:
        return f"the expression has {len(expression):,} characters, more than {limits.max_characters:,}"
    try:
        expression.encode()
    except UnicodeEncodeError:
        return "the expression is no valid Unicode text; save the manifest as UTF-8"
    return None


def _identity(path: Path, *, content: bool = True) -> str:
    try:
        stat = path.stat()
        return f"{stat.st_size} {sha256_of(path) if content else stat.st_mtime_ns}"
    except OSError:
        return "missing"


def _checked_expressions(
    rows: Sequence[Expression], where: str, limits: Limits
) -> tuple[list[Expression], list[QuarantinedRow]]:
    kept: list[Expression] = []
    lost: list[QuarantinedRow] = []
    owners: dict[int, int] = {}
    for row in rows:
        reason = expression_problem(row.expression, limits) or expression_problem(row.raw or "-", limits)
        if reason is None and row.sent_id in owners:
            reason = f"sentence number {row.sent_id} already belongs to ref {owners[row.sent_id]}"
        if reason is not None:
            lost.append(_lost(row, where, reason))
            continue
        owners[row.sent_id] = row.ref_id
        kept.append(row)
    return kept, lost


def _lost(row: Expression, where: str, reason: str) -> QuarantinedRow:
    return QuarantinedRow(
        where=where,
        item=f"ref {row.ref_id}, sentence {row.sent_id}",
        reason=reason,
        ref_id=row.ref_id,
        split=row.split,
    )


def _corpus(rows: tuple[Expression, ...], quarantined: tuple[QuarantinedRow, ...]) -> Corpus:
    return Corpus(expressions=rows, quarantined=quarantined, splits=split_names({row.split for row in rows}))
