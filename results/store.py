"""Results on disk, in the layout of MTEB's results repository.

``<output>/<org>__<model>/<revision>/`` holds ``<Task>.json`` and ``model_meta.json`` and nothing else that ends in
``.json``: MTEB's loaders take every other such file for a task. What FlagBench adds lies in ``flagbench/`` below it:
``run.json``, ``replaced/`` (results that a run with other settings took the place of), ``predictions/`` and
``answers/`` (what tasks that ask one question after the other keep while they run).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from flagbench import BadInput, in_one_line
from flagbench.files import check_links, check_name, inside, read_text
from flagbench.results.identity import former, settings_digest, text_digest
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.uncertainty import merged

_UNFINISHED = ".unfinished"
_ELSEWHERE = "choose another --output"
_REPLACED = "a run ended while it replaced the result: evaluate it again"


def predictions_file(task: str) -> str:
    """Path of a task's saved predictions in the folder of a run, as mteb names them."""
    return f"flagbench/predictions/{task}_predictions.json"


class RunStore:
    """The folder of one model at one revision.

    Args:
        output: Folder of all results.
        model: ``org/model``.
        revision: Commit or hash of files.
    """

    def __init__(self, output: Path, model: str, revision: str) -> None:
        self._output = output
        self._model = model
        self.folder = output / model.replace("/", "__").replace(" ", "_") / revision
        self._own = self.folder / "flagbench"
        self._lock: int | None = None

    @property
    def run_file(self) -> Path:
        """Path of run.json."""
        return self._own / "run.json"

    @contextmanager
    def new_predictions(self, *, kept: bool) -> Iterator[Path | None]:
        """An empty folder for the predictions of a task that runs, which ``write_task`` keeps beside its result.

        Args:
            kept: Whether there are any to be kept; there is no folder otherwise.

        Raises:
            BadInput: It cannot be made.
        """
        if not kept:
            yield None
            return
        folder = self._own / f".predictions{_UNFINISHED}"
        try:
            folder.mkdir()
        except OSError as error:
            raise BadInput(f"cannot write to {self._own}: {error.strerror}; choose another --output") from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def journal(
        self, task: str, settings: Mapping[str, Any], before: Mapping[str, Any] | None = None
    ) -> tuple[Path, str]:
        """Path of the journal of a running task with these settings, and the digest that the file names.

        An earlier FlagBench may have begun the file, under the digest of the same settings as they were written then.

        Args:
            task: Name.
            settings: All that moves its score.
            before: The same, as they were written before data had digests of their bytes; None for none.
        """
        written = [settings, before, former(before or settings)]
        digests = [settings_digest(each) for each in written if each is not None]
        files = [(self._own / "answers" / f"{task}.{digest}.jsonl", digest) for digest in digests]
        return next((each for each in files if each[0].is_file()), files[0])

    def read(self) -> RunRecord | None:
        """The record of earlier runs, as today's; None when there is none.

        Raises:
            BadInput: The file is damaged or of a later version, or of another model whose folder has the same name.
        """
        if not os.path.lexists(self.run_file):
            return None
        fix = "move it away, or use another --output"
        text = read_text(self.run_file, fix)
        try:
            record = RunRecord.from_json(text)
        except ValueError as error:
            raise BadInput(f"{self.run_file} cannot be read ({in_one_line(error)}); {fix}") from error
        if record.model != self._model:  # "/" and "__" are one in a folder's name, as are " " and "_"
            raise BadInput(
                f"{self.run_file} is of the model '{record.model}', and '{self._model}' has the same folder: "
                f"{_ELSEWHERE}, or another name"
            )
        return record

    def finished(self, record: RunRecord | None, task: str, digest: str, files: Iterable[str]) -> bool:
        """Tell whether a task has a result with these settings, and these files, and has not failed since."""
        known = record.tasks.get(task) if record else None
        return bool(
            known
            and known.status == "success"
            and not known.later_error
            and known.digest == digest
            and set(files) <= set(known.files)
            and self._stands(known)
        )

    def _stands(self, record: TaskRecord) -> bool:
        """Tell whether a finished task's files are there."""
        try:
            return bool(record.files) and all(inside(self.folder, name, _ELSEWHERE).is_file() for name in record.files)
        except BadInput:  # a link leads elsewhere, which ``prepare`` refuses
            return False

    def prepare(self) -> None:
        """Make the folder, keep other runs out of it until ``release``, and sweep up what a killed run left.

        Raises:
            BadInput: It cannot be written, a link in it leads out, or another run is writing to it.
        """
        inside(self._output, self._own.relative_to(self._output), _ELSEWHERE)
        check_links(self.folder)
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._own / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise BadInput(
                f"another run is writing to {self.folder}: wait for it, or choose another --output"
            ) from error
        except OSError as error:
            self.release()
            raise BadInput(f"cannot write to {self.folder}: {error.strerror}; choose another --output") from error
        for path in list(self.folder.rglob(f".*{_UNFINISHED}")):
            if "replaced" in path.relative_to(self.folder).parts:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other runs write to the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove_empty(self) -> None:
        """Remove the folder of a run that has recorded nothing; what lies there all the same stays."""
        if os.path.lexists(self.run_file):
            return
        with suppress(OSError):  # something lies there
            (self._own / ".lock").unlink()
            for folder in (self._own, self.folder, self.folder.parent):
                folder.rmdir()

    def write_task(
        self,
        run: RunRecord,
        record: TaskRecord,
        files: Mapping[str, str],
        former_digest: str = "",
        predictions: Path | None = None,
    ) -> RunRecord:
        """Store a finished or failed task and return the record with it.

        Result files come first and run.json last, each whole or not at all, so that a task counts as finished only
        when its files are there. Where another result stands, run.json says first that it does no longer: a kill
        between two files leaves none that is of another run than its score. A result made with other settings moves to
        ``replaced/``, and the predictions that were kept of it go; one made with the same settings keeps the files and
        scores that the new one lacks (of other splits).

        Args:
            run: The record so far.
            record: The task.
            files: Text by file name, in the model's folder; empty for a failed task, which touches none.
            former_digest: Of the same settings as an earlier FlagBench wrote them; empty for none.
            predictions: Folder of those that the task has made; None where none are kept.

        Raises:
            BadInput: The disk is full or the folder cannot be written.
        """
        digests = {name: text_digest(files[name]) for name in record.files if name in files}
        record = replace(record, file_digests={**record.file_digests, **digests})
        before = run.tasks.get(record.name)
        stands = before is not None and before.status != "error"
        if not files and before and stands and self._stands(before):
            # A failed attempt does not take the place of a result that stands, and is not forgotten.
            return self._recorded(run, replace(before, later_error=record.error or "no reason was given"))
        alike = before is not None and stands and before.digest in (record.digest, former_digest)
        if files and before and stands:
            lost = replace(before, later_error=_REPLACED) if alike else _unfinished(record)
            self._recorded(run, lost)
        if files and before and not alike:
            for name in before.files:
                self._set_aside(name, before.digest)
        elif files and before and before.status == "success":
            record = replace(
                record,
                files=tuple(dict.fromkeys((*before.files, *record.files))),
                scores={**before.scores, **record.scores},
            )
            record = replace(
                record,
                file_digests={**before.file_digests, **record.file_digests},
                interval=merged(before, record),
            )
            if not record.data.get("labels") and before.data.get("labels"):  # of a split that did not run again
                record = replace(record, data={**record.data, "labels": before.data["labels"]})
        if files:
            self._keep_predictions(record.name, predictions, alike=alike)
        for name, text in files.items():
            path = self.folder / check_name(name)
            _make_folder(path)
            write_atomic(path, text)
        return self._recorded(run, record)

    def _recorded(self, run: RunRecord, record: TaskRecord) -> RunRecord:
        """The run with a task, on disk."""
        run = replace(run, tasks={**run.tasks, record.name: record})
        write_atomic(self.run_file, run.to_json())
        return run

    def _keep_predictions(self, task: str, made: Path | None, *, alike: bool) -> None:
        """Put the predictions of a result in the place of those that are there, which are kept only of one alike."""
        if made is not None or not alike:
            (self.folder / predictions_file(task)).unlink(missing_ok=True)
        for file in sorted(made.iterdir()) if made is not None else ():
            target = self._own / "predictions" / file.name
            _make_folder(target)
            file.replace(target)

    def _set_aside(self, name: str, digest: str) -> None:
        """Move a result file of other settings to ``replaced/``, with their digest in its name."""
        old, kept = self.folder / check_name(name), self._own / "replaced" / name
        if old.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            old.replace(kept.with_name(f"{kept.stem}.{digest}{kept.suffix}"))


def _unfinished(record: TaskRecord) -> TaskRecord:
    """What is recorded of a task while its result is written over one of other settings."""
    kept = {part: getattr(record, part) for part in ("name", "kind", "settings", "digest", "finished", "average")}
    return TaskRecord(**kept, status="error", error=_REPLACED)


def _make_folder(path: Path) -> None:
    """Make the folder of a file.

    Raises:
        BadInput: It cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; choose another --output") from error


def check_target(flag: str, path: Path | None, *, overwrite: bool) -> None:
    """See that a file that the user names can be written, before the work.

    Args:
        flag: Which flag names it, for messages.
        path: The file; None for none.
        overwrite: One that is there may be replaced.

    Raises:
        BadInput: It is there already, is the record of a run, or has no folder.
    """
    if path is None:
        return
    if path.name == "run.json" and path.exists():
        raise BadInput(f"{flag} {path} is the record of a run: use another file")
    if path.exists() and not (overwrite and path.is_file()):
        raise BadInput(f"{flag} {path} exists already: use --overwrite, or another file")
    if not path.parent.is_dir():
        raise BadInput(f"{flag} {path}: {path.parent} is not a folder; make it, or use another file")


def write_atomic(path: Path, text: str) -> None:
    """Write a file whole or not at all: a kill at any instant leaves the old file or the new one.

    Raises:
        BadInput: The disk is full or the folder cannot be written.
    """
    try:
        with replacing(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(f"cannot write {path}: it would hold a name that is not UTF-8; rename the folder") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside a path, which takes its place when it is written and is removed when it is not.

    Raises:
        BadInput: The disk is full or the folder cannot be written.
    """
    name = ""
    handle: int | None = None
    try:
        clear_abandoned(path.parent, f".{path.name}.")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
        hold(handle)
        yield Path(name)
        with Path(name).open("rb") as file:
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BadInput(f"cannot write {path}: {error.strerror}; free space or choose another --output") from error
        raise
    finally:
        if handle is not None:
            os.close(handle)


def hold(handle: int) -> None:
    """Mark an unfinished file or folder as that of a living process, which it is until the handle is closed."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def clear_abandoned(folder: Path, prefix: str) -> None:
    """Remove unfinished files and folders that a killed process left.

    Args:
        folder: Where they lie.
        prefix: That their names begin with; they end in ``.unfinished``.

    Raises:
        OSError: The folder cannot be read.
    """
    for path in folder.iterdir():
        if not (path.name.startswith(prefix) and path.name.endswith(_UNFINISHED)) or path.is_symlink():
            continue
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:  # it is gone, or another user's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:  # somebody is writing it
            continue
        finally:
            os.close(handle)
