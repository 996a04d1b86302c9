"""Right or wrong, by the official rule and by a forgiving one; accuracies (0 to 1), M-Avg and G-Avg."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flagbench import BadInput
from flagbench.mlvu.loading import Question
from flagbench.mlvu.registry import Set, averaged
from flagbench.results.shares import Interval, wilson

Rule = Literal["official", "robust"]

# The official code counts from the letter before A, and this is what an answer that is no candidate comes to.
_NO_LETTER = "@"


def official(answer: str, question: Question) -> bool:
    """Tell whether the official code takes an answer for right, bug for bug.

    Where the answer has a ``)``, the character before the first one must be the gold letter, or else the whole answer
    must be it: ``A``, ``A) x`` and ``(A) x`` are right, ``a``, ``A.`` and ``(A`` are wrong. The gold letter is that of
    the last candidate equal to the answer, and ``@`` where none is. Source: ``check_ans`` of the multiple-choice
    evaluation of github.com/JUNJIE99/MLVU.

    Args:
        answer: What the model wrote, without the beginning that it was given.
        question: One whose answer is there; without, nothing is right.
    """
    if not question.labelled:
        return False
    before, bracket, _ = answer.partition(")")
    said = before[-1:] if bracket else answer
    return said == (question.gold or _NO_LETTER)


def robust(answer: str, question: Question) -> str | None:
    """The letter that an answer means; None where it means none, or more than one.

    Only letters of the question's options count. The first of these readings that finds something decides:

    1. the whole answer is a letter (``a``, ``(A)``, ``**A**``, ``A.``) or the text of an option;
    2. it says so: ``Answer: A``, ``the best option is (A)``; of several statements the last, as models correct theirs;
    3. letters are marked as options (``(A)``, ``A)``, ``option A``, ``A.`` at the start of a line, a letter at the
       start of the answer): those denied (``(B) no``, ``not (B)``) are dropped, then the one at the start of the
       answer counts, or else the only one. None counts where the answer starts with a choice of letters (``A or B``),
       or where every option is marked, and so just repeated;
    4. the text of exactly one option stands in it, as whole words; a text inside a longer one found does not count;
    5. exactly one capital letter stands alone, and is not the article ``A``.

    Thinking up to ``</think>`` is left out, and so is thinking that has no end. A letter beside Chinese, Japanese or
    Korean stands alone (``答案是D``), and what says, marks or denies a letter may be in these languages.
    Where a letter contradicts the text of an option, the letter counts.

    Args:
        answer: What the model wrote, with or without the beginning that it was given.
        question: With candidates.
    """
    text = _plain(_THOUGHT.sub("", answer))
    found = (read(text, question) for read in (_whole, _statement, _marked, _contained, _lone))
    return next((letter for letter in found if letter is not None), "") or None


# Up to the end of the last thought, and from the beginning of one that has none.
_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought)>|<(?:think|thinking|thought)>.*", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"</?\w+>|<\|\w+\|>|[*`]")
# Scripts that are written without blanks: ideographs, kana and Hangul.
_CJK = (
    "\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u3041-\u3096\u30a1-\u30fa\u30fc\u1100-\u11ff\uac00-\ud7af"
)
_OTHER = rf"[^\W{_CJK}]"
_BORDER = re.compile(rf"(?<=[{_CJK}])(?={_OTHER})|(?<={_OTHER})(?=[{_CJK}])")
_WHOLE = re.compile(r"""[\s("'\[{]*([A-Za-z])[\s)"'\]}.:,;!]*""")
# A capital letter that is no word: an A before a word is the article, but for these words.
_CAPITAL = rf"(?:[B-Z]|A(?!\s+(?!because\b|since\b|as\b|and\b|or\b|is\b|based\b){_OTHER}))(?![\w'])"
_SAYS = (
    r"\b(?:answer|(?:best|correct|right|final)\s+(?:option|choice|letter))\b(?:\s+(?:is|would be|should be|must be))?"
    r"[\s:=-]*(?:(?:the|option|choice|letter)\s+)*"
)
_SAYS_CJK = (
    r"(?:答案|答え|答|解答|正解|정답|답)\s*(?:应该|应当|应|應該|應)?(?:就?是|为|為|选择|选|選擇|選|は|が|은|는)?[\s:=「『【-]*(?:选项|選項)?\s*"
    r"|(?:选择|選擇|选|選)(?:的?是|为|為|了)?[\s:=「『【-]*(?:选项|選項)?\s*"
)
_STATEMENT = re.compile(
    rf"(?i:{_SAYS}|{_SAYS_CJK})[(\[{{\"'\s]*"
    rf"((?<=[(\[{{])[A-Za-z](?=\s*[)\]}}])|[A-Za-z](?=\)|[\"'.,;:!。]*[ \t]*(?:\n|$))|{_CAPITAL})"
)
_MARKED = re.compile(
    rf"\A\W*([A-Za-z])(?=[):,\]]|\.(?!\w)|\s+-\s|\n)|\A\W*({_CAPITAL})|[(\[{{]\s*([A-Za-z])\s*[)\]}}]|(?<![\w'])([A-Z])\)"
    r"|\b(?:[Oo]ption|[Cc]hoice)\s+([A-Z])\b|(?<=\n)\s*([A-Z])(?=[.:])"
    r"|(?:选项|選項|選択肢|선택지|보기)\s*([A-Z])(?![\w'])|(?<![\w'])([A-Z])\s*(?:选项|選項|项|項)"
)
_OR = r"(?:or|and)\b|或者?|和|与|與|または|か|と|또는|혹은|와|과"
_CHOICE = re.compile(rf"[^\w\n]*([A-Z])[^\w\n]*(?:(?:{_OR})[^\w\n]*)?({_CAPITAL})")
_AFTER = re.compile(r"[^\w\n.]*(?:is |are |was )?(?:no|not|wrong|incorrect|false|isn't|cannot|can't)\b", re.IGNORECASE)
_AFTER_CJK = re.compile(
    r"[\s)\]]*(?:选项|選項|项|項)?(?:是|は|が|은|는|이|가)?\s*(?:不(?!(?:选|選|是)\s*[A-Z(])|并非|错|錯|有误|排除|ではな|ではあり|じゃな|違|間違|아니|아닙|틀)"
)
_BEFORE = re.compile(
    r"(?:\bnot|n't|neither|nor|rather than|instead of)\s+(?:(?:the|option|choice)\s+)*[(\[]?$"
    # A denial in the same clause; these words only begin like one ("but", "whether", "not only", "not bad").
    r"|(?:不(?![过過管仅僅论論错錯妨])|并非|而非|别选|別選|排除|没有|沒有)[^\W\da-z]{0,5}\s*[(\[]?$",
    re.IGNORECASE,
)

# Signs before or after a letter that are looked at for a denial: answers may be long, and letters many.
_NEAR = 60


def _plain(text: str) -> str:
    """A text without markup, with the plain forms of full-width signs, and a blank where other scripts meet CJK."""
    text = _TAGS.sub("", unicodedata.normalize("NFKC", text)).replace("\\boxed", "").strip()
    return _BORDER.sub(" ", text)


def _normal(text: str) -> str:
    """A text as it is compared: without case, blanks to spare, and signs at its ends."""
    return " ".join(_plain(text).casefold().split()).strip(" .,;:!?\"'")


def _whole(text: str, question: Question) -> str | None:
    """Reading 1; an answer without any sign means nothing."""
    if not _normal(text):
        return ""
    letter = _WHOLE.fullmatch(text)
    if letter and letter[1].upper() in question.letters:
        return letter[1].upper()
    options = zip(question.letters, question.candidates, strict=True)
    return next((letter for letter, option in options if _normal(option) == _normal(text)), None)


def _statement(text: str, question: Question) -> str | None:
    """Reading 2."""
    said = [
        each[1].upper()
        for each in _STATEMENT.finditer(text)
        if each[1].upper() in question.letters
        and not _rejected(text, each.start(1))
        and not _denied(text, each.end(1), each[1].upper(), question)
    ]
    return said[-1] if said else None


def _denied(text: str, end: int, letter: str, question: Question, *denials: re.Pattern[str]) -> bool:
    """Tell whether a denial follows a letter; the text of its option is none, however it begins (``No anomaly``)."""
    if not any(denial.match(text, end) for denial in denials or (_AFTER, _AFTER_CJK)):
        return False
    candidate = question.candidates[question.letters.index(letter)]
    option, rest = _normal(candidate), text[end : end + _NEAR + 2 * len(candidate)]
    return not (option and _normal(rest.lstrip(")]}.:,- ")).startswith(option))


def _rejected(text: str, start: int) -> bool:
    """Tell whether a denial precedes a letter."""
    return bool(_BEFORE.search(text[max(0, start - _NEAR) : start]))


def _marked(text: str, question: Question) -> str | None:
    """Reading 3."""
    choice = _CHOICE.match(text)
    if choice and choice[1] != choice[2] and {choice[1], choice[2]} <= set(question.letters):
        return ""
    marks = [(each[each.lastindex or 0].upper(), each) for each in _MARKED.finditer(text)]
    marks = [
        (letter, each)
        for letter, each in marks
        if letter in question.letters and not _denied(text, each.end(each.lastindex or 0), letter, question, _AFTER_CJK)
    ]
    if not marks:
        return None
    marks = [(letter, each) for letter, each in marks if not _rejected(text, each.start(each.lastindex or 0))]
    every = {letter for letter, _ in marks}
    stand = [(letter, each) for letter, each in marks if not _denied(text, each.end(), letter, question)]
    left = {letter for letter, _ in stand} or (every if len(every) == 1 else set())
    if len(left) == 1:
        return left.pop()
    if not stand or every == set(question.letters):
        return ""
    letter, first = stand[0]
    return letter if not _normal(text[: first.start(first.lastindex or 0)].strip("([{ ")) else ""


def _contained(text: str, question: Question) -> str | None:
    """Reading 4."""
    said = _normal(text)
    options = {_normal(option): letter for letter, option in zip(question.letters, question.candidates, strict=True)}
    found = [each for each in options if each and each in said and re.search(rf"(?<!\w){re.escape(each)}(?!\w)", said)]
    longest = [each for each in found if not any(each != other and each in other for other in found)]
    return options[longest[0]] if len(longest) == 1 else None


def _lone(text: str, question: Question) -> str | None:
    """Reading 5."""
    left = {
        each[1]
        for each in re.finditer(rf"(?<![\w'])({_CAPITAL})", text)
        if each[1] in question.letters
        and not _rejected(text, each.start())
        and not _denied(text, each.end(), each[1], question, _AFTER_CJK)
    }
    return left.pop() if len(left) == 1 else None


@dataclass(frozen=True)
class TaskScore:
    """Numbers of right answers of a task.

    Attributes:
        task: The task's full name.
        asked: Questions of the question set.
        answered: Those of them that have an answer; fewer than asked make a partial score.
        official: Answers that are right by the official rule.
        robust: Answers whose letter, read forgivingly, is that of a candidate equal to the gold.
        unparsed: Answers that no letter could be read from; they are wrong.
        unmatched_labels: Questions asked whose label is the text of no candidate; no letter is right.
    """

    task: str
    asked: int
    answered: int
    official: int
    robust: int
    unparsed: int
    unmatched_labels: int = 0

    @property
    def complete(self) -> bool:
        """True when all questions are answered."""
        return 0 < self.asked == self.answered

    def right(self, rule: Rule = "official") -> int:
        """Right answers by a rule."""
        return self.official if rule == "official" else self.robust

    def accuracy(self, rule: Rule = "official") -> float | None:
        """Right answers of those given; None where there is none."""
        return self.right(rule) / self.answered if self.answered else None

    def interval(self, rule: Rule = "official") -> Interval | None:
        """95% interval of the accuracy; None where there is none."""
        return wilson(self.right(rule), self.answered) if self.answered else None


def score(task: str, questions: Sequence[Question], answers: Mapping[str, str]) -> TaskScore:
    """Score the answers to a task's questions.

    Args:
        task: Its full name.
        questions: Of a question set, with candidates.
        answers: By id; answers to questions that are not in the set do not count, since the journal of a run may hold
            more than ``cleaned`` has.

    Raises:
        BadInput: The questions have no answers to compare with.
    """
    if unlabelled := [question.id for question in questions if not question.labelled]:
        raise BadInput(f"{task}: question {unlabelled[0]} has no answer in the data: it can be submitted, not scored")
    given = [(question, answers[question.id]) for question in questions if question.id in answers]
    letters = [robust(answer, question) for question, answer in given]
    return TaskScore(
        task=task,
        asked=len(questions),
        answered=len(given),
        official=sum(official(answer, question) for question, answer in given),
        robust=sum(letter in question.golds for (question, _), letter in zip(given, letters, strict=True)),
        unparsed=letters.count(None),
        unmatched_labels=sum(not question.golds for question in questions),
    )


@dataclass(frozen=True)
class Average:
    """M-Avg of one set.

    Attributes:
        value: Unweighted mean of the tasks' accuracies: what the leaderboard calls M-Avg.
        interval: 95% interval of it.
        pooled: Right answers of all, which weighs tasks by their size: what some other harnesses call M-Avg.
        pooled_interval: 95% interval of that.
    """

    value: float
    interval: Interval
    pooled: float
    pooled_interval: Interval


def m_average(scores: Mapping[str, TaskScore], of: Set, rule: Rule = "official") -> Average | None:
    """M-Avg of a set; None where one of its tasks is missing or partial, because a mean over fewer is another number.

    Its interval combines the tasks' Wilson intervals: ``value -/+ sqrt(sum of squared distances to the limits) / T``.
    Source: G. Y. Zou and A. Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27
    (2008), for a linear combination of independent estimates. It needs no seed, and unlike a bootstrap it does not
    shrink to a point where every answer is right.

    Args:
        scores: By the tasks' full names; other tasks may be among them.
        of: ``dev`` or ``test``.
        rule: Which answers are right.
    """
    parts = [scores.get(row.task_name) for row in averaged(of)]
    whole = [part for part in parts if part is not None and part.complete]
    if len(whole) < len(parts):
        return None
    right, total = sum(part.right(rule) for part in whole), sum(part.answered for part in whole)
    shares = [part.right(rule) / part.answered for part in whole]
    limits = [wilson(part.right(rule), part.answered) for part in whole]
    value = math.fsum(shares) / len(shares)
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, limits, strict=True))) / len(shares)
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, limits, strict=True))) / len(shares)
    return Average(value, (value - below, value + above), right / total, wilson(right, total))


@dataclass(frozen=True)
class Generation:
    """A judge's mean points for the two open tasks, each 1 to 5 (0 where the official parser found none).

    None stands for points that are not there.

    Attributes:
        accuracy: Of sub-scene captions (SSC): how many of the scoring points are right.
        relevance: Of SSC: whether the answer keeps to the question.
        completeness: Of video summaries (VS): whether the key points are there.
        reliability: Of VS: whether it is free of errors.

    Raises:
        BadInput: Points below 0 or above 5.
    """

    accuracy: float | None = None
    relevance: float | None = None
    completeness: float | None = None
    reliability: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.components():
            if value is not None and not 0 <= value <= 5:
                raise BadInput(f"{name} of {value} points: a judge gives 1 to 5; judge again")

    def components(self) -> Iterator[tuple[str, float | None]]:
        """The four of them, by name."""
        yield "SSC accuracy", self.accuracy
        yield "SSC relevance", self.relevance
        yield "VS completeness", self.completeness
        yield "VS reliability", self.reliability

    @property
    def ssc(self) -> float | None:
        """Points of SSC, 2 to 10."""
        return _sum(self.accuracy, self.relevance)

    @property
    def vs(self) -> float | None:
        """Points of VS, 2 to 10."""
        return _sum(self.completeness, self.reliability)

    @property
    def average(self) -> float | None:
        """G-Avg, (SSC + VS) / 2; None where one is not there."""
        both = _sum(self.ssc, self.vs)
        return None if both is None else both / 2


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
