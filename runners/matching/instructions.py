"""Instructions that servers are known to put before texts: those that one is looked for among."""

from __future__ import annotations

from flagbench.models.spec import ModelSpec

_OF_THE_FIELD = (
    # BGE v1 and v1.5 (FlagEmbedding), also of mxbai-embed and snowflake-arctic-embed.
    "Represent this sentence for searching relevant passages: ",
    "为这个句子生成表示以用于检索相关文章：",
    # E5 and multilingual E5 (model cards on the hub).
    "query: ",
    "passage: ",
    # nomic-embed-text v1.5 (model card).
    "search_query: ",
    "search_document: ",
    # Qwen3-Embedding (model card; config_sentence_transformers.json).
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
    # EmbeddingGemma (model card).
    "task: search result | query: ",
    "title: none | text: ",
)

_MOST = 16


def known_instructions(spec: ModelSpec) -> tuple[str, ...]:
    """Instructions by which a server may differ: the checkpoint's own first, then those of the field; each once.

    Args:
        spec: Of the checkpoint.
    """
    own = [spec.instruction("", "Retrieval", role) for role in ("query", "passage")]
    own += [text for _, text in spec.prompts][: _MOST - len(own)]
    return tuple(dict.fromkeys(text for text in (*own, *_OF_THE_FIELD) if text))
