"""The pull request with a submission to MTEB's results repository, through GitHub's REST API.

The repository is on GitHub; its contents on the hub are a copy. The steps are those of a fork by hand: a fork of one's
own, brought up to date, a branch with one commit, and a draft, for its check list is for people to tick.
https://docs.github.com/en/rest/git/trees and the pages on commits, references and pull requests beside it
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from flagbench import BadInput, printable
from flagbench.models.servers.secret import Secret
from flagbench.suites.mteb.submission import REPOSITORY, Checked
from flagbench.suites.mteb.submitted_model import in_mteb, left_open, revision_in_mteb

TOKENS = ("GH_TOKEN", "GITHUB_TOKEN")
"""Environment variables that may hold the token, as GitHub's own command line reads them."""

_UPSTREAM = REPOSITORY.removeprefix("https://github.com/")
_API = "https://api.github.com"
_CHECK_LIST = f"{REPOSITORY}/blob/main/.github/pull_request_template.md"
_TIMEOUT = 60.0
_LARGEST = 8 << 20
"""Bytes of a reply that are read."""

_TRIES, _WAIT = 20, 3.0
"""Looks at a fork that is being made, and seconds between them."""


def refuse_what_reviewers_refuse(checked: Checked) -> None:
    """See that a submission is one that the repository's reviewers would take.

    Args:
        checked: Results that are fit to be written.

    Raises:
        BadInput: Tasks are missing or their data is not known to be the official data, or mteb does not know the model
            at this commit.
    """
    its = checked.identity
    faults = []
    if not in_mteb(its.name):
        faults.append(f"mteb has no ModelMeta of {its.name}: add it first (--model-meta FILE writes one)")
    elif revision_in_mteb(its.name) != its.revision:
        faults.append(f"mteb has {its.name} at {revision_in_mteb(its.name)}, and the run has {its.revision}")
    elif fields := left_open(checked.meta):
        faults.append(f"model_meta.json has nothing for {', '.join(fields)}")
    if all(each.missing for each in checked.standings):
        faults.append("no benchmark is complete")
    faults += [f"{state.words}: {', '.join(map(printable, names))}" for state, names in checked.unsure.items()]
    if faults:
        raise BadInput(f"{checked.run.folder} is not opened as a pull request: {'; '.join(faults)}")


def token() -> Secret:
    """The token of the environment.

    Raises:
        BadInput: There is none, or it cannot be one.
    """
    value = next(filter(None, (os.environ.get(name, "").strip() for name in TOKENS)), "")
    if not value:
        raise BadInput(f"--create-pr needs a token of GitHub that may write to your fork: set {TOKENS[0]}")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise BadInput(f"the token in {' or '.join(TOKENS)} is none of GitHub: it has blanks or other signs")
    return Secret(value)


def title_of(checked: Checked) -> str:
    """The title of commit and pull request."""
    return f"Results of {checked.identity.name}"


def body_of(checked: Checked) -> str:
    """What the pull request says: what it has, what it was made with, and what is for its author to say."""
    its = checked.identity
    versions = sorted({str(entry.result.mteb_version) for entry in checked.entries})
    complete = ", ".join(each.benchmark for each in checked.standings if not each.missing)
    return "\n".join(
        [
            f"{len(checked.entries)} results of [{its.name}](https://huggingface.co/{its.name}) at `{its.revision}`.",
            "",
            f"* complete benchmarks: {complete}",
            f"* scored by mteb {', '.join(versions)}; encoded by FlagBench, and not by the implementation in mteb",
            "* settings: `run_settings.jsonl`",
            "",
            f"The author answers the questions of the [check list]({_CHECK_LIST}) before this is ready for review.",
            "",
        ]
    )


def branch_of(checked: Checked) -> str:
    """The branch in the fork: the same for the same model at the same commit."""
    its = checked.identity
    return f"flagbench/{its.name.replace('/', '__')}-{its.revision[:12]}"


def files_of(folder: Path, output: Path) -> dict[str, str]:
    """The files of a submission by their path in the repository.

    Args:
        folder: With the results.
        output: In which it lies as in the repository.
    """
    return {path.relative_to(output).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


@dataclass(frozen=True)
class GitHub:
    """GitHub's API, with a token that goes into one header.

    Attributes:
        key: The token.
        api: Address.
    """

    key: Secret
    api: str = ""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing: bool = False) -> Any:
        """The value of a reply; None for what is not there, where that may be.

        Raises:
            BadInput: GitHub refuses it, or cannot be reached.
        """
        address = (self.api or os.environ.get("GITHUB_API_URL") or _API).rstrip("/")
        headers = {
            "Authorization": f"Bearer {self.key.reveal()}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "flagbench",
        }
        try:
            with (
                httpx2.Client(timeout=_TIMEOUT, follow_redirects=False) as client,
                client.stream(method, f"{address}/{path}", headers=headers, json=body) as reply,
            ):
                text = b""
                for part in reply.iter_bytes():
                    text += part
                    if len(text) > _LARGEST:
                        raise BadInput(f"GitHub's reply to {method} {path} is too large: try again later")
                status = reply.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise BadInput(
                f"GitHub cannot be reached at {printable(address)}: look at the network and GITHUB_API_URL"
            ) from error
        if status == 404 and missing:
            return None
        try:
            value = json.loads(text or b"null")
        except (ValueError, RecursionError):
            value = None
        if not 200 <= status < 300:
            said = value.get("message") if isinstance(value, dict) else ""
            why = f": {printable(self.key.hide(str(said)))[:200]}" if said else ""
            fix = f"; see that the token in {TOKENS[0]} may write to your fork" if status in (401, 403, 404) else ""
            raise BadInput(f"GitHub refuses {method} {path} ({status}){why}{fix}")
        return value

    def text(self, method: str, path: str, *keys: str, body: Mapping[str, Any] | None = None) -> str:
        """A text in a reply.

        Raises:
            BadInput: As ``ask``, or the reply has no such text.
        """
        value = self.ask(method, path, body)
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            raise BadInput(f"GitHub's reply to {method} {path} has no {'.'.join(keys)}: try again later")
        return value


def open_pull_request(checked: Checked, files: Mapping[str, str], github: GitHub) -> str:
    """Open the draft of a pull request.

    Args:
        checked: Results that reviewers would take.
        files: As ``files_of`` gives them.
        github: The API.

    Returns:
        The address of the draft.

    Raises:
        BadInput: GitHub refuses a step, or the branch is there already.
    """
    login = github.text("GET", "user", "login")
    base = github.text("GET", f"repos/{_UPSTREAM}", "default_branch")
    fork = github.text("POST", f"repos/{_UPSTREAM}/forks", "full_name", body={"default_branch_only": True})
    branch = branch_of(checked)
    _wait_for(github, f"repos/{fork}/git/ref/heads/{quote(base)}", fork)
    if github.ask("GET", f"repos/{fork}/git/ref/heads/{quote(branch)}", missing=True) is not None:
        raise BadInput(f"{_opened(github, f'{login}:{branch}')} the branch {branch} of {fork}, then run this again")
    github.ask("POST", f"repos/{fork}/merge-upstream", {"branch": base})
    parent = github.text("GET", f"repos/{fork}/git/ref/heads/{quote(base)}", "object", "sha")
    tree = github.text("GET", f"repos/{fork}/git/commits/{parent}", "tree", "sha")
    entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
    made = github.text("POST", f"repos/{fork}/git/trees", "sha", body={"base_tree": tree, "tree": entries})
    commit = {"message": title_of(checked), "tree": made, "parents": [parent]}
    sha = github.text("POST", f"repos/{fork}/git/commits", "sha", body=commit)
    github.ask("POST", f"repos/{fork}/git/refs", {"ref": f"refs/heads/{branch}", "sha": sha})
    draft = {"title": title_of(checked), "head": f"{login}:{branch}", "base": base, "body": body_of(checked)}
    return github.text("POST", f"repos/{_UPSTREAM}/pulls", "html_url", body=draft | {"draft": True})


def _opened(github: GitHub, head: str) -> str:
    """What is there of a branch that was pushed before, as the beginning of a sentence."""
    found = github.ask("GET", f"repos/{_UPSTREAM}/pulls?state=open&head={quote(head, safe=':/')}")
    its = found[0] if isinstance(found, list) and found else None
    address = its.get("html_url") if isinstance(its, dict) else None
    if not isinstance(address, str):
        return "no pull request is open from a branch that was pushed before: delete"
    return f"{printable(address)} is open with results of this model at this commit: close it, delete"


def _wait_for(github: GitHub, path: str, fork: str) -> None:
    """Wait until a fork that was asked for is there."""
    for _ in range(_TRIES):
        if github.ask("GET", path, missing=True) is not None:
            return
        time.sleep(_WAIT)
    raise BadInput(f"{fork} is still being made by GitHub: try again in some minutes")
