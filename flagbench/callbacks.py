"""FlagBench inside a training loop: a callback of the trainers of transformers and sentence-transformers."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Self

from transformers import TrainerCallback

from flagbench import BadInput, FailedTasks, FlagbenchError, in_one_line
from flagbench.models.spec import is_name
from flagbench.results.figures import joint_scale
from flagbench.runners.python import in_memory
from flagbench.runners.python.arguments import arguments_of
from flagbench.runners.python.evaluate import evaluate
from flagbench.runners.python.run import Run
from flagbench.runners.registry import DEFAULT, either, find_benchmark

_LOG = logging.getLogger("flagbench")
_PREFIX = "eval_flagbench_"

Every = Literal["save", "eval", "epoch"] | int


class FlagBenchCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Evaluates the model as it trains, logs the scores, and keeps the results.

    The names of what it logs begin with ``eval_flagbench_``: the tasks, the averages that have a value, and ``mean``,
    the mean of all tasks that it evaluates. A failed evaluation is a warning and no end of the training.

    Attributes:
        runs: The runs, by the step that they are of.
    """

    def __init__(
        self,
        benchmark: str = DEFAULT,
        *,
        every: Every = "save",
        profile: str | None = "quick",
        strict: bool = False,
        progress: bool = False,
        **flags: Any,
    ) -> None:
        """Check the flags; they are those of ``flagbench.evaluate``.

        Args:
            benchmark: Name of a benchmark.
            every: ``save``, each checkpoint that the trainer saves; ``eval``, whenever the trainer evaluates, which is
                what ``metric_for_best_model`` needs; ``epoch``; or a number of steps.
            profile: Part of each task's data.
            strict: A failed evaluation ends the training.
            progress: Show the progress of evaluations.
            **flags: ``output`` is ``<output_dir>/flagbench`` by default, ``name`` ``<output_dir>/checkpoint-<step>``,
                and ``device`` that of the model.

        Raises:
            BadInput: A flag is none, ``every`` is another, or the benchmark has no such profile.
        """
        if every not in ("save", "eval", "epoch") and not (type(every) is int and every > 0):
            raise BadInput(f"every is 'save', 'eval', 'epoch' or a number of steps, not {every!r:.60}")
        self._benchmark, self._every, self._strict, self._progress = benchmark, every, strict, progress
        self._flags = flags | {"profile": profile}
        arguments_of("model", benchmark, self._flags)
        if (profile or "full") not in (known := find_benchmark(benchmark).profiles):
            raise BadInput(f"{benchmark} has no profile '{profile}': use profile={either(map(repr, known))}")
        self._trainer: weakref.ref[Any] | None = None
        self._scores: tuple[int, dict[str, float]] | None = None
        self.runs: dict[int, Run] = {}

    def attach(self, trainer: Any) -> Self:
        """Add the callback to a trainer, by which the scores reach all that the trainer reports to.

        Without it, as in ``Trainer(callbacks=[…])``, they are in ``state.log_history`` alone.

        Args:
            trainer: Of transformers or sentence-transformers.
        """
        self._trainer = weakref.ref(trainer)
        if self not in trainer.callback_handler.callbacks:
            trainer.add_callback(self)
        return self

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Warn of a trainer that never does what the callback waits for."""
        for every, setting in (("save", args.save_strategy), ("eval", args.eval_strategy)):
            if self._every == every and setting == "no":
                self._fail(BadInput(f"every='{every}' never comes with {every}_strategy='no': choose another of both"))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the checkpoint that was saved."""
        if self._every == "save" and state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self._log(state, self._evaluate(args, state, contextlib.nullcontext(folder), kwargs["model"]))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the model in memory."""
        if self._every == "epoch":
            self._evaluate_in_memory(args, state, kwargs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the model in memory after every so many steps."""
        if isinstance(self._every, int) and state.global_step % self._every == 0:
            self._evaluate_in_memory(args, state, kwargs)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Evaluate the model in memory, and add the scores to the metrics by which the trainer finds its best model.

        Several data sets are evaluated one after the other at a step; the model is the same.
        """
        if self._every != "eval":
            return
        if self._scores is None or self._scores[0] != state.global_step:
            found = self._evaluate_in_memory(args, state, kwargs)
            self._scores = (state.global_step, _shared(found, args))
        if metrics is not None:
            metrics.update(self._scores[1])
            best = f"eval_{(args.metric_for_best_model or '').removeprefix('eval_')}"
            failed = self._scores[0] not in self.runs or bool(self.runs[self._scores[0]].failed)
            if state.is_world_process_zero and failed and best.startswith(_PREFIX):
                metrics.setdefault(best, math.nan)  # which is no better than any, and no error of the trainer

    def _evaluate_in_memory(self, args: Any, state: Any, kwargs: dict[str, Any]) -> dict[str, float]:
        """Evaluate the model of an event, of which every process may have a part; the scores, of the first process."""
        model = in_memory.unwrapped(kwargs["model"])
        written = self._written(args, state, model, kwargs.get("processing_class"))
        if state.is_world_process_zero:
            found = self._evaluate(args, state, written, model)
            self._log(state, found)
            return found
        if self._is_sharded(args):
            with contextlib.suppress(BadInput), written:  # the first process says so
                pass
        return {}

    @contextlib.contextmanager
    def _written(self, args: Any, state: Any, model: Any, tokenizer: Any) -> Iterator[Path]:
        """While it lasts, the model in memory lies in a folder that is called as its checkpoint would be: names tell
        the instructions of a published model.
        """
        output = Path(args.output_dir).resolve()
        above = output / "flagbench-model"
        folder = above / output.name / f"checkpoint-{state.global_step}"
        trainer = self._trainer() if self._trainer else None
        try:
            if not self._is_sharded(args):
                tokenizer = None if in_memory.is_sentence_transformer(model) else tokenizer
                in_memory.check(model, tokenizer)
                in_memory.write(model, tokenizer, folder)
            elif trainer is None:
                raise BadInput("parts of the model are in other processes: use FlagBenchCallback(…).attach(trainer)")
            else:
                trainer.save_model(str(folder))  # which all processes take part in
            yield folder
        finally:
            if state.is_world_process_zero:
                shutil.rmtree(above, ignore_errors=True)

    def _evaluate(
        self, args: Any, state: Any, written: contextlib.AbstractContextManager[Path], model: Any
    ) -> dict[str, float]:
        """The scores of a model in a folder, by the names that they are logged by; none where it failed."""
        flags = dict(self._flags)
        flags["output"] = flags.get("output") or Path(args.output_dir) / "flagbench"
        flags["name"] = flags.get("name") or _name(Path(args.output_dir), state.global_step)
        if flags.get("device") is None and flags.get("devices") is None:
            flags["device"] = in_memory.device_of(model) or None
        run: Run | None = None
        try:
            with written as folder:
                run = evaluate(folder, self._benchmark, progress=self._progress, **flags)
        except FailedTasks as error:
            run = error.run
            self._fail(error)
        except FlagbenchError as error:
            self._fail(error)
        except Exception as error:  # whatever a disk, a model or a library does: the training goes on
            self._fail(FlagbenchError(f"{type(error).__name__}: {in_one_line(error)}"), error)
        if run is None:
            return {}
        self.runs[state.global_step] = run
        return _named(run)

    def _fail(self, error: FlagbenchError, cause: Exception | None = None) -> None:
        if self._strict:
            raise error from cause
        _LOG.warning("flagbench: not evaluated: %s", in_one_line(error))

    def _log(self, state: Any, scores: dict[str, float]) -> None:
        if not scores:
            return
        trainer = self._trainer() if self._trainer else None
        if trainer is not None:
            trainer.log(dict(scores))
        else:
            state.log_history.append({**scores, "epoch": state.epoch, "step": state.global_step})

    def _is_sharded(self, args: Any) -> bool:
        return bool(getattr(args, "fsdp", None) or getattr(args, "deepspeed", None))


def _named(run: Run) -> dict[str, float]:
    """Scores and averages of a run by the names that they are logged by."""
    averages = {re.sub(r"\W+", "_", label).strip("_"): score for label, score in run.averages.items()}
    found = run.scores | {label: score for label, score in averages.items() if score is not None}
    if run.scores and not run.failed and joint_scale(run.task(name).main_score for name in run.scores):
        found["mean"] = fmean(run.scores.values())
    return {f"{_PREFIX}{name}": score for name, score in found.items()}


def _name(output: Path, step: int) -> str:
    """Name in results of a model at a step, as that of a checkpoint in the folder."""
    folder = output.resolve().name.replace(" ", "_")
    name = f"{folder}/checkpoint-{step}"
    return name if is_name(name) else f"local/checkpoint-{step}"


def _shared(scores: dict[str, float], args: Any) -> dict[str, float]:
    """The scores of the first process in all of them, as each finds the best model by itself."""
    if args.world_size <= 1:
        return scores
    import torch

    boxed = [scores]
    torch.distributed.broadcast_object_list(boxed, src=0)
    return boxed[0]
