"""Masks as the run lengths of Label Studio's brush, which are those of thi.ng's rle-pack.

A stream of bits, high ones first: how many values there are (32 bits), the bits of a value less one (5), four widths of
lengths less one (4 each). Then runs: a bit that says whether one value is repeated, 2 bits that choose a width, the
length less one in so many bits, and the value. The values are the pixels' red, green, blue and alpha, row by row, each
255 in the mask and 0 elsewhere.

Shapes: H x W pixels.
"""

import numpy as np
from numpy.typing import NDArray

CHANNELS = 4
VALUE_BITS = 8
WIDTHS = (4, 8, 12, 16)
"""Bits that a length may have."""
LONGEST = 1 << WIDTHS[-1]


def brush_runs(mask_HW: NDArray[np.bool_]) -> list[int]:
    """The bytes of a mask's run lengths; raises ValueError beyond 2^32 values, which the format cannot count."""
    pixels = mask_HW.ravel()
    if CHANNELS * pixels.size >= 1 << 32:
        raise ValueError(f"a mask of {pixels.size:,} pixels is beyond what Label Studio's run lengths count")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(pixels)) + 1])
    lengths = CHANNELS * np.diff([*starts, pixels.size])
    head = f"{CHANNELS * pixels.size:032b}{VALUE_BITS - 1:05b}" + "".join(f"{width - 1:04b}" for width in WIDTHS)
    runs = (_run(int(length), bool(pixels[start])) for start, length in zip(starts, lengths, strict=True))
    bits = head + "".join(runs)
    bits += "0" * (-len(bits) % 8)
    return np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0")).tolist()


def _run(length: int, inside: bool) -> str:
    """A run of one value, in parts where it is longer than a length can say."""
    value = f"{255 if inside else 0:0{VALUE_BITS}b}"
    whole, rest = divmod(length, LONGEST)
    parts = [LONGEST] * whole + ([rest] if rest else [])
    return "".join(_part(part, value) for part in parts)


def _part(length: int, value: str) -> str:
    choice = next(number for number, width in enumerate(WIDTHS) if length <= 1 << width)
    return f"1{choice:02b}{length - 1:0{WIDTHS[choice]}b}{value}"
