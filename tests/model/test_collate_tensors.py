import numpy as np
import pytest
import torch

from medcsp_model.collate import Collate
from medcsp_model.images import augment, prepare_images
from medcsp_model.settings import Augmentation, ImageTower


@pytest.fixture
def collate(toy):
    return Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=16)


def test_codes_and_histories_are_multi_hot(toy, collate):
    records = np.array([7, 1, 4])
    batch = collate.source("ehr", records)
    diagnosis = toy.sources["ehr"].modalities["diagnosis"]
    history = toy.sources["ehr"].history
    for row, record in enumerate(records):
        codes = history.indices[history.indptr[record] : history.indptr[record + 1]]
        assert set(batch.history_NH[row].nonzero().ravel().tolist()) == set(codes.tolist())
    inputs = batch.inputs["diagnosis"]
    for row, position in zip(inputs.x, inputs.rows.tolist(), strict=True):
        record = records[position]
        codes = diagnosis.indices[diagnosis.indptr[record] : diagnosis.indptr[record + 1]]
        assert set(row.nonzero().ravel().tolist()) == set(codes.tolist())


def test_missing_modalities_have_no_row(toy, collate):
    records = np.arange(toy.sources["ehr"].num_records)
    batch = collate.source("ehr", records)
    for name, inputs in batch.inputs.items():
        present = toy.sources["ehr"].modalities[name].present
        assert inputs.rows.tolist() == np.flatnonzero(present).tolist()
        assert 0 < len(inputs.rows) < len(records) or name == "drug"


def test_what_is_absent_may_be_encoded_as_empty(toy):
    every = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=16, encode_absent=True)
    source, records = toy.sources["ehr"], np.arange(12)
    batch = every.source("ehr", records)
    assert every.identities("ehr", records).present_NM.all()
    for name, inputs in batch.inputs.items():
        held = source.modalities[name].present[records]
        assert inputs.rows.tolist() == list(range(12))
        assert not held.all() or name == "drug"
        if inputs.kind in ("codes", "dense"):
            assert not inputs.x[~torch.tensor(held)].any()
        if inputs.kind == "text":
            absent = inputs.x[inputs.index[~torch.tensor(held)]]
            assert absent[:, :2].tolist() == [[1, 2]] * len(absent), "begin and end of a text"
            assert not absent[:, 2:].any()
        if inputs.kind == "series":
            stays = torch.bincount(inputs.index, minlength=12)
            assert (stays > 0).all()
            assert not inputs.x[torch.isin(inputs.index, torch.tensor(np.flatnonzero(~held)))].any()


def test_the_longest_records_come_first(toy, collate):
    report = toy.sources["cxr"].modalities["report"]
    records = toy.records("cxr", splits=["pretrain"])
    worst = collate.longest("cxr", records)
    assert sorted(worst.tolist()) == records.tolist()
    first = worst[: len(np.unique(report.row[records]))]
    assert len(np.unique(report.row[first])) == len(first), "no text twice before each is there once"
    lengths = np.diff(report.offsets)[report.row[first]]
    assert (np.diff(lengths) <= 0).all()
    assert lengths[0] == np.diff(report.offsets).max()


def test_where_there_is_no_text_most_stays_come_first(toy, collate):
    ehr = toy.sources["ehr"].modalities
    longest = collate.longest("ehr", np.flatnonzero(~ehr["note"].present))
    num_stays = np.diff(ehr["series"].stay_indptr)[longest].tolist()
    assert num_stays == sorted(num_stays, reverse=True)
    assert num_stays[0] > num_stays[-1]


def test_series_cells_stand_where_they_were_read(toy, collate):
    series = toy.sources["ehr"].modalities["series"]
    records = np.flatnonzero(series.present)[::-1].copy()
    inputs = collate.inputs(toy.sources["ehr"], "series", records)
    stay = 0
    for row, record in enumerate(records):
        for number in range(series.stay_indptr[record], series.stay_indptr[record + 1]):
            expected = np.zeros((6, 5), dtype=np.float32)
            for cell in range(series.cell_indptr[number], series.cell_indptr[number + 1]):
                expected[series.bin[cell], series.feature[cell]] = series.value[cell]
            assert np.array_equal(inputs.x[stay].numpy(), expected)
            assert int(inputs.index[stay]) == row
            stay += 1
    assert stay == len(inputs.x)


def test_texts_are_padded_and_shared_by_siblings(toy, collate):
    report = toy.sources["cxr"].modalities["report"]
    records = np.array([1, 2, 0])
    inputs = collate.inputs(toy.sources["cxr"], "report", records)
    assert inputs.x.shape[1] % 4 == 0
    assert len(inputs.x) == 2, "two images of one study share a report"
    for row, record in enumerate(records):
        tokens = inputs.x[inputs.index[row]]
        text = report.row[record]
        expected = report.tokens[report.offsets[text] : report.offsets[text + 1]]
        assert tokens[: len(expected)].tolist() == expected.tolist()
        assert not tokens[len(expected) :].any()
    apart = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=16, encode_distinct=False)
    assert len(apart.inputs(toy.sources["cxr"], "report", records).x) == 3


def test_a_text_beyond_the_tower_is_an_error(toy):
    short = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=4)
    with pytest.raises(ValueError, match="tokens, the text tower takes 4"):
        short.inputs(toy.sources["cxr"], "report", np.array([0]))


def test_a_batch_knows_its_links(toy, collate):
    links = toy.links["ehr", "cxr"]
    records = {"ehr": np.unique(links.s)[:4].astype(np.int64), "cxr": np.arange(30)}
    batch = collate(records)
    pairs = set(zip(links.s.tolist(), links.t.tolist(), strict=True))
    mask = batch.linked["ehr", "cxr"]
    assert mask.shape == (4, 30)
    assert mask.any()
    for i, s in enumerate(records["ehr"].tolist()):
        assert [(s, t) in pairs for t in records["cxr"].tolist()] == mask[i].tolist()


def test_images_are_resized_by_area_and_normalised():
    pixels = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8)
    tower = ImageTower(image_size=4, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    x = prepare_images(pixels, settings=tower)
    assert x.shape == (1, 3, 4, 4)
    block = pixels[0, :2, :2].float().mean() / 255
    assert torch.allclose(x[0, :, 0, 0], (block - torch.tensor(tower.mean)) / torch.tensor(tower.std))


def test_images_are_prepared_in_full_precision_whatever_surrounds_it():
    """Places that pixels are taken from, rounded to bfloat16, would be off by up to a pixel."""
    pixels = torch.randint(0, 256, (4, 64, 64), dtype=torch.uint8)
    changes = Augmentation(shift=0.05, scale=0.1, rotate_degrees=5)
    prepared = []
    for is_narrow in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_narrow):
            prepared.append(prepare_images(pixels, settings=ImageTower(image_size=48), augmentation=changes))
    assert torch.equal(*prepared)


def test_augmentation_changes_images_and_follows_the_seed():
    x = torch.rand(5, 1, 16, 16)
    changes = Augmentation(shift=0.1, scale=0.1, rotate_degrees=10, brightness=0.1, contrast=0.3, noise=0.02)
    torch.manual_seed(1)
    first = augment(x, augmentation=changes)
    torch.manual_seed(1)
    assert torch.equal(first, augment(x, augmentation=changes))
    assert not torch.equal(first, augment(x, augmentation=changes))
    assert torch.equal(augment(x, augmentation=Augmentation()), x)
    identity = augment(x, augmentation=Augmentation(shift=1e-7))
    assert torch.allclose(identity, x, atol=1e-4)
