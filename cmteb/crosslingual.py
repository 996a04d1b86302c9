"""T2Reranking across languages, which the C-MTEB scripts ran and mteb does not have.

The repos are in C-MTEB's first form, one row a query: ``query``, ``positive`` (list), ``negative`` (list). Queries
without a positive or without a negative are left out, as mteb does for that form.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset, load_dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata


def _metadata(name: str, dataset: str, language: str) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description="T2Ranking with queries and passages in different languages",
        reference="https://github.com/FlagOpen/FlagEmbedding/tree/master/research/C_MTEB",
        dataset={"path": dataset, "revision": "main"},
        type="Reranking",
        category="t2t",
        modalities=["text"],
        eval_splits=["dev"],
        eval_langs=[language],
        main_score="map_at_1000",
    )


class _CrossLingualReranking(AbsTaskRetrieval):
    """Builds queries, candidates and qrels of the one split from rows in the first form."""

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        """Read the rows; ids put negatives before positives where trec_eval breaks ties, as mteb's do."""
        if self.data_loaded:
            return
        rows = load_dataset(**self.metadata.dataset)
        self.dataset = {"default": {split: _split(rows[split], split) for split in self.metadata.eval_splits}}
        self.data_loaded = True


class T2RerankingZh2En(_CrossLingualReranking):
    """Chinese queries, English passages."""

    metadata = _metadata("T2RerankingZh2En", "C-MTEB/T2Reranking_zh2en", "cmn-Hans")


class T2RerankingEn2Zh(_CrossLingualReranking):
    """English queries, Chinese passages."""

    metadata = _metadata("T2RerankingEn2Zh", "C-MTEB/T2Reranking_en2zh", "cmn-Hans")


TASKS: dict[str, type[AbsTaskRetrieval]] = {"T2RerankingZh2En": T2RerankingZh2En, "T2RerankingEn2Zh": T2RerankingEn2Zh}


def _split(rows: Dataset, split: str) -> RetrievalSplitData:
    queries: list[dict[str, str]] = []
    corpus: list[dict[str, str]] = []
    qrels: dict[str, dict[str, int]] = {}
    candidates: dict[str, list[str]] = {}
    for number, (query, positives, negatives) in enumerate(
        zip(rows["query"][:], rows["positive"][:], rows["negative"][:], strict=True)
    ):
        if not positives or not negatives:
            continue
        query_id = f"{split}_query{number}"
        judged = {f"apositive_{query_id}_{place:05}": (text, 1) for place, text in enumerate(positives)}
        judged |= {f"negative_{query_id}_{place:05}": (text, 0) for place, text in enumerate(negatives)}
        queries.append({"id": query_id, "text": query})
        corpus += [{"id": passage_id, "title": "", "text": text} for passage_id, (text, _) in judged.items()]
        qrels[query_id] = {passage_id: relevance for passage_id, (_, relevance) in judged.items()}
        candidates[query_id] = list(judged)
    return {
        "corpus": Dataset.from_list(corpus),
        "queries": Dataset.from_list(queries),
        "relevant_docs": qrels,
        "top_ranked": candidates,
    }
