"""The tasks of mteb that have miniature data, as rows: they are listed without mteb, whose import takes seconds.

A run takes its rows from mteb; a test holds these to it, but for the revision, which miniature data has not.
"""

from __future__ import annotations

from flagbench.models.inputs import Modality
from flagbench.runners.task import Task

LANGUAGE = "eng"
"""Of all of them, ISO 639-3."""

_IMAGES: tuple[Modality, ...] = ("image",)
_BOTH: tuple[Modality, ...] = ("text", "image")


def _row(name: str, kind: str, dataset: str, main_score: str, modalities: tuple[Modality, ...] = _BOTH) -> Task:
    return Task(name, kind, dataset, "main", ("test",), main_score, group="mteb", modalities=modalities)


ROWS = (
    _row("TUBerlinT2IRetrieval", "Any2AnyRetrieval", "mteb/tu-berlin", "ndcg_at_10"),
    _row("CIRRIT2IRetrieval", "Any2AnyRetrieval", "mteb/mbeir_cirr_task7", "ndcg_at_10"),
    _row("VidoreArxivQARetrieval", "DocumentUnderstanding", "mteb/arxivqa_test_subsampled_beir", "ndcg_at_5"),
    _row("CVBenchCount", "VisionCentricQA", "mteb/CV-Bench", "accuracy"),
    _row("CIFAR10", "ImageClassification", "mteb/cifar10", "accuracy", _IMAGES),
    _row("CIFAR10ZeroShot", "ZeroShotClassification", "mteb/cifar10", "accuracy"),
    _row("CIFAR10Clustering", "ImageClustering", "mteb/cifar10", "nmi", _IMAGES),
    _row("STS12VisualSTS", "VisualSTS(eng)", "mteb/rendered-sts12", "cosine_spearman", _IMAGES),
    _row("Winoground", "Compositionality", "facebook/winoground", "accuracy"),
)

TASKS = tuple(row.name for row in ROWS)
"""Their names."""
