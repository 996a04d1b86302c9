from __future__ import annotations

import json
import stat
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadData, BadInput, ModelFault, UnknownName
from flagbench.airbench.search_results import SearchResults, dataset_of, find, read, sources
from tests.unit.airbench_files import DARWIN, dataset, results_of, write, write_all

ODD_HITS: dict[str, dict[str, float]] = {
    "": {"a": 1.0},
    'quo"te\\ \n\t\x00\x7f/': {"é": 0.1, "文档": -2.5e-300, "\U0001f600": 1e-05, "\ud800": 1e16, "</s>": 123456789.0},
    "no hits": {},
    "whole numbers": {"a": 3, "b": 2.0, "c": 10**20, "d": -0.0, "e": 0},
    "numpy": {"a": np.float64(0.1), "b": np.float64(1e22)},
    "mixed": {"a": np.float64(0.5), "b": 0.1 + 0.2, "c": 5e-324, "d": 1.7976931348623157e308},
}


def odd(hits: dict[str, dict[str, float]] | None = None, **changes: str) -> SearchResults:
    base = results_of(dataset(), "dev", "modèle 模型", 're"ranker')
    return replace(base, hits=ODD_HITS if hits is None else hits, **changes)


@pytest.mark.parametrize("hits", [ODD_HITS, {}, {"q": {}}, {"q": {}, "r": {}}, {"q": {"a": 1.0}}])
def test_text_is_what_the_official_package_writes(hits: dict[str, dict[str, float]], tmp_path: Path) -> None:
    pytest.importorskip("air_benchmark")
    from air_benchmark.evaluation_utils.evaluator import Evaluator

    for results in (odd(hits), replace(results_of(dataset("long-doc", "book", "en", DARWIN), "test"), hits=hits)):
        theirs = tmp_path / "theirs.json"
        Evaluator.save_search_results(
            model_name=results.model,
            reranker_name=results.reranker or "NoReranker",
            search_results=hits,
            output_path=str(theirs),
            task_type=results.type,
            domain=results.domain,
            language=results.language,
            dataset_name=results.dataset,
            split=results.split,
            benchmark_version="AIR-Bench_24.05",
        )
        assert results.to_json().encode("utf-8") == theirs.read_bytes()


def test_text_is_indented_json() -> None:
    """The same without the official package: this is all that it does."""
    results = odd()
    content = json.loads(results.to_json())
    assert list(content) == [
        "model_name",
        "reranker_name",
        "benchmark_version",
        "task_type",
        "domain",
        "language",
        "dataset_name",
        "split",
        "search_results",
    ]
    assert json.dumps({**content, "search_results": ODD_HITS}, indent=4) == results.to_json()
    assert str(results.relative_path) == 'modèle 模型/re"ranker/qa/wiki/zh_default_dev.json'


def test_24_04_is_written_as_of_old(tmp_path: Path) -> None:
    results = results_of(dataset(version="24.04"), "test")
    content = json.loads(results.to_json())
    expected = {
        "model_name": "bge-m3",
        "reranker_name": "NoReranker",
        "benchmark_version": "AIR-Bench_24.04",
        "task_type": "qa",
        "domain": "wiki",
        "language": "zh",
        "task_name": "default",
        "search_results": results.hits,
    }
    assert list(content.items()) == list(expected.items())
    assert json.dumps(expected, indent=4) == results.to_json()
    assert str(results.relative_path) == "bge-m3/NoReranker/qa/wiki/zh_default.json"
    assert read(write(tmp_path, results)) == results


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_scores_that_are_not_finite_are_not_written(score: float) -> None:
    with pytest.raises(ModelFault, match=r"passage 'b' of query 'q' the score (nan|-?inf)"):
        odd({"q": {"a": 1.0, "b": score}}).to_json()


@pytest.mark.parametrize("name", ["", ".", "..", "org/model", "a\\b"])
def test_names_that_are_no_folders_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="the model's name"):
        _ = odd(model=name).relative_path


def test_reads_what_it_writes(tmp_path: Path) -> None:
    row = dataset()
    for results in (results_of(row, "dev"), results_of(row, "test", reranker="r"), odd()):
        path = write(tmp_path, results)
        assert read(path) == results
        assert dataset_of(results, str(path)) == row
        assert read(path).to_json() == path.read_text()


@pytest.mark.parametrize("name", ["zh_default.json", "zh_default_test.json"])
@pytest.mark.parametrize(
    "keys", [{"task_name": "default"}, {"dataset_name": "default", "split": "test"}, {"dataset_name": "default"}]
)
def test_24_04_is_read_in_every_form(name: str, keys: dict[str, str], tmp_path: Path) -> None:
    results = results_of(dataset(version="24.04"), "test")
    content = json.loads(results.to_json())
    del content["task_name"]
    path = write(tmp_path, results).with_name(name)
    path.write_text(json.dumps({**content, **keys}))
    assert read(path) == results


def changed(**keys: Any) -> Callable[[str], str]:
    """A file with other values; None takes the key away."""
    return lambda text: json.dumps(
        {key: value for key, value in {**json.loads(text), **keys}.items() if value is not None}
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:200], r"is not JSON \(.*\): evaluate again, or copy it again"),
        (lambda text: "", "is not JSON"),
        (lambda text: "\ufeff" + text, "is not JSON"),
        (lambda text: "[" * 100_000, "is nested too deeply"),
        (lambda text: "[1]", "holds no search results, but other JSON"),
        (changed(model_name=None), "has no model_name"),
        (changed(dataset_name=None), "has no dataset_name"),
        (changed(search_results=None), "has no search_results by query"),
        (changed(search_results=[1]), "has no search_results by query"),
        (changed(search_results={"q": [1]}), r"query 'q' has \[1\], and should have scores by passage"),
        (changed(search_results={"q": {"a": "1"}}), "passage 'a' of query 'q' has '1' for a score"),
        (changed(search_results={"q": {"a": True}}), "passage 'a' of query 'q' has True for a score"),
        (changed(search_results={"q": {"a": None}}), "passage 'a' of query 'q' has None for a score"),
        (changed(search_results={"q": {"a": float("nan")}}), "holds NaN, which is no number of JSON"),
        (changed(search_results={"q": {"a": -float("inf")}}), "holds -Infinity"),
        (
            lambda text: changed(search_results={"q": {"a": 77}})(text).replace("77", "1e999"),
            "holds the number 1e999, which is too large",
        ),
        (changed(search_results={"q": {"a": 10**400}}), "is not finite"),
        (lambda text: changed(search_results={"q": {"a": 77}})(text).replace("77", "7" * 5000), "which is too long"),
        (lambda text: changed(search_results={"q": {"a": 7}})(text).replace('"a": 7', '"a": 7, "a": 8'), "'a' twice"),
        (lambda text: text.replace('"dev-1"', '"dev-0"'), "has the key 'dev-0' twice in one object"),
        (lambda text: text.replace('"language"', '"domain"'), "has the key 'domain' twice"),
        (changed(model_name=7), "model_name is 7, and should be text"),
        (
            changed(benchmark_version="AIR-Bench_99"),
            "has benchmark version 'AIR-Bench_99'; known are AIR-Bench_24.04",
        ),
        (changed(model_name="other"), "holds results of model other, and its folder says bge-m3: rename"),
        (changed(reranker_name="r"), "holds results of reranker r, and its folder says NoReranker"),
        (changed(task_type="long-doc"), "holds results of task type long-doc, and its folder says qa"),
        (changed(domain="law"), "holds results of domain law, and its folder says wiki"),
        (changed(language="en"), "holds results of en_default_dev, and its name says zh_default_dev: rename"),
        (changed(dataset_name="x"), "holds results of zh_x_dev, and its name says zh_default_dev"),
        (changed(split="test"), "holds results of zh_default_test, and its name says zh_default_dev"),
        (changed(split=None), "holds results of zh_default_test, and its name says zh_default_dev"),
    ],
)
def test_damage_is_one_line(damage: Callable[[str], str], message: str, tmp_path: Path) -> None:
    results = results_of(dataset(), "dev")
    path = write(tmp_path, results, damage(results.to_json()))
    with pytest.raises(BadData, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_utf_8_are_damage(tmp_path: Path) -> None:
    path = write(tmp_path, results_of(dataset(), "dev"))
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    with pytest.raises(BadData, match=r"is not UTF-8"):
        read(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"model_name":\n "m" 7}', "is not JSON (Expecting ',' delimiter at line 2, column 6): "),
        (b"", "is not JSON (Expecting value at column 1): "),
        (b'{"a": ' + b"7" * 5000 + b"}", "holds a whole number of more than 4,300 digits, which is too long: "),
        (b"[" * 200_000, "is nested too deeply: "),
    ],
    ids=["syntax", "empty", "a number of thousands of digits", "nested too deep"],
)
def test_the_place_where_json_breaks_off_is_named(data: bytes, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, results_of(dataset(), "dev"))
    path.write_bytes(data)
    with pytest.raises(BadData) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} {reason}")
    assert str(caught.value).endswith(": evaluate again, or copy it again")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read \\(No such file"):
        read(tmp_path / "qa" / "wiki" / "zh_default_dev.json")


def test_datasets_that_there_are_not() -> None:
    with pytest.raises(
        UnknownName, match=r"unknown dataset of FILE: 'AIR-Bench_24\.05_qa_wikis_zh_default'; did you mean"
    ):
        dataset_of(odd(domain="wikis"), "FILE")
    with pytest.raises(BadData, match=r"FILE holds results of split train, and .*_qa_wiki_zh_default has dev, test"):
        dataset_of(odd(split="train"), "FILE")


def test_finds_results_below_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "output" / "org__m" / "rev" / "AIR-Bench_24.05" / "search_results"
    plain = write_all(root, [dataset()])
    write_all(root, [dataset()], reranker="r")
    for other in ("model_meta.json", "flagbench/run.json", "AIR-Bench_24.05/search_results/notes.json"):
        path = root.parent.parent / other
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    # What a run with other settings left behind, and what it was writing when it was stopped.
    replaced = root.parent.parent / "flagbench" / "replaced"
    write(replaced, results_of(dataset(), "dev"))
    (plain / "qa" / "wiki" / ".zh_default_dev.json.x.unfinished").write_text("{}")
    (plain / "qa" / "wiki" / "._zh_default_dev.json").write_text("{}")

    everything = find(tmp_path)
    assert len(everything) == 4
    assert find(tmp_path / "output") == find(root) == find(root / "bge-m3") == everything
    assert find(plain) == find(plain / "qa") == find(plain / "qa" / "wiki") == everything[:2]
    assert find(everything[0]) == everything[:1]

    for place in (plain, plain / "qa", plain / "qa" / "wiki"):
        monkeypatch.chdir(place)
        assert [read(path).split for path in find(Path())] == ["dev", "test"]
    (tmp_path / "link").symlink_to(plain)
    assert [read(path).split for path in find(tmp_path / "link")] == ["dev", "test"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error"),
        EOFError("cut"),
        RuntimeError("password required"),
        NotImplementedError("That compression method is not supported"),
        zipfile.BadZipFile("Bad CRC-32"),
        zlib.error("invalid block type"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_zipfile_says_of_a_member_is_one_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "qa/wiki/zh_default_test.json"
    (source,) = sources(archive_of(tmp_path / "a.zip", (name, results_of(dataset(), "test").to_json())))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    with pytest.raises(BadData) as caught:
        source.read()
    assert str(caught.value) == f"{tmp_path / 'a.zip'}: {name} cannot be unpacked ({error}): copy the archive again"


@pytest.mark.parametrize(
    ("name", "dev"), [("zh_default_dev.json", True), ("zh_default_test.json", False), ("en_olddev.json", False)]
)
def test_the_dev_split_is_told_by_the_name(name: str, dev: bool, tmp_path: Path) -> None:
    (source,) = sources(archive_of(tmp_path / "a.zip", (f"qa/wiki/{name}", "{}")))
    assert source.is_dev is dev


def test_files_come_in_the_order_of_their_folders_and_names(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "NoReranker" / "qa"
    names = [f"{domain}/{language}_{split}.json" for domain in ("b", "a") for split in "zyx" for language in "ncjm"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    assert [str(path.relative_to(folder)) for path in find(tmp_path)] == sorted(names)


def test_a_file_of_24_04_under_another_name_is_told_the_whole_one(tmp_path: Path) -> None:
    path = write(tmp_path, results_of(dataset(version="24.04"), "test"))
    path.rename(path.with_name("en_default.json"))
    with pytest.raises(BadData, match=r"holds results of zh_default_test, and its name says en_default: rename it"):
        read(path.with_name("en_default.json"))


def test_a_model_may_be_called_as_what_is_left_of_other_settings(tmp_path: Path) -> None:
    path = write(tmp_path, results_of(dataset(), "dev", "replaced"))
    assert find(tmp_path) == [path]
    assert find(tmp_path / "replaced") == [path]
    write(tmp_path / "flagbench", results_of(dataset(), "dev", "replaced"))
    assert find(tmp_path) == [path], "in flagbench/ it is what a run with other settings left"


def test_no_results_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text("{}")
    with pytest.raises(BadInput, match=r"holds no search results .* flagbench evaluate --benchmark air-bench makes"):
        find(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        find(tmp_path / "nowhere")


def archive_of(path: Path, *members: tuple[str | zipfile.ZipInfo, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for name, text in members:
            archive.writestr(name, text)
    return path


def test_reads_an_archive_without_unpacking_it(tmp_path: Path) -> None:
    results = results_of(dataset(), "test", "other model", "r")
    path = archive_of(
        tmp_path / "a.ZIP",
        ("qa/", ""),
        ("__MACOSX/qa/wiki/._zh_default_test.json", "x"),
        ("README", "x"),
        ("qa/wiki/zh_default_test.json", results.to_json()),
    )
    (source,) = sources(path)
    assert source.read() == results
    assert source.names == ("qa", "wiki", "zh_default_test.json")
    assert not source.is_dev
    assert list(tmp_path.iterdir()) == [path]


def test_the_files_of_an_archive_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    names = ["qa/wiki/zh_default_test.json", "qa/law/en_default_test.json", "long-doc/book/en_a_test.json"]
    names += ["qa/wiki/de_default_test.json"]
    found = sources(archive_of(tmp_path / "a.zip", *((name, "{}") for name in names)))
    assert ["/".join(each.names) for each in found] == sorted(names)
    assert [each.where for each in found] == [f"{tmp_path / 'a.zip'}: {name}" for name in sorted(names)]


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["/qa/wiki/a.json"], "has an absolute name"),
        (["C:/qa/a.json"], "has an absolute name"),
        (["C:qa/wiki/a.json"], "has an absolute name"),
        (["qa/../../wiki/a.json"], "has a name that leads out"),
        (["more/qa/wiki/a.json"], "holds no search results"),
        (["qa/wiki/a/b.json", "qa/b.json", "sts/wiki/a.json", "qa/wiki/a.txt"], "holds no search results"),
        (["../a.json"], "has a name that leads out of the archive"),
        (["qa/wiki/../../../a.json"], "has a name that leads out"),
        (["qa\\wiki\\a.json"], "has a name with a backslash"),
        ([link("qa/wiki/a.json")], "is a link"),
        (["qa/wiki/a.json", "qa/wiki/a.json"], "is listed twice"),
        (["other.json"], "holds no search results"),
        ([], "holds no search results"),
    ],
)
def test_archives_that_are_not_to_be_trusted(names: list[str | zipfile.ZipInfo], message: str, tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", *((name, "{}") for name in names))
    with pytest.raises(BadInput, match=message) as caught:
        sources(path)
    assert "\n" not in str(caught.value)


def test_archives_with_flags_that_are_not_to_be_trusted(tmp_path: Path) -> None:
    good = archive_of(tmp_path / "a.zip", ("qa/wiki/zh_default_test.json", results_of(dataset(), "test").to_json()))
    data = bytearray(good.read_bytes())
    entry = data.index(b"PK\x01\x02")

    encrypted = bytearray(data)
    encrypted[entry + 8] |= 1
    good.write_bytes(encrypted)
    with pytest.raises(BadInput, match="is encrypted"):
        sources(good)

    large = bytearray(data)
    large[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    good.write_bytes(large)
    with pytest.raises(BadInput, match="is said to hold 2,147,483,648 bytes, more than any"):
        sources(good)


def test_damaged_archives_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive_of(tmp_path / "a.zip", ("qa/wiki/zh_default_test.json", results_of(dataset(), "test").to_json()))
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(BadInput, match="cannot be read as a zip archive"):
        sources(path)

    path.write_bytes(data[:100] + bytes(60) + data[160:])
    (source,) = sources(path)
    with pytest.raises(BadData, match=r"a.zip: qa/wiki/zh_default_test.json cannot be unpacked"):
        source.read()

    # An archive may say less than it holds.
    path.write_bytes(data)
    monkeypatch.setattr("flagbench.airbench.search_results.LARGEST", 1000)
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(BadInput, match="more than any search results"):
        sources(tmp_path / "b.zip")
    with pytest.raises(BadData, match="holds more than 1,000 bytes"):
        source.read()


def test_no_more_of_a_member_is_unpacked_than_results_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small archive may unpack to more than the memory holds, and what it said before need not be what it says."""
    monkeypatch.setattr(sys.modules[sources.__module__], "LARGEST", 1_000)
    path = archive_of(tmp_path / "a.zip", ("qa/wiki/zh_default_test.json", "{}"))
    (source,) = sources(path)
    archive_of(path, ("qa/wiki/zh_default_test.json", " " * 20_000_000))
    tracemalloc.start()
    with pytest.raises(BadData, match="holds more than 1,000 bytes"):
        source.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(("size", "fits"), [(1_000, True), (1_001, False)])
def test_results_of_just_the_size_allowed_are_read(
    size: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "qa/wiki/zh_default_test.json"
    (source,) = sources(archive_of(tmp_path / "a.zip", (name, "{}")))
    results = replace(results_of(dataset(), "test"), hits={"q": {"a": 0.5}})
    archive_of(tmp_path / "a.zip", (name, results.to_json().ljust(size)))
    monkeypatch.setattr(sys.modules[sources.__module__], "LARGEST", 1_000)
    if fits:
        assert source.read() == results
        assert len(sources(tmp_path / "a.zip")) == 1
    else:
        with pytest.raises(BadData, match="holds more than 1,000 bytes"):
            source.read()
        with pytest.raises(BadInput, match="is said to hold 1,001 bytes"):
            sources(tmp_path / "a.zip")
