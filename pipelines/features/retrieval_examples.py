"""Examples of a retrieval: a few reports, each with the images that a model finds first. Not here: the embedding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake import short_hash
from medcsp_model.corpus import Image, Source

SIDE_PIXELS = 112
"""Height and width of a shown image: enough to see what it is of, not to read it."""


def examples(
    source: Source,
    texts: list[str],
    text_of: NDArray[np.int64],
    reports: NDArray[np.float32],
    images: NDArray[np.float32],
    *,
    num_examples: int,
    num_images: int,
) -> list[dict[str, Any]]:
    """Return rows of contract RetrievalExamples, without the data set.

    Args:
        source: the searched records, with their images.
        texts: reports.
        text_of: which report each record has, int64 (n,); -1 where it has none.
        reports: embedding of each record's report, float32 (n, d), length 1; zeros where it has none.
        images: embedding of each record's image, float32 (n, d), length 1; zeros where it has none.
        num_examples: reports, drawn by a hash of a record's name.
        num_images: images for each.
    """
    stored = source.modalities["image"]
    assert isinstance(stored, Image), "a set that is searched holds images"
    has_image = stored.present
    names = [name.decode() for name in source.record_id.tolist()]
    first_of = {text: record for record, text in reversed(list(enumerate(text_of.tolist()))) if text >= 0}
    queries = [record for record in first_of.values() if np.any(reports[record]) and has_image[record]]
    queries.sort(key=lambda record: short_hash(f"0:{names[record]}"))
    gallery = np.flatnonzero(has_image)
    rows = []
    for example, query in enumerate(queries[:num_examples], start=1):
        similarity = images[gallery] @ reports[query]
        best = gallery[np.argsort(-similarity, kind="stable")[:num_images]]
        rows += [
            {
                "example": example,
                "rank": rank,
                "record_id": names[found],
                "is_own": bool(source.study_id[found] == source.study_id[query]),
                "text": texts[text_of[query]],
                "picture": as_png(stored.pixels([found])[0]),
            }
            for rank, found in enumerate(best.tolist(), start=1)
        ]
    return rows


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """A grey image, uint8 (h, w), as a PNG file of `SIDE_PIXELS` a side or its own size if that is less."""
    import cv2

    side = min(SIDE_PIXELS, *pixels.shape)
    done, encoded = cv2.imencode(".png", cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA))
    assert done, "OpenCV encodes every grey image"
    return bytes(encoded.tobytes())
