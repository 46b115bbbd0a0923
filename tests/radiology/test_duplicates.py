"""Copies of images: equal pixels, and copies that were resized, brightened or roughened."""

import tracemalloc

import cv2
import numpy as np

from medcsp_model.evaluation import duplicates
from medcsp_model.evaluation.duplicates import count_duplicates, perceptual_hash, pixel_digest


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
    splits = ["train", "train", "test", "train", "train", "train", "train"]
    images = [one, two, one.copy(), smaller, rough, picture(3), brighter]
    found = count_duplicates(images, {"split": splits, "film": range(7)})
    counts = {
        "num_images": 7,
        "num_exact_groups": 1,
        "num_exact_copies": 1,
        "num_exact_across": 1,
        "num_near_pairs": 9,  # of the five alike but for the equal one
        "num_near_across": 3,
    }
    assert found == [{"grouping": "split", **counts}, {"grouping": "film", **counts, "num_near_across": 9}]


def test_a_set_without_images_has_no_copies():
    (counts,) = count_duplicates([], {"split": []})
    assert {value for name, value in counts.items() if name != "grouping"} == {0}


def test_pairs_that_are_alike_are_not_kept():
    """Of frontal films one pair in a hundred is alike: a quarter of a billion pairs of CheXpert's films."""
    images = [np.full((4, 4), grey, dtype=np.uint8) + shift for grey in range(200) for shift in (0, 1, 2, 3)]
    tracemalloc.start()
    (counts,) = count_duplicates(images, {"film": range(len(images))})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts["num_near_pairs"] > 300_000
    assert peak < 25e6  # as tuples they were 50 MB


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


def test_pairs_over_tiles_are_those_of_the_loop(monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", (7, 11))
    rng = np.random.default_rng(0)
    hashes, content = rng.integers(0, 2**7, size=40, dtype=np.uint64), rng.integers(0, 30, size=40)
    groups = rng.integers(0, 3, size=(2, 40))
    near = [
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 2 and content[i] != content[j]
    ]
    num_near, across = duplicates._count_near(hashes, content, groups, 2)
    assert num_near == len(near)
    assert across.tolist() == [sum(group[i] != group[j] for i, j in near) for group in groups]
