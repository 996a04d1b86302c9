"""Submissions to MTEB's results repository, read back by mteb and held to what the repository's own tests want."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
import pytest
from mteb.models.model_meta import ModelMeta
from mteb.results import TaskResult

from flagbench import BadInput
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.models.view import View
from flagbench.results import folders
from flagbench.results.data_state import DataState
from flagbench.results.record import TaskRecord
from flagbench.results.runs import find_run, find_runs
from flagbench.suites.mteb.submission import Checked, Standing, check, check_target, folder_of, write
from flagbench.suites.mteb.submitted_model import Identity, describe, filled_in, identify, in_mteb, left_open
from tests.unit.submission_files import CORE, FOLDER, OWN, SPEC, result_of, score_of, task_record, write_run

NAME, COMMIT = SPEC.name, SPEC.revision
RERANKER = replace(published()["BAAI/bge-reranker-base"], revision="e" * 40)


@pytest.fixture(autouse=True)
def quietly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As the command runs it."""
    from flagbench.runners.mteb.bridge import quiet

    with quiet():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over all of C-MTEB, which no test changes."""
    return write_run(tmp_path_factory.mktemp("whole") / "out", [task_record(name) for name in CORE])


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """A run over some tasks."""

    def make(*tasks: str | TaskRecord, spec: ModelSpec = SPEC, **more: Any) -> Path:
        records = [task_record(each, spec) if isinstance(each, str) else each for each in tasks]
        return write_run(tmp_path / "out", records, spec, **more)

    return make


def checked(
    folder: Path, name: str | None = None, revision: str | None = None, *, allow_partial: bool = True
) -> Checked:
    run = find_run(folder)
    return check(run, identify(run.record, name, revision), allow_partial=allow_partial)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as error:
        call()
    (line,) = str(error.value).splitlines()
    return line


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# The folder.


def test_mteb_reads_the_folder_unchanged(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(checked(whole, allow_partial=False), tmp_path / "made")
    assert folder == tmp_path / "made" / "results" / "BAAI__bge-small-zh-v1.5" / COMMIT
    names = {path.name for path in folder.iterdir()}
    assert names == {"model_meta.json", "run_settings.jsonl", *(f"{name}.json" for name in CORE)}
    for name in CORE:
        assert (folder / f"{name}.json").read_bytes() == (whole / f"{name}.json").read_bytes()
        result = TaskResult.from_disk(folder / f"{name}.json")
        assert result.task_name == name
        assert result.get_score() == pytest.approx(
            sum(round(score_of(name, split), 6) for split in result.scores) / len(result.scores), abs=1e-12
        )
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path / "made"))
    with pytest.warns(DeprecationWarning, match="load_results"):
        (model,) = mteb.load_results(download_latest=False).model_results
    assert (model.model_name, model.model_revision) == (NAME, COMMIT)
    assert {each.task_name for each in model.task_results} == set(CORE)


def test_the_folder_passes_what_the_repository_tests(whole: Path, tmp_path: Path) -> None:
    folder = write(checked(whole), tmp_path / "made")
    meta = json.loads((folder / "model_meta.json").read_text(encoding="utf-8"))
    assert folder.parts[-2:] == (meta["name"].replace(" ", "_").replace("/", "__"), meta["revision"])
    assert len(meta["revision"]) == 40
    lines = [json.loads(line) for line in (folder / "run_settings.jsonl").read_text(encoding="utf-8").splitlines()]
    covered = {
        (each["task"], split, subset) for each in lines for split in each["splits"] for subset in each["subsets"]
    }
    for path in folder.glob("*.json"):
        if path.name == "model_meta.json":
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["task_name"] == path.stem
        assert int(document["mteb_version"].split(".")[0]) >= 2
        wanted = {(path.stem, split, each["hf_subset"]) for split, rows in document["scores"].items() for each in rows}
        assert wanted <= covered
    assert {each["version"]["mteb"] for each in lines} == {mteb.__version__}
    by_task = {each["task"]: each["encode_kwargs"] for each in lines}
    assert by_task["T2Retrieval"]["instruction"] == {"query": "为这个句子生成表示以用于检索相关文章："}
    assert "instruction" not in by_task["STSB"]
    assert by_task["STSB"]["normalize"] is True


def test_no_place_or_machine_is_named(tmp_path: Path, made: Callable[..., Path]) -> None:
    folder = made("STSB", "T2Retrieval", "LCQMC", spec=FOLDER)
    assert str(Path.home()) in (folder / "flagbench" / "run.json").read_text(encoding="utf-8")
    target = write(checked(folder, "org/mine", "c" * 40), tmp_path / "made")
    private = [str(tmp_path), str(Path.home()), socket.gethostname(), "local/", "its name", "snapshots", "a" * 40]
    private += [getpass.getuser()] if len(getpass.getuser()) > 4 else []  # root is in many a word
    for path in target.iterdir():
        for each in private:
            assert each.encode() not in path.read_bytes(), (path.name, each)


def test_a_second_model_goes_beside_the_first(tmp_path: Path, made: Callable[..., Path]) -> None:
    one, two = made("STSB"), made("LCQMC", spec=OWN)
    for folder in (one, two):
        write(checked(folder), tmp_path / "made")
    assert len(mteb.ResultCache(tmp_path / "made").load_results(include_remote=False).model_results) == 2


# Completeness.


def test_what_is_missing_of_a_benchmark(made: Callable[..., Path], whole: Path) -> None:
    (all_of_it,) = checked(whole, allow_partial=False).standings
    assert all_of_it == Standing("MTEB(cmn, v1)", 31, ())
    folder = made(*[name for name in CORE if name not in ("BQ", "T2Retrieval")])
    assert "2 of 31 tasks of MTEB(cmn, v1) are missing: T2Retrieval, BQ (" in refused(
        lambda: checked(folder, allow_partial=False)
    )
    assert checked(folder).standings == (Standing("MTEB(cmn, v1)", 31, ("T2Retrieval", "BQ")),)


def test_a_task_with_half_of_its_splits_is_missing(made: Callable[..., Path]) -> None:
    name = "MultilingualSentiment"
    result = result_of(name, ["test"])
    folder = made(
        *[task_record(each) for each in CORE if each != name], task_record(name, result=result), results={name: result}
    )
    assert checked(folder).standings[0].missing == (name,)


def test_tasks_of_other_benchmarks(made: Callable[..., Path]) -> None:
    (standing,) = checked(made("SciFact")).standings
    assert "SciFact" not in standing.missing
    assert len(standing.missing) == standing.tasks - 1
    benchmark = mteb.get_benchmark(standing.benchmark)
    assert {task.metadata.name for task in benchmark.tasks} == {"SciFact", *standing.missing}


# What may not go in.


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "error", "error": "no memory", "scores": {}, "files": ()}, "1 task failed: BQ"),
        ({"status": "partial"}, "1 task ran over a part of the data: BQ"),
        ({"data": {"status": "differs"}}, "1 task ran over what is not the official data: BQ"),
        ({"data": {}}, "1 task ran over what is not the official data: BQ"),
        ({"data": {"status": "own"}}, "1 task ran over own data of this name: BQ"),
    ],
)
def test_unfit_tasks_are_left_out_and_said(made: Callable[..., Path], fields: dict[str, Any], said: str) -> None:
    others = [task_record(name) for name in CORE if name != "BQ"]
    folder = made(*others, task_record("BQ", **fields))
    line = refused(lambda: checked(folder, allow_partial=False))
    assert said in line
    assert "1 of 31 tasks of MTEB(cmn, v1) are missing: BQ" in line
    found = checked(folder)
    assert [entry.name for entry in found.entries] == [record.name for record in others]
    assert set(found.left_out) == {"BQ"}


def test_a_run_of_nothing_but_unfit_tasks(made: Callable[..., Path]) -> None:
    folder = made(task_record("BQ", data={"status": "differs"}))
    assert "nothing to submit: 1 task ran over what is not the official data" in refused(lambda: checked(folder))


def test_rows_that_nothing_is_published_of_are_taken_and_said(made: Callable[..., Path]) -> None:
    found = checked(made("STSB", task_record("BQ", data={"status": "unknown"})))
    assert [entry.name for entry in found.entries] == ["STSB", "BQ"]
    assert found.unsure == {DataState.UNKNOWN: ["BQ"]}


def test_no_state_of_data_is_forgotten(made: Callable[..., Path]) -> None:
    """What is certainly other data stays out; what may be the official data goes in, and is said to be unsure."""
    for state in DataState:
        found = checked(made("STSB", task_record("BQ", data={"status": str(state)})))
        there = state in {DataState.OFFICIAL, DataState.COUNTS_AGREE, DataState.UNKNOWN}
        assert [entry.name for entry in found.entries] == ["STSB", *["BQ"] * there]
        assert ("BQ" in found.left_out) is not there
        assert found.unsure == ({state: ["BQ"]} if there and state is not DataState.OFFICIAL else {})


def test_tasks_that_mteb_lacks_are_left_out(made: Callable[..., Path]) -> None:
    own = replace(task_record("STSB"), name="T2RerankingZh2En", files=())
    found = checked(made(*CORE, own), allow_partial=False)
    assert found.left_out == {"T2RerankingZh2En": "not of mteb"}


def test_a_record_under_another_name_is_no_task(made: Callable[..., Path]) -> None:
    folder = made("STSB", "BQ")
    path = folder / "flagbench" / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["tasks"]["../BQ"] = document["tasks"].pop("BQ") | {"name": "../BQ"}
    path.write_text(json.dumps(document), encoding="utf-8")
    found = checked(folder)
    assert [entry.name for entry in found.entries] == ["STSB"]
    assert found.left_out == {"../BQ": "not of mteb"}


def _spoil(folder: Path, how: str) -> None:
    path = folder / "STSB.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    match how:
        case "gone":
            path.unlink()
            return
        case "cut":
            path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
            return
        case "score":
            document["scores"]["test"][0]["main_score"] += 0.0001
        case "text":
            document["scores"]["test"][0]["main_score"] = "0.9"
        case "split":
            document["scores"]["validation"] = document["scores"]["test"]
        case "task":
            document["task_name"] = "BQ"
        case "revision":
            document["dataset_revision"] = "0" * 40
        case "list":
            document = []
        case "old":  # as mteb wrote them before 1.11
            document = {"mteb_dataset_name": "STSB", "test": {"cos_sim": {"spearman": 0.5}}}
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "STSB.json is gone: evaluate STSB again"),
        ("cut", "STSB.json is not a result of mteb"),
        ("list", "STSB.json is not a result of mteb"),
        ("old", "STSB.json is not a result of mteb"),
        ("score", "STSB.json was changed after the run: its main score of test/default is"),
        ("text", "STSB.json was changed after the run"),
        ("split", "its main score of validation/default is"),
        ("task", "STSB.json has BQ at"),
        ("revision", f"STSB.json has STSB at {'0' * 40}, unlike run.json"),
    ],
)
def test_a_file_that_is_not_what_the_run_wrote(made: Callable[..., Path], how: str, said: str) -> None:
    folder = made("STSB", "LCQMC")
    _spoil(folder, how)
    line = refused(lambda: checked(folder))
    assert said in line
    assert "--allow-partial" not in line  # it would not help


def test_of_many_broken_files_some_are_named(made: Callable[..., Path]) -> None:
    folder = made(*CORE)
    for path in folder.glob("*.json"):
        path.unlink()
    line = refused(lambda: checked(folder))
    assert "T2Retrieval.json is gone: evaluate T2Retrieval again; MMarcoRetrieval.json is gone" in line
    assert line.endswith("; and 26 more")


def test_a_record_with_less_in_it(made: Callable[..., Path], tmp_path: Path) -> None:
    folder = made("STSB")
    path = folder / "flagbench" / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document |= {"spec": {}, "environment": {}}
    document["tasks"]["STSB"]["settings"] |= {"model": "none", "instruction": 3}
    path.write_text(json.dumps(document), encoding="utf-8")
    target = write(checked(folder), tmp_path / "made")
    (line,) = (target / "run_settings.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["encode_kwargs"] == {}


def test_tasks_of_different_settings(made: Callable[..., Path]) -> None:
    short = replace(SPEC, passage_max_length=128)
    line = refused(lambda: checked(made("STSB", "LCQMC", task_record("BQ", short))))
    assert "settings differ: passage max length 512 → 128: evaluate all tasks with the same settings" in line


@pytest.mark.parametrize(
    "key",
    [
        *("query_max_length", "passage_max_length", "lowercase", "dtype", "attention"),
        *("pooling", "normalize", "similarity", "domain", "retrieval", "weights", "candidates"),
        *("cutoff_layer", "head", "head_index", "compress_layers", "compress_ratio"),
    ],
)
def test_every_setting_that_moves_scores_is_the_same_in_all_tasks(made: Callable[..., Path], key: str) -> None:
    ranking = key in ("retrieval", "weights", "candidates")  # which tasks that rank nothing have no use for
    one, second = ("T2Retrieval", "MMarcoRetrieval") if ranking else ("STSB", "BQ")
    record = task_record(second, SPEC)
    other = replace(record, settings=record.settings | {"model": record.settings["model"] | {key: "other"}})
    line = refused(lambda: checked(made(one, other)))
    words = key.replace("_", " ")
    assert f" cannot be submitted: settings differ: {words} " in line
    assert " → other: evaluate all tasks with the same settings" in line


def test_tasks_of_different_instructions_or_vectors(made: Callable[..., Path]) -> None:
    record = task_record("BQ", SPEC)
    other = replace(record, settings=record.settings | {"store": "fp16"})
    line = refused(lambda: checked(made("STSB", other)))
    assert "settings differ: cached vectors full precision → fp16: evaluate all tasks" in line
    query = task_record("T2Retrieval", SPEC)
    texts = query.settings["instruction"] | {"query": "another: "}
    line = refused(lambda: checked(made("STSB", replace(query, settings=query.settings | {"instruction": texts}))))
    assert ", query instruction another: → " in line


# The model.


def test_runs_that_are_of_no_single_model_of_the_hub(made: Callable[..., Path]) -> None:
    joint = made("T2Reranking", reranker={"name": RERANKER.name})
    assert "an encoder with a reranker behind it" in refused(lambda: checked(joint))
    for name in ("flagbench/random", "flagbench/bm25"):
        spec = next(each for each in published().values() if each.name == name)
        assert f"{name} is not a checkpoint of the hub" in refused(lambda spec=spec: checked(made("STSB", spec=spec)))


def test_a_reranker_alone_is_a_model(made: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(checked(made("T2Reranking", spec=RERANKER)), tmp_path / "made")
    meta = ModelMeta.model_validate_json_resolved((folder / "model_meta.json").read_text(encoding="utf-8"))
    assert meta.is_cross_encoder
    (line,) = (folder / "run_settings.jsonl").read_text(encoding="utf-8").splitlines()
    assert "pooling" not in json.loads(line)["encode_kwargs"]


@pytest.mark.parametrize("name", ["local/mine", "run/checkpoint-200", "package/model"])
def test_a_checkpoint_in_a_folder_is_named_for_the_hub(made: Callable[..., Path], name: str) -> None:
    folder = made("STSB", spec=replace(FOLDER, name=name))
    for given in ((None, None), ("org/mine", None), (None, "c" * 40)):
        line = refused(lambda given=given: checked(folder, *given))
        assert f"a checkpoint in a folder ({name})" in line
        assert "--model-name org/name and --revision COMMIT" in line
    assert checked(folder, "org/mine", "c" * 40).identity == Identity("org/mine", "c" * 40, False)


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("mine", "c" * 40, "'mine' names no organisation"),
        ("local/mine", "c" * 40, "'local/mine' names no organisation"),
        ("org/mi|ne<b>", "c" * 40, "'org/mi|ne<b>' cannot be the name"),
        ("org/mine\nx", "c" * 40, "cannot be the name"),
        ("../../etc", "c" * 40, "'../../etc' cannot be the name"),
        ("org/mine", "main", "'main' is not a commit"),
        ("org/mine", "C" * 40, "is not a commit"),
        ("org/mine", "c" * 39, "is not a commit"),
        ("org/mine", "c" * 40 + "-dirty", "is not a commit"),
        ("org/mine", "c" * 40 + "\n", "is not a commit"),
    ],
)
def test_names_and_commits_that_the_hub_cannot_have(
    made: Callable[..., Path], name: str, revision: str, said: str
) -> None:
    folder = made("STSB", spec=FOLDER)
    assert said in refused(lambda: checked(folder, name, revision))


def test_a_published_model_keeps_its_name(made: Callable[..., Path]) -> None:
    folder = made("STSB")
    assert "drop --model-name" in refused(lambda: checked(folder, "org/mine", "c" * 40))
    assert checked(folder, NAME, COMMIT).identity == checked(folder).identity == Identity(NAME, COMMIT, True)


def test_a_name_given_by_hand_is_not_known_to_be_published(made: Callable[..., Path]) -> None:
    assert checked(made("STSB", spec=OWN)).identity == Identity("org/mine", "c" * 40, False)
    assert not in_mteb("org/mine")


def test_another_commit_of_a_published_model_is_not_known_to_be_published(made: Callable[..., Path]) -> None:
    """What the hub has at it nobody has looked at: it may be no commit at all."""
    other = Identity(NAME, "c" * 40, False)
    assert checked(made("STSB", spec=replace(SPEC, revision=other.revision))).identity == other


def test_a_checkpoint_that_is_named_as_a_published_model(made: Callable[..., Path]) -> None:
    folder = made("STSB", spec=FOLDER)
    assert checked(folder, NAME, "c" * 40).identity == Identity(NAME, "c" * 40, False)
    assert checked(folder, NAME, COMMIT).identity == Identity(NAME, COMMIT, True)


def test_two_revisions_under_one_name(made: Callable[..., Path], tmp_path: Path) -> None:
    made("STSB", spec=OWN)
    made("STSB", spec=replace(OWN, revision="d" * 40))
    line = refused(lambda: find_run(tmp_path / "out"))
    assert "holds 2 runs" in line
    assert "c" * 40 in line
    assert "d" * 40 in line


def test_the_meta_is_mtebs_own_where_it_knows_the_commit(made: Callable[..., Path]) -> None:
    run = find_run(made("STSB"))
    meta, known = describe(run, identify(run.record, None, None)), mteb.get_model_meta(NAME)
    assert meta.training_datasets == known.training_datasets
    for field in ("n_parameters", "release_date", "languages", "citation", "open_weights"):
        assert getattr(meta, field) == getattr(known, field)
    assert meta.loader is None
    assert left_open(meta) == ()


def test_the_meta_of_an_unknown_model_names_what_is_open(made: Callable[..., Path]) -> None:
    run = find_run(made("STSB", spec=OWN))
    meta = describe(run, identify(run.record, None, None))
    assert (meta.name, meta.revision, meta.max_tokens, meta.embed_dim) == ("org/mine", "c" * 40, 512, 512)
    assert meta.use_instructions
    assert meta.reference == "https://huggingface.co/org/mine"
    open_fields = left_open(meta)
    assert {"n_parameters", "release_date", "languages", "training_datasets", "license"} <= set(open_fields)
    assert not {"embed_dim", "max_tokens"} & set(open_fields)


def test_the_base_of_an_adapter(tmp_path: Path) -> None:
    for base, adapted_from in (("BAAI/bge-m3@" + "b" * 40, "BAAI/bge-m3"), ("local/base@" + "b" * 40, None)):
        spec = replace(OWN, base=base, adapters=("local/lora@1",))
        run = find_run(write_run(tmp_path / spec.base[:5], [task_record("STSB", spec)], spec))
        assert describe(run, identify(run.record, None, None)).adapted_from == adapted_from


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "model_meta.json cannot be read"),
        (lambda path: path.write_text("[]"), "model_meta.json is damaged"),
        (lambda path: path.write_text('{"name": 3}'), "model_meta.json is damaged"),
        (
            lambda path: path.write_text(path.read_text().replace(NAME, "org/other")),
            "model_meta.json has org/other",
        ),
    ],
)
def test_a_meta_that_is_not_the_runs(made: Callable[..., Path], spoil: Callable[[Path], Any], said: str) -> None:
    folder = made("STSB")
    spoil(folder / "model_meta.json")
    assert said in refused(lambda: checked(folder))


def test_what_was_filled_in_by_hand_stays(made: Callable[..., Path], tmp_path: Path) -> None:
    first = checked(made("STSB", spec=OWN))
    folder = write(first, tmp_path / "made")
    path = folder / "model_meta.json"
    by_hand = json.loads(path.read_text(encoding="utf-8")) | {"n_parameters": 24_000_000, "embed_dim": 7}
    path.write_text(json.dumps(by_hand), encoding="utf-8")
    meta = filled_in(first.meta, folder)
    assert (meta.n_parameters, meta.embed_dim) == (24_000_000, 512)
    assert "n_parameters" not in left_open(meta)
    path.write_text("{", encoding="utf-8")
    assert filled_in(first.meta, folder) == first.meta


@pytest.mark.parametrize("other", [{}, {"revision": "f" * 40}, {"name": "org/another"}, {"revision": None}], ids=str)
def test_what_was_filled_in_by_hand_is_of_one_model_at_one_commit(
    made: Callable[..., Path], tmp_path: Path, other: dict[str, str | None]
) -> None:
    first = checked(made("STSB", spec=OWN))
    folder = write(first, tmp_path / "made")
    path = folder / "model_meta.json"
    by_hand = {"n_parameters": 24_000_000, "license": "mit", "public_training_code": "https://example.org/code"}
    kept = json.loads(path.read_text(encoding="utf-8")) | by_hand | other
    path.write_text(json.dumps(kept), encoding="utf-8")
    meta = filled_in(first.meta, folder)
    if other:
        assert meta == first.meta
        assert set(by_hand) <= set(left_open(meta))
    else:
        assert {field: getattr(meta, field) for field in by_hand} == by_hand
        assert set(left_open(meta)) == set(left_open(first.meta)) - set(by_hand)
    path.unlink()
    assert filled_in(first.meta, folder) == first.meta


# Where it goes.


def test_a_folder_that_is_there_is_replaced_only_when_asked(made: Callable[..., Path], tmp_path: Path) -> None:
    one = checked(made("STSB"))
    folder = write(one, tmp_path / "made")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert "exists already: use --overwrite" in refused(lambda: write(one, tmp_path / "made"))
    both = checked(made("LCQMC"))  # the same run, one task later
    write(both, tmp_path / "made", overwrite=True)
    assert {path.name for path in folder.iterdir()} == {path.name for path in before} | {"LCQMC.json"}
    assert "holds results of LCQMC, which the run has not" in refused(
        lambda: write(one, tmp_path / "made", overwrite=True)
    )
    (folder / "notes").mkdir()
    assert "holds files that are not results (notes)" in refused(lambda: write(both, tmp_path / "made", overwrite=True))
    assert everything(tmp_path / "made")[:2] == ["results", "results/BAAI__bge-small-zh-v1.5"]
    assert not list(tmp_path.rglob("*.unfinished"))


def test_it_never_lies_among_the_results_of_the_run(made: Callable[..., Path], tmp_path: Path) -> None:
    run = find_run(made("STSB"))
    identity = identify(run.record, None, None)
    (tmp_path / "out").rename(tmp_path / "results")
    run = find_runs(tmp_path / "results")[0]
    for output in (tmp_path, run.folder, run.folder / "flagbench"):
        line = refused(lambda output=output: check_target(output, identity, run, overwrite=True))
        assert "would lie among the results of the run" in line


def test_a_file_in_the_way(made: Callable[..., Path], tmp_path: Path) -> None:
    one = checked(made("STSB"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"{tmp_path / 'file'} is not a folder" in refused(lambda output=output: write(one, output))


def test_what_mteb_reads_differently_is_not_written(
    made: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = checked(made("STSB"))
    before = everything(tmp_path)
    wrong = result_of("STSB").model_copy(update={"scores": {}})
    monkeypatch.setattr(TaskResult, "to_disk", lambda self, path: path.write_text(wrong.model_dump_json()))
    assert "mteb reads other results" in refused(lambda: write(one, tmp_path / "new" / "made"))
    assert everything(tmp_path) == before


def test_a_full_disk_leaves_what_was_there(
    made: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = checked(made("STSB"))
    folder = write(one, tmp_path / "made")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if target == folder and self.parent.parent.parent.name.endswith(".unfinished"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(folders, "_exchanged", lambda *_: False)  # as on a system that takes two steps
    monkeypatch.setattr(Path, "rename", full)
    assert "No space left on device" in refused(lambda: write(one, tmp_path / "made", overwrite=True))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_name_of_the_folder_is_that_of_the_repository() -> None:
    identity = Identity("org/my.model-v1", "c" * 40, False)
    meta = ModelMeta.create_empty({"name": identity.name, "revision": identity.revision})
    assert folder_of(identity, Path("x")) == Path("x") / "results" / meta.model_name_as_path() / identity.revision


# Points of a series, and mixtures.


def test_a_point_is_not_submitted_as_the_model_itself(made: Callable[..., Path]) -> None:
    spec = replace(SPEC, view=View(dims=64, vectors="int8"))
    run = find_run(made("AFQMC", spec=spec))
    assert refused(lambda: identify(run.record, None, None)) == (
        f"the run has {NAME}, of which it keeps the first 64 numbers of each vector (--dims) and vectors of int8 "
        "values (--vectors), and would stand in MTEB's results repository as the model itself: submit a run without "
        "that"
    )


def test_a_mixture_is_submitted_under_its_own_name_alone(made: Callable[..., Path]) -> None:
    mixture = ((0.5, f"{NAME}@{COMMIT}"), (0.5, "me/tuned@abc"))
    spec = replace(SPEC, name="cocktail/x", revision="d" * 40, mixture=mixture)
    run = find_run(made("AFQMC", spec=spec))
    assert refused(lambda: identify(run.record, None, None)) == (
        "the run has a mixture (cocktail/x): write it with flagbench cocktail --save, and once it is on the hub give "
        "its name there with --model-name org/name and --revision COMMIT"
    )
    assert "which BAAI/bge-small-zh-v1.5 is not" in refused(lambda: identify(run.record, NAME, COMMIT))
    assert "which me/tuned is not" in refused(lambda: identify(run.record, "me/tuned", "f" * 40))
    assert identify(run.record, "me/mixed", "f" * 40) == Identity("me/mixed", "f" * 40, False)
