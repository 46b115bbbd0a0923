"""Retrieval examples: what is ranked, what is drawn, and that nothing is shown that may not be."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lake import Lake
from medcsp_model.corpus import Image, Source
from pipelines.assets.retrieval_examples import retrieval_examples
from pipelines.features.retrieval_examples import SIDE_PIXELS, as_png, examples
from pipelines.profiles import ReportSettings, default
from pipelines.report import Site
from pipelines.report.content import Gallery, Note
from pipelines.report.examples import HOLDS, examples_section
from pipelines.report.page import Page, render
from pipelines.resources import Sources, Workspace

NewLake = Callable[[Mapping[str, list[dict[str, Any]]]], Lake]
RECORDS = [b"first-1", b"first-2", b"second-1", b"bare"]


@pytest.fixture
def source() -> Source:
    """Two studies with a report, of two and one image, and a record without an image."""
    pixels = np.arange(3 * 128 * 128, dtype=np.uint8).reshape(3, 128, 128)
    image = Image(
        shard=np.array([0, 0, 0, -1], np.int32), row=np.array([0, 1, 2, -1], np.int32), shards=[pixels], size=128
    )
    return Source(
        name="cxr",
        record_id=np.array(RECORDS),
        subject_id=np.array([1, 1, 2, 3]),
        study_id=np.array([10, 10, 20, 30]),
        time_days=np.zeros(4),
        split=np.zeros(4, np.uint8),
        history=None,  # type: ignore[arg-type]  # not looked at
        modalities={"image": image},
    )


def test_images_are_ranked_by_similarity_and_studies_asked_once(source: Source) -> None:
    reports = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=np.float32)
    images = np.array([[0.6, 0.8], [1, 0], [0.8, 0.6], [0, 0]], dtype=np.float32)
    rows = examples(source, ["one", "two"], np.array([0, 0, 1, -1]), reports, images, num_examples=5, num_images=2)
    found = {(row["text"], row["rank"]): (row["record_id"], row["is_own"]) for row in rows}
    assert found == {
        ("one", 1): ("first-2", True),
        ("one", 2): ("second-1", False),
        ("two", 1): ("first-1", False),
        ("two", 2): ("second-1", True),
    }
    assert {row["example"] for row in rows} == {1, 2}
    (only,) = {r["text"] for r in examples(
        source, ["one", "two"], np.array([0, 0, 1, -1]), reports, images, num_examples=1, num_images=1
    )}  # fmt: skip
    assert only == next(row["text"] for row in rows if row["example"] == 1)


def test_a_picture_is_a_small_png() -> None:
    png = as_png(np.zeros((224, 224), np.uint8))
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == SIDE_PIXELS
    assert int.from_bytes(as_png(np.zeros((64, 64), np.uint8))[16:20], "big") == 64


def test_examples_are_drawn_with_their_text(new_lake: NewLake) -> None:
    png = as_png(np.zeros((8, 8), np.uint8))
    common = {"dataset": "open_i", "example": 1, "text": "IMPRESSION: <none>", "picture": png}
    lake = new_lake(
        {
            "retrieval_examples": [
                common | {"rank": 1, "record_id": "HIDDEN-1", "is_own": False},
                common | {"rank": 2, "record_id": "HIDDEN-2", "is_own": True},
            ]
        }
    )
    section = examples_section(lake)
    (gallery,) = [part for band in section.bands for part in band if isinstance(part, Gallery)]
    assert [picture.text for picture in gallery.pictures] == ["1: another study", "2: its own study"]
    page = Page(file="retrieval.html", title="X-rays", lead="", sections=(section,), holds=HOLDS)
    (html,) = render([page], profile_name="demo", synthetic_sources=[], absent_sources={}, engines={}).values()
    assert "IMPRESSION: &lt;none&gt;" in html and "HIDDEN" not in html
    assert base64.b64encode(png).decode() in html
    assert "Aggregates only" not in html and "licence" in html
    assert len(re.findall("<img ", html)) == 2


def test_what_is_not_asked_for_is_said(planted: Lake, site: Site) -> None:
    (note,) = [part for band in examples_section(planted).bands for part in band]
    assert isinstance(note, Note) and note.text.startswith("Not shown:")
    assert "<img" not in site.pages["retrieval.html"] and "Aggregates only" in site.pages["retrieval.html"]


@pytest.mark.parametrize(
    ("synthetic", "shows_credentialed", "shown"),
    [
        ((), False, {"shown:open_i": "open"}),
        (("mimic_cxr",), False, {"shown:open_i": "open", "shown:mimic_cxr": "synthetic"}),
        ((), True, {"shown:open_i": "open", "shown:mimic_cxr": "asked for"}),
    ],
)
def test_patients_are_shown_only_where_the_profile_says_so(
    synthetic: tuple[str, ...], shows_credentialed: bool, shown: dict[str, str], tmp_path: Path
) -> None:
    sets = ("retrieval_open_i", "retrieval_mimic_cxr")
    profile = replace(default(), report=ReportSettings(example_sets=sets, shows_credentialed=shows_credentialed))
    sources = Sources(roots={}, synthetic=frozenset(synthetic))
    workspace = Workspace(home=tmp_path, profile=profile, sources=sources)
    assert retrieval_examples.raw(workspace) == shown
