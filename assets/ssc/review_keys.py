"""Content keys of referents and masks, by which decisions of persons outlive other candidates and new rows."""

from collections.abc import Iterable, Mapping

from assets.data.tables import ImageRow, Referent
from storage.digest import digest
from storage.masks import Rle


def mask_key(image: ImageRow, mask: Rle) -> str:
    """Of a mask: digest of the image's hash, the size and the run lengths."""
    return digest([image.sha256, mask.height, mask.width, mask.counts.hex()])


def referent_keys(referents: Iterable[Referent], images: Mapping[str, ImageRow]) -> dict[int, str]:
    """Referent -> digest of the image's hash and all its expressions.

    Referents of one image with the same expressions are told apart by the objects that the data set names.
    """
    found: dict[str, list[Referent]] = {}
    for referent in referents:
        said = [images[referent.image_id].sha256, sorted(referent.expressions)]
        found.setdefault(digest(said), []).append(referent)
    return {
        referent.ref_id: key if len(same) == 1 else digest([key, referent.object_id])
        for key, same in found.items()
        for referent in same
    }
