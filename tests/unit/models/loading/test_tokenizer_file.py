"""The tokenizer that runs is the one of tokenizer.json, and settings say where transformers 5 ran another."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from flagbench import BadInput
from flagbench.models.backbone.tokenizer import read_tokenizer
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.loading.tokenizer_file import parts_replaced
from tests.checkpoints import LETTERS, as_transformers_4, write_bert, write_json

# Full-width and composed letters, ligatures, blanks of all kinds, controls, special tokens in the text, Chinese.
TEXTS = (
    "the ﬁne Ａ１２ é e\u0301 ½",
    " a  b\tc\nd\r\n e\u3000f\u00a0g\u200bh ",
    "I'm WE'LL don't 2024年，在中国！",
    "a<s> b </s>c <mask> [MASK] d",
    "▁a ▁ b",
    "",
)
_BYTES = {letter: row for row, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
_PIECES = sorted({*LETTERS, "▁", "▁a", "▁the", "é", "1", "ﬁ", "Ａ", "½"})


def _unigram(special: list[str]) -> tuple[Tokenizer, list[str]]:
    rows = [(name, 0.0) for name in special] + [(piece, -5.0 - len(piece) / 9) for piece in _PIECES]
    unknown = special.index("<unk>")
    return Tokenizer(models.Unigram(rows, unk_id=unknown, byte_fallback=False)), special


def _template(backend: Tokenizer, single: str, pair: str, *names: str) -> None:
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, backend.token_to_id(name)) for name in names]
    )


def xlm_roberta() -> tuple[Tokenizer, dict[str, Any]]:
    backend, special = _unigram(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    backend.add_special_tokens(special)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.decoder = decoders.Metaspace()
    _template(backend, "<s> $A </s>", "<s> $A </s> </s> $B </s>", "<s>", "</s>")
    return backend, {"tokenizer_class": "XLMRobertaTokenizer"}


def t5() -> tuple[Tokenizer, dict[str, Any]]:
    backend, special = _unigram(["<pad>", "</s>", "<unk>"])
    backend.add_special_tokens(special)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.decoder = decoders.Metaspace()
    _template(backend, "$A </s>", "$A </s> $B </s>", "</s>")
    return backend, {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}


def _byte_level(*special: str) -> Tokenizer:
    rows = {**{name: row for row, name in enumerate(special)}}
    rows |= {piece: row + len(special) for piece, row in _BYTES.items()}
    backend = Tokenizer(models.BPE(rows, [], continuing_subword_prefix="", end_of_word_suffix=""))
    backend.add_special_tokens(list(special))
    backend.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return backend


def qwen2() -> tuple[Tokenizer, dict[str, Any]]:
    backend = _byte_level("<|endoftext|>", "<|im_start|>")
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    _template(backend, "$A <|endoftext|>", "$A $B <|endoftext|>", "<|endoftext|>")
    return backend, {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "pad_token": "<|endoftext|>"}


def roberta() -> tuple[Tokenizer, dict[str, Any]]:
    backend = _byte_level("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return backend, {"tokenizer_class": "RobertaTokenizer"}


def _word_piece(special: list[str]) -> Tokenizer:
    pieces = special + _PIECES + [f"##{piece}" for piece in _PIECES]
    backend = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.add_special_tokens(special)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def bert() -> tuple[Tokenizer, dict[str, Any]]:
    backend = _word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    _template(backend, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]")
    return backend, {"tokenizer_class": "BertTokenizer", "do_lower_case": True}


def mpnet() -> tuple[Tokenizer, dict[str, Any]]:
    backend = _word_piece(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"])
    _template(backend, "<s> $A </s>", "<s> $A </s> </s> $B:1 </s>:1", "<s>", "</s>")
    return backend, {"tokenizer_class": "MPNetTokenizer", "do_lower_case": True}


def _with_bytes(special: list[str]) -> Tokenizer:
    rows = special + [f"<0x{byte:02X}>" for byte in range(256)] + _PIECES
    vocabulary = {piece: row for row, piece in enumerate(dict.fromkeys(rows))}
    merges = [("▁", "a")]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.add_special_tokens(special)
    return backend


def gemma() -> tuple[Tokenizer, dict[str, Any]]:
    backend = _with_bytes(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _template(backend, "<bos> $A", "<bos> $A <bos> $B", "<bos>")
    return backend, {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}


def llama() -> tuple[Tokenizer, dict[str, Any]]:
    """As transformers 4 wrote it: a normalizer where transformers 5 has a pre-tokenizer."""
    backend = _with_bytes(["<unk>", "<s>", "</s>"])
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    _template(backend, "<s> $A </s>", "<s> $A <s> $B", "<s>", "</s>")
    return backend, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}


Make = Callable[[], tuple[Tokenizer, dict[str, Any]]]
CLASSES: Mapping[str, Make] = {
    "bert": bert,
    "mpnet": mpnet,
    "xlm-roberta": xlm_roberta,
    "t5": t5,
    "roberta": roberta,
    "qwen2": qwen2,
    "qwen3": qwen2,
    "gemma": gemma,
}


def _no_template(backend: Tokenizer) -> None:
    backend.post_processor = processors.ByteLevel(trim_offsets=False)


def _no_blank(backend: Tokenizer) -> None:
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")


CHANGES: Mapping[str, Callable[[Tokenizer], None]] = {
    "normalizer": lambda backend: setattr(
        backend, "normalizer", normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    ),
    "pre_tokenizer": lambda backend: setattr(
        backend, "pre_tokenizer", pre_tokenizers.Metaspace(prepend_scheme="never")
    ),
    "post_processor": _no_template,
    "decoder": lambda backend: setattr(backend, "decoder", decoders.Fuse()),
    "added_tokens": lambda backend: backend.add_tokens([transformers.AddedToken("the", lstrip=True)]) and None,
}


def written(folder: Path, model_type: str, make: Make, change: str = "") -> Path:
    backend, settings = make()
    if change:
        CHANGES[change](backend)
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", settings)
    write_json(folder / "config.json", {"model_type": model_type})
    return folder


def of_the_file(folder: Path) -> list[list[int]]:
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [backend.encode(text).ids for text in TEXTS]


def read(folder: Path) -> Any:
    return read_tokenizer(folder, Loading("cpu"), config=transformers.AutoConfig.from_pretrained(folder))


def run(tokenizer: Any) -> list[list[int]]:
    return [tokenizer(text)["input_ids"] for text in TEXTS]


@pytest.mark.parametrize("model_type", CLASSES)
def test_a_file_as_transformers_5_builds_it_is_no_change(model_type: str, tmp_path: Path) -> None:
    """Then settings stay as they were, so what is said here is compared with transformers itself."""
    folder = written(tmp_path / "x", model_type, CLASSES[model_type])
    assert parts_replaced(folder, model_type) == ()
    built = transformers.AutoTokenizer.from_pretrained(folder)
    assert run(built) == of_the_file(folder)
    assert "__init__" in type(built).__dict__  # one of the classes that build theirs anew


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("model_type", CLASSES)
def test_what_the_file_says_is_what_runs(model_type: str, change: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "x", model_type, CLASSES[model_type], change)
    tokenizer = read(folder)
    assert run(tokenizer) == of_the_file(folder)
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = file.encode(TEXTS[0], add_special_tokens=False).ids
    assert tokenizer.decode(ids) == file.decode(ids, skip_special_tokens=False)
    if run(transformers.AutoTokenizer.from_pretrained(folder)) != of_the_file(folder):
        assert change in parts_replaced(folder, model_type)


def _with_ids(part: dict[str, Any], name: str, ids: list[int]) -> dict[str, Any]:
    """A post-processor that puts other ids where a token's name stands."""
    if "special_tokens" in part:
        special = part["special_tokens"]
        return part | {"special_tokens": special | {name: special[name] | {"ids": ids, "tokens": [name] * len(ids)}}}
    return part | {key: [name, ids[0]] for key in ("cls", "sep") if part[key][0] == name}


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("ids", [[5], [1], [2, 2]], ids=str)
@pytest.mark.parametrize("model_type", CLASSES)
def test_a_post_processor_with_other_ids_than_its_tokens_have(
    model_type: str, ids: list[int], place: str, tmp_path: Path
) -> None:
    """The names in the templates are as transformers 5 has them, and what is encoded is not."""
    folder = written(tmp_path / "x", model_type, CLASSES[model_type])
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    part = content["post_processor"]
    names = [*part["special_tokens"]] if "special_tokens" in part else [part["cls"][0], part["sep"][0]]
    name = names[0 if place == "first" else -1]
    write_json(folder / "tokenizer.json", content | {"post_processor": _with_ids(part, name, ids)})
    assert run(read(folder)) == of_the_file(folder)
    differs = run(transformers.AutoTokenizer.from_pretrained(folder)) != of_the_file(folder)
    assert parts_replaced(folder, model_type) == (("post_processor",) if differs else ())


def test_a_llama_of_transformers_4_and_a_class_that_is_not_known(tmp_path: Path) -> None:
    for name, make in (("llama", llama), ("camembert", xlm_roberta)):
        folder = written(tmp_path / name, name, make)
        if name == "camembert":
            write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CamembertTokenizer"})
        assert parts_replaced(folder, name)
        assert run(read(folder)) == of_the_file(folder)


@pytest.mark.parametrize(
    ("settings", "runs"),
    [
        (
            {"do_lower_case": False, "tokenize_chinese_chars": False},
            {"handle_chinese_chars": False, "lowercase": False},
        ),
        ({"strip_accents": False}, {"strip_accents": False, "lowercase": True}),
    ],
    ids=["case and characters", "accents"],
)
def test_settings_of_both_versions_come_before_the_file(
    settings: dict[str, bool], runs: dict[str, bool], tmp_path: Path
) -> None:
    """Of BERT's normalizer the settings, of the rest the file: what transformers 4 ran."""
    backend, stated = bert()
    backend.normalizer = normalizers.BertNormalizer(clean_text=False, lowercase=True)
    folder = tmp_path / "x"
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    texts = [*TEXTS, "Äbc é über"]
    before = [backend.encode(text).ids for text in texts]
    write_json(folder / "tokenizer_config.json", stated | settings)
    write_json(folder / "config.json", {"model_type": "bert"})
    backend.normalizer = normalizers.BertNormalizer(clean_text=False, **runs)
    assert before != (wanted := [backend.encode(text).ids for text in texts])
    assert [read(folder)(text)["input_ids"] for text in texts] == wanted


def test_tokens_of_other_files_are_added(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", "xlm-roberta", xlm_roberta, "normalizer")
    before = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    stated = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    write_json(folder / "tokenizer_config.json", stated | {"additional_special_tokens": ["<query>"]})
    tokenizer = read(folder)
    assert tokenizer("a<query>", add_special_tokens=False)["input_ids"][-1] == before


def test_settings_say_where_ids_were_others(tmp_path: Path) -> None:
    """Vectors that were made before are found where nothing has changed, and nowhere else."""

    def shown(folder: Path) -> tuple[str, str, dict[str, Any]]:
        model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
        lines = [line for line in model.evidence if line.startswith("tokenizer:")]
        return model.spec.tokenizer, "".join(lines), model.spec.vector_settings("query")

    folder = write_bert(tmp_path / "bert")
    as_transformers_4(folder, "BertTokenizer")
    name, line, settings = shown(folder)
    assert (name, line) == ("", "")
    assert "tokenizer" not in settings
    backend = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    write_json(folder / "tokenizer.json", backend | {"normalizer": {"type": "NFKC"}})
    name, line, settings = shown(folder)
    assert name == settings["tokenizer"] == "tokenizer.json"
    assert line == "tokenizer: tokenizer.json, with the normalizer that transformers 5 replaces"


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"added_tokens": 3, "post_processor": {"type": "BertProcessing"}, "model": []}']
)
def test_a_file_that_is_no_tokenizer_counts_as_replaced(content: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "x", "bert", bert)
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    assert parts_replaced(folder, "bert")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_what_is_no_file_is_refused_and_not_passed_over(name: str, tmp_path: Path) -> None:
    """A named pipe is not waited for, and is not taken for a file that is absent."""
    folder = written(tmp_path / "x", "bert", bert)
    (folder / name).unlink()
    assert parts_replaced(folder, "bert") == ()
    os.mkfifo(folder / name)
    with pytest.raises(BadInput, match=f"{name} is not a regular file: "):
        parts_replaced(folder, "bert")
