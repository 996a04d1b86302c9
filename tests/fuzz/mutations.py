"""Damage to files, drawn from a seed: to the structure of a format, to its bytes, and to what lies at the path."""

from __future__ import annotations

import io
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_LITERALS = {
    "@NaN": "NaN",
    "@Infinity": "-Infinity",
    "@huge": "1e400",
    "@digits": "9" * 5000,
    "@half": '"\\ud800"',
    "@deep": "[" * 2000 + "]" * 2000,
    "@deeper": '{"a":' * 200_000 + "1" + "}" * 200_000,
}
"""Texts that stand for what json.dumps does not write."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3.5, 1e308, -1e308, 10**30, 2**31, 2**63, 5e-324),
    *("", " ", "0", "-1", "true", "a" * 100_000, "\x00", "\n", "\x1b[2J", "名\u202e", "ß" * 300, "%s{}{0}", "=1+1"),
    *("../../../../etc/passwd", "/etc/passwd", "/dev/zero", "..", ".", "x/../../y", "a\\b", "C:\\x", "~", "-rf"),
    *(
        "os.system",
        "canary.Canary",
        "builtins.eval",
        "torch.nn.ReLU",
        "https://localhost:1/x",
        "org/name",
        "org/name--x",
    ),
    *([], {}, [[]], [None], {"": None}, [1, "a", None], {"a": {"b": [{}]}}, list(range(300))),
    *_LITERALS,
)

KEYS: tuple[tuple[str, Any], ...] = (
    ("auto_map", {name: f"canary.{name}" for name in ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoProcessor")}),
    ("attn_implementation", "kernels-community/flash-attn"),
    ("_attn_implementation", "canary/canary"),
    ("quantization_config", {"quant_method": "bitsandbytes", "load_in_4bit": True}),
    ("model_type", "t5"),
    ("dtype", "float64"),
    ("truncate_dim", 3),
    ("type", "canary.Canary"),
    ("__class__", "canary.Canary"),
)
"""What a file may hold beside what it holds."""

_WORDS = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n\n",
    b'"',
    b"{",
    b"]",
    b",,",
    b"9" * 40,
    b"'\"",
)


def damaged(content: bytes, name: str, draw: random.Random) -> bytes:
    """A file's content after one to three changes.

    Args:
        content: As it is sound.
        name: Of the file; its ending tells the format.
        draw: Where chance comes from.
    """
    for _ in range(draw.choice((1, 1, 2, 3))):
        suffix = Path(name).suffix
        try:
            if draw.random() < 0.2:
                content = _bytes(content, draw)
            elif suffix == ".json":
                content = _json(content, draw)
            elif suffix == ".jsonl":
                content = _lines(content, draw)
            elif suffix == ".safetensors":
                content = _safetensors(content, draw)
            elif suffix == ".parquet":
                content = _parquet(content, draw)
            else:
                content = _text(content, draw)
        except (
            ValueError,
            LookupError,
            TypeError,
            OSError,
            RecursionError,
            struct.error,
            pa.ArrowException,
        ):  # an earlier change left nothing to read
            content = _bytes(content, draw)
    return content


def misplaced(path: Path, draw: random.Random) -> str:
    """Put something else where a file was, and say what."""
    what = draw.choice(("gone", "pipe", "folder", "device", "loop", "outside", "empty", "nothing"))
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "empty":
        path.write_bytes(b"")
    elif what != "gone":
        path.symlink_to({"device": "/dev/zero", "loop": path.name, "outside": "/etc/passwd", "nothing": "absent"}[what])
    return what


def _bytes(content: bytes, draw: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(made) + 1)
        match draw.randrange(5):
            case 0:
                made[at : at + draw.randint(1, 8)] = b""
            case 1:
                made[at:at] = draw.choice(_WORDS)
            case 2:
                made = made[:at]
            case 3:
                made[at : at + 1] = bytes([draw.randrange(256)])
            case _:
                made[at:at] = made[at : at + draw.randint(1, 200)]
    return bytes(made)


def _written(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    for name, literal in _LITERALS.items():
        text = text.replace(json.dumps(name), literal)
    return text.encode("utf-8", "surrogatepass")


def _json(content: bytes, draw: random.Random) -> bytes:
    return _written(_changed(json.loads(content), draw))


def _changed(value: Any, draw: random.Random) -> Any:
    """The value with something within it, at any depth, replaced, taken out, doubled or renamed."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.02:
        return draw.choice(VALUES)
    key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
    if isinstance(value[key], dict | list) and value[key] and draw.random() < 0.75:
        return _with(value, key, _changed(value[key], draw))
    match draw.randrange(7):
        case 6 if isinstance(value, dict):
            return dict([*value.items(), draw.choice(KEYS)])
        case 0:
            rest = [(k, v) for k, v in _pairs(value) if k != key]
            return dict(rest) if isinstance(value, dict) else [v for _, v in rest]
        case 1 if isinstance(value, dict):
            return {
                (draw.choice(("", "x", "../x", "\x1b", key.upper())) if k == key else k): v for k, v in value.items()
            }
        case 1:
            return [*value, value[key]]
        case 2:
            return _with(value, key, draw.choice([v for _, v in _pairs(value)]))
        case _:
            return _with(value, key, draw.choice(VALUES))


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items() if isinstance(value, dict) else enumerate(value))


def _with(value: Any, key: Any, new: Any) -> Any:
    made = value.copy()
    made[key] = new
    return made


def _lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines()
    at = draw.randrange(len(lines))
    match draw.randrange(5):
        case 0:
            lines.insert(at, draw.choice((b"", b"null", b"[]", b"{}", b'"a"', b"{", lines[at])))
        case 1:  # one column of all rows
            rows = [json.loads(line) for line in lines]
            column, value = draw.choice(list(rows[0])), draw.choice(VALUES[:60])
            lines = [_written(row | {column: value}) for row in rows]
        case 2:
            rows = [json.loads(line) for line in lines]
            column = draw.choice(list(rows[0]))
            lines = [_written({key: each for key, each in row.items() if key != column}) for row in rows]
        case 3:
            lines = lines[: draw.randrange(len(lines) + 1)]
        case _:
            lines[at] = _json(lines[at], draw)
    return b"\n".join(lines) + b"\n"


def _safetensors(content: bytes, draw: random.Random) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size]
    if draw.random() < 0.2:
        return struct.pack("<Q", draw.choice((0, 1, size - 1, size + 1, 2**31, 2**63, 2**64 - 1))) + content[8:]
    header = _json(header, draw)
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def _parquet(content: bytes, draw: random.Random) -> bytes:
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    column = draw.choice(list(rows[0]))
    value = draw.choice([each for each in VALUES if not isinstance(each, str | list | dict)] + ["", "\n", "a" * 1000])
    match draw.randrange(4):
        case 0:
            rows[draw.randrange(len(rows))][column] = None
        case 1:
            rows = [row | {column: value} for row in rows]
        case 2:
            rows = [{key: each for key, each in row.items() if key != column} for row in rows]
        case _:
            rows = rows + rows[:1]
    to = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), to)
    return to.getvalue()


def _text(content: bytes, draw: random.Random) -> bytes:
    """TOML, YAML, CSV and vocabularies: a value of a line, a line, or several."""
    lines = content.splitlines()
    at = draw.randrange(len(lines))
    match draw.randrange(5):
        case 0:
            lines[at : at + 1] = [lines[at], lines[at]]
        case 1:
            del lines[at]
        case 2:
            lines.insert(at, draw.choice(lines))
        case _:
            between = next((each for each in (b"=", b": ", b",") if each in lines[at]), b" ")
            key, _, _ = lines[at].partition(between)
            lines[at] = key + between + _written(draw.choice(VALUES))
    return b"\n".join(lines) + b"\n"
