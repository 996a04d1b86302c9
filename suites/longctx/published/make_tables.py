"""Write longbench.csv and infinitebench.csv from the pages that have their scores.

The pages lie in the repositories THUDM/LongBench and OpenBMB/InfiniteBench on GitHub::

    python -m flagbench.suites.longctx.published.make_tables LongBench/LongBench/README.md InfiniteBench/README.md
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flagbench.suites.longctx.registry import Row, rows

_MODELS: Mapping[str, str] = {
    "GPT-3.5-Turbo-16k": "openai/gpt-3.5-turbo-16k",
    "Llama2-7B-chat-4k": "meta-llama/Llama-2-7b-chat-hf",
    "LongChat-v1.5-7B-32k": "lmsys/longchat-7b-v1.5-32k",
    "XGen-7B-8k": "Salesforce/xgen-7b-8k-inst",
    "InternLM-7B-8k": "internlm/internlm-chat-7b-8k",
    "ChatGLM2-6B-32k": "THUDM/chatglm2-6b-32k",
    "Vicuna-v1.5-7B-16k": "lmsys/vicuna-7b-v1.5-16k",
    "ChatGLM3-6B-32k": "THUDM/chatglm3-6b-32k",
    "GPT-4": "openai/gpt-4-1106-preview",
    "YaRN-Mistral-7B": "NousResearch/Yarn-Mistral-7b-128k",
    "Kimi-Chat": "moonshot/kimi-chat",
    "Claude 2": "anthropic/claude-2",
    "Yi-6B-200K": "01-ai/Yi-6B-200K",
    "Yi-34B-200K": "01-ai/Yi-34B-200K",
    "Chatglm3-6B-128K": "THUDM/chatglm3-6b-128k",
}
"""As the pages name them, and as LongBench's model2path.json, the hub or their makers do."""

_LONGBENCH: Mapping[str, str] = {
    "multifieldqaen": "multifieldqa_en",
    "multifieldqazh": "multifieldqa_zh",
    "dureaderzh": "dureader",
    "govreport": "gov_report",
    "multinews": "multi_news",
    "vcsumzh": "vcsum",
    "lshtzh": "lsht",
    "passagecount": "passage_count",
    "passageretrievalen": "passage_retrieval_en",
    "passageretrievalzh": "passage_retrieval_zh",
    "repobenchp": "repobench-p",
}
"""Headings in small letters without signs, where the task is called otherwise."""

_INFINITEBENCH: Mapping[str, str] = {
    "Retrieve.PassKey": "passkey",
    "Retrieve.Number": "number_string",
    "Retrieve.KV": "kv_retrieval",
    "En.Sum": "longbook_sum_eng",
    "En.QA": "longbook_qa_eng",
    "En.MC": "longbook_choice_eng",
    "En.Dia": "longdialogue_qa_eng",
    "Zh.QA": "longbook_qa_chn",
    "Code.Debug": "code_debug",
    "Code.Run": "code_run",
    "Math.Calc": "math_calc",
    "Math.Find": "math_find",
}

_HEAD = """\
# Published scores of {title}, from {page}, read 2026-11.
# Made by make_tables.py, beside this file; not written by hand. A line a model, a column a task, with its category and
# the protocol below its name. Blank: none is published, or only that it is below 5 percent.
"""

Scores = dict[str, dict[str, str]]
"""Shares as texts, by model and task."""


def longbench(page: str) -> Scores:
    """The scores by task of LongBench's page, which come after those by category."""
    found: Scores = {}
    begin = page.index("Evaluation Result on Each Dataset\n\n")
    for table in _tables(page[begin:]):
        tasks = [
            _LONGBENCH.get(name, name) for name in (re.sub("[^a-z0-9]", "", each.lower()) for each in table[0][1:])
        ]
        for model, *cells in table[1:]:
            found.setdefault(_MODELS[model], {}).update(zip(tasks, map(_share, cells), strict=True))
    return found


def infinitebench(page: str) -> Scores:
    """The scores of InfiniteBench's page."""
    table = next(each for each in _tables(page) if each[0][1] == "GPT-4")
    found: Scores = {_MODELS[model]: {} for model in table[0][1:]}
    for name, *cells in table[1:]:
        for its, cell in zip(found.values(), cells, strict=True):
            its[_INFINITEBENCH[name]] = "" if cell.startswith("<") else _share(cell.rstrip("%"))
    return found


def text(title: str, page: str, group: str, found: Scores) -> str:
    """The text of a file.

    Args:
        title: Of the benchmark.
        page: With the scores.
        group: Of its tasks.
        found: What the page has.
    """
    out = io.StringIO()
    out.write(_HEAD.format(title=title, page=page))
    writer = csv.writer(out, lineterminator="\n")
    tasks: Sequence[Row] = [row for row in rows() if row.group == group]
    writer.writerow(["model", "revision", "versions", *(row.name for row in tasks)])
    writer.writerow(["", "", "", *(row.category for row in tasks)])
    writer.writerow(["", "", "", *("official" for _ in tasks)])
    for model, its in found.items():
        writer.writerow([model, "", "", *(its[row.part] for row in tasks)])
    return out.getvalue()


def _share(percent: str) -> str:
    return f"{float(percent) / 100:.6f}".rstrip("0").rstrip(".")


def _tables(page: str) -> Iterator[list[list[str]]]:
    """The tables of a page of Markdown as rows of cells, without the line below the headings."""
    for block in re.findall(r"(?:^\|.*\n)+", page + "\n", re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.strip().split("\n")]
        yield [lines[0], *lines[2:]]


def main(long: Path, infinite: Path) -> None:
    """Write both files."""
    for title, page, source, found in (
        ("LongBench", "THUDM/LongBench at 2e00731, LongBench/README.md", long, longbench),
        ("InfiniteBench", "OpenBMB/InfiniteBench at 88b3daa, README.md", infinite, infinitebench),
    ):
        group = title.lower()
        made = text(title, page, group, found(source.read_text(encoding="utf-8")))
        Path(__file__).with_name(f"{group}.csv").write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
