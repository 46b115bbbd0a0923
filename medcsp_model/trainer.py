"""The training loop: a step is a function of (settings, corpus, step), so a run resumes from its state bit by bit."""

import json
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from medcsp_model.batches import PlanInputs, make_plan, num_steps
from medcsp_model.checkpoint import last_state, load_state, save_state, write_json, write_tensors
from medcsp_model.collate import Batch, Collate
from medcsp_model.corpus import Corpus
from medcsp_model.losses import Losses, compute_losses
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import OptimiserSettings, Settings
from medcsp_model.towers import load_tower_weights
from medcsp_model.validation import Validation

log = logging.getLogger(__name__)


class NonFiniteLossError(ValueError):
    """A loss or gradient was not a finite number; the message names the file with the batch's record ids."""


class StoppedError(Exception):
    """The run was asked to stop; its state is saved."""


def learning_rate(step: int, *, total: int, settings: OptimiserSettings) -> float:
    """Factor on every learning rate at a step: linear warm-up, then constant or a cosine down to zero."""
    warmup = round(settings.warmup_share * total)
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


def make_optimiser(model: MedCSP, *, settings: OptimiserSettings) -> torch.optim.AdamW:
    """AdamW with one group each for towers and encoders, with and without weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        lr = settings.tower_lr if name.startswith("towers.") else settings.lr
        decay = settings.weight_decay if settings.decay_norms or parameter.ndim > 1 else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "lr": lr, "base_lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()],
        betas=settings.betas,
        fused=True,
    )


class Trainer:
    """One training run in one folder.

    Args:
        corpus: an open corpus.
        settings: all settings.
        folder: the run folder; a finished run in it is left alone, a partial one goes on.
        should_stop: asked after every step; a true answer saves the state and raises `StoppedError`.

    Raises:
        ValueError: the folder holds a run of other settings or another corpus, or settings and corpus do not fit.
    """

    def __init__(
        self, corpus: Corpus, *, settings: Settings, folder: Path, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self.corpus, self.settings, self.folder, self.should_stop = corpus, settings, folder, should_stop
        self.fingerprint = {"corpus": corpus.fingerprint, "settings": settings.to_json()}
        folder.mkdir(parents=True, exist_ok=True)
        self._check_folder()
        run = settings.run
        cuda = run.device == "cuda" or (run.device == "auto" and torch.cuda.is_available())
        self.device = torch.device("cuda" if cuda else "cpu")
        chosen = settings.batch
        inputs = PlanInputs.from_corpus(
            corpus,
            split=chosen.split,
            validation_share=chosen.validation_share,
            validation_seed=chosen.validation_seed,
        )
        self.plan = make_plan(inputs, settings=settings.batch, seed=run.seed)
        self.total = settings.optimiser.steps or num_steps(self.plan, settings.optimiser.epochs)

    def _check_folder(self) -> None:
        path = self.folder / "run_fingerprint.json"
        if path.is_file() and json.loads(path.read_text()) != self.fingerprint:
            raise ValueError(f"{self.folder}: holds a run of other settings or another corpus; give a new run_folder")
        write_json(path, self.fingerprint)

    def run(self) -> dict[str, Any]:
        """Train, or go on, or return at once; returns what done.json says."""
        done = self.folder / "done.json"
        if done.is_file():
            log.info("%s: finished before", self.folder)
            finished: dict[str, Any] = json.loads(done.read_text())
            return finished
        start = self._prepare()
        began, histogram, lines = time.perf_counter(), *self._read_progress(start)
        for step in range(start, self.total):
            line = self._step(step)
            lines.append(line)
            key = str(line["num_linked"])
            histogram[key] = histogram.get(key, 0) + 1
            last = step + 1 == self.total
            if last or (step + 1) % self.settings.run.log_every == 0:
                self._report(lines, time.perf_counter() - began, step + 1 - start)
                lines = []
            stop = self.should_stop()
            if last or stop or (step + 1) % self.settings.run.save_every == 0:
                self._save(step + 1, histogram, lines)
            if stop and not last:
                raise StoppedError(f"{self.folder}: stopped after step {step + 1} of {self.total}, state saved")
        return self._finish(time.perf_counter() - began, self.total - start, histogram)

    def _prepare(self) -> int:
        """Build or load everything; returns the number of steps done before."""
        found = last_state(self.folder)
        threads = found[1]["num_threads"] if found else self.settings.run.num_threads
        if threads:
            torch.set_num_threads(threads)
        torch.manual_seed(self.settings.run.seed)
        description = ModelDescription.of_corpus(self.corpus, settings=self.settings)
        self.model = MedCSP(description)
        if self.settings.model.towers_folder and not found:
            load_tower_weights(self.model.towers, self.settings.model.towers_folder)
        self.model.to(self.device).train()
        self.optimiser = make_optimiser(self.model, settings=self.settings.optimiser)
        text = self.settings.model.text
        self.collate = Collate(
            self.corpus,
            device=self.device,
            pad_to=text.pad_to,
            context_length=description.towers["bert"]["max_position_embeddings"],
            encode_distinct=text.encode_distinct,
        )
        self.validation = Validation(self.corpus, settings=self.settings.batch, collate=self.collate)
        done = int(found[1]["step"]) if found else 0
        self._cut_metrics(done)
        if not found:
            log.info("training %d steps of %d on %s", self.total, self.plan.size, self.device)
            return 0
        load_state(found[0], model=self.model, optimiser=self.optimiser)
        log.info("going on after step %d of %d on %s with %d threads", done, self.total, self.device, threads)
        return done

    def _step(self, step: int) -> dict[str, Any]:
        began = time.perf_counter()
        torch.manual_seed(int(np.random.SeedSequence([self.settings.run.seed, step]).generate_state(1)[0]))
        factor = learning_rate(step, total=self.total, settings=self.settings.optimiser)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        batch = self.collate(self.plan.batch(step))
        losses = self._losses(batch)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        clip = self.settings.optimiser.clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), clip))
        values = {key: float(getattr(losses, key).detach()) for key in ("total", "a", "p", "d")}
        if not (math.isfinite(values["total"]) and math.isfinite(norm)):
            self._refuse(step, batch, values | {"grad_norm": norm})
        self.optimiser.step()
        return {
            "step": step + 1,
            "epoch": round((step + 1) * self.plan.size / self.plan.num_anchors, 4),
            "loss": values["total"],
            "loss_a": values["a"],
            "loss_p": values["p"],
            "loss_d": values["d"],
            "grad_norm": norm,
            "num_linked": sum(int(mask.sum()) for mask in batch.linked.values()),
            "learning_rate": self.settings.optimiser.lr * factor,
            "seconds": time.perf_counter() - began,
        }

    def _losses(self, batch: Batch) -> Losses:
        wide = self.settings.run.precision == "float32"
        with nullcontext() if wide else torch.autocast(self.device.type, dtype=torch.bfloat16):
            embedded = self.model(batch)
        return compute_losses(embedded, batch.linked, settings=self.settings.loss)

    def _refuse(self, step: int, batch: Batch, values: dict[str, float]) -> None:
        path = self.folder / f"non_finite_step_{step + 1}.json"
        records = {
            name: [value.decode() for value in self.corpus.sources[name].record_id[source.records]]
            for name, source in batch.sources.items()
        }
        write_json(path, {"values": {key: str(value) for key, value in values.items()}, "records": records})
        raise NonFiniteLossError(
            f"step {step + 1}: loss {values['total']}, gradient norm {values['grad_norm']}; the last state is kept, "
            f"the batch's record ids are in {path}. Lower the learning rate or set clip_norm in a new folder"
        )

    def _save(self, step: int, histogram: dict[str, int], lines: list[dict[str, Any]]) -> None:
        facts = {
            "num_threads": torch.get_num_threads(),
            "linked_pairs_histogram": histogram,
            "unreported": lines,
        }
        save_state(self.folder, step=step, model=self.model, optimiser=self.optimiser, facts=facts)

    def _read_progress(self, start: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
        """Histogram of linked pairs, and the steps since the last line of metrics, as the state holds them."""
        found = last_state(self.folder) if start else None
        if found is None:
            return {}, []
        return found[1]["linked_pairs_histogram"], found[1]["unreported"]

    def _cut_metrics(self, done: int) -> None:
        """Drop lines of steps that a killed run had logged beyond its last state: they are trained again."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= done]
        path.write_text("".join(f"{line}\n" for line in kept))

    def _report(self, lines: list[dict[str, Any]], elapsed: float, steps: int) -> None:
        last = lines[-1]
        averaged = {key: float(np.mean([line[key] for line in lines])) for key in last if key not in ("step", "epoch")}
        mean = {"step": last["step"], "epoch": last["epoch"], **averaged, "learning_rate": last["learning_rate"]}
        every = self.settings.run.validate_every
        before = int(last["step"]) - len(lines)
        if every and (last["step"] == self.total or last["step"] // every > before // every):
            mean |= self.validation.measure(self.model)
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(mean, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        remaining = (self.total - last["step"]) * elapsed / steps
        log.info(
            "step %d/%d loss %.4f (a %.4f p %.4f d %.4f) grad %.3g pairs %.1f %.3f s/step, %.0f s left",
            last["step"],
            self.total,
            *(mean[key] for key in ("loss", "loss_a", "loss_p", "loss_d", "grad_norm", "num_linked", "seconds")),
            remaining,
        )

    def _finish(self, seconds: float, steps: int, histogram: dict[str, int]) -> dict[str, Any]:
        digest = write_tensors(self.folder / "model.safetensors", self.model.state_dict())
        write_json(
            self.folder / "model.json",
            {
                "model": self.model.description.to_json(),
                "corpus_fingerprint": self.corpus.fingerprint,
                "synthetic": self.corpus.meta["synthetic"],
                "history_size": self.corpus.history_size,
                "step": self.total,
                "sha256": digest,
            },
        )
        per_step = seconds / max(steps, 1)
        final = json.loads((self.folder / "metrics.jsonl").read_text().splitlines()[-1])
        done = {
            **{key: final[key] for key in ("loss", "loss_a", "loss_p", "loss_d")},
            "steps": self.total,
            "epochs": self.total * self.plan.size / self.plan.num_anchors,
            "batch_size": self.plan.size,
            "seconds_per_step": per_step,
            "samples_per_second": self.plan.size / per_step if per_step else 0.0,
            "linked_pairs_histogram": histogram,
            "num_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "device": str(self.device),
            "num_threads": torch.get_num_threads(),
            "sha256": digest,
        }
        write_json(self.folder / "done.json", done)
        return done
