"""Copies of images: equal pixels, and copies that were resized, brightened or roughened."""

import cv2
import numpy as np

from medcsp_model.evaluation.duplicates import _near_pairs, find_duplicates, perceptual_hash, pixel_digest, summary


def picture(seed, size=96):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(6, 6)).astype(np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def test_equal_and_alike_images_are_found():
    one, two = picture(0), picture(1)
    rng = np.random.default_rng(2)
    smaller = cv2.resize(one, (60, 60), interpolation=cv2.INTER_AREA)
    rough = (one.astype(int) + rng.integers(-3, 4, size=one.shape)).clip(0, 255).astype(np.uint8)
    brighter = (0.8 * one + 30).astype(np.uint8)
    found = find_duplicates([one, two, one.copy(), smaller, rough, picture(3), brighter])
    assert found.exact == ((0, 2),)
    alike = {0, 2, 3, 4, 6}
    assert {pair[:2] for pair in found.near} == {(i, j) for i in alike for j in alike if i < j} - {(0, 2)}
    assert all(0 <= bits <= 4 for *_, bits in found.near)
    counts = summary(found, ["train", "train", "test", "train", "train", "train", "train"])
    assert counts == {
        "num_images": 7,
        "num_exact_groups": 1,
        "num_exact_copies": 1,
        "num_exact_across": 1,
        "num_near_pairs": 9,
        "num_near_across": 3,
    }


def test_the_hash_by_hand():
    """Greys that fall to the right set every bit, greys that rise none; one grey sets none either."""
    falling = np.tile(np.arange(90, 0, -1, dtype=np.uint8), (16, 1))
    assert perceptual_hash(falling) == np.uint64(2**64 - 1)
    assert perceptual_hash(falling[:, ::-1]) == 0 and perceptual_hash(np.full((7, 5), 9, dtype=np.uint8)) == 0
    half = np.concatenate([falling, falling[:, ::-1]])
    assert perceptual_hash(half) == np.uint64(0xFFFFFFFF00000000)


def test_size_is_part_of_the_digest():
    flat = np.zeros((2, 8), dtype=np.uint8)
    assert pixel_digest(flat) != pixel_digest(flat.reshape(4, 4)) and pixel_digest(flat) == pixel_digest(flat.copy())


def test_pairs_over_blocks_are_those_of_the_loop(monkeypatch):
    monkeypatch.setattr("medcsp_model.evaluation.duplicates._BLOCK", 7)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**7, size=40, dtype=np.uint64)
    pairs = [(i, j, (int(hashes[i]) ^ int(hashes[j])).bit_count()) for i in range(40) for j in range(i + 1, 40)]
    assert sorted(_near_pairs(hashes, 2)) == [pair for pair in pairs if pair[2] <= 2]
