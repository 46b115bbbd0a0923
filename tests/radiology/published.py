"""Tiny random checkpoints in the formats that each family is published in: files, nesting, names of tensors."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipConfig,
    SiglipModel,
    SwinConfig,
    SwinModel,
)

from medcsp_model.towers import build_towers

WORDS = ("no", "acute", "effusion", "heart", "is", "normal", "clear", "lungs", ".", "a", "b", "c")
BERT_VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
BERT = {
    "vocab_size": 24,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 48,
    "max_position_embeddings": 20,
}
SWIN = {"image_size": 224, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 7}
EMBED_DIM = 16
CLIP_PREPROCESSOR = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
}


def write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def write_bert_tokenizer(folder: Path, *, as_vocab: bool = False) -> None:
    """`vocab.txt`, as Bio_ClinicalBERT has it, or `tokenizer.json` with its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    if as_vocab:
        (folder / "vocab.txt").write_text("\n".join(BERT_VOCAB) + "\n")
        return
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(BERT_VOCAB)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"pad_token": "[PAD]", "do_lower_case": True})


def write_letters(folder: Path, special: tuple[str, ...], template: str, *, pad: object = None) -> int:
    """A `tokenizer.json` of single letters with special tokens at the end; returns its size."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*"abcdefghijklmnopqrstuvwxyz.:Ġ"]
    vocab = {token: place for place, token in enumerate([*letters, *special])}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token=special[0]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(list(special))
    named = [(token, vocab[token]) for token in special if token in template]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=named)
    tokenizer.save(str(folder / "tokenizer.json"))
    if pad is not None:
        write_json(folder / "tokenizer_config.json", {"pad_token": pad})
    return len(vocab)


def write_clip(folder: Path) -> CLIPModel:
    """CLIP as transformers 4 published it: `position_ids` in the file, `eos_token_id` 2 in the configuration."""
    pad = {"content": "<|endoftext|>", "__type": "AddedToken"}
    size = write_letters(folder, ("<|startoftext|>", "<|endoftext|>"), "<|startoftext|> $A <|endoftext|>", pad=pad)
    width = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = width | {"vocab_size": size, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 2}
    vision = width | {"image_size": 32, "patch_size": 16}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBED_DIM)).eval()
    state = {
        **model.state_dict(),
        "text_model.embeddings.position_ids": torch.arange(12)[None],
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
    }
    config = {"model_type": "clip", "projection_dim": EMBED_DIM, "logit_scale_init_value": 2.6592}
    write_json(folder / "config.json", config | {"text_config": text, "vision_config": vision})
    write_json(folder / "preprocessor_config.json", CLIP_PREPROCESSOR)
    torch.save(state, folder / "pytorch_model.bin")
    return model


def write_siglip(folder: Path) -> SiglipModel:
    """SigLIP as MedSigLIP: safetensors, both sides resized, `logit_bias`."""
    size = write_letters(folder, ("<unk>", "<pad>", "</s>"), "$A </s>", pad="<pad>")
    width = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = width | {"vocab_size": size, "max_position_embeddings": 10, "projection_size": 32, "bos_token_id": 0}
    text |= {"eos_token_id": 2, "pad_token_id": 1}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=width | {"image_size": 32, "patch_size": 16}))
    model.save_pretrained(folder)
    processor = {"size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    write_json(folder / "preprocessor_config.json", processor)
    return model.eval()


def write_biomedclip(folder: Path, *, old_names: bool = False) -> nn.Module:
    """BiomedCLIP and MedCSP_clip: a `.bin`, a hub's name in the configuration, no config.json of the BERT."""
    names = ("proj", "pooler_type") if old_names else ("hf_proj_type", "hf_pooler_type")
    vision = {"timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "", "timm_proj": "linear"}
    vision |= {"image_size": 160}
    hub = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
    text = {"hf_model_name": hub, "hf_tokenizer_name": hub, "context_length": 16}
    kinds = ("mlp", "cls_last_hidden_state_pooler")
    model_cfg = {"embed_dim": EMBED_DIM, "vision_cfg": vision, "text_cfg": text | dict(zip(names, kinds, strict=True))}
    plain = {"hf_proj_type": kinds[0], "hf_pooler_type": kinds[1]}
    towers = build_towers({"model_cfg": model_cfg | {"text_cfg": plain}, "bert": BERT}).eval()
    preprocess = {key: CLIP_PREPROCESSOR[f"image_{key}"] for key in ("mean", "std")}
    write_json(folder / "open_clip_config.json", {"model_cfg": model_cfg, "preprocess_cfg": preprocess})
    position = {"text.transformer.embeddings.position_ids": torch.arange(20)[None]}
    torch.save(towers.state_dict() | position, folder / "open_clip_pytorch_model.bin")
    write_bert_tokenizer(folder)
    return towers


def old_swin_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of a `SwinModel` as transformers wrote them until version 4, with the buffer it stored."""
    old = {}
    for name, value in state.items():
        head, dot, tail = name.partition(".blocks.")
        if dot:
            for new, before in (
                ("attention.q_proj.", "attention.self.query."),
                ("attention.k_proj.", "attention.self.key."),
                ("attention.v_proj.", "attention.self.value."),
                ("attention.o_proj.", "attention.output.dense."),
                ("attention.relative_position_bias.relative", "attention.self.relative"),
                ("mlp.fc1.", "intermediate.dense."),
                ("mlp.fc2.", "output.dense."),
            ):
                tail = tail.replace(new, before)
            if tail.endswith("relative_position_bias_table"):
                old[f"{head}{dot}{tail.replace('bias_table', 'index')}"] = torch.zeros(49, 49, dtype=torch.int64)
        old[f"{head}{dot}{tail}"] = value
    return old


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def resnet() -> ResNet:
    return ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=2).eval()


def write_medclip(folder: Path, *, vision: str = "swin") -> dict[str, nn.Module]:
    """MedCLIP 0.0.3: a plain state dict under `vision_model.model` and `text_model.model`; vocab.txt beside it."""
    text, head = BertModel(BertConfig(**BERT)).eval(), nn.Linear(32, EMBED_DIM, bias=False)
    if vision == "swin":
        image, image_head = SwinModel(SwinConfig(**SWIN)).eval(), nn.Linear(16, EMBED_DIM, bias=False)
        state = under("vision_model.model.", old_swin_names(image.state_dict()))
        state["vision_model.projection_head.weight"] = image_head.weight.detach()
    else:
        image, image_head = resnet(), nn.Linear(2048, EMBED_DIM, bias=False)
        image.fc = image_head
        state = under("vision_model.model.", image.state_dict())
    state |= under("text_model.model.", text.state_dict())
    state["text_model.model.embeddings.position_ids"] = torch.arange(20)[None]
    state["text_model.projection_head.weight"] = head.weight.detach()
    write_bert_tokenizer(folder, as_vocab=True)
    torch.save(state | {"logit_scale": torch.tensor(5.0)}, folder / "pytorch_model.bin")
    return {"text": text, "head": head, "image": image, "image_head": image_head}


def write_cxr_clip(path: Path, *, vision: str = "swin", old_names: bool = True) -> dict[str, nn.Module]:
    """CXR-CLIP's `.tar`: a dict around the state dict, with an optimiser, a schedule and the configuration."""
    text = BertModel(BertConfig(**BERT)).eval()
    if vision == "swin":
        image, width = SwinModel(SwinConfig(**SWIN)).eval(), 16
        own = image.state_dict()
        state = under("image_encoder.image_encoder.", old_swin_names(own) if old_names else own)
    else:
        image, width = resnet(), 2048
        image.fc = nn.Identity()
        state = under("image_encoder.resnet.", image.state_dict())
    heads = {"image": nn.Linear(width, EMBED_DIM), "text": nn.Linear(32, EMBED_DIM)}
    state |= under("text_encoder.text_encoder.", text.state_dict())
    state["text_encoder.text_encoder.embeddings.position_ids"] = torch.arange(20)[None]
    for name, head in heads.items():
        state |= under(f"{name}_projection.projection.", head.state_dict())
    state["logit_scale"] = torch.tensor(2.0)
    encoder = {"name": "resnet" if vision != "swin" else "microsoft/swin-tiny-patch4-window7-224"}
    config = {
        "model": {
            "image_encoder": encoder,
            "text_encoder": {"name": "emilyalsentzer/Bio_ClinicalBERT", "pooling": "eos"},
            "projection_head": {"name": "linear", "dropout": 0.1, "proj_dim": EMBED_DIM},
        },
        "base": {"text_max_length": 9, "image_size": 224},
    }
    linear = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(linear.parameters())
    saved = {"model": state, "optimizer": optimiser.state_dict(), "config": config, "epoch": 15, "train_loss": 0.5}
    torch.save(saved | {"scheduler": {"last_epoch": 3, "base_lrs": [5e-5]}}, path)
    return {"text": text, "image": image, "image_head": heads["image"], "text_head": heads["text"]}


def write_shards(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Two `.bin` shards and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for shard, held in shards.items():
        torch.save({name: state[name] for name in held}, folder / shard)
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    write_json(folder / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": weight_map})


def write_llava_hf(folder: Path) -> LlavaForConditionalGeneration:
    """LLaVA-Med 1.5 in transformers' format, with the names that transformers 4 wrote, in shards."""
    size = write_letters(folder, ("<unk>", "<s>", "</s>", "<image>", "<pad>"), "<s> $A")
    text = {"model_type": "mistral", "vocab_size": size, "hidden_size": 32, "intermediate_size": 32, "head_dim": 16}
    text |= {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    vision = {"model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3}
    vision |= {"num_attention_heads": 2, "image_size": 32, "patch_size": 16}
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=size - 2)
    model = LlavaForConditionalGeneration(config).eval()
    state = {}
    for name, value in model.state_dict().items():
        for new, old in (
            ("model.language_model.", "language_model.model."),
            ("lm_head.", "language_model.lm_head."),
            ("model.vision_tower.", "vision_tower.vision_model."),
            ("model.multi_modal_projector.", "multi_modal_projector."),
        ):
            if name.startswith(new):
                state[name.replace(new, old, 1)] = value
    assert len(state) == len(model.state_dict())
    write_shards(folder, state)
    config.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", CLIP_PREPROCESSOR)
    return model


def write_llava_delta(delta: Path, base: Path) -> dict[str, torch.Tensor]:
    """LLaVA-Med 1.0: the delta in shards and the LLaMA it is added to; returns the sum by name."""
    size = write_letters(base, ("<unk>", "<s>", "</s>"), "<s> $A")
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=size, **sizes)).state_dict()
    torch.save(llama, base / "pytorch_model.bin")
    grown = LlamaForCausalLM(LlamaConfig(vocab_size=size + 4, **sizes)).state_dict()
    grown |= {"model.mm_projector.weight": torch.randn(32, 32), "model.mm_projector.bias": torch.randn(32)}
    write_shards(delta, grown)
    config = {"model_type": "llava", "architectures": ["LlavaLlamaForCausalLM"], "vocab_size": size + 4, **sizes}
    mm = {"mm_hidden_size": 32, "mm_vision_select_layer": -2, "mm_vision_tower": "openai/clip-vit-large-patch14"}
    write_json(delta / "config.json", config | mm | {"use_mm_proj": True, "mm_use_im_start_end": True})
    added = {token: size + place for place, token in enumerate(("[PAD]", "<im_patch>", "<im_start>", "<im_end>"))}
    write_json(delta / "added_tokens.json", added)
    whole = {name: value.clone() for name, value in grown.items()}
    for name, value in llama.items():
        whole[name][: len(value)] += value
    return whole
