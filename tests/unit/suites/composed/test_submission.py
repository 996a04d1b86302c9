"""Files for the test servers, in the form that their pages ask for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.suites.composed.submission import Rankings, files_of, write


def whole(task: str, count: int) -> Rankings:
    ids = [str(number) for number in range(60)]
    rankings = {str(query): ids for query in range(count)}
    return Rankings(task, rankings, dict.fromkeys(rankings, ids[:5]) if task == "CIRRTest" else {})


def test_cirr_has_two_files_with_version_and_metric() -> None:
    recall, subset = files_of(whole("CIRRTest", 4148))
    assert (recall.name, subset.name) == ("cirr_recall.json", "cirr_recall_subset.json")
    assert recall.short == subset.short == ()
    assert {key: recall.content[key] for key in ("version", "metric")} == {"version": "rc2", "metric": "recall"}
    assert subset.content["metric"] == "recall_subset"
    assert recall.content["12"] == [str(number) for number in range(50)]
    assert subset.content["12"] == ["0", "1", "2"]
    assert len(recall.content) == 4148 + 2


def test_circo_has_one_file_of_numbers() -> None:
    (file,) = files_of(whole("CIRCOTest", 800))
    assert (file.name, file.short) == ("circo.json", ())
    assert file.content["799"] == list(range(50))
    assert len(file.content) == 800


def test_what_is_lacking_is_said() -> None:
    (file,) = files_of(Rankings("CIRCOTest", {"0": ["1", "2"]}))
    assert file.short == (
        "circo.json has 1 of 800 queries",
        "circo.json has fewer than 50 candidates for 1 queries (first: 0)",
    )
    with pytest.raises(BadData, match="the candidate 'x' is no image of COCO"):
        files_of(Rankings("CIRCOTest", {"0": ["x"]}))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "holds no rankings"),
        ({"task": "CIRCOTest", "rankings": {"0": [1]}}, "holds no rankings"),
        ({"task": "CIRCOTest", "rankings": {}, "more": 1}, "at more: no such key"),
        ({"task": "CIRRTest", "rankings": {}}, "holds the rankings of CIRRTest, not of CIRCOTest"),
    ],
)
def test_a_file_that_holds_no_rankings_is_refused(value: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / Rankings.file("CIRCOTest")
    path.parent.mkdir()
    path.write_text(json.dumps(value))
    with pytest.raises(BadData, match=said):
        Rankings.read(tmp_path, "CIRCOTest")
    path.unlink()
    with pytest.raises(BadData, match=r"CIRCOTest\.json"):
        Rankings.read(tmp_path, "CIRCOTest")


def test_files_are_written_whole_and_not_over_others(tmp_path: Path) -> None:
    files = files_of(whole("CIRRTest", 3))
    found = write(files, tmp_path / "new", overwrite=False)
    assert [path.name for path in found] == ["cirr_recall.json", "cirr_recall_subset.json"]
    assert json.loads(found[1].read_text()) == files[1].content
    with pytest.raises(BadInput, match="exists already: use --overwrite"):
        write(files, tmp_path / "new", overwrite=False)
    write(files, tmp_path / "new", overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write"):
        write(files, tmp_path / "file" / "new", overwrite=False)
