"""Small valid X-ray trees with one thing changed: each kind of mutation declares what must come of it, and that comes.

An outcome is the table that must be read, rejected rows and why included, or one SourceError that names the file.
Nothing else may happen, and no other exception may escape. Films themselves are in `test_mutated_films`.
"""

import gzip
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from xray_mutations import LISTS, Given, Outcome, Tree

from pipelines.sources import SOURCES, SourceError, detect_release

EXAMPLES = 4
# Table, column of the file, column of the table, a text that is none of its values, and the rule.
CELLS = (
    ("mimic_cxr__record_list", "subject_id", "subject_id", "p10", "not a whole number"),
    ("mimic_cxr__record_list", "dicom_id", "dicom_id", "", "empty"),
    ("mimic_cxr__study_list", "study_id", "study_id", "s50", "not a whole number"),
    ("mimic_cxr_jpg__metadata", "Rows", "height_pixels", "many", "not a whole number"),
    ("mimic_cxr_jpg__metadata", "StudyDate", "study_time", "21801341", "not a timestamp"),
    ("mimic_cxr_jpg__metadata", "StudyTime", "study_time", "250000.0", "not a timestamp"),
    ("mimic_cxr_jpg__split", "split", "split", "training", "not one of test, train, validate"),
    ("mimic_cxr_jpg__chexpert", "Edema", "edema", "unsure", "not a whole number"),
    ("mimic_cxr_jpg__negbio", "study_id", "study_id", "", "empty"),
    ("open_i__reports", "uid", "uid", "CXR1", "not a whole number"),
    ("open_i__images", "projection", "projection", "Oblique", "not one of Frontal, Lateral"),
    ("chexpert__images", "Sex", "sex", "?", "not one of Female, Male, Unknown"),
    ("chexpert__images", "Age", "age", "old", "not a whole number"),
    ("chexpert__chexbert", "No Finding", "no_finding", "0.5", "not a whole number"),
)
STUDIES, REPORTS_ZIP = "cxr-study-list.csv.gz", "mimic-cxr-reports.zip"


@pytest.fixture(scope="module")
def frames() -> dict[tuple[str, str], pl.DataFrame]:
    return {}


# --- lists -----------------------------------------------------------------------------------------------------------


def letters_of_the_header(given: Given) -> Outcome:
    tree, file, _ = given.list()
    header, *rows = tree.lines(file)
    change = given.pick(str.upper, str.lower, lambda name: f" {name}")
    tree.write_lines(file, [[change(name) for name in header], *rows])
    return Outcome(tree, tree.frame)


def byte_order_mark_and_carriage_returns(given: Given) -> Outcome:
    tree, file, _ = given.list()
    tree.write_lines(file, tree.lines(file), ending="\r\n", mark=given.pick("", "\ufeff"))
    return Outcome(tree, tree.frame)


def columns_in_another_order_and_more_of_them(given: Given) -> Outcome:
    tree, file, _ = given.list()
    header, *rows = tree.lines(file)
    order = given.data.draw(st.permutations(range(len(header))))
    lines = [["later", *header], *(["1", *row] for row in rows)]
    tree.write_lines(file, [[line[0], *(line[1 + at] for at in order)] for line in lines])
    return Outcome(tree, tree.frame)


def rows_twice_and_in_another_order(given: Given) -> Outcome:
    tree, file, _ = given.list()
    header, *rows = tree.lines(file)
    order = [*given.data.draw(st.permutations(range(len(rows)))), given.number(0, len(rows) - 1)]
    tree.write_lines(file, [header, *(rows[at] for at in order)])
    return Outcome(tree, tree.frame[[*order, *range(len(rows), tree.frame.height)]])


def header_without_rows(given: Given) -> Outcome:
    tree, file, _ = given.list()
    header, *rows = tree.lines(file)
    tree.write_lines(file, [header])
    return Outcome(tree, tree.frame[len(rows) :])


def file_that_is_not_packed(given: Given) -> Outcome:
    tree, file, _ = given.list(packed=True)
    tree.put(file.removesuffix(".gz"), tree.read(file))
    (tree.root / file).unlink()
    return Outcome(tree, tree.frame)


def cell_that_is_none_of_its_values(given: Given) -> Outcome:
    table, raw, column, text, rule = given.pick(*CELLS)
    layout, _, file, _ = next(row for row in LISTS if row[1] == table)
    tree = given.open(layout, table)
    lines = tree.lines(file)
    row = given.number(0, len(lines) - 2)
    lines[1 + row][lines[0].index(raw)] = text
    tree.write_lines(file, lines)
    return Outcome(tree, tree.rejected(row, f"{column}: {rule}", **{column: None}))


def column_that_is_missing(given: Given) -> Outcome:
    tree, file, columns = given.list()
    lines = tree.lines(file)
    column = given.pick(*columns)
    at = lines[0].index(column)
    tree.write_lines(file, [[*line[:at], *line[at + 1 :]] for line in lines])
    return Outcome(tree, error="which the header lacks", file=file)


def column_that_is_there_twice(given: Given) -> Outcome:
    tree, file, columns = given.list()
    header, *rows = tree.lines(file)
    tree.write_lines(file, [[*header, given.pick(*columns).upper()], *([*row, "1"] for row in rows)])
    return Outcome(tree, error="twice", file=file)


def no_bytes(given: Given) -> Outcome:
    tree, file, _ = given.list()
    tree.write(file, given.pick(b"", b"\n"))
    return Outcome(tree, error="empty file", file=file)


def list_cut_off(given: Given) -> Outcome:
    tree, file, _ = given.list(packed=True)
    data = (tree.root / file).read_bytes()
    tree.put(file, data[: given.number(11, len(data) - 1)])
    return Outcome(tree, error="ends too early", file=file)


def wrong_byte_of_a_list(given: Given) -> Outcome:
    tree, file, _ = given.list(packed=True)
    data = bytearray(gzip.compress(tree.read(file), 1))
    data[given.number(10, len(data) - 1)] ^= 0xFF
    tree.put(file, bytes(data))
    return Outcome(tree, error="gzip stream", file=file)


def list_of_another_encoding(given: Given) -> Outcome:
    tree, file, _ = given.list()
    header, *rows = tree.lines(file)
    wanted = next(row[3] for row in LISTS if row[1] == tree.table.table)
    rows[-1][header.index(wanted[0])] = "HERE"
    tree.write_lines(file, [header, *rows])
    tree.write(file, tree.read(file).replace(b"HERE", b"caf\xe9"))
    return Outcome(tree, error="UTF-8", file=file)


def list_linked_from_outside(given: Given) -> Outcome:
    tree, file, _ = given.list()
    tree.link_outside(file)
    return Outcome(tree, error="a link that leaves the root", file=file)


def no_list(given: Given) -> Outcome:
    tree, file, _ = given.list()
    rows = len(tree.lines(file)) - 1
    (tree.root / file).unlink()
    if tree.table.optional or tree.table.table == "chexpert__images":
        return Outcome(tree, tree.frame[rows:])
    return Outcome(tree, error="MEDCSP_", file=file)


# --- reports ---------------------------------------------------------------------------------------------------------


def study(given: Given, layout: str) -> tuple[Tree, int, str]:
    """A tree of reports, a row of its table, and that row's file."""
    tree = given.open(layout, "mimic_cxr__reports")
    row = given.number(0, tree.frame.height - 1)
    return tree, row, tree.frame["path"][row]


def report_cut_off(given: Given) -> Outcome:
    tree, row, file = study(given, "first")
    text = tree.read(file)
    text = text[: given.number(len(text) // 4, len(text))]
    tree.put(file, text)
    return Outcome(tree, tree.rejected(row, None, text=text.decode()))


def report_with_a_byte_order_mark(given: Given) -> Outcome:
    tree, _, file = study(given, "first")
    tree.put(file, b"\xef\xbb\xbf" + tree.read(file))
    return Outcome(tree, tree.frame)


def report_that_is_not_text(given: Given) -> Outcome:
    tree, row, file = study(given, "first")
    text = tree.read(file)
    tree.put(file, given.pick(b"\x89PNG\r\n", b"GIF89a\0\0", text.decode().encode("utf-16"), text + b"\xff", b"\0" * 9))
    return Outcome(tree, tree.rejected(row, "text: not text", text=None))


def report_without_words(given: Given) -> Outcome:
    tree, row, file = study(given, "first")
    tree.put(file, given.pick(b"", b" \n \r\n\t", b"\xef\xbb\xbf"))
    return Outcome(tree, tree.rejected(row, "text: empty", text=None))


def report_of_a_book_s_length(given: Given) -> Outcome:
    tree, row, file = study(given, "first")
    tree.put(file, b"FINDINGS: " * 110_000)
    return Outcome(tree, tree.rejected(row, "text: longer than 1048576 bytes", text=None))


def report_that_is_not_there(given: Given) -> Outcome:
    tree, row, file = study(given, "first")
    (tree.root / file).unlink()
    if given.pick(True, False):
        (tree.root / file).mkdir()
    return Outcome(tree, tree.rejected(row, "path: no such report", text=None))


def report_linked_from_outside(given: Given) -> Outcome:
    tree, row, file = study(given, "first")
    tree.link_outside(file)
    return Outcome(tree, tree.rejected(row, "path: a link that leaves the root", text=None))


def report_listed_outside(given: Given) -> Outcome:
    tree, row, _ = study(given, given.pick("first", "other"))
    listed = given.pick("../secret.txt", "/etc/hostname", "files/../../secret.txt", "..\\secret.txt", "C:/secret.txt")
    (tree.root.parent / "secret.txt").write_text("secret")
    lines = tree.lines(STUDIES)
    lines[1 + row][lines[0].index("path")] = listed
    tree.write_lines(STUDIES, lines)
    return Outcome(tree, tree.rejected(row, "path: outside the root", text=None, path=listed))


# --- reports in a zip file -------------------------------------------------------------------------------------------


Member = tuple[zipfile.ZipInfo, bytes]


def repacked(given: Given, change: Callable[[list[Member], int], object]) -> tuple[Tree, int]:
    """A tree whose zip file is written again after a change to its members."""
    tree, row, file = study(given, "other")
    with zipfile.ZipFile(tree.root / REPORTS_ZIP) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    at = next(at for at, (info, _) in enumerate(members) if info.filename.endswith(file))
    change(members, at)
    (tree.root / REPORTS_ZIP).unlink()
    with zipfile.ZipFile(tree.root / REPORTS_ZIP, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in members:
            archive.writestr(info, data)
    return tree, row


def member_more(name: str, data: bytes, **attributes: int) -> Callable[[list[Member], int], None]:
    def change(members: list[Member], at: int) -> None:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        members.append((info, data))

    return change


def entry_that_climbs(given: Given) -> Outcome:
    name = given.pick("../secret.txt", "files/../../secret.txt", "/etc/passwd", "..\\secret.txt")
    tree, _ = repacked(given, member_more(name, b"secret"))
    return Outcome(tree, error="leads out of the folder", file=REPORTS_ZIP)


def entry_that_is_a_link(given: Given) -> Outcome:
    tree, _ = repacked(given, member_more("files/link.txt", b"/etc/passwd", external_attr=0o120777 << 16))
    return Outcome(tree, error="is a link", file=REPORTS_ZIP)


def entry_packed_too_well(given: Given) -> Outcome:
    tree, _ = repacked(given, member_more("files/bomb.txt", given.pick(b"\0", b" ") * (3 << 20)))
    return Outcome(tree, error="unpacks to more than 200 times its size", file=REPORTS_ZIP)


def entry_that_nobody_lists(given: Given) -> Outcome:
    tree, _ = repacked(given, member_more(given.pick("index.html", "files/p10/index.html", "__MACOSX/._a"), b"\0more"))
    return Outcome(tree, tree.frame)


def entry_that_is_missing(given: Given) -> Outcome:
    tree, row = repacked(given, lambda members, at: members.pop(at))
    return Outcome(tree, tree.rejected(row, "path: no such report", text=None))


def entry_that_is_not_text(given: Given) -> Outcome:
    data = given.pick(b"\xff\xfe\0", b"\x89PNG\0")
    tree, row = repacked(given, lambda members, at: members.__setitem__(at, (members[at][0], data)))
    return Outcome(tree, tree.rejected(row, "text: not text", text=None))


def zip_cut_off(given: Given) -> Outcome:
    tree, _, _ = study(given, "other")
    data = (tree.root / REPORTS_ZIP).read_bytes()
    tree.put(REPORTS_ZIP, data[: given.number(0, len(data) - 1)])
    return Outcome(tree, error="not a zip file, or a truncated one", file=REPORTS_ZIP)


def wrong_byte_of_an_entry(given: Given) -> Outcome:
    tree, _, file = study(given, "other")
    data = bytearray((tree.root / REPORTS_ZIP).read_bytes())
    with zipfile.ZipFile(tree.root / REPORTS_ZIP) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(file))
    begin = info.header_offset + 30 + len(info.filename)
    data[given.number(begin, begin + info.compress_size - 2)] ^= 0xFF  # the last byte may be padding
    tree.put(REPORTS_ZIP, bytes(data))
    return Outcome(tree, error="cannot be read", file=REPORTS_ZIP)


# --- DICOM headers ---------------------------------------------------------------------------------------------------


def header_of(given: Given) -> tuple[Tree, int, str]:
    tree = given.open("first", "mimic_cxr__headers")
    row = given.number(0, tree.frame.height - 1)
    lines = tree.lines("cxr-record-list.csv.gz")
    return tree, row, lines[1 + row][lines[0].index("path")]


UNREAD = dict.fromkeys(("view_position", "height_pixels", "width_pixels", "study_time"))


def change_dicom(tree: Tree, file: str, **elements: object) -> None:
    """Set elements of a DICOM file, or delete those that are None."""
    dataset = pydicom.dcmread(tree.root / file)
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream)
    tree.put(file, stream.getvalue())


def header_that_says_other_things(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    rows, view = given.pick(1, 8, 65535), given.pick("LL", "AP AXIAL")
    change_dicom(tree, file, Rows=rows, ViewPosition=view)
    return Outcome(tree, tree.rejected(row, None, height_pixels=rows, view_position=view))


def header_without_view_and_size(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    change_dicom(tree, file, Rows=None, Columns=None, ViewPosition=given.pick(None, ""))
    return Outcome(tree, tree.rejected(row, None, height_pixels=None, width_pixels=None, view_position=None))


def header_without_a_time(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    change_dicom(tree, file, StudyTime=None)
    return Outcome(tree, tree.rejected(row, "study_time: not a timestamp", study_time=None))


def film_without_pixels_has_a_header(given: Given) -> Outcome:
    tree, _, file = header_of(given)
    change_dicom(tree, file, PixelData=None)
    return Outcome(tree, tree.frame)


def file_that_is_no_dicom(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    tree.put(file, given.pick(b"", b"DICM", b"\x89PNG\r\n\x1a\n" * 40, tree.read(file)[: given.number(1, 131)]))
    return Outcome(tree, tree.rejected(row, "path: not a DICOM file (InvalidDicomError)", **UNREAD))


def film_that_would_be_inflated(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    dataset = pydicom.dcmread(tree.root / file)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream)
    tree.put(file, stream.getvalue())
    return Outcome(tree, tree.rejected(row, "path: a deflated DICOM file, which no release holds", **UNREAD))


def film_that_is_not_there(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    (tree.root / file).unlink()
    return Outcome(tree, tree.rejected(row, "path: no such image", **UNREAD))


def header_linked_from_outside(given: Given) -> Outcome:
    tree, row, file = header_of(given)
    tree.link_outside(file)
    return Outcome(tree, tree.rejected(row, "path: a link that leaves the root", **UNREAD))


# --- Open-I as XML ---------------------------------------------------------------------------------------------------


def xml_report(given: Given) -> tuple[Tree, int, str]:
    tree = given.open("first", "open_i__reports")
    files = sorted(path.name for path in (tree.root / "ecgen-radiology").iterdir())
    row = given.number(0, len(files) - 1)
    return tree, row, f"ecgen-radiology/{files[row]}"


def no_report(tree: Tree, row: int, rule: str) -> Outcome:
    columns = [name for name in tree.frame.columns if name != "_rejected"]
    return Outcome(tree, tree.rejected(row, rule, **dict.fromkeys(columns)))


def xml_cut_off_or_no_xml(given: Given) -> Outcome:
    tree, row, file = xml_report(given)
    text = tree.read(file).rstrip()
    other = (b"", b"<eCitation>", text.replace(b"<uId", b"<uId \xff", 1), text.replace(b"</eCitation>", b"</e>"))
    tree.put(file, given.pick(text[: given.number(1, len(text) - 1)], *other))
    return no_report(tree, row, "report: not XML, or cut off")


def xml_that_declares_entities(given: Given) -> Outcome:
    tree, row, file = xml_report(given)
    bomb = b'<!DOCTYPE e [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    head, begin, rest = tree.read(file).partition(b"<eCitation")
    tree.put(file, head + bomb + begin + rest)
    return no_report(tree, row, "report: declares entities, which no report does")


def xml_of_something_else(given: Given) -> Outcome:
    tree, row, file = xml_report(given)
    text = tree.read(file)
    other = text.replace(b"<eCitation", b"<citation").replace(b"</eCitation", b"</citation")
    tree.put(file, given.pick(other, text.replace(b"<uId", b"<uid")))
    return no_report(tree, row, "report: not one of Open-I")


def xml_of_a_book_s_length(given: Given) -> Outcome:
    tree, row, file = xml_report(given)
    tree.put(file, tree.read(file) + b" " * (1 << 20))
    return no_report(tree, row, "report: longer than 1048576 bytes")


def xml_without_a_number(given: Given) -> Outcome:
    tree, row, file = xml_report(given)
    uid = tree.frame["uid"][row]
    tree.put(file, tree.read(file).replace(f'"CXR{uid}"'.encode(), b'"CXRX"', 1))
    return Outcome(tree, tree.rejected(row, "uid: not a whole number", uid=None))


def xml_linked_from_outside(given: Given) -> Outcome:
    tree, row, file = xml_report(given)
    tree.link_outside(file)
    return no_report(tree, row, "path: a link that leaves the root")


def png_that_is_not_there(given: Given) -> Outcome:
    tree = given.open("first", "open_i__images")
    row = given.number(0, tree.frame.height - 1)
    (tree.root / tree.frame["path"][row]).unlink()
    return Outcome(tree, tree.rejected(row, None, path=None))


# --- COVID-19 --------------------------------------------------------------------------------------------------------


def covid_class(given: Given) -> tuple[Tree, str, pl.Expr]:
    """A tree, one of its classes, and the rows of the others."""
    tree = given.open("other", "covid19__images")
    label = given.pick("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
    return tree, label, pl.col("label").cast(pl.String) != label


def class_that_is_not_there(given: Given) -> Outcome:
    tree, label, others = covid_class(given)
    shutil.rmtree(tree.root / label)
    return Outcome(tree, tree.frame.filter(others))


def class_with_files_that_are_no_images(given: Given) -> Outcome:
    tree, label, _ = covid_class(given)
    tree.put(f"{label}/{given.pick('Thumbs.db', '.DS_Store', 'index.html')}", b"\0")
    return Outcome(tree, tree.frame)


def sheet_that_is_not_there(given: Given) -> Outcome:
    tree, label, others = covid_class(given)
    (tree.root / f"{label}.metadata.xlsx").unlink()
    return Outcome(tree, tree.frame.with_columns(pl.when(others).then("url").alias("url")))


def sheet_that_is_none(given: Given) -> Outcome:
    tree, label, _ = covid_class(given)
    file = f"{label}.metadata.xlsx"
    data = tree.read(file)
    tree.put(file, given.pick(b"", b"FILE NAME,URL\n", data[: given.number(1, len(data) - 1)]))
    return Outcome(tree, error="not a zip file", file=file)


def changed_sheet(given: Given, old: bytes, new: bytes) -> tuple[Tree, str]:
    tree, label, _ = covid_class(given)
    file = f"{label}.metadata.xlsx"
    with zipfile.ZipFile(io.BytesIO(tree.read(file))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    assert old in sheet
    members["xl/worksheets/sheet1.xml"] = sheet.replace(old, new, 1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    tree.put(file, stream.getvalue())
    return tree, file


def sheet_with_other_letters(given: Given) -> Outcome:
    tree, _ = changed_sheet(given, b"FILE NAME", given.pick(b"File name", b"file name "))
    return Outcome(tree, tree.frame)


def sheet_without_a_column(given: Given) -> Outcome:
    column = given.pick(b"FILE NAME", b"URL")
    tree, file = changed_sheet(given, column, b"other")
    return Outcome(tree, error=f"needs the columns {column.decode()}, which the header lacks", file=file)


def sheet_that_is_damaged(given: Given) -> Outcome:
    old, new = given.pick(
        (b"</worksheet>", b""), (b"<worksheet", b"<!DOCTYPE x><worksheet"), (b"<row", b" " * (5 << 20) + b"<row")
    )
    tree, file = changed_sheet(given, old, new)
    return Outcome(tree, error="download", file=file)


LIST_KINDS = (
    *(letters_of_the_header, byte_order_mark_and_carriage_returns, columns_in_another_order_and_more_of_them),
    *(rows_twice_and_in_another_order, header_without_rows, file_that_is_not_packed, cell_that_is_none_of_its_values),
    *(column_that_is_missing, column_that_is_there_twice, no_bytes, list_cut_off, wrong_byte_of_a_list),
    *(list_of_another_encoding, list_linked_from_outside, no_list),
)
REPORT_KINDS = (
    *(report_cut_off, report_with_a_byte_order_mark, report_that_is_not_text, report_without_words),
    *(report_of_a_book_s_length, report_that_is_not_there, report_linked_from_outside, report_listed_outside),
    *(entry_that_climbs, entry_that_is_a_link, entry_packed_too_well, entry_that_nobody_lists, entry_that_is_missing),
    *(entry_that_is_not_text, zip_cut_off, wrong_byte_of_an_entry),
)
OTHER_KINDS = (
    *(header_that_says_other_things, header_without_view_and_size, header_without_a_time),
    *(
        film_without_pixels_has_a_header,
        film_that_would_be_inflated,
        file_that_is_no_dicom,
        film_that_is_not_there,
        header_linked_from_outside,
    ),
    *(xml_cut_off_or_no_xml, xml_that_declares_entities, xml_of_something_else, xml_of_a_book_s_length),
    *(xml_without_a_number, xml_linked_from_outside, png_that_is_not_there, class_that_is_not_there),
    *(class_with_files_that_are_no_images, sheet_that_is_not_there, sheet_that_is_none, sheet_with_other_letters),
    *(sheet_without_a_column, sheet_that_is_damaged),
)
KINDS = (*LIST_KINDS, *REPORT_KINDS, *OTHER_KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_table(kind, xray_trees, frames, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    outcome: Outcome = kind(Given(xray_trees, frames, tmp_path_factory.mktemp("mutated"), data))
    table, root = outcome.tree.table, outcome.tree.root
    if outcome.error is None:
        assert_frame_equal(table.read(root).collect(), outcome.frame)
    else:
        with pytest.raises(SourceError) as refusal:
            table.read(root).collect()
        message = str(refusal.value)
        assert outcome.error in message
        assert Path(outcome.file).name in message
        assert "\n" not in message
    try:
        assert detect_release(SOURCES[table.source], root)
    except SourceError as refusal:
        assert outcome.error is not None
        assert "\n" not in str(refusal)


def test_there_are_enough_mutations() -> None:
    assert len(set(KINDS)) * EXAMPLES >= 200
