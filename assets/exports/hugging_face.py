"""Parquet as Hugging Face's `datasets` writes it: a row for each expression and its mask, files for each split.

`datasets.load_dataset(folder)` finds the splits by the names of the files, and the features by what the files say of
themselves. The mask is there twice: `mask`, a picture, and `rle`, COCO's compressed run lengths of the size `height`,
`width`. `image_file` is the image's name in its data set; its bytes are in `image` if they go with the masks.
"""

import io
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from assets.exports.given import Export, File, Given
from ops.visualisation import png_bytes
from storage.outputs import file_name

ROWS, ROWS_WITH_IMAGES = 20_000, 1_000
"""Of one file, so that neither making nor reading it needs much memory."""
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLUMNS: dict[str, pa.DataType] = {
    "image_file": pa.string(),
    "image_sha256": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "split": pa.string(),
    "ref_id": pa.int64(),
    "object_id": pa.string(),
    "sent_id": pa.int64(),
    "expression": pa.string(),
    "mask": PICTURE,
    "rle": pa.string(),
    "area": pa.int64(),
    "score": pa.float64(),
}


def files(export: Export) -> Iterator[File]:
    """`data/<split>-00000-of-00001.parquet` and so on, and a `README.md`."""
    splits: dict[str, list[tuple[Given, int]]] = {}
    for one in export.given:
        splits.setdefault(one.referent.split, []).extend((one, sent_id) for sent_id in one.expressions)
    for split, rows in splits.items():
        parts = _parts(rows, ROWS_WITH_IMAGES if export.with_images else ROWS)
        for number, part in enumerate(parts):
            name = f"{_split_name(split)}-{number:05d}-of-{len(parts):05d}"
            yield File(f"/data/{name}.parquet", partial(_parquet, export, part))
    yield File("/README.md", lambda: _readme(export, [_split_name(split) for split in splits]))


def schema(*, with_images: bool) -> pa.Schema:
    """The columns, and in the metadata the features that `datasets` makes of them."""
    columns = {"image": PICTURE, **COLUMNS} if with_images else COLUMNS
    features = {name: _feature(kind) for name, kind in columns.items()}
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(columns.items()), metadata=described)


def _parts(rows: Sequence[tuple[Given, int]], size: int) -> list[Sequence[tuple[Given, int]]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _feature(kind: pa.DataType) -> dict[str, str]:
    if kind == PICTURE:
        return {"_type": "Image"}
    return {"_type": "Value", "dtype": {"double": "float64"}.get(str(kind), str(kind))}


def _parquet(export: Export, rows: Sequence[tuple[Given, int]]) -> bytes:
    wanted = schema(with_images=export.with_images)
    table = pa.Table.from_pylist([_row(export, one, sent_id) for one, sent_id in rows], schema=wanted)
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", row_group_size=100 if export.with_images else 1_000)
    return file.getvalue()


def _row(export: Export, one: Given, sent_id: int) -> dict[str, Any]:
    image = {"bytes": export.read(one.image), "path": one.image.image_file} if export.with_images else None
    return {
        "image": image,
        "image_file": one.image.image_file,
        "image_sha256": one.image.sha256,
        "width": one.image.width,
        "height": one.image.height,
        "split": one.referent.split,
        "ref_id": one.referent.ref_id,
        "object_id": one.referent.object_id,
        "sent_id": sent_id,
        "expression": one.expressions[sent_id],
        "mask": {"bytes": png_bytes(one.mask.decode()), "path": one.file},
        "rle": one.mask.counts.decode("ascii"),
        "area": one.mask.area,
        "score": one.score,
    }


def _split_name(split: str) -> str:
    """A name that `datasets` takes for a split: letters, digits, _ and full stops."""
    return "".join(sign if sign.isalnum() or sign in "_." else "_" for sign in file_name(split))


def _readme(export: Export, splits: Sequence[str]) -> bytes:
    """The card, whose head says where each split lies."""
    paths = [{"split": split, "path": f"data/{split}-*"} for split in dict.fromkeys(splits)]
    head = yaml.safe_dump({"configs": [{"config_name": "default", "data_files": paths}]}, sort_keys=False)
    text = f"Masks of the stage {export.stage}, exported by wordmask: a row for each expression."
    return f"---\n{head}---\n\n{text}\n".encode()
