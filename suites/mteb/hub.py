"""What the hub has of a submitted model, and its model card with the scores, as a pull request there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flagbench import BadInput, NoHub, in_one_line, printable
from flagbench.suites.mteb.model_card import eval_results, scores_section
from flagbench.suites.mteb.submission import Checked
from flagbench.suites.mteb.submitted_model import Identity

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_README = "README.md"
_BEGIN, _END = "<!-- flagbench scores -->", "<!-- end of flagbench scores -->"
"""Around the part of a card that is made anew; neither is shown."""

_LARGEST = 4 << 20
"""Characters of a card that is read."""

_TITLE = "Add the scores of MTEB"
"""Of the pull requests with a card, by which one that is open is found again."""


@dataclass(frozen=True)
class Found:
    """A model on the hub.

    Attributes:
        head: Commit of its main branch.
        private: Whether only some may read it.
    """

    head: str
    private: bool


@dataclass(frozen=True)
class Request:
    """A pull request at a model on the hub.

    Attributes:
        address: Where people see it.
        head: The reference of its files.
    """

    address: str
    head: str


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Errors of the hub as lines that say what to do; no message of the hub is repeated, which may hold a token."""
    import httpx2
    from huggingface_hub import errors as hub

    try:
        yield
    except hub.RevisionNotFoundError as error:
        raise BadInput(
            f"{what}: there is no such commit on the hub: give the one of the run with --revision"
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise BadInput(
            f"{what}: there is no such model on the hub, or it is private: check --model-name, or set HF_TOKEN"
        ) from error
    except hub.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "")
        if status in (401, 403):
            raise BadInput(f"{what}: the hub refuses it ({status}): set HF_TOKEN to a token that may write") from error
        if status in (409, 412):
            raise BadInput(f"{what}: it has changed on the hub since it was read ({status}): run this again") from error
        raise BadInput(f"{what}: the hub refuses it ({status}): try again later") from error
    except httpx2.ReadTimeout as error:
        raise NoHub(
            f"{what}: the hub does not answer in time; see there what was done before you try this again"
        ) from error
    except (hub.OfflineModeIsEnabled, OSError, httpx2.HTTPError) as error:
        raise NoHub(
            f"{what}: the hub cannot be reached; look at the network, HF_ENDPOINT and HF_HUB_OFFLINE"
        ) from error
    except UnicodeError as error:  # of a header, which has the token
        raise BadInput(f"{what}: the token in HF_TOKEN is none of the hub: it has signs that no token has") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{what}: the hub's reply cannot be read; look at HF_ENDPOINT, and see there what was done before you try "
            "this again"
        ) from error


def find(identity: Identity) -> Found:
    """See that the hub has a model at a commit.

    Raises:
        BadInput: It has not.
        NoHub: It cannot be reached.
    """
    from huggingface_hub import HfApi

    where = f"{identity.name} at {identity.revision}"
    api = HfApi()
    with _errors(where):
        its = api.model_info(identity.name, revision=identity.revision)
        head = api.model_info(identity.name)
    if its.sha != identity.revision:
        raise BadInput(f"{where}: there is no such commit on the hub: give the one of the run with --revision")
    return Found(str(head.sha), bool(head.private))


def open_requests(identity: Identity) -> list[Request]:
    """The pull requests with scores that are open at a model on the hub.

    Args:
        identity: Of the model.

    Raises:
        BadInput: The hub refuses to say.
        NoHub: It cannot be reached.
    """
    from huggingface_hub import HfApi

    with _errors(f"the pull requests at {identity.name}"):
        found = list(HfApi().get_repo_discussions(identity.name, discussion_type="pull_request"))
        return [
            Request(f"https://huggingface.co/{identity.name}/discussions/{each.num}", f"refs/pr/{each.num}")
            for each in found
            if each.is_pull_request and each.title == _TITLE and each.status in ("open", "draft")
        ]


def read_card(identity: Identity, found: Found | Request) -> str:
    """The text of a model's card on the hub; empty where it has none.

    Args:
        identity: Of the model.
        found: As ``find`` gave it, or a pull request.

    Raises:
        BadInput: It cannot be read, or is too large.
        NoHub: The hub cannot be reached.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    from flagbench.files import read_text

    with _errors(f"the card of {identity.name}"):
        if not HfApi().file_exists(identity.name, _README, revision=found.head):
            return ""
        try:
            path = hf_hub_download(identity.name, _README, revision=found.head)
        except EntryNotFoundError:
            return ""
    return read_text(Path(path), "mend the README.md on the hub", largest=_LARGEST)


def card_with(text: str, checked: Checked) -> str:
    """A card with the scores of a run: in its metadata, and as tables in a part of its own.

    Everything else stays: results of other tasks and harnesses, and all text but that part, which is at the end of a
    card that has none yet.

    Args:
        text: The card; empty for none.
        checked: Results that are fit to be submitted.

    Raises:
        BadInput: The card has no metadata that can be read, or half of that part.
    """
    from huggingface_hub import ModelCard

    name = printable(checked.identity.name)
    wrong = f"the card of {name} cannot be read: mend the metadata at the top of its README.md"
    try:
        # Of a card without metadata huggingface_hub would log a warning.
        card = ModelCard(text if text.startswith("---") else f"---\n{{}}\n---\n{text}", ignore_metadata_errors=False)
        data = cast("ModelCardData", card.data)
        before = list(data.eval_results or [])
    except Exception as error:  # whatever YAML, and what huggingface_hub makes of it, may raise
        raise BadInput(f"{wrong} ({in_one_line(error):.200})") from error
    ours = [each for entry in checked.entries for each in eval_results(entry)]
    places = {_place(each) for each in ours}
    data.eval_results = [each for each in before if _place(each) not in places] + ours
    data.model_name = data.model_name or name
    data.tags = list(dict.fromkeys([*(data.tags or []), "mteb"]))
    part = f"{_BEGIN}\n{scores_section(checked)}\n{_END}"
    body = card.text
    marks = [mark for _, mark in sorted((body.find(mark), mark) for mark in (_BEGIN, _END) if mark in body)]
    if marks not in ([], [_BEGIN, _END]):
        raise BadInput(f"the card of {name} has {_BEGIN} or {_END} without the other: remove it from its README.md")
    if _BEGIN in body:
        start, end = body.index(_BEGIN), body.index(_END) + len(_END)
        body = body[:start] + part + body[end:]
    else:
        body = f"{body.rstrip()}\n\n{part}\n" if body.strip() else f"# {name}\n\n{part}\n"
    card.text = body
    return str(card)


def _place(result: Any) -> tuple[Any, ...]:
    """What a result is of: a newer one takes its place."""
    its = (result.task_type, result.dataset_type, result.dataset_config, result.dataset_split)
    return (*its, result.dataset_name, result.metric_type)


def push_card(identity: Identity, found: Found, text: str) -> str:
    """Open a pull request on the hub with a card.

    Args:
        identity: Of the model.
        found: As ``find`` gave it: the pull request is against this state.
        text: Of the card.

    Returns:
        Its address.

    Raises:
        BadInput: The hub refuses it.
        NoHub: It cannot be reached.
    """
    from huggingface_hub import HfApi

    with _errors(f"a pull request for the card of {identity.name}"):
        made = HfApi().upload_file(
            path_or_fileobj=text.encode(),
            path_in_repo=_README,
            repo_id=identity.name,
            commit_message=_TITLE,
            create_pr=True,
            parent_commit=found.head,
        )
    return str(made.pr_url)
