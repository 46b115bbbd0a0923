"""Images of a set that are there more than once: to the last pixel, or alike by a perceptual hash.

The perceptual hash is dHash: the image as 8 rows of 9 mean greys, one bit for each pair of neighbours in a row that
grows darker. Copies that were resized, compressed or brightened differ in a few of the 64 bits.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

ROWS, COLUMNS = 8, 9
MOST_BITS = 4
"""Bits in which two images may differ and still count as alike."""
_BLOCK = 1024


def pixel_digest(image: NDArray[np.uint8]) -> str:
    """Sha256 of an image's size and pixels, 64 hex digits."""
    return hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def perceptual_hash(image: NDArray[np.uint8]) -> np.uint64:
    """DHash of a grey image of at least 1 x 1 pixels, any size; an image of one grey is 0."""
    small = _mean_greys(image)
    bits = (small[:, 1:] < small[:, :-1]).ravel()
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def _mean_greys(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean grey of each cell of an 8 x 9 grid; a pixel on a border counts by the share of it that lies inside."""
    rows, columns = _shares(image.shape[0], ROWS), _shares(image.shape[1], COLUMNS)
    means: NDArray[np.float64] = np.round(rows @ image.astype(np.float64) @ columns.T, 6)
    return means


def _shares(size: int, cells: int) -> NDArray[np.float64]:
    """Share of each pixel in the mean of each cell, (cells, size)."""
    edges = np.linspace(0, size, cells + 1)
    first, last = edges[:-1, None], edges[1:, None]
    pixel = np.arange(size)
    inside = np.clip(np.minimum(last, pixel + 1) - np.maximum(first, pixel), 0, None)
    shares: NDArray[np.float64] = inside / inside.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True)
class Duplicates:
    """Copies in a set of images.

    Attributes:
        exact: groups of positions whose pixels are equal, each of two or more, rising.
        near: pairs of positions (first below second) that are alike and not equal, with the bits they differ in.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, int, int], ...]


def find_duplicates(images: Iterable[NDArray[np.uint8]], *, most_bits: int = MOST_BITS) -> Duplicates:
    """Copies among images, read once and not kept.

    Args:
        images: grey, uint8 (height, width), of any sizes.
        most_bits: bits in which two hashes may differ. Every pair is compared: seconds for the 13,808 images of a
            COVID-19 set, the square of that for more.
    """
    digests, hashes = [], []
    for image in images:
        digests.append(pixel_digest(image))
        hashes.append(perceptual_hash(image))
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        places.setdefault(digest, []).append(place)
    exact = tuple(tuple(group) for group in places.values() if len(group) > 1)
    near = [
        (first, second, bits)
        for first, second, bits in _near_pairs(np.array(hashes, dtype=np.uint64), most_bits)
        if digests[first] != digests[second]
    ]
    return Duplicates(exact, tuple(near))


def _near_pairs(hash_N: Hashes, most_bits: int) -> list[tuple[int, int, int]]:
    pairs = []
    for start in range(0, len(hash_N), _BLOCK):
        block = hash_N[start : start + _BLOCK]
        bits_BN = np.bitwise_count(block[:, None] ^ hash_N[None, start:])
        row, column = np.nonzero(bits_BN <= most_bits)
        later = column > row
        pairs += [
            (int(start + i), int(start + j), int(bits_BN[i, j])) for i, j in zip(row[later], column[later], strict=True)
        ]
    return pairs


def summary(found: Duplicates, group_N: Sequence[Any]) -> dict[str, int]:
    """Counts for a report, such as over classes or splits: a copy across two groups is a leak or a wrong label.

    Args:
        found: the copies.
        group_N: class, source or split of every image.

    Returns:
        num_images; num_exact_groups, num_exact_copies (images beyond the first of each), num_exact_across (groups that
        hold images of more than one group); num_near_pairs, num_near_across.
    """
    return {
        "num_images": len(group_N),
        "num_exact_groups": len(found.exact),
        "num_exact_copies": sum(len(places) - 1 for places in found.exact),
        "num_exact_across": sum(len({group_N[place] for place in places}) > 1 for places in found.exact),
        "num_near_pairs": len(found.near),
        "num_near_across": sum(group_N[first] != group_N[second] for first, second, _ in found.near),
    }
