"""ReferIt (ReferItGame on SAIAPR TC-12, also RefCLEF) as text_objseg lays it out.

`<root>/<name>_query_all.json`, `_imcrop.json`, `_imsize.json` (each may end in `.gz`), `_<split>_imlist.txt`, images in
`<root>/images/<image>.jpg`, and optionally masks in `<root>/mask/<image>_<region>.mat`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.ground_truth import encode_ground_truth, segmentation_problem
from resources.datasets.mat_matrix import MatrixProblem, read_matrix
from resources.datasets.plain_json import read_json_object
from resources.datasets.plain_values import RecordProblem
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow
from resources.datasets.referit_records import Region, Splits, read_regions, read_splits, size_of
from resources.datasets.table_rows import shown
from resources.opening import read_file

MASK_KEY = "segimg_t"
"""Matrix in a mask file; the region is where it is 0."""
MOST_BYTES = 512 << 20
"""Of a mask file."""


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read all expressions of all regions in file order; each region is one object.

    Raises:
        Refused: A file is missing or malformed.
    """
    query_path, size_path = _find(config, "query_all"), _find(config, "imsize")
    splits = read_splits(config)
    if not splits.files:
        raise Refused(f"{config.name}_train_imlist.txt is missing; the image lists define the splits")
    regions, sizes = read_regions(query_path), read_json_object(size_path)
    rows: list[Expression] = []
    quarantined = [*splits.unreadable]
    sent_id = 0
    for region in regions:
        for text in region.expressions:
            sent_id += 1
            try:
                rows.append(_expression(region, text, sent_id, sizes, splits, config.limits.max_pixels))
            except RecordProblem as problem:
                item = f"region {shown(region.name)}, sentence {sent_id}"
                split = splits.of.get(region.image_id, "")
                quarantined.append(
                    QuarantinedRow(
                        where=query_path.name, item=item, reason=str(problem), ref_id=region.ref_id, split=split
                    )
                )
    masks = config.root / "mask"
    return Manifest(
        files=(query_path, size_path, *splits.files),
        image_folder=config.root / "images",
        rows=tuple(rows),
        quarantined=tuple(quarantined),
        mask_files=_mask_files(masks, regions) if masks.is_dir() else (),
    )
