"""Writes the COVID-19 Radiography Database: four classes of 299 x 299 PNG, lung masks, and a sheet of origins each.

A class is a pattern of findings: COVID both bases and haze, viral pneumonia haze alone, lung opacity one side, normal
nothing; what else a film shows varies freely. A few images are stored in colour, as published; in the sheet of Normal
the names are in capitals, and most origins hold one class.
"""

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from pipelines.synthetic.films import draw_strangers, films, save_image
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.studies import FINDINGS
from pipelines.synthetic.writing import write_zip

FIRST = 41_000_000
CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
SIZE, MASK_SIZE = 299, 256
COLOUR_EVERY = 9
LUNG = (
    "edema", "right_base", "left_base", "right_effusion", "left_effusion", "right_upper", "left_upper", "chest_tube",
)  # fmt: skip
OUTER_FOLDER = "COVID-19_Radiography_Dataset"
ORIGINS = {"COVID": ("covid.example.org", "both.example.org"), "Normal": ("normal.example.org", "both.example.org")}
OTHERS = ("example.org",)
"""Hosts of each class's images: as published, most origins hold one class; here one holds both."""


def write_covid19(root: Path, *, settings: SyntheticSettings) -> None:
    """Write `settings.num_covid19` images of each class."""
    number = settings.num_covid19
    base = root / OUTER_FOLDER if settings.covid19_layout == "v5" else root
    for at, label in enumerate(CLASSES):
        findings = draw_strangers(number, seed=settings.seed, first=FIRST + at * 100_000).findings.copy()
        _draw_class(findings, label, generator(settings.seed, "covid19", label))
        names = [f"{label}-{turn + 1}" for turn in range(number)]
        drawn = films(findings, lateral=np.zeros(number, dtype=bool), names=names, image_size=SIZE, seed=settings.seed)
        inner = base / label / "images" if settings.covid19_layout == "v5" else base / label
        for turn, (name, pixels) in enumerate(drawn):
            save_image(
                inner / f"{name}.png", np.repeat(pixels[:, :, None], 3, 2) if turn % COLOUR_EVERY == 4 else pixels
            )
            if settings.covid19_layout == "v5":
                save_image(base / label / "masks" / f"{name}.png", _mask())
        listed = [name.upper() if label == "Normal" else name for name in names]
        _write_sheet(base / f"{label}.metadata.xlsx", listed, ORIGINS.get(label, OTHERS))
    (base / "README.md.txt").write_text("Synthetic images in the layout of the COVID-19 Radiography Database.\n")


def _draw_class(findings: np.ndarray, label: str, random: np.random.Generator) -> None:
    """Put the class's pattern into the findings of the lungs, in place."""
    column = {name: FINDINGS.index(name) for name in LUNG}
    findings[:, list(column.values())] = 0.0
    number = len(findings)
    much = random.uniform(0.45, 1.0, (number, 3))
    if label == "COVID":
        findings[:, column["right_base"]], findings[:, column["left_base"]] = much[:, 0], much[:, 1]
        findings[:, column["edema"]] = 0.6 * much[:, 2]
    elif label == "Viral Pneumonia":
        findings[:, column["edema"]] = much[:, 0]
    elif label == "Lung_Opacity":
        right = random.random(number) < 0.5
        findings[:, column["right_base"]] = np.where(right, much[:, 0], 0)
        findings[:, column["left_base"]] = np.where(right, 0, much[:, 0])
        findings[:, column["right_upper"]] = np.where(random.random(number) < 0.4, much[:, 1], 0)
        findings[:, column["left_effusion"]] = np.where(random.random(number) < 0.3, much[:, 2], 0)


def _mask() -> np.ndarray:
    axis = np.linspace(-1, 1, MASK_SIZE)
    lungs = [((axis - side * 0.42) / 0.3)[None, :] ** 2 + (axis / 0.7)[:, None] ** 2 < 1 for side in (-1, 1)]
    return np.where(lungs[0] | lungs[1], 255, 0).astype(np.uint8)


def _write_sheet(path: Path, names: list[str], origins: tuple[str, ...]) -> None:
    """Write a workbook of one sheet: FILE NAME, FORMAT, SIZE, URL; images come from the origins in turn."""
    rows = [("FILE NAME", "FORMAT", "SIZE", "URL")]
    rows += [
        (name, "PNG", f"{MASK_SIZE}*{MASK_SIZE}", f"https://{origins[at % len(origins)]}/synthetic")
        for at, name in enumerate(names)
    ]
    cells = [
        f'<row r="{at}">'
        + "".join(
            f'<c r="{column}{at}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
            for column, text in zip("ABCD", row, strict=True)
        )
        + "</row>"
        for at, row in enumerate(rows, start=1)
    ]
    schema, office = "http://schemas.openxmlformats.org", "officeDocument/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    write_zip(
        path,
        {
            "[Content_Types].xml": f'{head}<Types xmlns="{schema}/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
            "_rels/.rels": f'{head}<Relationships xmlns="{schema}/package/2006/relationships"><Relationship Id="rId1" '
            f'Type="{schema}/{office}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/_rels/workbook.xml.rels": f'{head}<Relationships xmlns="{schema}/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="{schema}/{office}/relationships/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/workbook.xml": f'{head}<workbook xmlns="{schema}/spreadsheetml/2006/main" '
            f'xmlns:r="{schema}/{office}/relationships"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets>'
            "</workbook>",
            "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{schema}/spreadsheetml/2006/main"><sheetData>'
            f"{''.join(cells)}</sheetData></worksheet>",
        },
    )
