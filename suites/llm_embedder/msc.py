"""Long conversations: the answer of a dialogue, predicted with one of its earlier turns before the question.

The perplexity is the exponential of the mean over dialogues of the mean loss of the answer's tokens (FlagEmbedding,
``research/llm_embedder``, evaluation/eval_msc.py and src/lm/modeling_srlm.py). The scored tokens are as many from the
end as the answer alone has. What is longer than 2,048 tokens loses its end, and with it tokens of the answer.
"""

from __future__ import annotations

from flagbench.models.prompts import Window
from flagbench.runners.search.ranking import Texts
from flagbench.suites.llm_embedder.cutting import CONTEXT, whole_text
from flagbench.suites.llm_embedder.reader import per_token
from flagbench.suites.llm_embedder.reader_task import ReaderTask, Scored, best_rows, scored_losses


def score(task: ReaderTask) -> Scored:
    """Retrieve, and score the answers of a task.

    Args:
        task: What is read, by whom, with what.
    """
    rows = {each.id: each.row for each in task.data.asked}
    history = {id_: [turn.strip() for turn in row["history"]] for id_, row in rows.items()}
    found = _retrieved(task, history) if task.knowledge else {}
    tokens = task.reader.tokens
    windows: dict[str, Window] = {}
    cut = 0
    for id_, row in rows.items():
        query, answer = row["query"].strip(), row["answers"][0].strip()
        before = "".join(f"{history[id_][turn]}\n" for turn in sorted(found.get(id_, ())))
        ids = whole_text(tokens, f"{before}Speaker 1: {query}\nSpeaker 2: {answer}")
        cut += len(ids) > CONTEXT
        ids = ids[:CONTEXT]
        windows[id_] = Window(tuple(ids), min(len(tokens.encode(answer)), len(ids)))
    losses = task.reader.losses(list(windows), lambda id_: windows[id_])
    said = f"{cut:,} of {len(rows):,} dialogues are longer than {CONTEXT:,} tokens and lose their end"
    return scored_losses({id_: per_token(loss) for id_, loss in losses.items()}, [said] if cut else [])


def _retrieved(task: ReaderTask, history: dict[str, list[str]]) -> dict[str, list[int]]:
    """Numbers of the turns that are found, by dialogue."""
    queries = {each.id: each.row["query"].strip() for each in task.data.asked if history[each.id]}
    found: dict[str, list[int]] = {}
    for group in task.groups(list(queries)):
        turns = {f"{id_}/{number}": turn for id_ in group for number, turn in enumerate(history[id_])}
        candidates = {id_: [f"{id_}/{number}" for number in range(len(history[id_]))] for id_ in group}
        asked = Texts(list(group), [queries[id_] for id_ in group])
        run = task.retrieve(asked, Texts(list(turns), list(turns.values())), candidates)
        found |= {id_: best_rows(hits, task.row.hits) for id_, hits in run.items()}
    return found
