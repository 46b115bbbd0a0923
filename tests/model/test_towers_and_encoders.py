import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch._dynamo.testing import CompileCounterWithBackend

from medcsp_model.collate import Collate
from medcsp_model.encoders import SeriesEncoder
from medcsp_model.losses import record_means
from medcsp_model.model import MedCSP, ModelDescription, load_model
from medcsp_model.settings import Settings, demo, paper
from medcsp_model.towers import (
    build_towers,
    compile_towers,
    count_parameters,
    describe_towers,
    load_tower_weights,
    mark_batch,
)
from medcsp_model.trainer import Trainer


def tiny(*, towers_folder="", vocab_size=0):
    text = {"width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "pad_to": 4}
    return Settings.from_json(
        {
            "model": {
                "embed_dim": 16,
                "hidden_dim": 8,
                "image": {"timm_model_name": "test_vit", "image_size": 32},
                "text": text | {"vocab_size": vocab_size},
                "towers_folder": str(towers_folder),
            }
        }
    )


def test_full_size_towers_have_the_published_shape():
    with torch.device("meta"):
        towers = build_towers(describe_towers(paper().model, vocab_size=28_895))
    assert len(towers.state_dict()) == 351
    assert count_parameters(towers) == 195_902_721
    assert not any("pooler" in name for name in towers.state_dict())
    assert towers.text.proj[0].weight.shape == (640, 768)
    assert towers.visual.head.proj.weight.shape == (512, 768)


def test_paper_encoders_have_the_published_shape():
    shapes = {
        "ehr": {
            "diagnosis": {"kind": "codes", "size": 7686},
            "drug": {"kind": "codes", "size": 1701},
            "demographics": {"kind": "dense", "size": 73},
            "series": {"kind": "series", "size": 1318, "num_bins": 48, "max_stays": 3},
        }
    }
    with torch.device("meta"):
        model = MedCSP(ModelDescription(paper(), describe_towers(paper().model, vocab_size=1), shapes))
    encoders = dict(model.encoders.items())
    assert [layer.weight.shape for layer in encoders["ehr__diagnosis"] if hasattr(layer, "weight")] == [
        (64, 7686),
        (64,),
        (512, 64),
        (512,),
    ]
    series = encoders["ehr__series"]
    assert (series.first.input_size, series.first.hidden_size, series.second.hidden_size) == (1318, 64, 512)
    assert (series.state, series.padded_stays) == ("cell", 3)
    assert model.head.normalized_shape == (512,)


def write_folder(path, *, keys, weights):
    """A tiny towers folder in open_clip's format."""
    torch.manual_seed(3)
    description = describe_towers(tiny().model, vocab_size=40)
    state = build_towers(description).state_dict()
    if weights.endswith(".bin"):
        torch.save(state, path / weights)
    else:
        save_file(state, path / weights)
    text = {"hf_model_name": "nobody/nothing", "hf_tokenizer_name": "nobody/nothing", "context_length": 256}
    text |= dict(zip(keys, ("mlp", "cls_last_hidden_state_pooler"), strict=True))
    model_cfg = description["model_cfg"] | {"text_cfg": text}
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    return path


OLD_KEYS, NEW_KEYS = ("proj", "pooler_type"), ("hf_proj_type", "hf_pooler_type")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("towers"), keys=NEW_KEYS, weights="open_clip_model.safetensors")


@pytest.mark.parametrize("keys", [OLD_KEYS, NEW_KEYS])
@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_towers_start_from_a_folder_without_network(tmp_path, keys, weights):
    folder = write_folder(tmp_path, keys=keys, weights=weights)
    settings = tiny(towers_folder=folder, vocab_size=40).model
    towers = build_towers(describe_towers(settings, vocab_size=30))
    load_tower_weights(towers, folder)
    torch.manual_seed(3)
    original = build_towers(describe_towers(tiny().model, vocab_size=40))
    assert all(torch.equal(value, towers.state_dict()[name]) for name, value in original.state_dict().items())


def test_a_run_starts_from_the_folder(folder, toy, tmp_path):
    plain = tiny(towers_folder=folder, vocab_size=40).to_json()
    plain["optimiser"] |= {"steps": 1, "lr": 1e-9, "tower_lr": 1e-9}
    plain["batch"]["size"] = 4
    Trainer(toy, settings=Settings.from_json(plain), folder=tmp_path).run()
    trained = load_model(tmp_path).towers.state_dict()
    for name, value in load_file(folder / "open_clip_model.safetensors").items():
        assert torch.allclose(trained[name], value, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "open_clip_config.json").unlink(), "give a folder in open_clip's format"),
        (lambda path: (path / "open_clip_model.safetensors").unlink(), "no weights"),
        (lambda path: save_file({"a": torch.zeros(1)}, path / "open_clip_model.safetensors"), "does not fit"),
        (lambda path: (path / "open_clip_model.safetensors").write_bytes(b"123"), r"safetensors: is torn"),
        (lambda path: (path / "open_clip_config.json").write_text("{"), r"config\.json: not readable as JSON"),
    ],
)
def test_a_broken_towers_folder_is_named(folder, tmp_path, change, message):
    copy = tmp_path / "towers"
    shutil.copytree(folder, copy)
    change(copy)
    settings = tiny(towers_folder=copy, vocab_size=40).model
    with pytest.raises(ValueError, match=message):
        load_tower_weights(build_towers(describe_towers(settings, vocab_size=30)), copy)


def test_compiled_towers_compute_the_same_in_whole_graphs():
    """Without code generation, which takes minutes; a graph break would raise. One graph a length, for any batch."""
    counter = CompileCounterWithBackend("eager")
    torch.manual_seed(0)
    towers = build_towers(describe_towers(tiny(vocab_size=40).model, vocab_size=40)).eval()
    names, images = list(towers.state_dict()), torch.rand(5, 3, 32, 32)
    texts = [torch.randint(3, 40, (5, length)) for length in (4, 8)]
    plain = [towers.encode_image(images), *(towers.encode_text(tokens) for tokens in texts)]
    compile_towers(towers, num_lengths=40, backend=counter)
    assert torch._dynamo.config.recompile_limit >= 6 * 40
    assert not torch._dynamo.config.optimize_ddp, "it would cut the graphs of several processes, with a gradient alone"
    for count in (5, 3):
        for x, encode in ((images, towers.encode_image), *((tokens, towers.encode_text) for tokens in texts)):
            part = x[:count].clone()
            mark_batch(part)
            expected = plain[[id(images), *map(id, texts)].index(id(x))]
            torch.testing.assert_close(encode(part), expected[:count], atol=1e-5, rtol=1e-4)
    assert counter.frame_count == 3
    assert list(towers.state_dict()) == names
    towers.encode_image(images).sum().backward()
    assert all(parameter.grad is not None for parameter in towers.visual.parameters())


def test_more_tokens_than_rows_is_an_error():
    with pytest.raises(ValueError, match="the corpus has 30 tokens, the tower 10 rows"):
        describe_towers(tiny(vocab_size=10).model, vocab_size=30)


def test_series_encoder_follows_the_plain_recurrence():
    torch.manual_seed(0)
    encoder = SeriesEncoder(5, hidden_dim=4, embed_dim=6, state="cell", padded_stays=0)
    x = torch.randn(4, 7, 5)

    def lstm(layer, sequence):
        h = c = torch.zeros(layer.hidden_size)
        outputs = []
        for step in sequence:
            gates = layer.weight_ih_l0 @ step + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0
            i, f, g, o = gates.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs), c

    stays = []
    for stay in x:
        hidden, _ = lstm(encoder.first, stay)
        stays.append(lstm(encoder.second, encoder.norm(hidden.relu()))[1])
    records = torch.tensor([0, 2, 2, 1])
    expected = torch.stack([stays[0], stays[3], (stays[1] + stays[2]) / 2])
    assert torch.allclose(encoder(x, records, 3), expected, atol=1e-5)
    padded = SeriesEncoder(5, hidden_dim=4, embed_dim=6, state="cell", padded_stays=3)
    padded.load_state_dict(encoder.state_dict())
    absent = encoder.encode_stays(torch.zeros(1, 7, 5))[0]
    expected = torch.stack([stays[0] + 2 * absent, stays[3] + 2 * absent, stays[1] + stays[2] + absent]) / 3
    assert torch.allclose(padded(x, records, 3), expected, atol=1e-5)


@pytest.fixture(scope="module")
def model(toy):
    torch.manual_seed(0)
    return MedCSP(ModelDescription.of_corpus(toy, settings=tiny())).eval()


def test_an_embedding_is_the_head_of_the_encoder_and_absent_ones_are_zero(toy, model):
    records = np.arange(12)
    batch = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512).source("ehr", records)
    embedded = model.embed("ehr", batch)
    for number, inputs in enumerate(batch.inputs.values()):
        present = torch.zeros(12, dtype=torch.bool).index_fill(0, inputs.rows, True)
        assert torch.equal(embedded.present_NM[:, number], present)
        assert not embedded.e_NMD[~present, number].any()
    codes = batch.inputs["diagnosis"]
    raw = model.encoders["ehr__diagnosis"](codes.x)
    active = raw.relu()
    centred = active - active.mean(1, keepdim=True)
    expected = centred / (active.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    assert torch.allclose(embedded.e_NMD[codes.rows, 0], expected, atol=1e-5)
    means, defined = record_means(embedded)
    one = int(torch.argmin(embedded.present_NM.sum(1)))
    assert torch.allclose(means[one], embedded.e_NMD[one][embedded.present_NM[one]].mean(0), atol=1e-6)
    assert defined.all()


def test_texts_of_both_sources_share_one_tower(toy, model):
    collate = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512)
    note = collate.inputs(toy.sources["ehr"], "note", np.flatnonzero(toy.sources["ehr"].modalities["note"].present)[:2])
    with torch.inference_mode():
        through_note = model.encode("ehr", "note", note)
        through_report = model.encode("cxr", "report", note)
    assert torch.equal(through_note, through_report)


def test_padding_and_sharing_texts_change_nothing(toy, model):
    records = np.array([0, 1, 2, 5])
    values = []
    for pad_to, distinct in ((4, True), (16, True), (4, False)):
        collate = Collate(toy, device=torch.device("cpu"), pad_to=pad_to, context_length=512, encode_distinct=distinct)
        with torch.inference_mode():
            values.append(model.encode("cxr", "report", collate.inputs(toy.sources["cxr"], "report", records)))
    assert torch.allclose(values[0], values[1], atol=1e-5)
    assert torch.allclose(values[0], values[2], atol=1e-5)


def test_padding_is_the_token_that_the_corpus_pads_with(toy):
    meta = json.loads(json.dumps(toy.meta))
    for source, name in (("ehr", "note"), ("cxr", "report")):
        meta["sources"][source]["modalities"][name]["pad_id"] = 9
    model = MedCSP(ModelDescription.of_corpus(replace(toy, meta=meta), settings=tiny())).eval()
    short, padded, zeros = ([1, 5, 2], [1, 5, 2, 9, 9], [1, 5, 2, 0, 0])
    with torch.inference_mode():
        alone, beside, other = (model.encode_text(torch.tensor([tokens])) for tokens in (short, padded, zeros))
    assert torch.allclose(alone, beside, atol=1e-5)
    assert (alone - other).abs().max() > 1e-4, "0 is a word here"
    meta["sources"]["ehr"]["modalities"]["note"]["pad_id"] = 3
    with pytest.raises(ValueError, match=r"pad with tokens \[3, 9\]"):
        ModelDescription.of_corpus(replace(toy, meta=meta), settings=tiny())


def test_towers_that_pad_with_another_token_are_refused(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "towers")
    (moved / "config.json").write_text('{"hidden_size": 16}')
    with pytest.raises(ValueError, match="pads with token 0, the corpus with 9"):
        describe_towers(tiny(towers_folder=moved).model, vocab_size=1, pad_id=9)


def test_raw_towers_leave_the_head_off(toy, model):
    inputs = Collate(toy, device=torch.device("cpu"), pad_to=4, context_length=512).inputs(
        toy.sources["cxr"], "image", np.arange(3)
    )
    model.raw_towers = True
    try:
        with torch.inference_mode():
            raw = model.encode("cxr", "image", inputs)
    finally:
        model.raw_towers = False
    with torch.inference_mode():
        assert torch.equal(raw, model.encode_image(inputs.x))
        assert torch.equal(model.apply_head(raw), model.encode("cxr", "image", inputs))


def test_a_description_survives_json(toy):
    description = ModelDescription.of_corpus(toy, settings=demo())
    again = ModelDescription.from_json(json.loads(json.dumps(description.to_json())))
    assert again == description
