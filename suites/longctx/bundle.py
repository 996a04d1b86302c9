"""Files of FlagEmbedding's bundle ``long-llm``: JSON lines, whatever their ending says."""

from __future__ import annotations

from flagbench import AbsentData, BadData
from flagbench.files import inside
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.sources import Source

_BUNDLE = "long-llm"


def bundle_file(source: Source, name: str) -> RowFile:
    """A file of the bundle, whose folder lies in that of the dataset, or whose content does.

    Args:
        source: Of the dataset that has it.
        name: Relative to the bundle's folder, such as ``lm/pg19.json``.

    Raises:
        AbsentData: It is not there.
    """
    folder = source.files(f"{_BUNDLE}/{name}")
    for each in (f"{_BUNDLE}/{name}", name):
        path = inside(folder, each, "remove the link", error=BadData)
        if path.is_file():
            return RowFile(path, "jsonl", path.stem)
    raise AbsentData(
        f"{folder} has no {_BUNDLE}/{name}: put the folder {_BUNDLE} of {_BUNDLE}.tar.gz there, which has it"
    )
