"""The variant with a language model: launches its trainer and publishes its curve. Nothing about models is here."""

from pathlib import Path
from typing import Any

from data_contracts import corpus, features, training
from pipelines.assets.radiology import write_vocabulary
from pipelines.assets.step import Build, Made, step
from pipelines.assets.training import MODEL, train_and_read, weights_digests
from pipelines.profiles import Profile
from pipelines.resources import Workspace

METHOD = "medcsp_llm"
"""Name of the folder inside the run folder, by which the X-ray tasks open it."""


def _settings(profile: Profile) -> dict[str, Any]:
    chosen = profile.llm
    if not chosen.language:
        return {}
    recipe = chosen.recipe(profile.training).to_json()
    return {"language": chosen.language, "llm": chosen.settings.to_json(), "settings": recipe}


def language_folder(workspace: Workspace) -> Path | None:
    """Return where the profile's language model lies, if that can be said."""
    chosen = workspace.profile.llm
    if not chosen.language or chosen.is_random or workspace.weights_root is None:
        return None
    return workspace.weights_root / chosen.language


def _digests(workspace: Workspace) -> dict[str, str]:
    folder = language_folder(workspace)
    return weights_digests(workspace, folder) if folder is not None and folder.is_dir() else {}


def _why_not(workspace: Workspace) -> str:
    """Return why there is no variant to train; nothing where there is one."""
    chosen, folder = workspace.profile.llm, language_folder(workspace)
    if not chosen.language:
        return f"the profile {workspace.profile.name} asks for no language model (llm.language)"
    if not chosen.is_random and (folder is None or not folder.is_dir()):
        return f"no folder {chosen.language} below MEDCSP_WEIGHTS: put a LLaMA in transformers' format there"
    return ""


@step(
    training.PretrainLlm,
    inputs=[corpus.PretrainCorpus, training.PretrainCheckpoint, features.TokenizerVocabulary],
    settings=_settings,
    raw=_digests,
    code=("medcsp_model.llm.train",),
    leaves=(f"{METHOD}/{MODEL}", f"{METHOD}/model.json"),
    on_device=True,
    kinds=("pytorch",),
)
def pretrain_llm(build: Build) -> Made:
    """Train the projection into a language model (Appendix C), if there is one."""
    if reason := _why_not(build.workspace):
        build.log(f"{reason}: published empty")
        return Made(build.step.contract.create_empty(), extra={"not_available": reason})
    run = {
        "corpus": str(build.folder_of(corpus.PretrainCorpus)),
        "checkpoint": str(build.folder_of(training.PretrainCheckpoint)),
        "vocabulary": str(write_vocabulary(build) / "vocab.txt"),
        "language": str(language_folder(build.workspace) or ""),
        "settings": build.settings["settings"],
        "llm": build.settings["llm"],
    }
    made = train_and_read(build, "medcsp_model.llm.train", build.run_folder() / METHOD, run)
    stand_in = {"language": "a tiny LLaMA with random weights: says nothing about the variant's worth"}
    return Made(made.rows, extra=made.extra | (stand_in if build.workspace.profile.llm.is_random else {}))


STEPS = (pretrain_llm,)
