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
from operator import eq
from pathlib import Path
from unicodedata import category

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
from resources.datasets.table_rows import is_unicode, shown
from resources.opening import digest_of, require_folder

LONGEST_REASON = 1_000
"""Characters of what a quarantined row says; a message may quote what a file holds."""
_INVISIBLE = frozenset({"Cc", "Cf", "Mn", "Me", "Zs", "Zl", "Zp"})
"""Categories of Unicode: control, zero-width, marks on a letter, white space."""
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that draw nothing: Hangul fillers, the empty Braille pattern."""


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
    in_split: Callable[[str, str], bool] = eq
    """Whether what a row says of its split belongs to a split (row's, wanted)."""


class Dataset:
    """One data set on disk. The manifest is read once and kept."""

    def __init__(self, config: DatasetConfig, layout: Layout) -> None:
        self.config = config
        self._layout = layout

    @cached_property
    def _manifest(self) -> Manifest:
        require_folder(self.config.root, "set root to the folder that holds the data set")
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
            total.update(f"\n{file.name} {digest_of(file)}".encode())
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
        return _corpus(usable, (*manifest.quarantined, *lost), self._layout.in_split)

    def ground_truth(self) -> GroundTruths:
        """The ground-truth masks of all referred objects, and those that are broken. For evaluation only."""
        require_folder(self.config.root, "set root to the folder that holds the data set")
        truths, broken = self._layout.ground_truth(self.config)
        return truths, [_storable(row) for row in broken]

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
    images = {row.image_file: (row.width, row.height) for row in corpus.expressions}
    paths = {name: dataset.image_path(name) for name in images}
    sizes = {path: images[name] for name, path in paths.items()}
    problems = check_files(sizes, max_pixels=dataset.config.limits.max_pixels, workers=workers)
    reasons = {name: problems.get(path) for name, path in paths.items()}
    where = "images"
    good = tuple(row for row in corpus.expressions if reasons[row.image_file] is None)
    bad = [_lost(row, where, reason) for row in corpus.expressions if (reason := reasons[row.image_file]) is not None]
    return _corpus(good, (*corpus.quarantined, *bad), corpus.in_split)


def expression_problem(expression: str, limits: Limits) -> str | None:
    """Why an expression can not be used, or None."""
    if not is_unicode(expression):
        return "the expression is no valid Unicode text; write it as UTF-8"
    if not expression.strip():
        return "the expression is empty"
    if not is_visible(expression):
        return "the expression has no visible character"
    return _length_problem(expression, limits)


def is_visible(text: str) -> bool:
    """Whether a text shows anything: white space, marks without a letter and letters that draw nothing do not."""
    return any(character not in _BLANK and category(character) not in _INVISIBLE for character in text)


def _length_problem(text: str, limits: Limits) -> str | None:
    words = len(text.split())
    if words > limits.max_words:
        return f"the expression has {words:,} words, more than {limits.max_words}"
    if len(text) > limits.max_characters:
        return f"the expression has {len(text):,} characters, more than {limits.max_characters:,}"
    return None


def _identity(path: Path, *, content: bool = True) -> str:
    try:
        stat = path.stat()
        return f"{stat.st_size} {digest_of(path) if content else stat.st_mtime_ns}"
    except (OSError, Refused):
        return "missing"


def _checked_expressions(
    rows: Sequence[Expression], where: str, limits: Limits
) -> tuple[list[Expression], list[QuarantinedRow]]:
    kept: list[Expression] = []
    lost: list[QuarantinedRow] = []
    owners: dict[int, int] = {}
    for row in rows:
        reason = _row_problem(row) or expression_problem(row.expression, limits) or _length_problem(row.raw, limits)
        if reason is None and row.sent_id in owners:
            reason = f"sentence number {row.sent_id} already belongs to ref {owners[row.sent_id]}"
        if reason is not None:
            lost.append(_lost(row, where, reason))
            continue
        owners[row.sent_id] = row.ref_id
        kept.append(row)
    return kept, lost


def _row_problem(row: Expression) -> str | None:
    """What no table could hold."""
    if not (is_unicode(row.expression) and is_unicode(row.raw)):
        return "the expression is no valid Unicode text; save the manifest as UTF-8"
    if not all(map(is_unicode, (row.object_id, row.image_id, row.image_file, row.split))):
        return "the row is no valid Unicode text; save the manifest as UTF-8"
    if not all(map(_is_int64, (row.ref_id, row.sent_id, row.width, row.height))):
        return "a number of the row has more than 64 bits; number refs and sentences anew"
    return None


def _is_int64(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _lost(row: Expression, where: str, reason: str) -> QuarantinedRow:
    return QuarantinedRow(
        where=where,
        item=f"ref {row.ref_id}, sentence {row.sent_id}",
        reason=reason,
        ref_id=row.ref_id,
        split=row.split,
    )


def _storable(row: QuarantinedRow) -> QuarantinedRow:
    """As a table can hold it and a terminal show it, whatever the file held."""
    texts = {name: shown(getattr(row, name), at_most=LONGEST_REASON) for name in ("where", "item", "reason")}
    split = row.split.encode(errors="replace").decode()
    ref_id = row.ref_id if row.ref_id is not None and _is_int64(row.ref_id) else None
    return replace(row, ref_id=ref_id, split=split, **texts)


def _corpus(
    rows: Sequence[Expression], quarantined: Iterable[QuarantinedRow], in_split: Callable[[str, str], bool]
) -> Corpus:
    return Corpus(
        expressions=tuple(rows),
        quarantined=tuple(map(_storable, quarantined)),
        splits=split_names({row.split for row in rows}),
        in_split=in_split,
    )
