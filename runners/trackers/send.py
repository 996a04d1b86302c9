"""Gives points to a tracker: ``python -m flagbench.runners.trackers.send``, with all as JSON on standard input."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from flagbench.runners.trackers.point import Point

_MLFLOW_NAME = re.compile(r"[^\w\-. :/]")
_LONGEST_PARAM = 500
_MOST_PARAMS = 100


def _curves(point: Point) -> Iterator[tuple[str, float]]:
    """Names and values: those of a benchmark stand together in every tracker's page."""
    for name, score in point.scores.items():
        yield f"{point.benchmark}/{name}", score
    for name, error in point.errors.items():
        yield f"{point.benchmark} standard error/{name}", error


def _to_tensorboard(place: str, point: Point) -> None:
    """A file of events for each point, below a folder for each series."""
    from tensorboardX import SummaryWriter

    folder = Path(place).expanduser() / re.sub(r"[^\w\-.]", "_", point.series)
    suffix = f".{point.digest}"
    if folder.is_dir() and any(each.name.endswith(suffix) for each in folder.glob("*tfevents*")):
        return
    with tempfile.TemporaryDirectory() as scratch:
        with SummaryWriter(scratch, filename_suffix=suffix) as writer:
            for name, value in _curves(point):
                writer.add_scalar(name, value, point.step)
            rows = "".join(f"| {key} | {value} |\n" for key, value in point.settings.items())
            writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}", point.step)
            indented = "".join(f"    {line}\n" for line in point.record.splitlines())
            writer.add_text("run.json", indented, point.step)
        (made,) = Path(scratch).glob("*tfevents*")
        # A file that a kill left behind half would pass for a point that is there.
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / suffix
        shutil.copyfile(made, part)
        part.replace(folder / made.name)


def _to_mlflow(place: str, point: Point) -> None:
    """A run for each series, in an experiment for each benchmark."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=place)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"flagbench {point.benchmark}"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    series = hashlib.sha256(point.series.encode()).hexdigest()[:16]
    found = client.search_runs([experiment], f"tags.`flagbench.series` = '{series}'", max_results=1)
    run = found[0] if found else client.create_run(experiment, run_name=point.series)
    done = run.data.tags.get(f"flagbench.{point.digest}") if found else None
    if done:
        return
    now, run_id = int(time.time() * 1000), run.info.run_id
    metrics = [Metric(_MLFLOW_NAME.sub("_", key), value, now, point.step) for key, value in _curves(point)]
    old = run.data.params if found else {}
    new = [Param(key, value[:_LONGEST_PARAM]) for key, value in point.settings.items() if key not in old]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        file.write_text(point.record, encoding="utf-8")
        client.log_artifact(run_id, str(file), point.model.replace("/", "__"))
    for first in range(0, len(metrics), 1000):  # as many as one request takes
        client.log_batch(run_id, metrics=metrics[first : first + 1000])
    tags = [RunTag("flagbench.series", series), RunTag(f"flagbench.{point.digest}", point.revision)]
    client.log_batch(run_id, params=new[:_MOST_PARAMS], tags=tags)
    client.set_terminated(run_id)


def _to_wandb(place: str, point: Point) -> None:
    """A run for each series and benchmark; ``entity/project`` or the project alone."""
    import wandb

    entity, _, project = place.rpartition("/")
    id_ = hashlib.sha256(f"{point.benchmark} {point.series}".encode()).hexdigest()[:16]
    run = wandb.init(
        entity=entity or None,
        project=project,
        id=id_,
        name=f"{point.series} {point.benchmark}",
        resume="allow",
        config=dict(point.settings),
        settings=wandb.Settings(silent=True, console="off"),
        allow_val_change=True,
    )
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    run.log({**dict(_curves(point)), "step": point.step})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        file.write_text(point.record, encoding="utf-8")
        artifact = wandb.Artifact(f"run-{id_}-{point.step}", type="flagbench-run")
        artifact.add_file(str(file))
        run.log_artifact(artifact)
        run.finish()


_SENDERS: Mapping[str, Callable[[str, Point], None]] = {
    "tensorboard": _to_tensorboard,
    "mlflow": _to_mlflow,
    "wandb": _to_wandb,
}


def main() -> None:
    """Send what standard input says; of each point a line of JSON, empty text or what went wrong."""
    asked = json.load(sys.stdin)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a client prints is no answer
    with answers:
        for values in asked["points"]:
            fault = ""
            try:
                _SENDERS[asked["kind"]](asked["place"], Point(**values))
            except Exception as error:  # clients have no root for what they raise
                fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
            answers.write(json.dumps(fault) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
