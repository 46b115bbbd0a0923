import json

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from medcsp_model.export import export_towers, main, rewrite_paths
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import Settings
from medcsp_model.towers import build_towers, count_parameters, describe_towers, load_tower_weights


@pytest.fixture(scope="module")
def model(toy):
    torch.manual_seed(7)
    plain = {"embed_dim": 16, "hidden_dim": 8, "image": {"timm_model_name": "test_vit", "image_size": 32}}
    plain["text"] = {"width": 16, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "vocab_size": 40}
    return MedCSP(ModelDescription.of_corpus(toy, settings=Settings.from_json({"model": plain}))).eval()


@pytest.fixture
def offline(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")


def outputs(towers):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 32, 32, generator=generator)
    tokens = torch.randint(1, 40, (3, 8), generator=generator)
    with torch.inference_mode():
        return towers.encode_image(images), towers.encode_text(tokens)


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(outputs(left), outputs(right), strict=True))


def test_stock_open_clip_opens_the_folder_with_the_same_outputs(model, tmp_path, offline):
    export_towers(model, tmp_path / "towers")
    opened, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'towers'}")
    assert same(opened.eval(), model.towers)
    assert "Normalize" in str(preprocess)
    head = load_file(tmp_path / "towers" / "head.safetensors")
    assert torch.equal(head["weight"], model.head.weight)


def test_a_run_starts_from_an_exported_folder(model, tmp_path):
    export_towers(model, tmp_path)
    settings = Settings.from_json({"model": {"embed_dim": 16, "towers_folder": str(tmp_path)}}).model
    towers = build_towers(describe_towers(settings, vocab_size=32)).eval()
    load_tower_weights(towers, tmp_path)
    assert same(towers, model.towers)


def test_a_moved_folder_is_opened_after_the_command(model, tmp_path, offline, monkeypatch):
    export_towers(model, tmp_path / "before")
    moved = (tmp_path / "before").rename(tmp_path / "after")
    with pytest.raises(OSError, match="before"):
        open_clip.create_model_from_pretrained(f"local-dir:{moved}")
    monkeypatch.setattr("sys.argv", ["export", "--moved", str(moved)])
    assert main() == 0
    opened, _ = open_clip.create_model_from_pretrained(f"local-dir:{moved}")
    assert same(opened.eval(), model.towers)


def test_tokenizer_files_come_along(model, tmp_path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.txt").write_text("[PAD]\n")
    export_towers(model, tmp_path / "towers", tokenizer=tmp_path / "tokenizer")
    assert (tmp_path / "towers" / "vocab.txt").read_text() == "[PAD]\n"


def test_wrong_folders_are_named(model, tmp_path):
    export_towers(model, tmp_path / "towers")
    with pytest.raises(ValueError, match="give a new folder"):
        export_towers(model, tmp_path / "towers")
    with pytest.raises(ValueError, match="no tokenizer"):
        export_towers(model, tmp_path / "other", tokenizer=tmp_path)
    with pytest.raises(ValueError, match="this command has written"):
        rewrite_paths(tmp_path)


def test_a_full_size_released_folder_is_loaded(tmp_path):
    settings = Settings.from_json({"model": {"towers_folder": str(tmp_path)}}).model
    with torch.device("meta"):
        shapes = build_towers(describe_towers(Settings().model, vocab_size=1)).state_dict()
    assert len(shapes) == 351
    state = {
        name: torch.full(value.shape, number / 351, dtype=value.dtype)
        for number, (name, value) in enumerate(shapes.items())
    }
    torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
    name = "nobody/nothing"
    text = {"hf_model_name": name, "hf_tokenizer_name": name, "proj": "mlp", "context_length": 256}
    text["pooler_type"] = "cls_last_hidden_state_pooler"
    vision = {"timm_model_name": "vit_base_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
    config = {"embed_dim": 512, "vision_cfg": vision | {"timm_model_pretrained": False}, "text_cfg": text}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with torch.device("meta"):
        towers = build_towers(describe_towers(settings, vocab_size=30_522))
    towers.to_empty(device="cpu")
    load_tower_weights(towers, tmp_path)
    assert count_parameters(towers) == 195_902_721
    loaded = towers.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
