"""Writes Open-I, the Indiana University chest X-rays: XML and PNG as published, or Kaggle's two CSV files and PNG.

Reports name their views by caption only; some have no image, no findings or no impression; numbers have gaps; removed
words read XXXX.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import polars as pl

from pipelines.synthetic.films import draw_strangers, films, save_image
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.report_text import Shape, write_report
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.xray_labels import observations

FIRST = 40_000_000
SECTIONS = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
MESH = {
    "Cardiomegaly": "Cardiomegaly/mild",
    "Edema": "Pulmonary Edema/interstitial",
    "Pleural Effusion": "Pleural Effusion/left",
    "Lung Opacity": "Opacity/lung/base",
    "Atelectasis": "Pulmonary Atelectasis/base",
    "Lung Lesion": "Nodule/lung/upper lobe",
    "Support Devices": "Medical Device",
}


@dataclass(frozen=True)
class Report:
    """One report: its number, sections by name, terms, and (image name, is it lateral) of each film."""

    uid: int
    sections: dict[str, str]
    mesh: list[str]
    images: list[tuple[str, bool]]


def write_open_i(root: Path, *, settings: SyntheticSettings) -> None:
    """Write the reports and films of `settings.num_open_i` people."""
    strangers = draw_strangers(settings.num_open_i, seed=settings.seed, first=FIRST)
    random = generator(settings.seed, "open-i")
    labels = observations(strangers.findings, random=random, unsure=False)
    uids = np.cumsum(random.integers(1, 3, settings.num_open_i)).tolist()
    reports = [
        _report(uid, findings, terms, random)
        for uid, findings, terms in zip(uids, strangers.findings, labels.iter_rows(named=True), strict=True)
    ]
    if settings.open_i_layout == "nlm":
        folder = root / "NLMCXR_png"
        (root / "ecgen-radiology").mkdir(parents=True)
        for report in reports:
            (root / "ecgen-radiology" / f"{report.uid}.xml").write_text(_xml(report), encoding="utf-8")
    else:
        folder = root / "images" / "images_normalized"
        root.mkdir(parents=True, exist_ok=True)
        _write_csv(root, reports)
    owner = [row for row, report in enumerate(reports) for _ in report.images]
    images = [image for report in reports for image in report.images]
    drawn = films(
        strangers.findings[owner],
        lateral=np.array([lateral for _, lateral in images], dtype=bool),
        names=[name for name, _ in images],
        image_size=settings.image_size,
        seed=settings.seed,
    )
    for name, pixels in drawn:
        file = f"{name}.png" if settings.open_i_layout == "nlm" else f"{_kaggle_name(name)}.dcm.png"
        save_image(folder / file, pixels)


def _report(uid: int, findings: np.ndarray, labels: dict[str, float], random: np.random.Generator) -> Report:
    text = write_report(findings, views=["LATERAL"], shape=Shape(), random=random).replace("___", "XXXX")
    found = dict(re.findall(r"\n ([A-Z]+):\s+(.*?)(?=\n \n|\Z)", text, flags=re.DOTALL))
    if "HISTORY" in found:
        found["INDICATION"] = found["HISTORY"]
    sections = {name: " ".join(found.get(name, "").split()) for name in SECTIONS}
    draw = random.random()
    if draw < 0.14:
        sections["FINDINGS"] = ""
    elif draw < 0.18:
        sections["IMPRESSION"] = ""
    mesh = [term for name, term in MESH.items() if labels[name] == 1] or ["normal"]
    number = int(random.choice(4, p=(0.03, 0.12, 0.8, 0.05)))
    stem = f"CXR{uid}_1_IM-{int(random.integers(1, 3000)):04d}"
    images = [(f"{stem}-{turn + 1}001", turn % 2 == 1) for turn in range(number)]
    return Report(uid, sections, mesh, images)


def _xml(report: Report) -> str:
    """The published tree, less what no reader needs."""
    abstract = "\n".join(
        f'            <AbstractText Label="{name}">{escape(text)}</AbstractText>'
        if text
        else f'            <AbstractText Label="{name}"/>'
        for name, text in report.sections.items()
    )
    terms = "\n".join(f"      <major>{escape(term)}</major>" for term in report.mesh)
    automatic = "".join(
        f"\n      <automatic>{escape(term.split('/')[0].lower())}</automatic>"
        for term in report.mesh
        if term != "normal"
    )
    images = "\n".join(
        f'   <parentImage id="{name}">\n      <figureId>F{at + 1}</figureId>\n'
        f"      <caption>Xray Chest PA and Lateral</caption>\n"
        f'      <panel type="single">\n         <url>/hadoop/storage/radiology/extract/{name}.jpg</url>\n'
        f"         <imgModality>7</imgModality>\n      </panel>\n   </parentImage>"
        for at, (name, _) in enumerate(report.images)
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<eCitation>
   <meta type="rr"/>
   <uId id="CXR{report.uid}"/>
   <pmcId id="{report.uid}"/>
   <docSource>CXR</docSource>
   <IUXRId id="{report.uid}"/>
   <articleType>XR</articleType>
   <title>Indiana University Chest X-ray Collection</title>
   <MedlineCitation Owner="Indiana University" Status="supplied by publisher">
      <Article PubModel="Electronic">
         <ArticleTitle>Indiana University Chest X-ray Collection</ArticleTitle>
         <Abstract>
{abstract}
         </Abstract>
         <Language>eng</Language>
      </Article>
   </MedlineCitation>
   <MeSH>
{terms}{automatic}
   </MeSH>
{images}
</eCitation>
"""


def _kaggle_name(name: str) -> str:
    """CXR1_1_IM-0001-3001 is 1_IM-0001-3001 there."""
    return re.sub(r"^CXR(\d+)_1_", r"\1_", name)


def _write_csv(root: Path, reports: list[Report]) -> None:
    """Kaggle leaves out reports without images."""
    shown = [report for report in reports if report.images]
    texts = [
        (
            report.uid,
            ";".join(report.mesh),
            ";".join(term.split("/")[0] for term in report.mesh),
            "Xray Chest PA and Lateral",
            *(report.sections[name] or None for name in ("INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION")),
        )
        for report in shown
    ]
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression"
    table = pl.DataFrame(texts, schema=header.split(","), orient="row", infer_schema_length=None)
    table.write_csv(root / "indiana_reports.csv")
    places = [
        (report.uid, f"{_kaggle_name(name)}.dcm.png", "Lateral" if lateral else "Frontal")
        for report in shown
        for name, lateral in report.images
    ]
    pl.DataFrame(places, schema=["uid", "filename", "projection"], orient="row").write_csv(
        root / "indiana_projections.csv"
    )
