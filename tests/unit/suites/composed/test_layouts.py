"""The data sets in the layouts of their authors: what is read, and each fault as one line."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flagbench import AbsentData, BadData, BadInput
from flagbench.models.inputs import Item, line
from flagbench.runners.data import file_digests
from flagbench.runners.data.sources import Folder
from flagbench.runners.request import RunRequest
from flagbench.runners.run.plan import resolve
from flagbench.suites.composed.benchmark import COMPOSED
from flagbench.suites.composed.collection import Collection
from flagbench.suites.composed.loading import check, load, read
from flagbench.suites.composed.make_mini import COLOURS, drawings
from flagbench.suites.composed.mbeir import as_sentence
from flagbench.suites.composed.options import CIRCO_TEXTS, ComposedOptions
from flagbench.suites.composed.registry import row_of, rows

MINI = COMPOSED.mini_data()
assert MINI is not None
OPTIONS = ComposedOptions()
PAIRS = 30  # of unlike colours, in either order


def collection(name: str, folder: Path | None = None, options: ComposedOptions = OPTIONS) -> Collection:
    row = row_of(name)
    return read(row, Folder(folder or MINI / row.dataset), options, pytest.fail, decode=True)


def inputs(texts: Any) -> dict[str, str]:
    return {id_: line(each) for id_, each in zip(texts.ids, texts.texts, strict=True)}


def test_cirr_leaves_out_a_querys_own_image_and_ranks_its_set() -> None:
    found = collection("CIRR")
    assert len(found.passages.ids) == len(drawings())
    assert inputs(found.queries)["100"] == "add lime [image dev-red.png]"
    assert found.qrels is not None
    assert found.qrels["100"] == {"dev-red-lime": 1}
    assert found.excluded["100"] == "dev-red"
    assert found.subsets["100"] == [f"dev-red-{each}" for each in COLOURS if each != "red"]
    test = collection("CIRRTest")
    assert test.qrels is None
    assert set(test.excluded) == set(test.subsets) == set(test.queries.ids)


def test_one_query_of_cirrs_test_part_has_no_words(tmp_path: Path) -> None:
    shutil.copytree(MINI / "Cuberick-Orion/CIRR", tmp_path, dirs_exist_ok=True)
    of_row("captions/cap.rc2.test1.json", caption="")(tmp_path)
    found = collection("CIRRTest", tmp_path)
    assert inputs(found.queries)[found.queries.ids[0]].startswith("[image ")


@pytest.mark.parametrize("above", ["", "cirr/"])
@pytest.mark.parametrize("images", ["img_raw/", ""])
def test_cirr_lies_in_either_layout(above: str, images: str, tmp_path: Path) -> None:
    for part in ("captions", "image_splits"):
        shutil.copytree(MINI / "Cuberick-Orion/CIRR" / part, tmp_path / above / part)
    where = tmp_path / ("cirr/img_raw" if above and images else images)
    shutil.copytree(MINI / "Cuberick-Orion/CIRR/img_raw/dev", where / "dev")
    assert inputs(collection("CIRR", tmp_path).passages) == inputs(collection("CIRR").passages)


def test_fashioniq_joins_two_captions_and_reads_flagembeddings_files_in_their_place(tmp_path: Path) -> None:
    found = {name: collection(f"FashionIQ{name}") for name in ("Dress", "Shirt", "Toptee")}
    assert sum(len(each.queries.ids) for each in found.values()) == PAIRS
    assert inputs(found["Dress"].queries)["0"] == "is more lime, and has two colours [image red.png]"
    assert found["Dress"].qrels == found["Dress"].qrels | {"0": {"red-lime": 1}}  # type: ignore[operator]
    folder = tmp_path / "fashion-iq"
    shutil.copytree(MINI / "XiaoxiaoGuo/fashion-iq/images", folder / "images")
    candidates = [{"content": name, "image": f"./images/{name}.png"} for name in ("red", "red-lime")]
    query = {"q_img": "./images/red.png", "q_text": "lime too", "positive_key": "red-lime", "hn_image": []}
    for name, its in (("corpus", candidates), ("query_val", [query])):
        (folder / f"fashioniq_dress_{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in its))
    ready = collection("FashionIQDress", folder)
    assert inputs(ready.queries) == {"0": "lime too [image red.png]"}
    assert ready.passages.ids == ["red", "red-lime"]
    assert ready.qrels == {"0": {"red-lime": 1}}


def test_circo_asks_with_its_caption_or_with_the_concept_too() -> None:
    found = collection("CIRCO")
    assert inputs(found.queries)["0"] == "has lime in it [image 000000000001.png]"
    assert found.qrels is not None
    assert len(found.qrels["0"]) == 2
    assert found.targets["0"] == next(iter(found.qrels["0"]))
    assert found.excluded == {}
    concept = collection("CIRCOTest", options=ComposedOptions(circo_text="concept"))
    wanted = "Find a picture that also a picture of stripes, but has lime in it. [image 000000000001.png]"
    assert inputs(concept.queries)["0"] == wanted
    assert concept.qrels is None


def test_circo_reads_flagembeddings_files(tmp_path: Path) -> None:
    images = tmp_path / "COCO2017_unlabeled/unlabeled2017"
    shutil.copytree(MINI / "miccunifi/CIRCO/COCO2017_unlabeled/unlabeled2017", images)
    (tmp_path / "circo_query.jsonl").write_text('{"id": 0, "q_img": "000000000001.png", "q_text": "so"}\n')
    (tmp_path / "circo_corpus.jsonl").write_text('{"content": 7, "image": "000000000007.png"}\n')
    for chosen in CIRCO_TEXTS:
        line = rf"{re.escape(str(tmp_path))}/circo_query\.jsonl has the texts .*--circo-text .* drop it, or take"
        with pytest.raises(BadData, match=line):
            collection("CIRCOTest", tmp_path, options=ComposedOptions(circo_text=chosen))
    found = collection("CIRCOTest", tmp_path)
    assert inputs(found.queries) == {"0": "so [image 000000000001.png]"}
    assert inputs(found.passages) == {"7": "[image 000000000007.png]"}


def test_webqa_has_texts_and_images_in_one_corpus() -> None:
    hybrid, text, both = (collection(f"WebQA{part}") for part in ("", "Text", "ImageText"))
    assert set(hybrid.passages.ids) == {*text.passages.ids, *both.passages.ids}
    assert len(hybrid.queries.ids) == len(text.queries.ids) + len(both.queries.ids)
    assert inputs(hybrid.passages)["0"] == "red is a colour"
    assert inputs(hybrid.passages)["100"] == "stripes number 100 [image red-lime.jpg]"
    assert all(isinstance(each, str) for each in text.passages.texts)
    assert all(isinstance(each, Item) and each.text for each in both.passages.texts)


def test_m_beir_searches_its_own_candidates_or_all() -> None:
    local = collection("MBEIRFashionIQTask7")
    union = collection("MBEIRFashionIQTask7", options=ComposedOptions(pool="union"))
    assert set(union.passages.ids) - set(local.passages.ids) == {"0:1"}
    assert inputs(local.queries)["7:1"] == "More lime. [image red.png]"
    assert local.qrels == union.qrels
    assert len(local.qrels or {}) == PAIRS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("more lime", "More lime."),
        (' "is it red?"\r\n', "Is it red?"),
        ("Ends well!", "Ends well!"),
        ("é.", "É."),
        ("  ", ""),
        ('""', ""),
    ],
)
def test_texts_of_m_beir_are_sentences_as_in_uniir(text: str, sentence: str) -> None:
    assert as_sentence(text) == sentence


def test_queries_of_m_beir_without_a_label_are_counted(tmp_path: Path) -> None:
    folder = shutil.copytree(MINI / "TIGER-Lab/M-BEIR", tmp_path / "M-BEIR")
    path = folder / "qrels/test/mbeir_fashioniq_task7_test_qrels.txt"
    assert collection("MBEIRFashionIQTask7", folder).notes == ()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[2:]))
    (line,) = collection("MBEIRFashionIQTask7", folder).notes
    assert line == f"2 of {PAIRS} queries have no relevant candidate: not counted"


def test_a_candidate_whose_image_is_broken_is_no_missing_one(tmp_path: Path) -> None:
    folder = shutil.copytree(MINI / "XiaoxiaoGuo/fashion-iq", tmp_path / "fashion-iq")
    (folder / "images/red.png").write_bytes(b"no image")
    faults: list[str] = []
    read(row_of("FashionIQDress"), Folder(folder), OPTIONS, faults.append)
    assert faults
    assert all("the image 'images/red.png' (" in fault for fault in faults)


def test_annotations_that_are_larger_than_what_is_read_are_refused_at_once(tmp_path: Path) -> None:
    folder = shutil.copytree(MINI / "Cuberick-Orion/CIRR", tmp_path / "CIRR")
    captions = folder / "captions/cap.rc2.val.json"
    os.truncate(captions, 20 << 30)
    with pytest.raises(BadData, match=rf"{re.escape(str(captions))} has 21,474,836,480 bytes, and at most"):
        check(row_of("CIRR"), Folder(folder), OPTIONS)


def test_a_plan_refuses_them_before_it_reads_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(MINI / "Cuberick-Orion/CIRR", tmp_path / "Cuberick-Orion/CIRR")
    os.truncate(folder / "captions/cap.rc2.val.json", 20 << 30)
    monkeypatch.setattr(file_digests, "of_folder", lambda _: pytest.fail("the bytes were read"))
    request = RunRequest("flagbench/random", "composed", tasks=("CIRR",), data=tmp_path, output=tmp_path / "out")
    with pytest.raises(BadData, match="has 21,474,836,480 bytes, and at most"):
        resolve(request)


@pytest.mark.parametrize(
    ("task", "file", "change"),
    [
        ("WebQA", "text_corpus.jsonl", {"text": 7}),
        ("WebQA", "mm_it_corpus.jsonl", {"image": ["x"]}),
        ("MBEIRFashionIQTask7", "cand_pool/local/mbeir_fashioniq_task7_cand_pool.jsonl", {"img_path": 7}),
        ("CIRR", "image_splits/split.rc2.val.json", 7),
        ("CIRCO", "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json", {"file_name": 7}),
    ],
)
def test_a_candidate_with_a_faulty_text_is_no_missing_one(task: str, file: str, change: Any, tmp_path: Path) -> None:
    """Of each candidate there is one line, and none of the queries that name it."""
    row = row_of(task)
    folder = shutil.copytree(MINI / row.dataset, tmp_path / "data")
    path = folder / file
    if path.suffix == ".jsonl":
        changed = [json.dumps({**json.loads(line), **change}) for line in path.read_text("utf-8").splitlines()]
        count = len(changed)
        path.write_text("\n".join(changed), encoding="utf-8")
    else:
        its = json.loads(path.read_text("utf-8"))
        if task == "CIRR":
            its, count = dict.fromkeys(its, change), len(its)
        else:
            its["images"], count = [{**each, **change} for each in its["images"]], len(its["images"])
        path.write_text(json.dumps(its), encoding="utf-8")
    faults: list[str] = []
    read(row, Folder(folder), OPTIONS, faults.append)
    assert not [fault for fault in faults if "not among them" in fault]
    assert len([fault for fault in faults if " instead of " in fault]) == count


def test_files_with_texts_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "XiaoxiaoGuo/fashion-iq"
    folder.mkdir(parents=True)
    request = RunRequest(model="", data=tmp_path, benchmark="composed", tasks=("FashionIQDress", "CIRR"))
    before = COMPOSED.evidence(request)
    for name in ("query_val", "corpus"):
        (folder / f"fashioniq_dress_{name}.jsonl").write_text("{}\n")
    assert [*COMPOSED.evidence(request)] == [
        *before,
        "FashionIQDress: queries and candidates are FlagEmbedding's, read from fashioniq_dress_query_val.jsonl and "
        "fashioniq_dress_corpus.jsonl",
    ]


@pytest.mark.parametrize("chosen", [None, "caption", "concept"])
def test_a_run_keeps_which_text_of_circo_it_read(chosen: Any) -> None:
    request = RunRequest(model="", benchmark="composed", options=ComposedOptions(circo_text=chosen))
    assert COMPOSED.option_settings(request)["circo_text"] == (chosen or "caption")


def test_every_miniature_data_set_is_read_with_its_counts_and_its_content() -> None:
    for row in rows():
        if row.layout == "mbeir" and row.part != "fashioniq_task7":
            continue
        loaded = load(row.task, Folder(MINI / row.dataset), OPTIONS)
        known = bool(row.queries)
        assert loaded.data.status == ("differs" if known else "unknown")
        assert set(loaded.data.content) == {"queries", "corpus"} | ({"labels"} if row.labelled else set()) | (
            {"sets"} if row.layout == "cirr" else set()
        )
        assert bool(loaded.data.differences) == known


def test_another_picture_is_another_content(tmp_path: Path) -> None:
    folder = tmp_path / "fashion-iq"
    shutil.copytree(MINI / "XiaoxiaoGuo/fashion-iq", folder)
    task = row_of("FashionIQDress").task
    before = load(task, Folder(folder), OPTIONS).data.content
    shutil.copy(folder / "images/red.png", folder / "images/lime.png")
    after = load(task, Folder(folder), OPTIONS).data.content
    assert {part for part in before if before[part] != after[part]} == {"queries", "corpus"}


# Faults.


def rewritten(name: str, change: Callable[[Any], Any]) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return write


def of_row(name: str, **values: Any) -> Callable[[Path], Any]:
    return rewritten(name, lambda rows: [{**rows[0], **values}, *rows[1:]])


def written(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


QRELS = "qrels/test/mbeir_fashioniq_task7_test_qrels.txt"
CAP, SPLIT = "captions/cap.rc2.val.json", "image_splits/split.rc2.val.json"
INFO = "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
FAULTY: Mapping[str, tuple[str, Callable[[Path], Any], str]] = {
    "no captions": ("CIRR", lambda f: (f / CAP).unlink(), "has no captions/cap.rc2.val.json or cirr/captions"),
    "no list": ("CIRR", lambda f: (f / CAP).write_text("{}"), "cap.rc2.val.json is not a list with something in it"),
    "no JSON": ("CIRR", lambda f: (f / CAP).write_text("["), "cap.rc2.val.json is not JSON"),
    "a row that is none": ("CIRR", rewritten(CAP, lambda rows: [7, *rows]), "row 0 is not an object"),
    "an id twice": ("CIRR", of_row(CAP, pairid=101), "row 1 has the id '101', which is listed twice"),
    "a caption that is none": ("CIRR", of_row(CAP, caption=7.5), "row 0 has 7.5 instead of a text in caption"),
    "a caption that is a number": ("CIRR", of_row(CAP, caption=7), "row 0 has 7 instead of a text in caption"),
    "an empty caption": ("CIRR", of_row(CAP, caption=" "), "row 0 has ' ' instead of a text in caption"),
    "no caption": ("CIRR", of_row(CAP, caption=None), "row 0 has None instead of a text in caption"),
    "no caption in the test part": (
        "CIRRTest",
        of_row("captions/cap.rc2.test1.json", caption=None),
        "row 0 has None instead of a text in caption",
    ),
    "an unknown second target": (
        "CIRR",
        of_row(CAP, target_soft={"x": 0.5}),
        "row 0 names the candidate 'x', which is not among",
    ),
    "no set": ("CIRR", of_row(CAP, img_set=None), "row 0 has no img_set"),
    "a set of another size": (
        "CIRR",
        of_row(CAP, img_set={"members": ["dev-red", "dev-red-lime"]}),
        "row 0 has a set of 2 images, and one has 6",
    ),
    "an unknown target": ("CIRR", of_row(CAP, target_hard="x"), "row 0 names the candidate 'x', which is not among"),
    "a target outside of the set": ("CIRR", of_row(CAP, target_hard="dev-lime-blue"), "which is not in its set"),
    "a reference outside of the set": (
        "CIRR",
        of_row(CAP, reference="dev-lime"),
        "row 0 has the reference 'dev-lime', which is not in its set",
    ),
    "a missing image": (
        "CIRR",
        lambda f: (f / "img_raw/dev/dev-red-lime.png").unlink(),
        "dev-red-lime has the image 'img_raw/dev/dev-red-lime.png', and .* has no such file",
    ),
    "an image outside": (
        "CIRR",
        rewritten(SPLIT, lambda its: {**its, "dev-red": "../../../../outside.png"}),
        "dev-red has the image '../../.*, which is not a file below",
    ),
    "a path that is none": (
        "CIRR",
        rewritten(SPLIT, lambda its: {**its, "dev-red": 3}),
        "dev-red has 3 instead of the path",
    ),
    "a link that leads out": (
        "CIRR",
        lambda f: [
            (f.parent / "outside.png").write_bytes((f / "img_raw/dev/dev-red.png").read_bytes()),
            (f / "img_raw/dev/dev-red.png").unlink(),
            (f / "img_raw/dev/dev-red.png").symlink_to(f.parent / "outside.png"),
        ],
        "dev-red.png', which is not a file below",
    ),
    "no image": (
        "FashionIQDress",
        lambda f: (f / "images/red.png").write_text("x"),
        "split.dress.val.json, row 0 has the image 'images/red.png' .it is no image",
    ),
    "a name that is none": (
        "FashionIQDress",
        rewritten("image_splits/split.dress.val.json", lambda names: [None, *names]),
        "row 0 has None instead of the name of an image",
    ),
    "captions that are none": (
        "FashionIQDress",
        of_row("captions/cap.dress.val.json", captions="red"),
        "row 0 has 'red' instead of a list of texts in captions",
    ),
    "an empty caption of two": (
        "FashionIQDress",
        of_row("captions/cap.dress.val.json", captions=["red", ""]),
        r"row 0 has \['red', ''\] instead of a list of texts in captions",
    ),
    "gold that is none": (
        "CIRCO",
        of_row("annotations/val.json", gt_img_ids=[]),
        "instead of a list of texts in gt_img",
    ),
    "a target that is not the first": (
        "CIRCO",
        of_row("annotations/val.json", target_img_id=999),
        "row 0 has the target '999', which is not the first of its gt_img_ids",
    ),
    "an unknown image": ("CIRCO", of_row("annotations/val.json", gt_img_ids=[999]), "names the candidate '999'"),
    "no images": ("CIRCO", rewritten(INFO, lambda its: {"images": 3}), "has no list of images"),
    "no text": (
        "WebQA",
        lambda f: (f / "text_corpus.jsonl").write_text('{"content": 1, "text": ""}\n'),
        "text_corpus.jsonl, line 1 has '' instead of a text in text",
    ),
    **{
        f"a label that is none, {name}": (
            "MBEIRFashionIQTask7",
            written(QRELS, line),
            "line 1 is not a query, 0, a candidate, a relevance and a task",
        )
        for name, line in (
            ("three words", "7:1 0 7:2\n"),
            ("no digit of ours", "7:1 0 7:2 \u00b2 7\n"),
            ("too many digits", f"7:1 0 7:2 {'1' * 5_000} 7\n"),
            ("too large", "7:1 0 7:2 100001 7\n"),
        )
    },
    **{
        f"no relevant candidate, {name}": (
            "MBEIRFashionIQTask7",
            written(QRELS, line),
            "no query of fashioniq_task7 has a relevant candidate",
        )
        for name, line in (("no line", ""), ("relevance 0 alone", "7:1 0 7:2 0 7\n"))
    },
    "neither text nor image": (
        "MBEIRFashionIQTask7",
        lambda f: (f / "query/test/mbeir_fashioniq_task7_test.jsonl").write_text('{"qid": "7:1", "query_txt": null}\n'),
        "line 1 has neither a text nor an image",
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_a_line_that_names_file_and_row(name: str, tmp_path: Path) -> None:
    task, change, said = FAULTY[name]
    row = row_of(task)
    folder = tmp_path / "data"
    shutil.copytree(MINI / row.dataset, folder)
    change(folder)
    with pytest.raises(BadData) as caught:
        load(row.task, Folder(folder), OPTIONS)
    assert re.search(said, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_validate_lists_all_faults(tmp_path: Path) -> None:
    row = row_of("FashionIQDress")
    folder = tmp_path / "data"
    shutil.copytree(MINI / row.dataset, folder)
    picture = folder / "images/red-lime.png"
    picture.write_bytes(picture.read_bytes()[:-32])  # cut off: its head is sound
    of_row("captions/cap.dress.val.json", captions=[])(folder)
    found: list[str] = []
    read(row, Folder(folder), OPTIONS, found.append, decode=True)
    assert len(found) >= 2
    assert any("red-lime.png cannot be decoded" in each for each in found)
    assert any("row 0 has [] instead of a list of texts in captions" in each for each in found)


def test_a_task_whose_files_are_not_there_is_told_before_anything_is_read(tmp_path: Path) -> None:
    for row in rows():
        if row.layout == "mbeir" and row.part != "fashioniq_task7":
            continue
        check(row, Folder(MINI / row.dataset), OPTIONS)
        folder = tmp_path / row.name
        shutil.copytree(
            MINI / row.dataset, folder, ignore=shutil.ignore_patterns("cap.*", "val.json", "test.json", "*.jsonl")
        )
        with pytest.raises(
            AbsentData, match=rf"^{row.name}: .* has no \S+: put the data there as its authors publish it"
        ):
            check(row, Folder(folder), OPTIONS)


def test_without_a_folder_the_data_is_asked_for() -> None:
    from flagbench.runners.data.snapshots import Snapshots

    with pytest.raises(BadInput, match=r"reads --data DIR: put the data of CIRR into DIR/Cuberick-Orion/CIRR as its"):
        COMPOSED.source(row_of("CIRR").task, Snapshots(None))
