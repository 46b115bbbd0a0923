"""Every image-text model by the name that figures have: its class, where a user gets its weights, and under what terms.

A model's folder is `<weights>/<name>/`, `<weights>` being what the variable MEDCSP_WEIGHTS names. docs/models.md says
the same for people, with the files of each folder; a test holds the two together. Nothing heavy is imported until a
model is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from medcsp_model.baselines.radiology.interface import RadiologyModel

PACKAGE = "medcsp_model.baselines.radiology"
VARIABLE = "MEDCSP_WEIGHTS"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A model that somebody published.

    Attributes:
        title: what a table calls it.
        opened_by: module and class.
        where: where a user gets it.
        licence: its terms.
        files: what its folder must hold.
        seen: chest X-rays of its training, as far as its authors say; what it was measured on may be among them.
    """

    title: str
    opened_by: tuple[str, str]
    where: str
    licence: str
    files: tuple[str, ...]
    seen: tuple[str, ...] = ()


_HF_CLIP = ("config.json", "model.safetensors or pytorch_model.bin", "tokenizer.json", "preprocessor_config.json")
_OPEN_CLIP = ("open_clip_config.json", "open_clip_pytorch_model.bin", "tokenizer.json")
_MIMIC, _CHEXPERT, _FIGURES = "MIMIC-CXR train", "CheXpert train", "figures of PubMed Central"

MODELS: Mapping[str, Published] = {
    "medcsp": Published(
        title="MedCSP (ours)",
        opened_by=("ours", "Ours"),
        where="the run folder of pretrain_checkpoint, with the tokenizer beside it"
        " ($MEDCSP_WEIGHTS/biomedclip in default)",
        licence="of your own data",
        files=("model.json", "model.safetensors", "tokenizer.json or vocab.txt"),
        seen=("what cohort_split marks pretrain", "what its towers started from"),
    ),
    "medcsp_llm": Published(
        title="MedCSP with a language model (ours)",
        opened_by=("ours_llm", "OursLlm"),
        where="the run folder of pretrain_llm",
        licence="of your own data, and the language model's",
        files=("model.json", "model.safetensors"),
        seen=("what cohort_split marks pretrain", "what its towers started from"),
    ),
    "medcsp_released": Published(
        title="MedCSP (released)",
        opened_by=("open_clip_folder", "OpenClip"),
        where="huggingface.co/xcwangpsu/MedCSP_clip",
        licence="not stated with the weights; code MIT",
        files=_OPEN_CLIP,
        seen=(_FIGURES, "156,837 MIMIC-CXR images of 14,620 patients with EHR"),
    ),
    "clip": Published(
        title="CLIP ViT-L/14",
        opened_by=("clip", "Clip"),
        where="huggingface.co/openai/clip-vit-large-patch14",
        licence="MIT",
        files=_HF_CLIP,
    ),
    "pubmedclip": Published(
        title="PubMedCLIP",
        opened_by=("clip", "Clip"),
        where="huggingface.co/flaviagiammarino/pubmed-clip-vit-base-patch32",
        licence="MIT",
        files=_HF_CLIP,
        seen=("ROCO (figures of PubMed Central)",),
    ),
    "biomedclip": Published(
        title="BiomedCLIP",
        opened_by=("open_clip_folder", "OpenClip"),
        where="huggingface.co/microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        licence="MIT",
        files=_OPEN_CLIP,
        seen=(_FIGURES,),
    ),
    "medclip": Published(
        title="MedCLIP",
        opened_by=("medclip", "MedClip"),
        where="storage.googleapis.com/pytrial/medclip-vit-pretrained.zip (or medclip-resnet-pretrained.zip);"
        " vocab.txt from huggingface.co/emilyalsentzer/Bio_ClinicalBERT",
        licence="code BSD by its setup.py; weights not stated, trained on credentialed MIMIC-CXR",
        files=("pytorch_model.bin", "vocab.txt"),
        seen=(_MIMIC, _CHEXPERT),
    ),
    "cxr_clip": Published(
        title="CXR-CLIP",
        opened_by=("cxr_clip", "CxrClip"),
        where="links in the README of github.com/Soombit-ai/cxr-clip (r50_m|mc|mcc.tar, swint_m|mc|mcc.tar), converted"
        " once; vocab.txt from huggingface.co/emilyalsentzer/Bio_ClinicalBERT",
        licence="CC BY-NC 4.0",
        files=("model.safetensors", "cxr_clip.json", "vocab.txt", "biomedclip/tokenizer.json for mode paper"),
        seen=(_MIMIC, f"{_CHEXPERT} (mc, mcc)", "NIH ChestX-ray14 (mcc)"),
    ),
    "llava_med": Published(
        title="LLaVA-Med 1.5",
        opened_by=("llava_med", "LlavaMedV15"),
        where="huggingface.co/chaoyinshe/llava-med-v1.5-mistral-7b-hf (the authors' weights in transformers' format)",
        licence="Microsoft Research licence, data CC BY-NC 4.0",
        files=("config.json", "model-*.safetensors", "tokenizer.json", "preprocessor_config.json"),
        seen=(_FIGURES,),
    ),
    "llava_med_v1": Published(
        title="LLaVA-Med 1.0",
        opened_by=("llava_med", "LlavaMedV1"),
        where="huggingface.co/microsoft/llava-med-7b-delta, added to the original LLaMA-7B",
        licence="Microsoft Research licence and LLaMA's, data CC BY-NC 4.0",
        files=(
            "config.json",
            "model-*.safetensors",
            "tokenizer.json",
            "added_tokens.json",
            "vision_tower/ (CLIP ViT-L/14)",
        ),
        seen=(_FIGURES,),
    ),
}
PAPER_BASELINES = ("clip", "pubmedclip", "biomedclip", "medclip", "cxr_clip", "llava_med")
"""The models of the paper's tables: how ours differs from each was declared beforehand."""
BY_MODEL_TYPE = {"clip": ("clip", "Clip"), "siglip": ("siglip", "Siglip")}
"""Classes of folders that users bring along, by `model_type` of their config.json."""


def open_model(name: str, weights: str | Path, *, mode: str, **settings: Any) -> "RadiologyModel":
    """Open a model of the registry, or any open_clip, CLIP or SigLIP folder, in evaluation mode.

    Args:
        name: of the registry, or of a folder beside theirs.
        weights: folder that holds a folder for each model.
        mode: `paper` or `native`.
        settings: of the class, such as `dtype`.

    Raises:
        NotAvailableError: one message that says which file or tensor is missing or wrong, and where it is to be had.
        ValueError: an unknown mode.
    """
    from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError

    if mode not in get_args(Mode):
        raise ValueError(f"mode {mode!r}: one of {', '.join(get_args(Mode))}")
    folder, known = Path(weights) / name, MODELS.get(name)
    try:
        module, class_ = known.opened_by if known else detect(folder)
        model: RadiologyModel = getattr(import_module(f"{PACKAGE}.{module}"), class_)(folder, mode=mode, **settings)
    except NotAvailableError as error:
        hint = f". {known.title}: {known.where}" if known else ""
        raise NotAvailableError(f"{name} is not available: {error}{hint}") from error
    return model.eval()


def detect(folder: Path) -> tuple[str, str]:
    """Module and class that open a folder the registry does not know.

    Raises:
        NotAvailableError: nothing in it says what it is.
    """
    from medcsp_model.baselines.radiology.weights import NotAvailableError, find_file, read_json

    path = find_file(folder, ["open_clip_config.json", "config.json"])
    if path.name == "open_clip_config.json":
        return "open_clip_folder", "OpenClip"
    kind = read_json(path).get("model_type")
    if kind not in BY_MODEL_TYPE:
        known = ", ".join(BY_MODEL_TYPE)
        raise NotAvailableError(f"{path}: model_type {kind!r}; a folder of one's own is open_clip's, or one of {known}")
    return BY_MODEL_TYPE[kind]
