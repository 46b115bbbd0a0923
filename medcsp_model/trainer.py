"""The training loop: a step is a function of (settings, corpus, step), so a run resumes from its state alone.

On a CPU it does so bit by bit; on a CUDA device sums such as those over a record's stays have no fixed order.
Several processes run the same loop; the first one alone writes files and logs.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medcsp_model.batch_facts import draws_histogram, random_linked_pairs
from medcsp_model.batches import PlanInputs, make_plan, num_steps
from medcsp_model.checkpoint import held, last_state, load_state, read_json, save_state, write_json, write_tensors
from medcsp_model.collate import Batch, Collate
from medcsp_model.corpus import Corpus
from medcsp_model.distributed import Ranks, choose_device
from medcsp_model.gradient_cache import PROBES, GradientCache, fitting_micro_batch, free_memory, measure_on_cuda
from medcsp_model.journal import append_line, cut_lines, last_line
from medcsp_model.losses import check_something_counts
from medcsp_model.model import MedCSP, ModelDescription, RecordModel
from medcsp_model.prefetch import Prefetch
from medcsp_model.settings.training import OptimiserSettings, Settings
from medcsp_model.step import add_gradients
from medcsp_model.tiles import LogitStatistics
from medcsp_model.towers import load_tower_weights
from medcsp_model.validation import Validation
from medcsp_model.work import Work, make_work

log = logging.getLogger(__name__)
MOST_NAMED = 5
"""Settings that a refusal names."""


class NonFiniteLossError(ValueError):
    """A loss or gradient was not a finite number; the message names the file with the batch's record ids."""


class StoppedError(Exception):
    """The run was asked to stop; its state is saved."""


def batch_factor(size: int, *, settings: OptimiserSettings) -> float:
    """Factor on every learning rate for batches of `size` records of the anchor source: 1 at the reference batch."""
    power = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}[settings.lr_rule]
    return float((size / settings.reference_batch) ** power)


def learning_rate(step: int, *, total: int, settings: OptimiserSettings) -> float:
    """Factor on every learning rate at a step: linear warm-up, then constant or a cosine down to zero."""
    warmup = round(settings.warmup_share * total)
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


def make_optimiser(model: nn.Module, *, settings: OptimiserSettings) -> torch.optim.AdamW:
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


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Plain values in groups by their dotted path."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return found


def values_of(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars of one device as numbers: the one time in a step that the host waits for the device."""
    return dict(zip(scalars, torch.stack(list(scalars.values())).tolist(), strict=True))


class Trainer:
    """One training run in one folder.

    Args:
        corpus: an open corpus.
        settings: all settings; those made by hand are checked as `Settings.from_json` checks them.
        folder: the run folder; a finished run in it is left alone, a partial one goes on.
        should_stop: asked after every step; a true answer in any process saves the state and raises `StoppedError`.
        ranks: the processes of the run, all of which see the same folder; this one alone where not given.

    Raises:
        ValueError: the folder holds a run of other settings or another corpus, or settings and corpus do not fit.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        settings: Settings,
        folder: Path,
        should_stop: Callable[[], bool] = lambda: False,
        ranks: Ranks | None = None,
    ) -> None:
        settings = Settings.from_json(settings.to_json())
        self.corpus, self.settings, self.folder, self.should_stop = corpus, settings, folder, should_stop
        self.ranks = ranks or Ranks(device=choose_device(settings.run.device))
        self.device = self.ranks.device
        self.metrics = folder / "metrics.jsonl"
        if self.ranks.is_first:
            self._claim_folder()
        chosen = settings.batch
        inputs = PlanInputs.from_corpus(
            corpus,
            split=chosen.split,
            sources=chosen.sources,
            validation_share=chosen.validation_share,
            validation_seed=chosen.validation_seed,
        )
        self.inputs = inputs
        self.plan = make_plan(inputs, settings=settings.batch, seed=settings.run.seed)
        if self.plan.size < 2:
            raise ValueError(
                f"settings.batch.size: {chosen.size}, and {self.plan.num_anchors} records of {self.plan.anchor!r} to "
                "pass over: a batch needs two records of a source to tell apart"
            )
        num_modalities = {name: len(corpus.sources[name].modalities) for name in inputs.records}
        check_something_counts(num_modalities, inputs.links, settings=settings.loss)
        self.batch_factor = batch_factor(self.plan.size, settings=settings.optimiser)
        self.total = settings.optimiser.steps or num_steps(self.plan, settings.optimiser.epochs)

    def _claim_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "run_fingerprint.json"
        fingerprint = self.fingerprint()
        found = read_json(path) if path.is_file() else fingerprint
        if found != fingerprint:
            before, now = flat(found), flat(fingerprint)
            names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
            raise ValueError(
                f"{self.folder}: holds a run of other settings or another corpus; give a new run_folder. "
                f"{len(names)} differ: {', '.join(names[:MOST_NAMED])}"
            )
        write_json(path, fingerprint)

    def fingerprint(self) -> dict[str, Any]:
        """What a run is the same by: one of another fingerprint never goes on in its folder."""
        return {"corpus": self.corpus.fingerprint, "settings": self.settings.to_json()}

    def _say(self, message: str, *values: object) -> None:
        if self.ranks.is_first:
            log.info(message, *values)

    def run(self) -> dict[str, Any]:
        """Train, or go on, or return at once; returns what done.json says."""
        if self.ranks.from_first((self.folder / "done.json").is_file()):
            self._say("%s: finished before", self.folder)
            return self._read_done()
        with held(self.folder) if self.ranks.is_first else nullcontext():
            return self._train()

    def _train(self) -> dict[str, Any]:
        start = self._prepare()
        began, histogram, lines = time.perf_counter(), *self._read_progress(start)
        with Prefetch(self._work, stop=self.total, device=self.device) as inputs:
            for step in range(start, self.total):
                line, logits = self._step(step, *inputs.get(step))
                lines.append(line)
                key = str(line["num_linked"])
                histogram[key] = histogram.get(key, 0) + 1
                last = step + 1 == self.total
                if self._is_logged(step):
                    left = (self.total - step - 1) * (time.perf_counter() - began) / (step + 1 - start)
                    self._report(lines, logits, left)
                    lines = []
                stop = self.ranks.any(self.should_stop())
                if last or stop or (step + 1) % self.settings.run.save_every == 0:
                    self._save(step + 1, histogram, lines, is_durable=not stop)
                if stop and not last:
                    raise StoppedError(f"{self.folder}: stopped after step {step + 1} of {self.total}, state saved")
        return self._finish(time.perf_counter() - began, self.total - start, histogram)

    def _is_logged(self, step: int) -> bool:
        return step + 1 == self.total or (step + 1) % self.settings.run.log_every == 0

    def _work(self, step: int) -> Work:
        return make_work(step, plan=self.plan, collate=self.collate, ranks=self.ranks, micro_batch=self.micro_batch)

    def _prepare(self) -> int:
        """Build or load everything; returns the number of steps done before."""
        found = last_state(self.folder)
        self.resumed_from = found[1] if found else None
        same_ranks = found is not None and found[1]["num_ranks"] == self.ranks.size
        threads = found[1]["num_threads"] if found and same_ranks else self.settings.run.num_threads
        if threads:
            torch.set_num_threads(threads)
        torch.manual_seed(self.settings.run.seed)
        self.model = self._build_model(is_new=found is None).to(self.device).train()
        self.optimiser = make_optimiser(self.trained, settings=self.settings.optimiser)
        self.collate = self._build_collate()
        self.validation = Validation(self.corpus, settings=self.settings.batch, collate=self.collate)
        if found:
            load_state(found[0], model=self.trained, optimiser=self.optimiser)
        if self.settings.run.compile == "on" or (self.settings.run.compile == "auto" and self.device.type == "cuda"):
            assert isinstance(self.model, MedCSP)
            self.model.compile_towers()
        self.cache = GradientCache(self.model, ranks=self.ranks, precision=self.settings.run.precision)
        self.micro_batch = found[1]["micro_batch"] if found and same_ranks else self._choose_micro_batch()
        done = int(found[1]["step"]) if found else 0
        if self.ranks.from_first(done) != done:
            raise ValueError(
                f"{self.folder}: another state than at the first process; give all nodes one shared run_folder"
            )
        if self.ranks.is_first:
            cut_lines(self.metrics, done)
        self._say(
            "training %d steps of %d on %s%s",
            self.total - done,
            self.plan.size,
            self.device if self.ranks.size == 1 else f"{self.ranks.size} processes",
            f", after step {done}, with {torch.get_num_threads()} threads" if found else "",
        )
        return done

    @property
    def trained(self) -> nn.Module:
        """The part of the model that training changes, which is what states and the finished run hold."""
        return self.model

    def _build_model(self, *, is_new: bool) -> RecordModel:
        """The model at its start; one that goes on gets its weights from a state."""
        model = MedCSP(ModelDescription.of_corpus(self.corpus, settings=self.settings))
        if self.settings.run.precision == "float64":
            model.double()
        if self.settings.model.towers_folder and is_new:
            load_tower_weights(model.towers, self.settings.model.towers_folder)
        return model

    def _build_collate(self) -> Collate:
        text, model = self.settings.model.text, self.model
        assert isinstance(model, MedCSP)
        return Collate(
            self.corpus,
            device=self.device,
            pad_to=text.pad_to,
            context_length=model.description.towers["bert"]["max_position_embeddings"],
            encode_distinct=text.encode_distinct,
            encode_absent=self.settings.model.absent == "encoded",
        )

    def _choose_micro_batch(self) -> int:
        """Records of each source to embed at once, measured on a CUDA device where the settings leave it open.

        Measured with the longest texts and most stays there are: a batch of them may come at any step.
        """
        chosen = self.settings.run.micro_batch
        if chosen or self.device.type != "cuda":
            return chosen
        most = max(PROBES)
        records = {name: self.collate.longest(name, rows)[:most] for name, rows in self.inputs.records.items()}

        def make(count: int) -> Batch:
            return Batch({name: self.collate.source(name, rows[:count]) for name, rows in records.items()}, {})

        size = len(Ranks(size=self.ranks.size, rank=self.ranks.size - 1).share(self.plan.size))
        measure = measure_on_cuda(self.cache, make, model=self.model)
        free = free_memory(self.model, most=self.settings.run.memory_gb * 1e9)
        fits = self.ranks.smallest(fitting_micro_batch(measure, size=size, free=free))
        if fits < size:
            self._say("embedding %d of %d records at a time: more do not fit the device", fits, size)
        return fits if fits < size else 0

    def _step(self, step: int, work: Work, waited: float) -> tuple[dict[str, Any], dict[str, float]]:
        """One step; returns its numbers, and the logits' where they are reported."""
        began = time.perf_counter()
        settings, ranks = self.settings, self.ranks
        factor = self.batch_factor * learning_rate(step, total=self.total, settings=settings.optimiser)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        seeds = np.random.SeedSequence([settings.run.seed, step, ranks.rank]).generate_state(len(work.parts)).tolist()
        statistics = LogitStatistics(self.device) if self._is_logged(step) else None
        self.optimiser.zero_grad(set_to_none=True)
        scalars = add_gradients(
            work, cache=self.cache, ranks=ranks, settings=settings.loss, seeds=seeds, statistics=statistics
        )
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.optimiser.clip_norm or math.inf)
        values = values_of(scalars | {"grad_norm": norm})
        if not (math.isfinite(values["total"]) and math.isfinite(values["grad_norm"])):
            self._refuse(step, work, values)
        self.optimiser.step()
        line = {
            "step": step + 1,
            "epoch": round((step + 1) * self.plan.size / self.plan.num_anchors, 4),
            "loss": values["total"],
            "loss_a": values["a"],
            "loss_p": values["p"],
            "loss_d": values["d"],
            "grad_norm": values["grad_norm"],
            "num_linked": sum(pairs.shape[1] for pairs in work.linked.values()),
            "learning_rate": settings.optimiser.lr * factor,
            "seconds": waited + time.perf_counter() - began,
            "data_wait_seconds": waited,
        }
        return line, {} if statistics is None else statistics.over(ranks).values()

    def _refuse(self, step: int, work: Work, values: dict[str, float]) -> None:
        path = self.folder / f"non_finite_step_{step + 1}.json"
        records = {
            name: [value.decode() for value in self.corpus.sources[name].record_id[rows]]
            for name, rows in work.records.items()
        }
        if self.ranks.is_first:
            write_json(path, {"values": {key: str(value) for key, value in values.items()}, "records": records})
        raise NonFiniteLossError(
            f"step {step + 1}: loss {values['total']}, gradient norm {values['grad_norm']}; the last state is kept, "
            f"the batch's record ids are in {path}. Lower the learning rate or set clip_norm in a new folder"
        )

    def _save(self, step: int, histogram: dict[str, int], lines: list[dict[str, Any]], *, is_durable: bool) -> None:
        """Save the state; who asks to stop gives seconds, so that the disk is not waited for."""
        facts = {
            "num_threads": torch.get_num_threads(),
            "num_ranks": self.ranks.size,
            "micro_batch": self.micro_batch,
            "linked_pairs_histogram": histogram,
            "unreported": lines,
        }
        if self.ranks.is_first:
            save_state(
                self.folder,
                step=step,
                model=self.trained,
                optimiser=self.optimiser,
                facts=facts,
                is_durable=is_durable,
            )
        self.ranks.from_first(step)

    def _read_progress(self, start: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
        """Histogram of linked pairs, and the steps since the last line of metrics, as the state holds them."""
        if not start or self.resumed_from is None:
            return {}, []
        return self.resumed_from["linked_pairs_histogram"], self.resumed_from["unreported"]

    def _report(self, lines: list[dict[str, Any]], logits: dict[str, float], left: float) -> None:
        """Write the line of some steps, with logits of the last one, and log it; `left` in seconds."""
        if not self.ranks.is_first:
            return
        seconds = sum(line["seconds"] for line in lines)
        more = {"samples_per_second": self.plan.size * len(lines) / seconds, **logits}
        every, done = self.settings.run.validate_every, int(lines[-1]["step"])
        if every and (done == self.total or done // every > (done - len(lines)) // every):
            more |= self.validation.measure(self.model)
        mean = append_line(self.metrics, lines, more)
        log.info(
            "step %d/%d loss %.4f (a %.4f p %.4f d %.4f) grad %.3g pairs %.1f logits %.2f / %.2f, "
            "%.1f samples/s, data wait %.1f %%, %.0f s left",
            done,
            self.total,
            *(mean[key] for key in ("loss", "loss_a", "loss_p", "loss_d", "grad_norm", "num_linked")),
            logits.get("logit_p_positive_mean", math.nan),
            logits.get("logit_p_negative_mean", math.nan),
            mean["samples_per_second"],
            100 * sum(line["data_wait_seconds"] for line in lines) / seconds,
            left,
        )

    def _read_done(self) -> dict[str, Any]:
        done: dict[str, Any] = read_json(self.folder / "done.json")
        return done

    def _finish(self, seconds: float, steps: int, histogram: dict[str, int]) -> dict[str, Any]:
        if self.ranks.is_first:
            self._write_model(seconds, steps, histogram)
        self.ranks.from_first(self.total)
        return self._read_done()

    def _description(self) -> dict[str, Any]:
        """What model.json says of how to build the model again."""
        assert isinstance(self.model, MedCSP)
        return {"model": self.model.description.to_json()}

    def _write_model(self, seconds: float, steps: int, histogram: dict[str, int]) -> None:
        digest = write_tensors(self.folder / "model.safetensors", self.trained.state_dict())
        write_json(
            self.folder / "model.json",
            {
                **self._description(),
                "corpus_fingerprint": self.corpus.fingerprint,
                "synthetic": self.corpus.meta["synthetic"],
                "history_size": self.corpus.history_size,
                "step": self.total,
                "sha256": digest,
            },
        )
        per_step = seconds / max(steps, 1)
        final = last_line(self.metrics)
        done = {
            **{key: final[key] for key in ("loss", "loss_a", "loss_p", "loss_d")},
            "steps": self.total,
            "epochs": self.total * self.plan.size / self.plan.num_anchors,
            "batch_size": self.plan.size,
            "seconds_per_step": per_step,
            "samples_per_second": self.plan.size / per_step if per_step else 0.0,
            "linked_pairs_histogram": histogram,
            "random_linked_pairs": random_linked_pairs(self.inputs, size=self.plan.size),
            "draws_histogram": draws_histogram(self.plan),
            "num_parameters": sum(parameter.numel() for parameter in self.trained.parameters()),
            "device": str(self.device),
            "num_processes": self.ranks.size,
            "micro_batch": self.micro_batch,
            "num_threads": torch.get_num_threads(),
            "sha256": digest,
        }
        write_json(self.folder / "done.json", done)
