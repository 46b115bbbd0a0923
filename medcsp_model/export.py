"""Export: trained towers as a folder in open_clip's format, opened offline by `create_model_from_pretrained`.

    python -m medcsp_model.export --checkpoint RUN --output FOLDER [--tokenizer FOLDER]
    python -m medcsp_model.export --moved FOLDER

In the folder: open_clip_config.json, open_clip_model.safetensors (both towers), config.json (the BERT's sizes, so that
no hub is asked), head.safetensors (the shared head, which open_clip does not know: its embeddings are those of
`raw_towers`) and the tokenizer's files where given. open_clip reads the BERT's sizes by the path in
open_clip_config.json: after the folder has moved, `--moved` writes the new one.

What does not live here: the whole model (model.safetensors and model.json of the run folder hold it).
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from transformers import BertConfig

from medcsp_model.checkpoint import read_json, write_json, write_tensors
from medcsp_model.command import parser_of, start
from medcsp_model.model import MedCSP, load_model

CONFIG = "open_clip_config.json"
CONTEXT_LENGTH = 256
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def export_towers(model: MedCSP, folder: str | Path, *, tokenizer: str | Path | None = None) -> None:
    """Write the towers of a model as an open_clip folder.

    Args:
        model: towers and head, on any device.
        folder: created where it is absent; a folder that holds a model already is refused.
        tokenizer: folder with the tokenizer's files, copied as they are; without it open_clip opens the towers, but its
            `get_tokenizer` finds nothing.

    Raises:
        ValueError: the folder holds a model already, or the tokenizer's folder no tokenizer.
    """
    folder = Path(folder).resolve()
    if (folder / CONFIG).exists():
        raise ValueError(f"{folder}: holds {CONFIG} already; give a new folder")
    files = [Path(tokenizer) / name for name in TOKENIZER_FILES] if tokenizer else []
    files = [path for path in files if path.is_file()]
    if tokenizer and not files:
        raise ValueError(f"{tokenizer}: no tokenizer; expected one of {', '.join(TOKENIZER_FILES)}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    towers, image = model.description.towers, model.description.settings.model.image
    write_tensors(folder / "open_clip_model.safetensors", model.towers.state_dict())
    write_tensors(folder / "head.safetensors", model.head.state_dict())
    write_json(folder / "config.json", BertConfig(**towers["bert"]).to_dict() | {"architectures": ["BertModel"]})
    text = {
        "hf_model_pretrained": False,
        "context_length": min(CONTEXT_LENGTH, towers["bert"]["max_position_embeddings"]),
    }
    config: dict[str, Any] = {
        "model_cfg": towers["model_cfg"] | {"text_cfg": towers["model_cfg"]["text_cfg"] | text},
        "preprocess_cfg": {"mean": list(image.mean), "std": list(image.std)},
    }
    _write_config(folder, config)


def rewrite_paths(folder: str | Path) -> None:
    """Make the configuration of an exported folder name the place where the folder lies now.

    Raises:
        ValueError: the folder was not written by `export_towers`.
    """
    folder = Path(folder).resolve()
    for name in (CONFIG, "config.json"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no {name}; give a folder that this command has written")
    _write_config(folder, read_json(folder / CONFIG))


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    place = {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder)}
    model_cfg = config["model_cfg"] | {"text_cfg": config["model_cfg"]["text_cfg"] | place}
    write_json(folder / CONFIG, config | {"model_cfg": model_cfg})


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    parser = parser_of(__doc__)
    parser.add_argument("--checkpoint", type=Path, help="folder of a finished run")
    parser.add_argument("--output", type=Path, help="folder to write")
    parser.add_argument("--tokenizer", type=Path, help="folder with the tokenizer's files")
    parser.add_argument("--moved", type=Path, metavar="FOLDER", help="an exported folder that has moved")
    given = parser.parse_args()
    if given.moved and not (given.checkpoint or given.output):
        rewrite_paths(given.moved)
        return 0
    if given.moved or not (given.checkpoint and given.output):
        raise ValueError("give --checkpoint and --output, or --moved alone")
    export_towers(load_model(given.checkpoint), given.output, tokenizer=given.tokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
