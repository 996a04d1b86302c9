"""Parts of a tokenizer.json that transformers 5 does not take from the file.

transformers 4 ran the tokenizer of tokenizer.json. transformers 5 builds the tokenizers of some classes anew, from the
vocabulary of the file and the code of the class, and drops what the file says otherwise: ``convert_to_native_format``
in ``tokenization_utils_tokenizers.py`` and the classes in ``models/*/tokenization_*.py`` (5.23). Vectors that were made
so are of other ids than the file's, so what is said here is a part of a model's settings, and is worked out from the
files alone: neither transformers nor its version has a say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from flagbench.files import read_bytes, read_json
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.folder import FIX, is_there, read_config
from flagbench.models.spec import ModelSpec

TOKENIZER_FILE = "tokenizer.json"
_PARTS = ("normalizer", "pre_tokenizer", "model", "post_processor", "decoder", "added_tokens")

Json = Any
"""A value of a JSON file."""

# Classes that load the file; and the one that transformers 5 takes for a model type where the files name none, or where
# it believes them to be wrong. The types of the first set have no class of their own.
_GENERIC = "TokenizersBackend"
_FAITHFUL = {_GENERIC, "PreTrainedTokenizerFast", "PreTrainedTokenizer", "MistralCommonBackend"}
_WITHOUT_CLASS = {"mistral", "mixtral", "ministral", "nystromformer", "umt5", "xlm-roberta-xl", "granite", "olmo2"}
_CLASS_OF: Mapping[str, str] = {
    **dict.fromkeys(("bert", "distilbert", "electra", "ernie", "convbert", "nomic_bert"), "BertTokenizer"),
    **dict.fromkeys(("xlm-roberta", "gte", "jina_embeddings_v3", "xmod"), "XLMRobertaTokenizer"),
    **dict.fromkeys(("roberta", "bart", "longformer"), "RobertaTokenizer"),
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "opt"), "GPT2Tokenizer"),
    **dict.fromkeys(
        ("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_moe", "qwen3_vl"), "Qwen2Tokenizer"
    ),
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
    **dict.fromkeys(("t5", "mt5"), "T5Tokenizer"),
    **dict.fromkeys(_WITHOUT_CLASS, "TokenizersBackend"),
    "mpnet": "MPNetTokenizer",
    # Read here as the models that they are made of.
    "cost_wise_gemma": "GemmaTokenizer",
    "cost_wise_mistral": "TokenizersBackend",
}
_OVERRULED: Mapping[str, str] = {
    "qwen2": "Qwen2Tokenizer",
    **dict.fromkeys(("modernbert", "modernbert-decoder", "phi3", "minicpmv", "internlm2"), "TokenizersBackend"),
}
# Other names of a class.
_SAME_CLASS = {
    **dict.fromkeys(("DistilBertTokenizer", "ElectraTokenizer", "ConvBertTokenizer"), "BertTokenizer"),
    **dict.fromkeys(("BartTokenizer", "LongformerTokenizer"), "RobertaTokenizer"),
}

_QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class _Files:
    """What a tokenizer is made of: ``tokenizer`` is tokenizer.json, ``settings`` tokenizer_config.json."""

    tokenizer: Mapping[str, Json]
    settings: Mapping[str, Json]

    def token(self, name: str, default: str) -> str:
        """A special token, by its name in tokenizer_config.json."""
        value = self.settings.get(name, default)
        return str(value.get("content")) if isinstance(value, dict) else str(value)


@dataclass(frozen=True)
class _Class:
    """How transformers 5 builds the tokenizers of a class.

    Attributes:
        model: What it sets in the model beside the vocabulary; what is not here is taken as in the file.
        normalizer: Tells whether its normalizer is the file's, for what is in there as a plain list of steps.
        pre_tokenizer: The same of the pre-tokenizer.
        decoder: The types of its steps.
        post_processor: The templates of one text and of two, ``None`` where the file's is taken; with types of tokens
            where models take these.
    """

    model: Callable[[_Files], Mapping[str, Json]]
    normalizer: Callable[[list[Json], _Files], bool]
    pre_tokenizer: Callable[[list[Json], _Files], bool]
    decoder: tuple[str, ...]
    post_processor: Callable[[_Files], tuple[str, str]] | None = None


def with_tokenizer(spec: ModelSpec, checkpoint: Checkpoint) -> tuple[ModelSpec, tuple[str, ...]]:
    """The spec with the tokenizer that runs, where its ids were others before, and the evidence for that.

    Args:
        spec: Of the checkpoint.
        checkpoint: Its files.

    Raises:
        BadInput: A file of the tokenizer cannot be read.
    """
    folder = checkpoint.tokenizer_folder
    model_type = str(read_config(checkpoint.transformer).get("model_type", ""))
    evidence = []
    parts = parts_replaced(folder, model_type)
    if parts:
        spec = replace(spec, tokenizer=TOKENIZER_FILE)
        evidence.append(f"tokenizer: {TOKENIZER_FILE}, with the {' and '.join(parts)} that transformers 5 replaces")
    if folder != checkpoint.transformer and _tokenizer_bytes(folder) != _tokenizer_bytes(checkpoint.transformer):
        owner = next(adapter for adapter in checkpoint.adapters if adapter.directory == folder)
        spec = replace(spec, tokenizer=f"{TOKENIZER_FILE} of {owner.label}")
        evidence.append(f"tokenizer: that of the adapter {owner.label}")
    return spec, tuple(evidence)


def _tokenizer_bytes(folder: Path) -> bytes:
    path = folder / TOKENIZER_FILE
    return read_bytes(path, FIX) if is_there(path) else b""


def parts_replaced(folder: Path, model_type: str) -> tuple[str, ...]:
    """Parts of a folder's tokenizer.json that transformers 5 replaces; all of them for a class that is not known here.

    Args:
        folder: With tokenizer.json; without one there is nothing to replace.
        model_type: Of config.json, for transformers takes the class from there where the tokenizer's files name none.

    Raises:
        BadInput: A file of the tokenizer cannot be read.
    """
    path = folder / TOKENIZER_FILE
    if not is_there(path):
        return ()
    config = folder / "tokenizer_config.json"
    changed = tuple(each.stat().st_mtime_ns for each in (path, config) if is_there(each))
    return _parts_replaced(folder, model_type, changed)


@lru_cache(maxsize=8)
def _parts_replaced(folder: Path, model_type: str, _changed: tuple[int, ...]) -> tuple[str, ...]:
    config = folder / "tokenizer_config.json"
    settings = read_json(config, FIX) if is_there(config) else {}
    settings = settings if isinstance(settings, dict) else {}
    name = _class_name(settings, model_type)
    if name in _FAITHFUL:
        return ()
    tokenizer = read_json(folder / TOKENIZER_FILE, FIX)
    if not isinstance(tokenizer, dict):
        return _PARTS  # it is refused when it is loaded
    files, built = _Files(tokenizer, settings), _BUILT.get(name)
    if name == "LlamaTokenizer" and "ByteLevel" in str(tokenizer.get("pre_tokenizer")):
        return ()
    return tuple(part for part in _PARTS if built is None or not _is_same(part, files, built))


def _is_same(part: str, files: _Files, built: _Class) -> bool:
    """Tell whether transformers 5 builds a part as it is in the file."""
    stated = files.tokenizer.get(part)
    try:
        match part:
            case "model":
                return _same_model(stated, built.model(files))
            case "normalizer":
                return built.normalizer(_steps(stated), files)
            case "pre_tokenizer":
                return built.pre_tokenizer(_steps(stated), files)
            case "post_processor":
                return built.post_processor is None or _same_templates(stated, built.post_processor(files), files)
            case "decoder":
                return tuple(step["type"] for step in _steps(stated)) == built.decoder
        return _same_added_tokens(files)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # of no form that tokenizers writes
        return False


def _class_name(settings: Mapping[str, Json], model_type: str) -> str:
    """The class that transformers 5 takes; see ``AutoTokenizer.from_pretrained``."""
    declared = str(settings.get("tokenizer_class") or "").removesuffix("Fast").replace("PreTrainedTokenizer", _GENERIC)
    registered = _CLASS_OF.get(model_type)
    if model_type in _OVERRULED:
        return _OVERRULED[model_type]
    if registered in _FAITHFUL and declared != registered:
        return _GENERIC
    name = declared or registered or ""
    return _SAME_CLASS.get(name, name)


def _steps(part: Json) -> list[Json]:
    """A normalizer or pre-tokenizer as a plain list of its steps, without what moves offsets alone."""
    if not isinstance(part, dict):
        return []
    inner = next((part[key] for key in ("normalizers", "pretokenizers", "decoders") if key in part), None)
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [step for each in inner for step in _steps(each)]
    step = {key: value for key, value in part.items() if key not in {"trim_offsets", "str_rep"}}
    if step.get("type") == "Metaspace":
        prefix = step.pop("add_prefix_space", True)  # as it was written at first
        step = {"prepend_scheme": "always" if prefix else "never", "split": True, **step}
    return [step]


def _same_model(model: Json, built: Mapping[str, Json]) -> bool:
    stated = {key: value for key, value in model.items() if key not in {"vocab", "merges"}}
    unset: tuple[Json, ...] = (None, "", False)
    return {key: value for key, value in stated.items() if value not in unset} == built


def _same_templates(part: Json, built: tuple[str, str], files: _Files) -> bool:
    stated = _templates(part)
    if ":" not in built[0]:
        stated = (re.sub(r":\d+(?= |$)", "", stated[0]), re.sub(r":\d+(?= |$)", "", stated[1]))
    added = {token["content"]: token["id"] for token in files.tokenizer["added_tokens"]}
    ids = [(name, token["ids"]) for name, token in part.get("special_tokens", {}).items()]
    ids += [(part[key][0], [part[key][1]]) for key in ("cls", "sep") if key in part]
    return stated == built and all(found == [added.get(name)] for name, found in ids)


def _templates(part: Json) -> tuple[str, str]:
    """A post-processor's templates of one text and of two, as ``[CLS]:0 $A:0 [SEP]:0``."""
    if part["type"] in {"BertProcessing", "RobertaProcessing"}:
        first, last = part["cls"][0], part["sep"][0]
        of_two = f"$B:1 {last}:1" if part["type"] == "BertProcessing" else f"{last}:0 $B:0 {last}:0"
        return f"{first}:0 $A:0 {last}:0", f"{first}:0 $A:0 {last}:0 {of_two}"
    return _template(part["single"]), _template(part["pair"])


def _template(pieces: Json) -> str:
    texts = []
    for piece in pieces:
        ((kind, what),) = piece.items()
        texts.append(f"{'$' if kind == 'Sequence' else ''}{what['id']}:{what['type_id']}")
    return " ".join(texts)


def _same_added_tokens(files: _Files) -> bool:
    """Tell whether tokenizer_config.json has all the added tokens of the file as they are there, or none at all."""
    stated = files.settings.get("added_tokens_decoder")
    added = files.tokenizer.get("added_tokens")
    if not isinstance(stated, dict) or not isinstance(added, list):
        return True
    return all(stated.get(str(token.get("id"))) == {key: token[key] for key in token if key != "id"} for token in added)


def _unigram(unknown: int) -> Callable[[_Files], Mapping[str, Json]]:
    return lambda _: {"type": "Unigram", "unk_id": unknown}


def _word_piece(files: _Files) -> Mapping[str, Json]:
    unknown = files.token("unk_token", "[UNK]")
    return {
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }


def _bpe(**stated: bool) -> Callable[[_Files], Mapping[str, Json]]:
    return lambda _: {"type": "BPE", **stated}


def _gemma(files: _Files) -> Mapping[str, Json]:
    return {"type": "BPE", "unk_token": files.token("unk_token", "<unk>"), "fuse_unk": True, "byte_fallback": True}


def _as_bert(steps: list[Json], _: _Files) -> bool:
    # Its other settings are those of tokenizer_config.json, in transformers 4 as well.
    return len(steps) == 1 and steps[0].get("type") == "BertNormalizer" and steps[0].get("clean_text") is True


def _precompiled_alone(steps: list[Json], _: _Files) -> bool:
    return [step.get("type") for step in steps] in ([], ["Precompiled"])


def _is(*wanted: Mapping[str, Json]) -> Callable[[list[Json], _Files], bool]:
    return lambda steps, _: steps == list(wanted)


def _by_bytes(steps: list[Json], _: _Files) -> bool:
    # Its blank before a text is that of tokenizer_config.json, in transformers 4 as well.
    return [step.get("type") for step in steps] == ["ByteLevel"] and steps[0].get("use_regex", True) is True


def _of_qwen2(steps: list[Json], files: _Files) -> bool:
    prefix = bool(files.settings.get("add_prefix_space"))
    split = {"type": "Split", "pattern": {"Regex": _QWEN2_WORDS}, "behavior": "Isolated", "invert": False}
    return steps == [split, {"type": "ByteLevel", "add_prefix_space": prefix, "use_regex": False}]


def _at_blanks(steps: list[Json], _: _Files) -> bool:
    # The normalizer leaves no blank to split at, so that it may as well be missing.
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    return steps in ([], [split])


def _pieces(scheme: str = "always", *, split: bool = True) -> dict[str, Json]:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def _of_xlm_roberta(steps: list[Json], files: _Files) -> bool:
    scheme = "always" if files.settings.get("add_prefix_space", True) else "never"
    return steps == [{"type": "WhitespaceSplit"}, _pieces(scheme)]


def _bert_template(files: _Files) -> tuple[str, str]:
    first, last = files.token("cls_token", "[CLS]"), files.token("sep_token", "[SEP]")
    return f"{first}:0 $A:0 {last}:0", f"{first}:0 $A:0 {last}:0 $B:1 {last}:1"


def _roberta_template(files: _Files) -> tuple[str, str]:
    return _between(files.token("cls_token", "<s>"), files.token("sep_token", "</s>"))


def _xlm_roberta_template(files: _Files) -> tuple[str, str]:
    return _between(files.token("bos_token", "<s>"), files.token("eos_token", "</s>"))


def _between(first: str, last: str) -> tuple[str, str]:
    return f"{first} $A {last}", f"{first} $A {last} {last} $B {last}"


_BERT = (_word_piece, _as_bert, _is({"type": "BertPreTokenizer"}), ("WordPiece",))
_BYTES = (_bpe(), _is(), _by_bytes, ("ByteLevel",))
_BUILT: Mapping[str, _Class] = {
    "BertTokenizer": _Class(*_BERT, _bert_template),
    "MPNetTokenizer": _Class(*_BERT, _roberta_template),
    "XLMRobertaTokenizer": _Class(
        _unigram(3), _precompiled_alone, _of_xlm_roberta, ("Metaspace",), _xlm_roberta_template
    ),
    "T5Tokenizer": _Class(
        _unigram(2),
        _precompiled_alone,
        _is({"type": "WhitespaceSplit"}, _pieces()),
        ("Metaspace",),
        lambda _: ("$A </s>", "$A </s> $B </s>"),
    ),
    "RobertaTokenizer": _Class(*_BYTES, _roberta_template),
    "GPT2Tokenizer": _Class(*_BYTES),
    "Qwen2Tokenizer": _Class(_bpe(), _is({"type": "NFC"}), _of_qwen2, ("ByteLevel",)),
    "LlamaTokenizer": _Class(
        _bpe(fuse_unk=True, byte_fallback=True),
        _is(),
        _is(_pieces("first", split=False)),
        ("Replace", "ByteFallback", "Fuse", "Strip"),
    ),
    "GemmaTokenizer": _Class(
        _gemma,
        _is({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        _at_blanks,
        ("Replace", "ByteFallback", "Fuse"),
    ),
}
