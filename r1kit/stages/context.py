"""The context passed to every stage: recipe, run folder, ranks and terminal.

Only rank 0 has the run folder open and a terminal; on the other ranks the same methods do nothing,
so that the code of a stage is the same on every rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import torch
from pydantic import TypeAdapter
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedTokenizerBase

from r1kit.config import Recipe
from r1kit.console.progress import Observer
from r1kit.engines.open import PolicySampler, RunPlace, WeightSync, open_sampler
from r1kit.errors import CheckpointError
from r1kit.export import card
from r1kit.files.atomic import CARD, remove_leftovers, replace_file
from r1kit.model import checkpoint, folder, sharded_checkpoint, sharding
from r1kit.model.devices import peak_memory, trim_memory
from r1kit.model.policy import Policy, TrainableModel
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.renderers import renderer_of
from r1kit.runs.records import Position
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import RECORDS, stage_and_step
from r1kit.runs.stage_specs import family
from r1kit.stages.peak import FP32_STAGES, peak_flops
from r1kit.stages.plan import PlannedStage
from r1kit.tasks import mix
from r1kit.tasks.base import Task
from r1kit.types import Checkpoint, Split


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint from which a stage resumes."""

    path: Path
    step: int
    state: dict[str, Any]

    def restoring(self) -> AbstractContextManager[None]:
        """Turn errors while `state` is restored into a CheckpointError."""
        return checkpoint.restoring(self.path)


class GatheredWeights:
    """The weight sync of a policy that may be sharded: it is gathered on every rank first."""

    def __init__(self, inner: WeightSync) -> None:
        self._inner = inner

    def publish(self, policy: Policy, version: int) -> None:
        """See `WeightSync`."""
        self._inner.publish(policy.gathered(), version)


@dataclass
class Context:
    recipe: Recipe
    ranks: Ranks
    run: RunDir | None
    """None on every rank except the first"""
    observer: Observer | None
    _tasks: dict[Split, mix.TaskMixture] = field(default_factory=dict, init=False)
    _general: dict[Split, Task] = field(default_factory=dict, init=False)
    _place: RunPlace | None = field(default=None, init=False)
    _peaks: dict[torch.dtype, float] = field(default_factory=dict, init=False)
    """FLOPs per second of all ranks, by precision"""

    def tasks(self, split: Split) -> mix.TaskMixture:
        """Return the recipe's tasks, loaded and validated once per process."""
        if split not in self._tasks:
            self._tasks[split] = mix.load_tasks(self.recipe, split)
        return self._tasks[split]

    def general(self, split: Split) -> Task:
        """Return the task for general prompts, loaded and validated once per process."""
        if split not in self._general:
            self._general[split] = mix.general(self.recipe, split)
        return self._general[split]

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log a step; call it on every rank, as the memory of all ranks is added to the metrics.

        `memory/peak_mb` is the most that one process has held so far, on its GPU if it has one.
        `time/mfu` is added to the metrics of a step that learns.
        """
        resident = self.ranks.sum({"memory/resident_mb": psutil.Process().memory_info().rss / 1e6})
        peak = max(self.ranks.gather(peak_memory(self.ranks.device))) / 1e6
        metrics = {**metrics, **resident, "memory/peak_mb": peak}
        if seconds := metrics.get("time/learn_s", metrics.get("step_time")):
            metrics["time/mfu"] = metrics["n_flops"] / seconds / self._peak_flops(stage)
        if self.run is not None:
            self.run.log(stage, step, metrics)
        if self.observer is not None:
            self.observer.step(stage, step, metrics)
        trim_memory()

    def _peak_flops(self, stage: str) -> float:
        """Return the peak of all ranks together, in the precision that a stage learns in."""
        dtype = torch.float32 if family(stage) in FP32_STAGES else self.dtype
        if dtype not in self._peaks:
            self._peaks[dtype] = peak_flops(self.recipe.compute, self.ranks, dtype)
        return self._peaks[dtype]

    def log_sample(self, record: Mapping[str, Any]) -> None:
        if self.run is not None:
            self.run.sample(record)
        if self.observer is not None:
            self.observer.sample(record)

    def tick(self, stage: str) -> None:
        """Attribute the time from now on to this stage."""
        if self.run is not None:
            self.run.tick(stage)

    def note(self, text: str) -> None:
        if self.observer is not None:
            self.observer.note(text)

    def note_failure(self, failures: Sequence[str]) -> None:
        """Report the first failure of a verifier on any rank; call it on every rank."""
        if reported := [failure for part in self.ranks.gather(list(failures)) for failure in part]:
            self.note(f"{reported[0]} Such completions count as undecided.")

    def started(self, stage: PlannedStage, n_steps: int, what: str) -> None:
        if self.observer is not None:
            self.observer.stage_started(stage.name, n_steps, what)

    def counting(self, stage: str, total: int, what: str) -> Callable[[int], None]:
        """Show the progress of a long phase other than training.

        Call the returned function with the number of items done.
        """
        if self.observer is None:
            return lambda n_done: None
        observer = self.observer
        observer.stage_started(stage, total, what)
        return lambda n_done: observer.step(stage, n_done, {})

    def parent_checkpoint(self, stage: PlannedStage) -> Path:
        """Return the checkpoint whose weights a stage starts from."""
        assert stage.weights_from is not None, f"{stage.name} begins with nothing"
        return self.finished_checkpoint(stage.weights_from)

    def data(self, stage: str) -> Path:
        """Return the path of a stage's file of conversations, on every rank."""
        folder: Path = self._from_first(self.run and self.run.path)
        return folder / "data" / f"{stage}.jsonl"

    def verified_data(self, stage: str, name: str) -> Path:
        """Return `data(name)` of a finished stage. Raises RunError if the stage's data changed."""
        if self.run is not None:
            self.run.refuse_changed_data(stage)
        return self.data(name)

    def finished_checkpoint(self, stage: str) -> Path:
        """Return the checkpoint of a finished stage, on every rank. Raises RunError if missing."""
        path: Path = self._from_first(self.run and self.run.required_checkpoint(stage))
        return path

    def newest_checkpoint(self, stage: str) -> Path | None:
        """Return the newest checkpoint of a stage, finished or not, or None."""
        path: Path | None = self._from_first(self.run and self.run.latest(stage))
        return path

    def resume(self, stage: str) -> ResumePoint | None:
        """Return the newest resume point of an unfinished stage; discard later records."""
        path = self._from_first(self.run and self.run.latest(stage))
        if path is None:
            if self.run is not None:
                self.run.rewind(stage, 0)
            return None
        with self.opening(path), checkpoint.restoring(path):
            state = sharded_checkpoint.load_state(path, self.mesh) or {}
            step = folder.load_manifest(path).step
            position = _POSITION.validate_python(state.get("position"))
            if position is not None and set(position) != set(RECORDS):
                raise KeyError("position")
        if self.run is not None:
            self.run.rewind(stage, step, position)
        return ResumePoint(path, step, state)

    def save(
        self,
        stage: PlannedStage,
        step: int,
        model: TrainableModel,
        state: dict[str, Any],
    ) -> None:
        """Write a resume point; call it on every rank.

        The first rank writes it while the others wait at the next step, or all of them write their
        parts of a sharded model.
        """
        if self.run is None:
            if sharding.is_sharded(model.module):
                path, manifest = self._from_first(None)
                state = state | {"position": None}
                model.save_parts(path, manifest, state, "", self.ranks)
            return
        position = self.run.sync()
        manifest = Checkpoint(
            path="",
            stage=stage.name,
            step=step,
            weights_from=stage.weights_from,
            data_from=stage.data_from,
            tokenizer_hash=tokenizer_hash(model.tokenizer),
            config_hash=self.recipe.hash(),
        )
        path = self.run.checkpoint_path(stage.name, step)
        prompt = ""
        if isinstance(model, Policy):  # a reward model is not prompted
            question = self.tasks("held_out").problem(0).messages
            prompt = renderer_of(model.tokenizer).show_prompt(question)
        state, text = state | {"position": position}, self._card(manifest, prompt)
        if sharding.is_sharded(model.module):
            self._from_first((path, manifest))
            model.save_parts(path, manifest, state, text, self.ranks)
        else:
            model.save(path, manifest, state, text)
        self.run.prune(stage.name, self.recipe.compute.keep_checkpoints)

    def keep_best(self, stage: str) -> None:
        """Delete the checkpoints after the best evaluated one, which so becomes the stage's.

        After a kill before the stage is finished, training continues from there and ends the same.
        """
        if self.run is not None and (best := self.run.keep_best(stage)) is not None:
            self.note(f"{stage} ends with its best checkpoint, {best.name}.")

    def write_card(self, stage: str, path: Path) -> None:
        """Write the card of a checkpoint again, with the scores that results.json has by now."""
        assert self.run is not None
        result = self.run.results().get("stages", {}).get(stage, {})
        text = self._card(folder.load_manifest(path), result.get("prompt", ""))
        remove_leftovers(path)
        replace_file(path / CARD, text)

    def _card(self, manifest: Checkpoint, prompt: str) -> str:
        assert self.run is not None
        run, recipe = self.run, self.recipe.model_dump(mode="json")
        facts = card.gather(run.path, run.manifest, recipe, run.results(), manifest, prompt)
        return card.render(facts)

    def load(self, path: Path) -> Policy:
        """Load the policy of a checkpoint on this rank's device."""
        with self.opening(path):
            return Policy.load(path, self.ranks.device, self.dtype)

    def load_to_train(self, stage: PlannedStage, resumed: ResumePoint | None) -> Policy:
        """Load the policy that a stage trains, as its parent or an earlier session has left it."""
        is_whole = resumed is not None and self.recipe.lora is None
        policy = self.load(resumed.path if resumed and is_whole else self.parent_checkpoint(stage))
        self.prepare_training(policy, stage, resumed)
        return policy

    def prepare_training(
        self, model: TrainableModel, stage: PlannedStage, resumed: ResumePoint | None
    ) -> None:
        """Add adapters, or restore those of `resumed`, if the recipe has them.

        A model with adapters is that of the stage's parent, also if the stage is resumed.
        """
        if self.recipe.lora is not None:
            model.add_adapter(self.recipe.lora, f"{self.recipe.seed}/{stage.name}")
            if resumed:
                with resumed.restoring():
                    model.load_adapter(resumed.state)
        if self.recipe.compute.gradient_checkpointing:
            model.checkpoint_gradients()
        self._refuse_other_weights(model)
        model.shard(self.mesh)

    def _refuse_other_weights(self, model: TrainableModel) -> None:
        """Raises CheckpointError on the first rank if others start from other weights."""
        if self.ranks.size == 1:
            return
        with torch.no_grad():
            sums = [float(p.sum(dtype=torch.float64)) for p in model.module.parameters()]
        others = self.ranks.unlike_first(sums)
        if others and self.ranks.is_first:
            raise CheckpointError(
                f"Rank {', '.join(map(str, others))} has loaded other weights than rank 0; copy "
                "the model that the recipe names to all machines again, or to a disk that they "
                "share."
            )

    @cached_property
    def mesh(self) -> DeviceMesh | None:
        """The ranks that models in training are sharded over; None if they are whole."""
        return sharding.mesh_of(self.ranks)

    @contextmanager
    def open_sampler(self, policy: Policy, version: int = 0) -> Iterator[PolicySampler]:
        """Open the sampler of a policy, as the recipe configures it, for a `with` block.

        The policy's current weights are published as `version`.
        """
        if self._place is None:
            run: Path = self._from_first(self.run and self.run.path)
            self._place = RunPlace(self.ranks, run / "sampler", self.note)
        opening = open_sampler(policy.gathered(), self.recipe.sampler, self._place, version)
        with opening as (sampler, weight_sync):
            yield PolicySampler(sampler, GatheredWeights(weight_sync))

    def close(self) -> None:
        """End what the stages of a run share."""
        if self._place is not None:
            self._place.close()

    def tokenizer(self, path: Path) -> PreTrainedTokenizerBase:
        """Load the tokenizer of a checkpoint. Raises CheckpointError if it has been replaced."""
        return folder.open_tokenizer(path)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of models in training and sampling."""
        dtype: torch.dtype = getattr(torch, self.recipe.compute.dtype)
        return dtype

    @contextmanager
    def opening(self, path: Path) -> Iterator[None]:
        """Add recovery advice to a CheckpointError about a checkpoint of this run."""
        stage, _ = stage_and_step(path)
        try:
            yield
        except CheckpointError as error:
            if self.run is None:
                raise
            if self.run.finished(stage):
                advice = f"--from {stage.split('/')[0]} makes its stage and all that follow again."
            else:
                advice = (
                    "Without that folder the same command resumes from the checkpoint before it."
                )
            raise CheckpointError(f"{error} {advice}") from None

    def _from_first(self, item: Any) -> Any:
        return self.ranks.gather(item)[0]


_POSITION: TypeAdapter[Position | None] = TypeAdapter(Position | None)
