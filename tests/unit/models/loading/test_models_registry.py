import re
from dataclasses import replace

import pytest

from flagbench import BadInput, UnknownName
from flagbench.cmteb.benchmark import CmtebTask
from flagbench.models.adapters import ADAPTERS, loader
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import REGISTRY_FILE, family_spec, parse, published, published_as, registry
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.task import read_tasks
from tests.conftest import ROOT

ZH = [f"BAAI/bge-{size}-zh{version}" for size in ("small", "base", "large") for version in ("", "-v1.5")]
EN = [f"BAAI/bge-{size}-en{version}" for size in ("small", "base", "large") for version in ("", "-v1.5")]
NO_INSTRUCTION = "BAAI/bge-large-zh-noinstruct"

ZH_INSTRUCTION = "为这个句子生成表示以用于检索相关文章："
EN_INSTRUCTION = "Represent this sentence for searching relevant passages: "

ZH_INSTRUCTED = {
    "T2Retrieval",
    "MMarcoRetrieval",
    "DuRetrieval",
    "CovidRetrieval",
    "CmedqaRetrieval",
    "EcomRetrieval",
    "MedicalRetrieval",
    "VideoRetrieval",
    "T2Reranking",
    "MMarcoReranking",
    "CMedQAv1-reranking",
    "CMedQAv2-reranking",
}
EN_INSTRUCTED = [
    "Touche2020",
    "SciFact",
    "TRECCOVID",
    "NQ",
    "NFCorpus",
    "MSMARCO",
    "HotpotQA",
    "FiQA2018",
    "FEVER",
    "DBPedia",
    "ClimateFEVER",
    "SCIDOCS",
    "CQADupstackEnglishRetrieval",
]


@pytest.fixture(scope="module")
def core():
    rows = [task for task in read_tasks(ROOT / "cmteb" / "tasks.toml", CmtebTask) if task.group == "core"]
    assert len(rows) == 31
    return rows


@pytest.mark.parametrize("name", [*ZH, *EN, NO_INSTRUCTION])
def test_every_bge_v1_checkpoint_is_there_with_the_settings_all_share(name):
    spec = published()[name]

    assert spec.name == name
    assert spec.ability == "encode"
    assert spec.pooling == "cls"
    assert spec.similarity == "cosine"
    assert (spec.query_max_length, spec.passage_max_length) == (512, 512)
    assert spec.lowercase is False
    assert spec.dtype == "fp32"
    assert spec.licence == "mit"


@pytest.mark.parametrize("name", [*ZH, *EN])
def test_revisions_are_commits(name):
    assert re.fullmatch("[0-9a-f]{40}", published()[name].revision)


def test_no_two_checkpoints_share_a_commit():
    commits = [published()[name].revision for name in [*ZH, *EN]]

    assert len(set(commits)) == len(commits)


@pytest.mark.parametrize("name", [*ZH, NO_INSTRUCTION])
def test_chinese_models_normalise(name):
    assert published()[name].normalize is True


@pytest.mark.parametrize("name", EN)
def test_english_models_do_not_normalise(name):
    assert published()[name].normalize is False


@pytest.mark.parametrize("name", ZH)
def test_chinese_instruction_goes_before_the_queries_of_retrieval_and_reranking_only(name, core):
    spec = published()[name]
    instructed = {task.name: spec.instruction(task.name, task.kind, "query") for task in core}

    assert {task for task, text in instructed.items() if text} == ZH_INSTRUCTED
    assert {text for text in instructed.values() if text} == {ZH_INSTRUCTION}
    for role in ("passage", "symmetric"):
        assert not any(spec.instruction(task.name, task.kind, role) for task in core)


@pytest.mark.parametrize("name", EN)
@pytest.mark.parametrize("task", EN_INSTRUCTED)
def test_english_instruction_goes_before_the_queries_of_the_published_tasks(name, task):
    spec = published()[name]

    assert spec.instruction(task, "Retrieval", "query") == EN_INSTRUCTION
    assert spec.instruction(task, "Retrieval", "passage") == ""


@pytest.mark.parametrize("name", EN)
@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("ArguAna", "Retrieval"),
        ("QuoraRetrieval", "Retrieval"),
        ("AskUbuntuDupQuestions", "Reranking"),
        ("SciDocsRR", "Reranking"),
        ("MindSmallReranking", "Reranking"),
        ("StackOverflowDupQuestions", "Reranking"),
    ],
)
def test_english_instruction_goes_nowhere_else(name, task, kind):
    assert published()[name].instruction(task, kind, "query") == ""


def test_english_models_have_no_instruction_for_chinese_tasks(core):
    spec = published()["BAAI/bge-large-en-v1.5"]

    assert not any(spec.instruction(task.name, task.kind, role) for task in core for role in ("query", "passage"))


def test_noinstruct_has_no_instruction(core):
    spec = published()[NO_INSTRUCTION]

    assert not any(
        spec.instruction(task.name, task.kind, role) for task in core for role in ("query", "passage", "symmetric")
    )


@pytest.mark.parametrize(("name", "ability"), [("flagbench/random", "encode"), ("flagbench/random-reranker", "score")])
def test_the_random_models_load_without_files(name, ability):
    model = resolve_model(name, None, Overrides(), trust_remote_code=False, allow_pickle=False)
    adapter = model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)

    assert model.checkpoint is None
    assert adapter.capabilities == {ability}
    assert adapter.spec == model.spec == published()[name]


def test_every_adapter_has_a_loader_that_exists():
    assert all(callable(loader(adapter)) for adapter in ADAPTERS)
    with pytest.raises(UnknownName, match="unknown adapter 'm4'; did you mean m3"):
        loader("m4")


def test_a_row_with_an_unknown_adapter_is_refused():
    text = REGISTRY_FILE.read_text(encoding="utf-8").replace('adapter = "dense"', 'adapter = "models.dense:load"', 1)
    with pytest.raises(UnknownName, match=r"unknown adapter 'models.dense:load'.*in models.toml: model BAAI/bge"):
        parse(text, "models.toml")


FAMILY = """
[family.one]
adapter = "dense"
ability = "encode"
reference = "nobody"
pooling = "cls"
normalize = true
similarity = "cosine"
query_max_length = 512
passage_max_length = 256
lowercase = false
instructions = [{ text = "q: ", before = ["Retrieval-query", "SciFact"] }, { text = "p: ", before = ["passage"] }]
licence = "mit"
"""
MODEL = """
[[model]]
name = "org/a"
family = "one"
revision = "abc"
"""


def test_parse_reads_a_row():
    spec = parse(FAMILY + MODEL, "x.toml").models["org/a"]

    assert (spec.name, spec.family, spec.revision) == ("org/a", "one", "abc")
    assert (spec.query_max_length, spec.passage_max_length) == (512, 256)
    assert spec.prompts == (("Retrieval-query", "q: "), ("SciFact", "q: "), ("passage", "p: "))


def test_a_row_overrides_its_family():
    specs = parse(FAMILY + MODEL + 'pooling = "mean"\n' + MODEL.replace("org/a", "org/b"), "x.toml").models

    assert specs["org/a"].pooling == "mean"
    assert specs["org/b"].pooling == "cls"


def test_parse_keeps_file_order():
    names = ["org/c", "org/a", "org/b"]

    assert list(parse(FAMILY + "".join(MODEL.replace("org/a", name) for name in names), "x.toml").models) == names


def test_a_family_takes_what_it_does_not_say_from_the_one_it_is_like():
    like = FAMILY + '[family.two]\nlike = "one"\npooling = "mean"\n[family.three]\nlike = "two"\nlowercase = true\n'
    spec = parse(like + MODEL.replace('"one"', '"three"'), "x.toml").models["org/a"]
    plain = parse(FAMILY + MODEL, "x.toml").models["org/a"]

    assert spec == replace(plain, family="three", pooling="mean", lowercase=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[family.two]\nlike = "one"\n' + FAMILY + MODEL, ["x.toml", "unknown family 'one'", "above [family.two]"]),
        (FAMILY + MODEL + "temperature = 1\n", ["x.toml", "org/a", "temperature"]),
        (FAMILY + "colour = 1\n" + MODEL, ["x.toml", "org/a", "colour"]),
        (FAMILY.replace('pooling = "cls"\n', "") + MODEL, ["x.toml", "org/a", "pooling"]),
        (FAMILY + MODEL.replace('revision = "abc"\n', ""), ["x.toml", "org/a", "revision"]),
        (FAMILY + MODEL + MODEL, ["x.toml", "org/a", "twice"]),
        (FAMILY.replace("before", "ahead") + MODEL, ["x.toml", "org/a", "ahead"]),
        (FAMILY + MODEL + '[ask]\n"org/b" = ["one", "two"]\n', ["x.toml", "unknown family 'two'"]),
    ],
    ids=[
        "like a family below it",
        "unknown key",
        "unknown key of a family",
        "missing key of a family",
        "missing key",
        "name twice",
        "unknown key of an instruction",
        "unknown family to ask for",
    ],
)
def test_parse_refuses(text, said):
    with pytest.raises(BadInput) as caught:
        parse(text, "x.toml")

    assert all(word in str(caught.value) for word in said)


def test_parse_refuses_an_unknown_family_and_offers_the_nearest():
    text = FAMILY.replace("family.one", "family.bge-zh") + MODEL.replace('"one"', '"bge-zhh"')

    with pytest.raises(UnknownName, match="unknown family 'bge-zhh'; did you mean bge-zh") as caught:
        parse(text, "x.toml")

    assert "org/a" in str(caught.value)


def test_parse_refuses_a_row_without_a_family():
    with pytest.raises(UnknownName, match="org/a"):
        parse(FAMILY + MODEL.replace('family = "one"\n', ""), "x.toml")


def test_parse_refuses_a_row_without_a_name():
    with pytest.raises(BadInput, match="name"):
        parse(FAMILY + MODEL.replace('name = "org/a"\n', ""), "x.toml")


LLM_EMBEDDER = {
    "qa": ("Represent this query for retrieving relevant documents: ", "Represent this document for retrieval: "),
    "convsearch": (
        "Encode this query and context for searching relevant passages: ",
        "Encode this passage for retrieval: ",
    ),
    "chat": (
        "Embed this dialogue to find useful historical dialogues: ",
        "Embed this historical dialogue for retrieval: ",
    ),
    "lrlm": (
        "Embed this text chunk for finding useful historical chunks: ",
        "Embed this historical text chunk for retrieval: ",
    ),
    "icl": (
        "Convert this example into vector to look for useful examples: ",
        "Convert this example into vector for retrieval: ",
    ),
    "tool": (
        "Transform this user request for fetching helpful tool descriptions: ",
        "Transform this tool description for retrieval: ",
    ),
}


@pytest.mark.parametrize("task", LLM_EMBEDDER)
def test_llm_embedder_has_instructions_on_both_sides(task):
    spec = family_spec(f"llm-embedder-{task}", name="BAAI/llm-embedder", revision="1")
    query, passage = LLM_EMBEDDER[task]

    assert spec.instruction("NQ", "Retrieval", "query") == query
    assert spec.instruction("NQ", "Retrieval", "passage") == passage
    assert spec.instruction("STSB", "STS", "symmetric") == ""
    assert (spec.pooling, spec.normalize, spec.query_max_length) == ("cls", True, 256)


def test_llm_embedder_is_asked_for_by_family():
    assert registry().ask["BAAI/llm-embedder"] == tuple(f"llm-embedder-{task}" for task in LLM_EMBEDDER)


def test_e5_has_a_prefix_before_every_text():
    spec = published()["intfloat/multilingual-e5-small"]

    assert spec.instruction("NQ", "Retrieval", "query") == "query: "
    assert spec.instruction("NQ", "Retrieval", "passage") == "passage: "
    assert spec.instruction("STSB", "STS", "symmetric") == "query: "
    assert (spec.pooling, spec.normalize) == ("mean", True)


@pytest.mark.parametrize("name", ["bge-cn", "fake"])
def test_a_family_that_is_not_there(name):
    with pytest.raises(UnknownName, match=f"unknown family '{name}'"):
        family_spec(name, name="org/a", revision="1")


TASK_FAMILIES = {
    "gemma2-embedder": "<instruct>{}\n<query>",
    "bge-en-icl": "<instruct>{}\n<query>",
    "bge-code": "<instruct>{}\n<query>",
    "pseudo-moe": "Instruct: {}\nQuery: ",
    "instruct-embedder": "Instruct: {}\nQuery: ",
    "qwen3-embedding": "Instruct: {}\nQuery:",
}


@pytest.mark.parametrize("family", TASK_FAMILIES)
def test_every_task_of_c_mteb_has_an_instruction(family, core):
    spec = family_spec(family, name="org/a", revision="1")
    head = TASK_FAMILIES[family].split("{}")[0]

    for task in core:
        role = "query" if task.kind in {"Retrieval", "Reranking"} else "symmetric"
        assert spec.instruction(task.name, task.kind, role).startswith(head), task.name
        assert spec.instruction(task.name, task.kind, "passage") == "" or role == "symmetric", task.name


def test_every_task_of_english_mteb_has_an_instruction():
    import mteb

    from flagbench.runners.mteb.bridge import quiet

    spec = family_spec("instruct-embedder", name="org/a", revision="1")
    with quiet():
        tasks = mteb.get_benchmark("MTEB(eng, v1)").tasks
    assert len(tasks) > 50
    for task in tasks:
        name, kind = task.metadata.name, task.metadata.type
        role = "query" if kind in {"Retrieval", "Reranking"} else "symmetric"
        assert spec.instruction(name, kind, role).startswith("Instruct: "), name


@pytest.mark.parametrize(
    ("task", "kind", "role", "text"),
    [
        ("CMedQAv1-reranking", "Reranking", "query", "Given a Chinese community medical question, retrieve replies"),
        ("TNews", "Classification", "symmetric", "Classify the fine-grained category of the given news title."),
        ("LCQMC", "STS", "symmetric", "Retrieve semantically similar text."),
        ("Ocnli", "PairClassification", "symmetric", "Retrieve semantically similar text."),
        ("CQADupstackTexRetrieval", "Retrieval", "query", "Given a question, retrieve detailed question descriptions"),
        ("SciFact", "Retrieval", "query", "Given a scientific claim, retrieve documents that support or refute"),
    ],
)
def test_task_instructions_are_those_of_flagembedding(task, kind, role, text):
    spec = published()["BAAI/bge-multilingual-gemma2"]

    assert spec.instruction(task, kind, role).startswith(f"<instruct>{text}")
    assert spec.instruction(task, kind, role).endswith("\n<query>")


def test_a_short_name_is_the_model_that_has_it():
    assert published_as("bm25") is published_as("flagbench/bm25") is published()["flagbench/bm25"]
    found = resolve_model("bm25", None, Overrides(), trust_remote_code=False, allow_pickle=False)
    assert found.spec == published_as("bm25")
    assert published_as("BM25") is published_as("random") is published_as("flagbench/bm") is None
    for name, model in registry().short.items():
        assert published_as(name) is published()[model]
