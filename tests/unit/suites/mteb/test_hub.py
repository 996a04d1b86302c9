"""The model on the hub and its card: what is looked for, what is sent, and what of a card stays. The hub is a fake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import ModelCard
from huggingface_hub import errors as hub

from flagbench import BadInput, NoHub
from flagbench.suites.mteb.hub import Request, card_with, find, open_requests, push_card, read_card
from flagbench.suites.mteb.submission import Checked
from tests.unit.submission_files import OWN
from tests.unit.suites.mteb.test_model_file import checked

_SECRET = "hf_very_secret"


@dataclass
class Fake:
    """A hub with one model: what was sent to it, and the error that it ends in."""

    folder: Path
    commits: tuple[str, ...] = ("c" * 40,)
    head: str = "e" * 40
    card: str = ""
    private: bool = False
    error: Exception | None = None
    requests: list[tuple[int, str, str, bool]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def model_info(self, name: str, revision: str | None = None) -> Any:
        if self.error:
            raise self.error
        if revision is not None and revision not in self.commits:
            raise failed(hub.RevisionNotFoundError, 404)
        return SimpleNamespace(sha=revision or self.head, private=self.private)

    def file_exists(self, name: str, file: str, *, revision: str) -> bool:
        assert (file, revision) == ("README.md", self.head)
        return bool(self.card)

    def get_repo_discussions(self, name: str, *, discussion_type: str) -> Any:
        if self.error:
            raise self.error
        for number, title, status, is_request in self.requests:
            yield SimpleNamespace(num=number, title=title, status=status, is_pull_request=is_request)

    def upload_file(self, **given: Any) -> Any:
        if self.error:
            raise self.error
        self.sent.append(given)
        return SimpleNamespace(pr_url=f"https://huggingface.co/{given['repo_id']}/discussions/1")

    def download(self, name: str, file: str, *, revision: str) -> str:
        path = self.folder / file
        path.write_text(self.card, encoding="utf-8")
        return str(path)


def failed(kind: Callable[..., Exception], status: int) -> Exception:
    request = httpx2.Request("GET", "https://hub", headers={"Authorization": f"Bearer {_SECRET}"})
    return kind(f"failed with {_SECRET}", response=httpx2.Response(status, request=request))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    (tmp_path / "hub").mkdir()
    made = Fake(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", made.download)
    return made


@pytest.fixture
def its(tmp_path: Path) -> Checked:
    return checked(tmp_path, "STSB", "T2Retrieval")


def test_a_commit_that_is_there(fake: Fake, its: Checked) -> None:
    found = find(its.identity)
    assert (found.head, found.private) == ("e" * 40, False)
    fake.private = True
    assert find(its.identity).private


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (failed(hub.RevisionNotFoundError, 404), BadInput, "there is no such commit on the hub"),
        (failed(hub.RepositoryNotFoundError, 401), BadInput, "there is no such model on the hub, or it is private"),
        (failed(hub.HfHubHTTPError, 403), BadInput, "refuses it (403): set HF_TOKEN"),
        (failed(hub.HfHubHTTPError, 500), BadInput, "refuses it (500): try again later"),
        (hub.OfflineModeIsEnabled("offline"), NoHub, "cannot be reached"),
        (httpx2.ConnectError(_SECRET), NoHub, "cannot be reached"),
        (OSError(_SECRET), NoHub, "cannot be reached"),
        (failed(hub.HfHubHTTPError, 412), BadInput, "it has changed on the hub since it was read (412): run this"),
        (httpx2.ReadTimeout(_SECRET), NoHub, "does not answer in time; see there what was done before"),
        (UnicodeEncodeError("ascii", _SECRET, 0, 1, _SECRET), BadInput, "the token in HF_TOKEN is none of the hub"),
        (ValueError(_SECRET), BadInput, "the hub's reply cannot be read; look at HF_ENDPOINT"),
        (KeyError(_SECRET), BadInput, "the hub's reply cannot be read"),
    ],
)
def test_what_the_hub_refuses_is_one_line_without_the_token(
    fake: Fake, its: Checked, error: Exception, kind: type[Exception], said: str
) -> None:
    found = find(its.identity)
    fake.error = error
    acts = (find, open_requests, lambda identity: push_card(identity, found, "x"))
    for act in acts:
        with pytest.raises(kind) as raised:
            act(its.identity)
        assert said in str(raised.value)
        assert _SECRET not in str(raised.value)


def test_a_short_commit_is_none(fake: Fake, its: Checked) -> None:
    fake.commits = ("d" * 40,)
    with pytest.raises(BadInput, match="there is no such commit"):
        find(its.identity)


def test_the_card_is_sent_as_a_pull_request_against_what_was_read(fake: Fake, its: Checked) -> None:
    found = find(its.identity)
    assert push_card(its.identity, found, "text") == "https://huggingface.co/org/mine/discussions/1"
    (sent,) = fake.sent
    assert (sent["create_pr"], sent["parent_commit"], sent["path_in_repo"]) == (True, "e" * 40, "README.md")
    assert (sent["repo_id"], sent["path_or_fileobj"]) == ("org/mine", b"text")


def test_a_pull_request_that_is_open_is_found_by_the_title_that_it_was_sent_with(fake: Fake, its: Checked) -> None:
    push_card(its.identity, find(its.identity), "text")
    title = fake.sent[0]["commit_message"]
    others = [(1, "Other", "open", True), (2, title, "closed", True), (3, title, "merged", True)]
    fake.requests = [*others, (4, title, "open", False)]
    assert open_requests(its.identity) == []
    fake.requests += [(5, title, "open", True), (6, title, "draft", True)]
    address = "https://huggingface.co/org/mine/discussions"
    assert open_requests(its.identity) == [Request(f"{address}/{n}", f"refs/pr/{n}") for n in (5, 6)]


_CARD = """---
language: zh
license: mit
tags:
- sentence-similarity
model-index:
- name: mine
  results:
  - task:
      type: STS
      name: STS
    dataset:
      name: MTEB STSB
      type: C-MTEB/STSB
      config: default
      split: test
    metrics:
    - type: cosine_spearman
      value: 1.0
  - task:
      type: text-generation
    dataset:
      name: Other
      type: org/other
    metrics:
    - type: accuracy
      value: 99.0
---

# Mine

Words of its author | `and` <b>markup</b>.
"""


def test_everything_else_of_a_card_stays(fake: Fake, its: Checked) -> None:
    fake.card = _CARD
    before = read_card(its.identity, find(its.identity))
    assert before == _CARD
    after = card_with(before, its)
    card = ModelCard(after)
    assert (card.data.language, card.data.license) == ("zh", "mit")
    assert card.data.tags == ["sentence-similarity", "mteb"]
    assert card.data.model_name == "mine"
    assert card.text.index("Words of its author | `and` <b>markup</b>.") < card.text.index("<!-- flagbench scores -->")
    results = {each.dataset_name: each.metric_value for each in card.data.eval_results}
    assert results["Other"] == 99.0
    assert {"MTEB STSB", "MTEB T2Retrieval"} <= set(results)


def test_a_card_that_has_these_scores_does_not_change(its: Checked) -> None:
    for text in ("", _CARD, "# Title\n\nno metadata\n"):
        once = card_with(text, its)
        assert card_with(once, its) == once
        assert once.count("<!-- flagbench scores -->") == 1
        assert len([each for each in ModelCard(once).data.eval_results if each.dataset_name == "MTEB T2Retrieval"]) == 1


def test_a_part_of_before_is_replaced_where_it_stands(its: Checked, tmp_path: Path) -> None:
    text = card_with(_CARD, its) + "\nAfter it.\n"
    other = checked(tmp_path / "more", "LCQMC")
    card = ModelCard(card_with(text, other))
    assert card.text.index("| LCQMC |") < card.text.index("After it.")
    assert "| STSB |" not in card.text
    names = {each.dataset_name for each in card.data.eval_results}
    assert {"MTEB STSB", "MTEB LCQMC", "Other"} <= names  # scores of other tasks are still true


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\na: [\n---\n", "cannot be read"),
        ("---\nmodel-index: 3\n---\n", "cannot be read"),
        ("---\n- a\n---\n", "cannot be read"),
        ("<!-- flagbench scores -->\n", "without the other"),
        ("<!-- end of flagbench scores -->\n<!-- flagbench scores -->\n", "without the other"),
    ],
)
def test_a_card_that_cannot_be_read_is_left_alone(its: Checked, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        card_with(text, its)
    assert len(str(error.value).splitlines()) == 1


def test_a_model_without_a_card(fake: Fake, its: Checked) -> None:
    assert read_card(its.identity, find(its.identity)) == ""
    assert "# org/mine" in card_with("", its)
    assert OWN.name == its.identity.name
