"""Each family from its published format: every tensor is used, embeddings are those of its own modules by hand."""

import json
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.models import resnet50
from transformers import BertConfig, BertModel, BertTokenizerFast, CLIPImageProcessorPil, SwinConfig, SwinModel

from medcsp_model.baselines.radiology import convert
from medcsp_model.baselines.radiology.clip import features
from medcsp_model.baselines.radiology.interface import NotAvailableError, embed_images, embed_texts
from medcsp_model.baselines.radiology.pixels import ImageRule, prepare, read_rule, square
from medcsp_model.baselines.radiology.registry import MODELS, open_model
from medcsp_model.baselines.radiology.resnet import build_resnet
from medcsp_model.baselines.radiology.weights import bert_config, read_tensors, swin_config, swin_names
from medcsp_model.baselines.radiology.words import TextTokenizer
from medcsp_model.evaluation.readers import Published
from medcsp_model.evaluation.zero_shot import PromptSet
from medcsp_model.llm.language import Language, write_random_language
from medcsp_model.llm.model import MedCSPLLM
from medcsp_model.model import MedCSP, ModelDescription, load_model
from medcsp_model.settings import LlmSettings, Settings
from medcsp_model.towers import describe_towers
from tests.another_device import DEVICE, another_device
from tests.radiology import published

TEXTS = ["Heart is normal.", "No acute effusion. Lungs clear. No effusion. Heart is normal. a b c a b c", "No effusion"]


@pytest.fixture(scope="module", autouse=True)
def one_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    sizes = ((60, 45), (50, 70), (64, 64))
    return [Image.fromarray(rng.integers(0, 256, size=size).astype(np.uint8)) for size in sizes]


@pytest.fixture
def offline(monkeypatch):
    """No family may ask a hub."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with every model of the registry, and the modules it was written from."""
    root = tmp_path_factory.mktemp("weights")
    made = {
        "clip": published.write_clip(root / "clip"),
        "pubmedclip": published.write_clip(root / "pubmedclip"),
        "biomedclip": published.write_biomedclip(root / "biomedclip"),
        "medcsp_released": published.write_biomedclip(root / "medcsp_released", old_names=True),
        "medclip": published.write_medclip(root / "medclip"),
        "llava_med": published.write_llava_hf(root / "llava_med"),
        "siglip_of_mine": published.write_siglip(root / "siglip_of_mine"),
    }
    (root / "tars").mkdir()
    made["cxr_clip"] = published.write_cxr_clip(root / "tars" / "swint_mcc.tar")
    convert.convert_cxr_clip(root / "tars" / "swint_mcc.tar", root / "cxr_clip")
    published.write_bert_tokenizer(root / "cxr_clip", as_vocab=True)
    published.write_bert_tokenizer(root / "cxr_clip" / "biomedclip")
    made["llava_med_v1"] = published.write_llava_delta(root / "delta", root / "llama")
    convert.add_delta(root / "delta", root / "llava_med_v1", base=root / "llama")
    published.write_clip(root / "llava_med_v1" / "vision_tower")
    write_ours(root / "medcsp")
    write_ours_llm(root / "medcsp_llm", root / "medcsp")
    return root, made


def write_ours(folder: Path) -> None:
    """A run folder of a model at random weights."""
    small = {"image": {"timm_model_name": "test_vit", "image_size": 32}, "embed_dim": 16, "hidden_dim": 8}
    small["text"] = {"width": 32, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "context_length": 24}
    small["text"] |= {"vocab_size": 0}
    settings = Settings.from_json({"model": small})
    towers = describe_towers(settings.model, vocab_size=len(published.BERT_VOCAB))
    model = MedCSP(ModelDescription(settings, towers, {}))
    published.write_bert_tokenizer(folder / "tokenizer")
    published.write_json(folder / "model.json", {"model": model.description.to_json(), "sha256": "0" * 64})
    save_file(model.state_dict(), folder / "model.safetensors")


def write_ours_llm(folder: Path, checkpoint: Path) -> None:
    """A run folder of the LLM variant over that model, its projection at random weights."""
    settings = LlmSettings(context_length=64, dtype="float32")
    write_random_language(folder / "language", published.BERT_VOCAB, seed=0)
    language = Language.open(folder / "language", dtype="float32")
    model = MedCSPLLM(language, load_model(checkpoint), settings=settings)
    known = {"settings": settings.to_json(), "language": str(language.folder), "language_digest": language.digest}
    known |= {"checkpoint": str(checkpoint), "checkpoint_sha256": "0" * 64}
    published.write_json(folder / "model.json", {"llm": known})
    save_file(model.projection.state_dict(), folder / "model.safetensors")


EVERY = [*MODELS, "siglip_of_mine"]


@pytest.fixture(scope="module")
def opened(weights):
    """Open a model once for all tests that only look at it."""
    return cache(lambda name, mode: open_model(name, weights[0], mode=mode))


@pytest.mark.parametrize("mode", ["paper", "native"])
@pytest.mark.parametrize("name", EVERY)
def test_every_model_embeds_both_sides(name, mode, opened, pictures, offline):
    """Vectors of length 1 and one width; in mode native, nothing depends on what else stands in the batch."""
    model = opened(name, mode)
    images, texts = embed_images(model, pictures), embed_texts(model, TEXTS)
    assert images.shape == (3, model.embed_dim) and texts.shape == (3, model.embed_dim)
    for e in (images, texts, embed_texts(model, TEXTS, kind="prompt")):
        np.testing.assert_allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)
    assert not model.training and model.logit_scale > 0
    np.testing.assert_allclose(embed_images(model, pictures, batch_size=1), images, atol=2e-5)
    if (name, mode) != ("medclip", "paper"):
        np.testing.assert_allclose(embed_texts(model, TEXTS, batch_size=1), texts, atol=2e-5)


@pytest.mark.parametrize("mode", ["paper", "native"])
@pytest.mark.parametrize("name", EVERY)
def test_every_model_runs_where_it_is_put(name, mode, weights, pictures, monkeypatch):
    with another_device(monkeypatch):
        model = open_model(name, weights[0], mode=mode).to(DEVICE)
        assert embed_images(model, pictures).shape == (3, model.embed_dim)
        for kind in ("report", "prompt"):
            assert embed_texts(model, TEXTS, kind=kind).shape == (3, model.embed_dim)


def assert_same(found, expected):
    np.testing.assert_allclose(
        found, torch.nn.functional.normalize(expected.float(), dim=-1).detach().numpy(), atol=1e-5
    )


def test_clip_is_transformers(weights, opened, pictures):
    root, made = weights
    model = opened("clip", "native")
    given = [picture.convert("RGB") for picture in pictures]
    pixels = CLIPImageProcessorPil.from_pretrained(root / "clip")(given, return_tensors="pt")["pixel_values"]
    np.testing.assert_allclose(model.preprocess(pictures).numpy(), pixels.numpy(), atol=1e-6)
    assert_same(embed_images(model, pictures), features(made["clip"].get_image_features(pixel_values=pixels)))
    tokens = model.tokenize(["Heart", "no"])
    last = int(tokens.ids_KL.max())
    assert tokens.ids_KL[:, 0].tolist() == [last - 1, last - 1] and tokens.ids_KL[0, -1] == last
    assert tokens.ids_KL[1].tolist()[3:] == [last] * 4 and tokens.mask_KL.sum(dim=1).tolist() == [7, 4]
    assert model.tokenize(["abc" * 20]).ids_KL.shape == (1, 12)


def test_prompts_keep_two_sentences_where_the_paper_cut_them(opened):
    for name in ("clip", "pubmedclip", "medclip"):
        model = opened(name, "paper")
        assert torch.equal(model.tokenize(["a. b. c"], kind="prompt").ids_KL, model.tokenize(["a. b"]).ids_KL), name
    native = opened("medclip", "native")
    assert native.tokenize(["a. b. c"], kind="prompt").ids_KL.shape[1] == 7
    assert opened("biomedclip", "paper").rules["report"].context_length == 20
    assert opened("biomedclip", "native").rules["report"].context_length == 16


def test_scores_of_prompts_are_the_harness_logits(weights, opened, pictures):
    """Softmax over `logits_per_image` of one negative and one positive prompt, as CLIP gives them itself."""
    clip, model = weights[1]["clip"], opened("clip", "native")
    images = embed_images(model, pictures)
    prompts = PromptSet("x", "y", "mean_embedding", positive=("a effusion",), negative=("no",))
    tokens = model.tokenize([*prompts.negative, *prompts.positive], kind="prompt")
    with torch.no_grad():
        logits = clip(tokens.ids_KL, model.preprocess(pictures), tokens.mask_KL).logits_per_image
    no_films = SimpleNamespace(has_pictures=False)

    def scores(method, model, images):
        return Published(method, model, no_films).scores(images, prompts)

    expected = (logits[:, 1] - logits[:, 0]).numpy()
    np.testing.assert_allclose(scores("clip", model, images), expected, atol=1e-4)
    for name, mode in (("medclip", "paper"), ("medcsp", "native")):
        found = scores(name, opened(name, mode), embed_images(opened(name, mode), pictures))
        assert found.shape == (3,) and np.isfinite(found).all()


@pytest.mark.parametrize("name", ["biomedclip", "medcsp_released"])
def test_open_clip_folders_without_a_berts_configuration(name, weights, opened, pictures):
    _, made = weights
    model = opened(name, "native")
    with torch.no_grad():
        assert_same(embed_images(model, pictures), made[name].encode_image(model.preprocess(pictures)))
        assert_same(embed_texts(model, TEXTS), made[name].encode_text(model.tokenize(TEXTS).ids_KL))
    assert model.preprocess(pictures).shape == (3, 3, 160, 160)
    assert model.logit_scale == pytest.approx(made[name].logit_scale.exp().item())


def test_an_open_clip_folder_with_its_own_text_tower(tmp_path, pictures, offline):
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    published.write_json(tmp_path / "mine" / "open_clip_config.json", {"model_cfg": config})
    built = open_clip.create_model(f"local-dir:{tmp_path / 'mine'}", load_weights=False).eval()
    save_file(built.state_dict(), tmp_path / "mine" / "open_clip_model.safetensors")
    model = open_model("mine", tmp_path, mode="native")
    with torch.no_grad():
        assert_same(embed_images(model, pictures), built.encode_image(model.preprocess(pictures)))
        assert_same(embed_texts(model, TEXTS), built.encode_text(model.tokenize(TEXTS).ids_KL))


def test_medclip_by_hand(weights, opened, pictures):
    parts, model = weights[1]["medclip"], opened("medclip", "native")
    with torch.no_grad():
        pooled = parts["image"](model.preprocess(pictures)).pooler_output
        assert_same(embed_images(model, pictures), parts["image_head"](pooled))
        for place, text in enumerate(TEXTS):
            ids = model.tokenize([text]).ids_KL
            layers = parts["text"](ids, output_hidden_states=True).hidden_states
            mean = (layers[1] + layers[2] + layers[-1]).mean(dim=1) / 3
            assert_same(embed_texts(model, TEXTS)[[place]], parts["head"](mean))
        tokens = model.tokenize(TEXTS)
        layers = parts["text"](tokens.ids_KL, tokens.mask_KL, output_hidden_states=True).hidden_states
        with_padding = (layers[1] + layers[2] + layers[-1]).mean(dim=1) / 3
        assert_same(embed_texts(opened("medclip", "paper"), TEXTS), parts["head"](with_padding))
    assert model.logit_scale == pytest.approx(np.exp(4.6052), rel=1e-5)


def test_medclip_pads_to_a_black_square(opened):
    pixels = opened("medclip", "native").preprocess([Image.new("RGB", (448, 224), (255, 255, 255))])
    black, white = (0 - 0.5862785803043838) / 0.27950088968644304, (1 - 0.5862785803043838) / 0.27950088968644304
    assert pixels.shape == (1, 3, 224, 224) and pixels[0, :, 0, 0].tolist() == pytest.approx([black] * 3)
    assert pixels[0, :, 112, 112].tolist() == pytest.approx([white] * 3)


def test_medclip_with_a_resnet(tmp_path, pictures):
    parts = published.write_medclip(tmp_path / "medclip", vision="resnet")
    model = open_model("medclip", tmp_path, mode="native")
    with torch.no_grad():
        assert_same(embed_images(model, pictures), parts["image"](model.preprocess(pictures)))


@pytest.mark.parametrize(("vision", "old_names"), [("swin", False), ("resnet", True)])
def test_cxr_clip_of_either_encoder_and_either_naming(vision, old_names, tmp_path, pictures):
    parts = published.write_cxr_clip(tmp_path / "model.tar", vision=vision, old_names=old_names)
    convert.convert_cxr_clip(tmp_path / "model.tar", tmp_path / "cxr_clip")
    published.write_bert_tokenizer(tmp_path / "cxr_clip", as_vocab=True)
    check_cxr_clip(open_model("cxr_clip", tmp_path, mode="native"), parts, pictures)


def test_cxr_clip_with_old_swin_names(weights, opened, pictures):
    check_cxr_clip(opened("cxr_clip", "native"), weights[1]["cxr_clip"], pictures)


def check_cxr_clip(model, parts, pictures):
    with torch.no_grad():
        pixels = model.preprocess(pictures)
        image = parts["image"](pixels) if model.has_resnet else parts["image"](pixels).last_hidden_state[:, 0]
        assert_same(embed_images(model, pictures), parts["image_head"](image))
        for place, text in enumerate(TEXTS):
            ids = model.tokenize([text]).ids_KL
            assert ids.shape[1] <= 9
            assert_same(embed_texts(model, TEXTS)[[place]], parts["text_head"](parts["text"](ids)[0][:, -1]))
    grey = model.preprocess([Image.new("L", (300, 224), 255)])[0, :, 0, 0]
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if model.has_resnet else ((0.5,) * 3, (0.5,) * 3)
    assert grey.tolist() == pytest.approx([(1 - m) / s for m, s in zip(mean, std, strict=True)])


def test_cxr_clip_in_mode_paper_reads_biomedclips_words(opened, monkeypatch):
    """Ids that the text encoder does not have become the unknown token instead of an error."""
    model = opened("cxr_clip", "paper")
    monkeypatch.setattr(model, "vocab_size", 6)
    assert model.tokenize(["no a"]).ids_KL.tolist() == [[2, 4, 1, 3]]
    assert model.preprocess([Image.new("L", (300, 224), 0)])[0, 0, 0, 0] == pytest.approx(-0.48145466 / 0.26862954)


def test_swin_names_old_and_new_are_one(weights):
    state = weights[1]["cxr_clip"]["image"].state_dict()
    renamed = swin_names(published.under("x.", published.old_swin_names(state)), "x.")
    assert {name for name in renamed if "index" not in name} == {f"x.{name}" for name in state}
    assert swin_names(published.under("x.", state), "x.").keys() == published.under("x.", state).keys()


def test_llava_sees_patches_through_its_projection(weights, opened, pictures):
    """The states of transformers' own forward pass over prompt and image tokens, and over a text."""
    model, whole = opened("llava_med", "native"), weights[1]["llava_med"]
    pixels = model.preprocess(pictures)
    before, after = model._prompt(("image of a chest x-ray: ", "\nthe findings in short:"))
    ids = torch.tensor([[*before, *[whole.config.image_token_id] * 4, *after]]).expand(3, -1)
    with torch.no_grad():
        states = whole.model(input_ids=ids, pixel_values=pixels).last_hidden_state
        assert_same(embed_images(model, pictures), states.mean(dim=1))
        tokens = model.tokenize(TEXTS[:1])
        assert_same(embed_texts(model, TEXTS[:1]), whole.model(input_ids=tokens.ids_KL).last_hidden_state.mean(dim=1))
        paper = opened("llava_med", "paper")
        tokens = paper.tokenize(TEXTS[:1])
        states = whole.model(input_ids=tokens.ids_KL, output_hidden_states=True).hidden_states[-2]
        assert_same(embed_texts(paper, TEXTS)[:1], states[:, 1:].mean(dim=1))
    fill = [(int(255 * m) / 255 - m) / s for m, s in zip(model.rule.mean, model.rule.std, strict=True)]
    assert model.preprocess([Image.new("L", (20, 40))])[0, :, 0, 0].tolist() == pytest.approx(fill, abs=1e-4)


def test_llava_1_is_the_base_with_its_delta(weights, opened, pictures):
    root, made = weights
    found, _ = read_tensors(root / "llava_med_v1")
    assert found.keys() == made["llava_med_v1"].keys()
    for name, value in made["llava_med_v1"].items():
        assert torch.equal(found[name], value), name
    model = opened("llava_med_v1", "native")
    added = json.loads((root / "delta" / "added_tokens.json").read_text())
    assert model.around == ([added["<im_start>"]], [added["<im_end>"]]) and model.embed_dim == 32
    states = model.clip.vision_model(model.preprocess(pictures), output_hidden_states=True).hidden_states[-2]
    with torch.no_grad():
        patches = states[:, 1:] @ made["llava_med_v1"]["model.mm_projector.weight"].T
        patches = patches + made["llava_med_v1"]["model.mm_projector.bias"]
        assert_same(embed_images(opened("llava_med_v1", "paper"), pictures), patches.mean(dim=1))


def test_ours_with_and_without_the_head(opened, pictures):
    native, paper = (opened("medcsp", mode) for mode in ("native", "paper"))
    assert native.inner.raw_towers is False and paper.inner.raw_towers is True
    with torch.no_grad():
        raw = paper.inner.towers.encode_image(
            native.inner.towers.visual.trunk.patch_embed.proj.weight.new_zeros(1, 3, 32, 32)
        )
        assert raw.shape == (1, 16)
        tokens = native.tokenize(TEXTS)
        assert_same(embed_texts(native, TEXTS), native.inner.head(paper.inner.towers.encode_text(tokens.ids_KL).relu()))
    assert native.preprocess(pictures).dtype == torch.uint8 and native.logit_scale == pytest.approx(10)


# What is not there, or not what it says ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_a_missing_folder_is_not_available(name, tmp_path):
    with pytest.raises(NotAvailableError, match="no such folder") as error:
        open_model(name, tmp_path, mode="native")
    assert str(error.value).count("\n") == 0
    if name in MODELS:
        assert name in str(error.value) and MODELS[name].where in str(error.value)


def change(path: Path, edit) -> None:
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    edit(tensors)
    path.unlink()
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)


FILES = {
    "clip": ("pytorch_model.bin", "visual_projection.weight"),
    "biomedclip": ("open_clip_pytorch_model.bin", "visual.head.proj.weight"),
    "medclip": ("pytorch_model.bin", "vision_model.projection_head.weight"),
    "cxr_clip": ("model.safetensors", "image_projection.projection.bias"),
    "llava_med": ("pytorch_model-00001-of-00002.bin", None),
    "llava_med_v1": ("model-00002-of-00002.safetensors", None),
}


@pytest.mark.parametrize("name", FILES)
def test_tensors_that_are_missing_unused_or_of_another_shape_are_listed(name, weights, tmp_path):
    shutil.copytree(weights[0] / name, tmp_path / name)
    file, key = FILES[name]
    tensors, _ = read_tensors(tmp_path / name, [file])
    key = key or next(each for each in sorted(tensors) if "q_proj" in each or "up_proj" in each)
    end = re.escape(key.rpartition("layers.")[2])
    change(tmp_path / name / file, lambda held: held.update({f"{key}_of_another": torch.zeros(2)}))
    with pytest.raises(NotAvailableError, match=rf"without a place \(.*{end}_of_another"):
        open_model(name, tmp_path, mode="native")
    change(tmp_path / name / file, lambda held: held.pop(f"{key}_of_another") + held.pop(key)[0].flatten()[:2])
    with pytest.raises(NotAvailableError, match=rf"1 missing \(.*{end}\)"):
        open_model(name, tmp_path, mode="native")
    change(tmp_path / name / file, lambda held: held.update({key: torch.zeros(3, 5)}))
    with pytest.raises(NotAvailableError, match=rf"1 of another shape \(.*{end}"):
        open_model(name, tmp_path, mode="native")


def test_a_pickle_that_would_run_code_is_refused(weights, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("run",))

    for name, file in (("medclip", "pytorch_model.bin"), ("clip", "pytorch_model.bin")):
        shutil.copytree(weights[0] / name, tmp_path / name)
        torch.save({"logit_scale": Harmful()}, tmp_path / name / file)
        with pytest.raises(NotAvailableError, match="hold"):
            open_model(name, tmp_path, mode="native")
    torch.save({"model": {}, "config": Harmful()}, tmp_path / "x.tar")
    with pytest.raises(NotAvailableError, match="could run code"):
        convert.convert_cxr_clip(tmp_path / "x.tar", tmp_path / "out")
    (tmp_path / "medclip" / "pytorch_model.bin").write_bytes(b"damaged")
    with pytest.raises(NotAvailableError, match=r"hold|cannot be read"):
        open_model("medclip", tmp_path, mode="native")


def test_what_is_missing_beside_the_weights_is_named(weights, tmp_path):
    cases = (
        ("clip", "tokenizer.json", "tokenizer.json, vocab.txt"),
        ("clip", "preprocessor_config.json", "none of preprocessor_config.json"),
        ("biomedclip", "open_clip_pytorch_model.bin", "open_clip_pytorch_model.bin"),
        ("medclip", "vocab.txt", "vocab.txt"),
        ("cxr_clip", "cxr_clip.json", "cxr_clip.json"),
        ("llava_med", "pytorch_model-00002-of-00002.bin", "pytorch_model-00002"),
        ("llava_med_v1", "added_tokens.json", "added_tokens.json"),
        ("medcsp", "model.safetensors", "model.safetensors"),
        ("siglip_of_mine", "config.json", "config.json"),
    )
    for place, (name, file, message) in enumerate(cases):
        root = tmp_path / str(place)
        shutil.copytree(weights[0] / name, root / name)
        (root / name / file).unlink()
        with pytest.raises(NotAvailableError, match=message):
            open_model(name, root, mode="native")
    shutil.copytree(weights[0] / "tars", tmp_path / "cxr_clip")
    with pytest.raises(NotAvailableError, match=r"convert cxr_clip .*swint_mcc.tar"):
        open_model("cxr_clip", tmp_path, mode="native")
    with pytest.raises(NotAvailableError, match="biomedclip: no such folder"):
        shutil.copytree(weights[0] / "cxr_clip", tmp_path / "p" / "cxr_clip", ignore=lambda *_: ["biomedclip"])
        open_model("cxr_clip", tmp_path / "p", mode="paper")
    published.write_json(tmp_path / "gpt" / "config.json", {"model_type": "gpt2"})
    with pytest.raises(NotAvailableError, match="model_type 'gpt2'"):
        open_model("gpt", tmp_path, mode="native")
    with pytest.raises(ValueError, match="mode 'fast': one of paper, native"):
        open_model("clip", weights[0], mode="fast")


def test_a_delta_of_something_else_is_refused(weights, tmp_path):
    shutil.copytree(weights[0] / "llama", tmp_path / "base")
    change(tmp_path / "base" / "pytorch_model.bin", lambda held: held.pop("model.norm.weight"))
    with pytest.raises(NotAvailableError, match=r"model.norm.weight is no tensor of the base"):
        convert.add_delta(weights[0] / "delta", tmp_path / "out", base=tmp_path / "base")
    change(tmp_path / "base" / "pytorch_model.bin", lambda held: held.update({"model.norm.weight": torch.zeros(7)}))
    with pytest.raises(NotAvailableError, match=r"model.norm.weight is \(32,\), in the base \(7,\)"):
        convert.add_delta(weights[0] / "delta", tmp_path / "out", base=tmp_path / "base")


def test_the_conversion_command(weights, tmp_path, monkeypatch):
    tar = weights[0] / "tars" / "swint_mcc.tar"
    monkeypatch.setattr(sys, "argv", ["convert", "cxr_clip", str(tar), str(tmp_path / "out")])
    assert convert.main() == 0
    assert json.loads((tmp_path / "out" / "cxr_clip.json").read_text())["text_max_length"] == 9
    monkeypatch.setattr(sys, "argv", ["convert", "llava_med", str(tar), str(tmp_path / "out")])
    with pytest.raises(ValueError, match="--base"):
        convert.main()


# Pictures ------------------------------------------------------------------------------------------------------------


def test_squares_of_every_kind():
    picture = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8) * 6, (20, 1)))
    crop, squash = (np.asarray(square(picture, ImageRule(size=20, fit=fit))) for fit in ("crop", "squash"))
    assert (crop == np.asarray(picture.convert("RGB"))[:, 10:30]).all() and squash.shape == (20, 20, 3)
    padded = np.asarray(square(picture, ImageRule(size=40, fit="pad", fill=(1, 2, 3))))
    assert (padded[:10] == (1, 2, 3)).all() and (padded[10:30, :, 0] == np.asarray(picture)).all()
    odd = Image.new("L", (23, 20))
    assert square(odd, ImageRule(size=20)).size == square(odd, ImageRule(size=20, rounded=True)).size == (20, 20)
    assert prepare([odd], ImageRule(size=20)).dtype == torch.float32


def test_a_preprocessor_of_another_kind_is_refused(tmp_path):
    for values, message in (({}, "image_mean|size"), (published.CLIP_PREPROCESSOR | {"size": 40}, "resizes to 40")):
        published.write_json(tmp_path / "preprocessor_config.json", values)
        with pytest.raises(NotAvailableError, match=message):
            read_rule(tmp_path)


def test_published_sizes_are_read_from_shapes():
    """Swin-T, Bio_ClinicalBERT and ResNet-50 as MedCLIP and CXR-CLIP have them, without any weights."""
    with torch.device("meta"):
        swin = SwinModel(SwinConfig()).state_dict()
        bert = BertModel(BertConfig(vocab_size=28996)).state_dict()
        residual = resnet50().state_dict()
        rebuilt = build_resnet(residual, path=Path("x"))
    found = swin_config(swin, image_size=224, path=Path("x"))
    for name in ("patch_size", "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "num_channels"):
        assert np.array_equal(getattr(found, name), getattr(SwinConfig(), name)), name
    sizes = bert_config(bert, path=Path("x"))
    assert (sizes.vocab_size, sizes.hidden_size, sizes.num_hidden_layers, sizes.num_attention_heads) == (
        28996,
        768,
        12,
        12,
    )
    assert {name: value.shape for name, value in rebuilt.state_dict().items()} == {
        name: value.shape for name, value in residual.items()
    }
    for build in (lambda: bert_config({}, path=Path("x")), lambda: build_resnet({}, path=Path("x"))):
        with pytest.raises(NotAvailableError, match="x: not this model's weights"):
            build()
    with pytest.raises(NotAvailableError, match="x: not this model's weights"):
        swin_config({}, image_size=224, path=Path("x"))


def test_words_are_those_of_transformers(open_data, tmp_path):
    """PubMedBERT's own files, as tokenizer.json and as a vocabulary alone, cut at 9 tokens."""
    folder = open_data / "tokenizers" / "pubmedbert"
    shutil.copy(folder / "vocab.txt", tmp_path)
    texts = ["No Pneumothorax; small LEFT effusion (unchanged).", "", "cardiomegaly " * 20]
    theirs = BertTokenizerFast.from_pretrained(folder)(texts, truncation=True, max_length=9, padding=True)
    for place in (folder, tmp_path):
        ours = TextTokenizer(place)(texts, 9)
        assert ours.ids_KL.tolist() == theirs["input_ids"] and ours.mask_KL.tolist() == theirs["attention_mask"]


def test_the_registry_and_its_page_agree():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for name, model in MODELS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        for fact in (model.title, model.where, model.licence, *model.files, *model.seen):
            assert fact in row.replace("`", ""), f"{name}: {fact}"
