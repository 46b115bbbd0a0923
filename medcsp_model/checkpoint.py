"""States of a run in progress and the finished model, as safetensors and JSON; no pickle anywhere.

A state is a folder `states/<step>/` with `weights.safetensors` (parameters and buffers), `moments.safetensors` (AdamW)
and, written last, `state.json` with the sha256 of both: a torn state is one whose JSON is missing or cut off, or whose
checksums differ. The last two are kept. A state holds no random numbers: every step draws from (seed, step) alone.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

log = logging.getLogger(__name__)
KEPT_STATES = 2


def write_text(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Write a text so that a reader sees the old file or the new one, never half of it."""
    staged = path.with_name(f".{path.name}.part")
    staged.write_text(text)
    if is_durable:
        _sync(staged)
    staged.replace(path)
    if is_durable:
        _sync(path.parent)


def write_json(path: Path, values: Mapping[str, Any] | list[Any], *, is_durable: bool = True) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(values, indent=2, sort_keys=True) + "\n", is_durable=is_durable)


def read_json(path: Path) -> Any:
    """What a JSON file holds; ValueError names a file that is torn or no JSON."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Put the tensors of a file into a module; ValueError names a file that is torn, or of another module."""
    try:
        module.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path} is torn or not that of model.json: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, is_durable: bool = True) -> str:
    """Write tensors as safetensors, whole or not at all; returns the file's sha256.

    Args:
        path: the file.
        tensors: by name.
        is_durable: wait until the disk holds them; otherwise the operating system brings them there on its own time,
            and only a machine that loses power before leaves a torn file.
    """
    staged = path.with_name(f".{path.name}.part")
    try:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, staged)
    except SafetensorError as error:  # names no file
        raise OSError(f"{staged}: {error}. Make room; what was saved before is kept") from error
    with ThreadPoolExecutor(max_workers=1) as beside:  # both take seconds at full size, one the disk, one a core
        digest = beside.submit(file_sha256, staged)
        if is_durable:
            _sync(staged)
    staged.replace(path)
    if is_durable:
        _sync(path.parent)
    return digest.result()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes; the lock goes with the process, however that ends.

    Raises:
        ValueError: another process holds it, such as one that outlived a killed `torchrun`.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{folder}: another process is training here; end it, or wait for it") from error
        yield


def file_sha256(path: Path) -> str:
    """Sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_state(
    folder: Path,
    *,
    step: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    facts: dict[str, Any],
    is_durable: bool = True,
) -> None:
    """Save the state after `step` steps and drop all but the last two.

    Args:
        folder: the run folder.
        step: number of steps done.
        model: its parameters and buffers.
        optimiser: AdamW; a parameter that never got a gradient has no moments.
        facts: plain values kept beside, such as the fingerprint and the number of threads.
        is_durable: as in `write_tensors`; a torn state is recognised, and the one before it is on the disk.
    """
    target = folder / "states" / f"{step:08d}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    moments = {
        f"{names[id(parameter)]}|{key}": value
        for parameter, values in optimiser.state.items()
        for key, value in values.items()
    }
    tensors = {"weights.safetensors": model.state_dict(), "moments.safetensors": moments}
    sums = {name: write_tensors(target / name, values, is_durable=is_durable) for name, values in tensors.items()}
    write_json(target / "state.json", {"step": step, "sha256": sums, **facts}, is_durable=is_durable)
    for old in _states(folder)[:-KEPT_STATES]:
        shutil.rmtree(old)


def _states(folder: Path) -> list[Path]:
    """Folders of the states of a run, the oldest first; what else lies there is passed over."""
    return sorted(path for path in folder.glob("states/*") if path.name.isdecimal())


def last_state(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Folder and facts of the newest whole state of a run, or None; a torn one is named in the log and passed over."""
    for path in reversed(_states(folder)):
        facts = _facts(path)
        if facts is not None:
            return path, facts
        log.warning("passing over a torn state: %s", path)
    return None


def _facts(path: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads((path / "state.json").read_text())
    except (FileNotFoundError, ValueError):  # without power a file can be there without its contents
        return None
    for name, digest in facts["sha256"].items():
        if not (path / name).is_file() or file_sha256(path / name) != digest:
            return None
    return facts


def load_state(path: Path, *, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put a saved state into a model and its optimiser.

    Raises:
        ValueError: the tensors are not those of the model.
    """
    try:
        model.load_state_dict(load_file(path / "weights.safetensors"))
        moments = load_file(path / "moments.safetensors")
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path}: does not fit the model; start a fresh run folder: {error}") from error
    parameters = dict(model.named_parameters())
    for key, value in moments.items():
        name, moment = key.split("|")
        parameter = parameters[name]
        # A copy: what was loaded is the file itself, mapped, and would hold on to a state that is deleted later.
        optimiser.state[parameter][moment] = value.to(parameter.device, copy=True)
