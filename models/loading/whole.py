"""Whether a folder that something may still be writing to holds a whole checkpoint, told without reading weights."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from flagbench import BadInput
from flagbench.files import read_bytes
from flagbench.models.loading.adapter_bases import is_adapter
from flagbench.models.loading.checkpoint import check_settings, check_weights
from flagbench.models.loading.folder import FIX, files_read, transformer_folder, weight_files


def check_whole(directory: Path) -> None:
    """See that config, tokenizer and weights of a checkpoint are there from end to end; of a PEFT adapter its weights.

    The files that an index names are there, the header of each safetensors file agrees with its length, of a pickle the
    directory of its archive, which is written last, is at its end, and files of JSON are JSON to their end. Whether a
    pickle may be read is another question.

    Args:
        directory: The checkpoint's folder.

    Raises:
        BadInput: Something is not there or not whole yet; the line names it.
    """
    if not is_adapter(directory / transformer_folder(directory)):
        check_settings(directory)
    check_weights(directory, allow_pickle=True)
    for path in weight_files(directory / transformer_folder(directory), allow_pickle=True):
        if path.suffix != ".safetensors" and not zipfile.is_zipfile(path):
            raise BadInput(f"{path} is truncated, or no archive of weights")
    for path in files_read(directory, allow_pickle=False):
        if path.suffix == ".json":
            _check_json(path)


def _check_json(path: Path) -> None:
    try:
        json.loads(read_bytes(path, FIX))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is truncated, or no JSON") from error
