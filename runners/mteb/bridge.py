"""Our adapter as mteb's own tasks want it: mteb's encoder, search and cross-encoder protocols over our own calls.

mteb decides what is encoded, with which role, and how it is scored; which instruction goes before which text, the
search and the forward passes are ours.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from flagbench.models.baselines.analysis import iso_639_1
from flagbench.models.contract import Role, Scorer
from flagbench.models.inputs import Input
from flagbench.models.ranking import Retrieval
from flagbench.models.spec import ModelSpec, joint_name
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.texts import ItemColumn, TextColumn, TitledTexts
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder, score_pairs
from flagbench.runners.mteb.quantised import Quantiser
from flagbench.runners.mteb.rows_to_encode import modules_of_mteb, rows_of
from flagbench.runners.progress import Progress
from flagbench.runners.search.hits import Run
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever

_MODEL_TYPES: Mapping[Retrieval, str] = {
    "dense": "dense",
    "sparse": "sparse",
    "colbert": "late-interaction",
    "hybrid": "hybrid",
}
UNKNOWN_LANGUAGE = "und"
"""ISO 639-2 of a language that is not known: mteb's tasks name one."""

_ROLES: dict[str | None, Role] = {"query": "query", "document": "passage", None: "symmetric"}


def model_meta(spec: ModelSpec, reranker: ModelSpec | None = None) -> Any:
    """mteb's ModelMeta of a model, filled from its spec.

    Args:
        spec: Effective settings.
        reranker: Settings of the reranker behind an encoder, None for none.
    """
    from mteb.models.model_meta import ModelMeta

    name, revision = joint_name(spec, reranker)
    values = ModelMeta.create_empty().model_dump() | {
        "name": name,
        "revision": revision,
        "max_tokens": spec.passage_max_length or None,
        "license": spec.licence or None,
        "similarity_fn_name": spec.similarity if spec.ability == "encode" else None,
        "use_instructions": bool(spec.prompts),
        "framework": ["PyTorch", "Transformers", "safetensors"] if spec.has_files else [],
        "model_type": _model_type(spec),
    }
    return ModelMeta.model_validate(values)


def _model_type(spec: ModelSpec) -> list[str]:
    """mteb's types of a model; none of rankings that were made before."""
    if spec.ability == "encode":
        return [_MODEL_TYPES[spec.ranking.retrieval]]
    return {"score": ["cross-encoder"], "search": ["sparse"]}.get(spec.ability, [])


class SearchBridge:
    """mteb's SearchProtocol: mteb searches through it where a task retrieves.

    Attributes:
        mteb_model_meta: See ``model_meta``.
        retriever: What searches, and what it knows of the last search.
        queries: Ids of all queries by split and subset, of which mteb hands on those with labels; rankings that were
            made before may have others.
        labels: What gives the labels of the queries of a split and subset; None where they are not known.
        title_separator: What stands between a passage's title and its text.
    """

    title_separator = " "

    def __init__(self, retriever: Retriever, evaluated: EvaluatedModel) -> None:
        reranker = evaluated.reranker
        self.mteb_model_meta = model_meta(evaluated.adapter.spec, reranker.spec if reranker else None)
        self.retriever = retriever
        self.queries: Mapping[tuple[str, str], Sequence[str]] = {}
        self.labels: Callable[[str, str], Mapping[str, Mapping[str, float]]] | None = None
        self._corpus: Any = None

    def index(self, corpus: Any, **_: Any) -> None:
        """Take the corpus of a retrieval or reranking task; it is read when the search comes.

        Args:
            corpus: Dataset with ``id``, ``text`` and maybe ``title``, or ``image``.
        """
        self._corpus = corpus

    def search(
        self,
        queries: Any,
        *,
        task_metadata: Any,
        top_k: int,
        hf_split: str = "test",
        hf_subset: str = "default",
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> Run:
        """Rank the corpus for each query, or each query's candidates where the task gives them.

        Args:
            queries: Dataset with ``id`` and ``text``, or ``image``.
            task_metadata: Name and type of the task choose the instructions, its language how words are made.
            top_k: Passages kept per query.
            hf_split: Split of the task.
            hf_subset: Subset of the task; it may have a language of its own.
            top_ranked: Candidates per query (reranking tasks).

        Returns:
            ``{query id: {passage id: score}}``.
        """
        task = (task_metadata.name, task_metadata.type)
        query_texts = Texts(list(queries["id"]), query_inputs(queries, task_metadata))
        passages = Texts(list(self._corpus["id"]), passage_inputs(self._corpus, task_metadata, self.title_separator))
        self._corpus = None
        if self.retriever.replays:
            part = (task_metadata.name, hf_split, hf_subset)
            every = self.queries.get((hf_split, hf_subset), ())
            run = self.retriever.replay(part, query_texts.ids, passages.ids, top_ranked, top_k=top_k, unjudged=every)
        else:
            language = _language(task_metadata, hf_subset)
            run = self.retriever.retrieve(task, query_texts, passages, top_ranked, top_k=top_k, language=language)
        labels = self.labels(hf_split, hf_subset) if self.labels else None
        self.retriever.note_empty((hf_split, hf_subset), run, query_texts.ids, labels)
        return self.retriever.rerank(task, run, query_texts, passages, below="kept")


class EncoderBridge(SearchBridge):
    """mteb's EncoderProtocol beside its SearchProtocol.

    Attributes:
        quantiser: Quantises the vectors of tasks that do not search; None to give floats.
    """

    def __init__(self, encoder: TextEncoder, evaluated: EvaluatedModel, progress: Progress) -> None:
        super().__init__(Retriever(encoder, evaluated, progress), evaluated)
        self._encoder = encoder
        self._spec = encoder.adapter.spec
        self.quantiser: Quantiser | None = None

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, hf_subset: str = "default", **_: Any
    ) -> NDArray[np.float32]:
        """Embed the inputs of an mteb DataLoader, in its order.

        Args:
            inputs: DataLoader of mteb's ``create_dataloader``, not shuffled.
            task_metadata: Name and type of the task choose the instruction.
            prompt_type: Role of the inputs; None for symmetric tasks.
            hf_subset: Subset of the task.

        Returns:
            ``float32[n, d]``.
        """
        role = _ROLES[prompt_type.value if prompt_type is not None else None]
        encode = functools.partial(self._encode, _loader_inputs(inputs), task_metadata, role)
        return self.quantiser.vectors(encode, hf_subset) if self.quantiser else encode()

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Similarity matrix ``[n, m]`` of two sets of vectors."""
        from mteb.similarity_functions import cos_sim, dot_score

        if self._spec.similarity != "cosine":
            return dot_score(embeddings1, embeddings2)
        return self._exactly(cos_sim(embeddings1, embeddings2), embeddings1)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Similarities ``[n]`` of vectors in step, by mteb's own functions: their rounding decides ties of equal texts,
        and with them the fourth digit of a correlation. torch comes with them, also where all vectors are cached.
        """
        from mteb.similarity_functions import pairwise_cos_sim, pairwise_dot_score

        if self._spec.similarity != "cosine":
            return pairwise_dot_score(embeddings1, embeddings2)
        return self._exactly(pairwise_cos_sim(embeddings1, embeddings2), embeddings1)

    def _exactly(self, cosines: Any, embeddings: Any) -> Any:
        return self.quantiser.similarities(cosines, embeddings) if self.quantiser else cosines

    def _encode(self, texts: Sequence[Input], task_metadata: Any, role: Role) -> NDArray[np.float32]:
        instruction = self._spec.instruction(task_metadata.name, task_metadata.type, role)
        return self._encoder.encode(texts, role=role, instruction=instruction)


class CrossEncoderBridge:
    """mteb's CrossEncoderProtocol over an adapter that scores pairs."""

    def __init__(self, adapter: Scorer, progress: Progress, cache: EmbeddingCache | None) -> None:
        self.mteb_model_meta = model_meta(adapter.spec)
        self._adapter = adapter
        self._progress = progress
        self._cache = cache

    def predict(self, inputs1: Any, inputs2: Any, *, task_metadata: Any, **_: Any) -> NDArray[np.float32]:
        """Relevance of pairs in step.

        Args:
            inputs1: DataLoader of queries.
            inputs2: DataLoader of passages, as many.
            task_metadata: Name and type of the task choose the instruction.

        Returns:
            ``float32[n]``.
        """
        spec = self._adapter.spec
        pairs = list(zip(_loader_inputs(inputs1), _loader_inputs(inputs2), strict=True))
        instruction = spec.instruction(task_metadata.name, task_metadata.type, "query")
        return score_pairs(self._adapter, pairs, instruction=instruction, progress=self._progress, cache=self._cache)


@contextmanager
def quiet() -> Iterator[None]:
    """While it lasts, mteb draws no progress bars (FlagBench has its own), logs errors only, and warns of nothing."""
    import datasets
    from tqdm.auto import tqdm

    logger = logging.getLogger("mteb")
    silent = functools.partial(tqdm, disable=True)
    with ExitStack() as stack:
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        if datasets.are_progress_bars_disabled() is False:
            stack.callback(datasets.enable_progress_bars)
            datasets.disable_progress_bars()
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # rare labels, superseded versions, lazy columns
        for module in modules_of_mteb().values():
            if "tqdm" in vars(module):
                stack.enter_context(patch.object(module, "tqdm", silent))
        yield


def passage_texts(corpus: Any, separator: str = " ") -> Sequence[str]:
    """Passages as a model reads them: title and text joined, then stripped.

    Args:
        corpus: Dataset with ``text`` and maybe ``title``; its rows are read when they are asked for.
        separator: What stands between the two; mteb has a space.
    """
    columns = ["title", "text"] if "title" in corpus.column_names else ["text"]
    table = corpus.select_columns(columns).with_format("arrow")[:]
    titles = TextColumn(table.column("title")) if len(columns) > 1 else None
    return TitledTexts(TextColumn(table.column("text")), titles, separator)


def passage_inputs(corpus: Any, task_metadata: Any, separator: str = " ") -> Sequence[Input]:
    """Passages as a model reads them: texts, images or both, as the task says.

    Args:
        corpus: Dataset with ``text`` and maybe ``title``, with ``image``, or with all of them.
        task_metadata: Of the task.
        separator: What stands between a title and a text.
    """
    from mteb.types import PromptType

    modalities = task_metadata.get_modalities(PromptType.document)
    if "image" not in modalities:
        return passage_texts(corpus, separator)
    return _items(corpus, passage_texts(corpus, separator) if "text" in modalities else None)


def query_inputs(queries: Any, task_metadata: Any) -> Sequence[Input]:
    """Queries as a model reads them; mteb itself joins conversations and per-query instructions.

    Args:
        queries: Dataset with ``text``, ``image`` or both.
        task_metadata: Of the task.
    """
    from mteb.types import PromptType

    modalities = task_metadata.get_modalities(PromptType.query)
    if "image" not in modalities:
        return _loader_inputs(rows_of(queries, task_metadata=task_metadata, prompt_type=PromptType.query))
    texts = None
    if "text" in modalities:
        others = queries.remove_columns(["image"])  # mteb would copy each image to a row of its own
        texts = list(rows_of(others, task_metadata=task_metadata, prompt_type=PromptType.query).dataset["text"][:])
    return _items(queries, texts)


def _language(task_metadata: Any, subset: str) -> str:
    """ISO 639-1 of a task's subset; empty where it has several languages, or none is given."""
    codes = task_metadata.hf_subsets_to_langscripts.get(subset) or ()
    languages = {iso_639_1(code) for code in codes if code != UNKNOWN_LANGUAGE}
    return languages.pop() if len(languages) == 1 else ""


def _loader_inputs(loader: Any) -> Sequence[Input]:
    """The inputs behind an unshuffled mteb DataLoader, which has dropped the columns that the task does not have."""
    rows = loader.dataset
    if hasattr(rows, "images") and not hasattr(rows, "column_names"):  # of pairs of images and texts, by themselves
        return ItemColumn(rows.images)
    if "image" not in rows.column_names:
        return list(rows["text"][:])
    return _items(rows, list(rows["text"][:]) if "text" in rows.column_names else None)


def _items(rows: Any, texts: Sequence[str] | None) -> Sequence[Input]:
    """Rows with an ``image``, read as they are stored when asked for, and none decoded."""
    from flagbench.runners.data.image_rows import ImageRows

    return ItemColumn((rows if isinstance(rows, ImageRows) else ImageRows.of(rows)).images_in("image"), texts)
