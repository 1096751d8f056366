"""Photographs in HEIF's box files, HEIC and AVIF: told by their brands, decoded by pi-heif and by Pillow itself.

Both turn by the file's own boxes `irot` and `imir`; what its EXIF or XMP says of orientation is then said twice.
"""

from functools import lru_cache

from PIL import Image, features

PHOTOGRAPHS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1"})
SEQUENCES = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"})
AVIF = frozenset({b"avif", b"avis"})
BOXED = ("HEIF", "AVIF") if features.check("avif") else ("HEIF",)
"""Pillow's names of those that can be decoded here."""
HDR_CURVES = {16: "PQ", 18: "HLG"}
"""`transfer_characteristics` of ISO 23091-2 whose samples are far too dark or pale where they are taken for sRGB."""


def boxed_kind(head: bytes) -> str | None:
    """`HEIF`, `AVIF` or `sequence` by the first bytes of a file, with its box `ftyp`; None: another format."""
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4]), len(head))
    brand, others = head[8:12], {head[at : at + 4] for at in range(16, end - 3, 4)}
    if brand in AVIF or (brand in PHOTOGRAPHS | SEQUENCES and others & AVIF):
        return "AVIF"
    return "HEIF" if brand in PHOTOGRAPHS else "sequence" if brand in SEQUENCES else None


@lru_cache(maxsize=1)
def let_pillow_read_heif() -> None:
    """Make HEIF one of Pillow's formats: the image alone, without thumbnails, depth maps and other companions."""
    import pi_heif  # loaded where such a file is met: few data sets have one

    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def undo_no_orientation_twice(image: Image.Image) -> None:
    """Leave in an open image's metadata only the orientation that its decoder has not applied."""
    if image.format == "AVIF":
        image.info.pop("xmp", None)  # Pillow puts irot and imir into the EXIF, and asks XMP where there is none
    if image.format == "HEIF":
        for name in ("exif", "xmp"):
            image.info.pop(name, None)


def hdr_curve(image: Image.Image) -> str | None:
    """The curve of brightness of an HDR image that has no colour profile, as far as the decoder tells."""
    coded = image.info.get("nclx_profile") if "icc_profile" not in image.info else None
    return HDR_CURVES.get(coded["transfer_characteristics"]) if coded else None
