"""What RULER's tasks are made of: essays, questions on paragraphs, and words; read from the data, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import AbsentData, BadData
from flagbench.files import MIB, inside, parse_json, read_bytes, shown_files
from flagbench.runners.data.sources import Folder
from flagbench.suites.longctx.haystack import Haystack, read_haystack
from flagbench.suites.longctx.ruler.questions import Library, Question
from flagbench.suites.longctx.ruler.settings import CommonWords, Needles, Questions, Settings

if TYPE_CHECKING:
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions

_LARGEST = 512 * MIB
_FIX = "copy the file again"

_FILES: Mapping[str, tuple[str, ...]] = {
    "squad": ("squad.json", "dev-v2.0.json"),
    "hotpotqa": ("hotpotqa.json", "hotpot_dev_distractor_v1.json"),
    "words": ("english_words.json",),
}
"""As RULER's scripts name them, and as their authors do."""

PUBLISHED: Mapping[str, frozenset[str]] = {
    "squad": frozenset({"80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8"}),
    # As HotpotQA's authors had it, and the copy on the hub that RULER takes where their server does not answer.
    "hotpotqa": frozenset(
        {
            "4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea",
            "e3da074df24e8369009918aa5cdbdd254dadcde4c63f7569d36afd6f2268caa8",
        }
    ),
    "words": frozenset({"affcd6d45fdf3cc843d585c99c97ad615094e760e6c4756b654bab6c73bc2eca"}),
}
"""SHA-256 of the files that RULER's scripts download."""


@dataclass(frozen=True)
class Material:
    """What a task is made of.

    Attributes:
        essays: The haystack; None where the task has none of essays.
        library: Of the tasks with questions; None for others.
        words: RULER's English words, for long lists; empty where they are not needed or not there.
        digest: SHA-256 of the file; empty for none.
        published: Whether that is the file which RULER's scripts download.
    """

    essays: Haystack | None = None
    library: Library | None = None
    words: tuple[str, ...] = ()
    digest: str = ""
    published: bool = False


def read_material(
    settings: Settings, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None
) -> Material:
    """Read and check what a task is made of.

    Args:
        settings: Of the task.
        source: With RULER's files of data, wherever below it, such as a checkout of NVIDIA/RULER whose scripts fetched
            them.
        options: Of the run.
        fault: Is given a line for each faulty question; None has the first one raised.

    Raises:
        AbsentData: A file that the task cannot do without is not there.
        BadData: A file cannot be used.
    """
    if isinstance(settings, Needles):
        return Material(essays=read_haystack(source, options) if settings.haystack == "essay" else None)
    if isinstance(settings, Questions):
        path = _found(settings.dataset, source)
        if path is None:
            names = " or ".join(_FILES[settings.dataset])
            raise AbsentData(f"{names} is not there: put it into NVIDIA/RULER of --data")
        content, digest = _read(path)
        read = _squad if settings.dataset == "squad" else _hotpotqa
        library = read(content, _Faults(path, fault))
        if not library.questions:
            raise BadData(f"{path} has no question that can be answered: {_FIX}")
        return Material(library=library, digest=digest, published=digest in PUBLISHED[settings.dataset])
    if isinstance(settings, CommonWords) and (path := _found("words", source)):
        content, digest = _read(path)
        if not (isinstance(content, dict) and all(isinstance(word, str) for word in content.values())):
            raise BadData(f"{path} is not an object of words: {_FIX}")
        return Material(words=tuple(content.values()), digest=digest, published=digest in PUBLISHED["words"])
    return Material()


def _found(name: str, source: Source) -> Path | None:
    """The first file of one of the names below a folder; the hub has none of them."""
    if not (isinstance(source, Folder) and source.path.is_dir()):
        return None
    files = shown_files(source.card(), "remove it", error=BadData)
    path = next((path for path in files if path.name in _FILES[name]), None)
    return path and inside(source.path, path.relative_to(source.path), _FIX, error=BadData)


def _read(path: Path) -> tuple[Any, str]:
    """The value of a JSON file, and its SHA-256."""
    content = read_bytes(path, _FIX, largest=_LARGEST, error=BadData)
    if content.startswith(b"version https://git-lfs"):
        raise BadData(f"{path} is a pointer of Git LFS: fetch the file itself with 'git lfs pull'")
    try:
        return parse_json(content), hashlib.sha256(content).hexdigest()
    except ValueError as cause:
        raise BadData(f"{path} {cause}: {_FIX}") from cause


class _Faults:
    """Whom faulty rows are told to."""

    def __init__(self, path: Path, fault: Callable[[str], None] | None) -> None:
        self.path = path
        self._fault = fault

    def __call__(self, line: str) -> None:
        """Tell of one.

        Raises:
            BadData: Nobody wants to hear of them.
        """
        if self._fault is None:
            raise BadData(f"{self.path}: {line}; {_FIX}")
        self._fault(f"{self.path.name}: {line}")


def _squad(content: Any, faults: _Faults) -> Library:
    """Questions of SQuAD 2.0 that have an answer, with the paragraphs of their article."""
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise BadData(f"{faults.path} is not an object with a list of articles as its data: {_FIX}")
    kept: list[tuple[list[str], list[tuple[str, dict[str, Any]]]]] = []
    for number, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not (isinstance(paragraphs, list) and all(_is_paragraph(each) for each in paragraphs)):
            faults(f"article {number} (counted from 0) is not an object with paragraphs of a context and qas")
            continue
        asked = [(each["context"], qa) for each in paragraphs for qa in each["qas"]]
        good = [(context, qa) for context, qa in asked if _is_answerable(qa, number, faults)]
        kept.append(([each["context"] for each in paragraphs], good))
    texts = sorted({context for contexts, _ in kept for context in contexts})
    places = {text: place for place, text in enumerate(texts)}
    questions = [
        Question(
            text=qa["question"],
            answers=tuple(answer["text"] for answer in qa["answers"]),
            needed=(places[context],),
            near=tuple(places[other] for other in contexts if other != context),
        )
        for contexts, asked in kept
        for context, qa in asked
    ]
    return Library(questions, texts)


def _is_paragraph(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("context"), str) and isinstance(value.get("qas"), list)


def _is_answerable(qa: Any, article: int, faults: _Faults) -> bool:
    """Whether a question has an answer; one that is no question is told."""
    if isinstance(qa, dict) and qa.get("is_impossible") is True:
        return False
    answers = qa.get("answers") if isinstance(qa, dict) else None
    if (
        isinstance(qa, dict)
        and isinstance(qa.get("question"), str)
        and isinstance(qa.get("is_impossible"), bool)
        and isinstance(answers, list)
        and answers
        and all(isinstance(answer, dict) and _is_text(answer.get("text")) for answer in answers)
    ):
        return True
    faults(f"article {article} (counted from 0) has a question without question, is_impossible and answers with texts")
    return False


def _hotpotqa(content: Any, faults: _Faults) -> Library:
    """Questions of HotpotQA's development set, with the paragraphs that come with each."""
    if not isinstance(content, list):
        raise BadData(f"{faults.path} is not a list of questions: {_FIX}")
    rows = [row for number, row in enumerate(content) if _is_row(row, number, faults)]
    own = [[f"{title}\n{''.join(sentences)}" for title, sentences in row["context"]] for row in rows]
    texts = sorted({text for each in own for text in each})
    places = {text: place for place, text in enumerate(texts)}
    questions = [
        Question(row["question"], (row["answer"],), tuple(places[text] for text in each))
        for row, each in zip(rows, own, strict=True)
    ]
    return Library(questions, texts)


def _is_row(row: Any, number: int, faults: _Faults) -> bool:
    context = row.get("context") if isinstance(row, dict) else None
    if (
        isinstance(row, dict)
        and isinstance(row.get("question"), str)
        and _is_text(row.get("answer"))
        and isinstance(context, list)
        and context
        and all(
            isinstance(each, list)
            and len(each) == 2
            and isinstance(each[0], str)
            and isinstance(each[1], list)
            and all(isinstance(sentence, str) for sentence in each[1])
            for each in context
        )
    ):
        return True
    faults(f"row {number} (counted from 0) has no question, answer and context of [title, sentences]")
    return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def of_texts(texts: Sequence[str]) -> str:
    """SHA-256 of texts in order."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(b"%d:" % len(encoded) + encoded)
    return digest.hexdigest()
