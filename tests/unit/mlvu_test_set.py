"""A test set of MLVU in its repo's layout, with as many questions as are published and labels beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flagbench.mlvu.registry import averaged

LABELS = Path("MLVU", "MLVU_Test", "test-ground-truth")


def choices() -> list[dict[str, Any]]:
    """All 502 rows of the labels of options. As on the hub, an answer is the text of a candidate."""
    rows = []
    for at, row in enumerate(averaged("test")):
        for number in range(row.rows):
            candidates = [f"{row.name} {number} option {each}" for each in range(6)]
            rows.append(
                {
                    "video": f"test_{row.file}_{number % 40}.mp4",
                    "duration": 300.5,
                    "question": f"What is {row.name} {number}?",
                    "candidates": candidates,
                    "answer": candidates[(number * (at + 1)) % 6],
                    "question_type": row.name,
                    "question_id": f"{row.file}_{number}",
                }
            )
    return rows


def scenes() -> list[dict[str, Any]]:
    """Rows of the labels of sub-scene captions; as on the hub, the open ones have no ids."""
    return [
        {
            "video": f"scene_{number}.mp4",
            "duration": 700,
            "question": f"What happens in scene {number}?",
            "answer": f"It is {number}.",
            "question_type": "subPlot",
            "scoring_points": [f"point {each}" for each in range(number + 1)],
        }
        for number in range(3)
    ]


def summaries() -> list[dict[str, Any]]:
    """Rows of the labels of summaries."""
    return [
        {
            "video": f"film_{number}.mp4",
            "duration": 700,
            "question": "Please summarize the main content of this video.",
            "answer": f"Film {number} ends well.",
            "question_type": "summary",
        }
        for number in range(2)
    ]


def write_test_set(root: Path, *, labels: bool = True) -> Path:
    """Write the files of questions, and those of labels; returns the data folder."""
    folder = root / LABELS.parent
    folder.mkdir(parents=True, exist_ok=True)
    hidden = ("answer", "scoring_points")
    files = {"test_multi_choice_tasks.json": choices(), "test_generation_tasks.json": [*scenes(), *summaries()]}
    for name, rows in files.items():
        bare = [{key: value for key, value in row.items() if key not in hidden} for row in rows]
        (folder / name).write_text(json.dumps(bare), encoding="utf-8")
    if labels:
        write_labels(root)
    return root


def write_labels(root: Path, **files: Any) -> Path:
    """Write the files of labels, some of them with other rows; returns their folder."""
    (root / LABELS).mkdir(parents=True, exist_ok=True)
    whole = {"test_mcq_gt": choices(), "test_ssc_gt": scenes(), "test_vs_gt": summaries()}
    for name, rows in (whole | files).items():
        (root / LABELS / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    return root / LABELS
