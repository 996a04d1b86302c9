"""InfiniteBench's folder of predictions: ``<model>/preds_<task>.jsonl``.

Source: https://github.com/OpenBMB/InfiniteBench at 88b3daa, src/eval_yarn_mistral.py and compute_scores.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flagbench import BadData
from flagbench.suites.longctx.infinitebench import checked_label
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer
from flagbench.suites.longctx.submission.lines import line


def files(model: str, answers: Mapping[str, Sequence[Answer]]) -> Mapping[str, str]:
    """The files of a run.

    Args:
        model: Name of the model in the folder; no path. compute_scores.py takes the names of its README alone.
        answers: By task, of those of InfiniteBench, in the order of the data.

    Returns:
        Texts by path.

    Raises:
        BadData: A saved answer is none of the task's.
    """
    made = {}
    for name, its in answers.items():
        task = row_of(name).part
        made[f"{model}/preds_{task}.jsonl"] = "".join(_line(task, each) for each in its)
    return made


def _line(task: str, answer: Answer) -> str:
    label = checked_label(task, answer.facts.get("label"))
    if not (answer.id.isascii() and answer.id.isdigit() and len(answer.id) < 16):
        raise BadData(f"the answer '{answer.id:.40}' is of no row of {task}: run the task again")
    return line({"id": int(answer.id), "prediction": answer.text, "ground_truth": label})
