"""Files of MLVU's videos, and the check that they can be read before any model is loaded.

Below the root the videos of the dev set lie in ``MLVU/MVLU/video/<task folder>/``, as the hub spells it, and those of
the test set in ``MLVU/MLVU_Test/test_video/`` or ``.../video/``. The outer folders may be missing or doubled, as
downloads leave them: ``MVLU/``, ``MLVU/``, ``MLVU_Test/`` or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from flagbench import BadData

DEV_FOLDERS = ("MLVU/MVLU", "MLVU/MVLU/MLVU", "MVLU", "MVLU/MLVU", "MLVU", "")
"""Folders below the root that may hold ``video/<task folder>/``, in the order in which they are looked at."""
TEST_FOLDERS = ("MLVU/MLVU_Test", "MLVU/MLVU_Test/MLVU_Test", "MLVU_Test", "MLVU_Test/MLVU_Test", "")
"""Folders below the root that may hold ``test_video/`` or ``video/``."""

_TEST = ("test_video", "video")
# Opening a file waits for the disk more than it computes.
_THREADS = 8


@dataclass(frozen=True)
class VideoFiles:
    """The videos that a run needs.

    Attributes:
        paths: File by folder and name, of those that can be read.
        faults: ``folder/name`` and why, of the others: missing, empty, cut off, unreadable.
    """

    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    faults: tuple[tuple[str, str], ...] = ()

    def message(self, names: int = 3) -> str:
        """One line on what cannot be read, with counts and the first few names; empty where all can."""
        if not self.faults:
            return ""
        parts = []
        for why, count in Counter(why for _, why in self.faults).most_common():
            first = [name for name, reason in self.faults if reason == why][:names]
            parts.append(f"{count} {why} ({', '.join(first)}{', …' if count > len(first) else ''})")
        total = len(self.paths) + len(self.faults)
        return f"{len(self.faults)} of {total} videos cannot be used: {'; '.join(parts)}"


def find(root: Path, wanted: Mapping[str, Iterable[str]]) -> VideoFiles:
    """Look for videos and try each that is there: its first frame, and that the file goes on to its end.

    Args:
        root: Folder of all data.
        wanted: File names by folder: ``1_plotQA`` or ``video/1_plotQA`` for the dev set, ``video`` or ``test_video``
            for the test set.

    Raises:
        BadData: The root is not a folder.
    """
    if not root.is_dir():
        raise BadData(f"there is no folder {root}; name the one that holds MLVU/ as the data folder")
    files = [(folder, name) for folder, names in wanted.items() for name in dict.fromkeys(names)]
    places = {folder: _places(root, folder) for folder in wanted}
    paths = [_first(places[folder], name) for folder, name in files]
    with ThreadPoolExecutor(_THREADS) as threads:
        reasons = list(threads.map(_fault, paths))
    return VideoFiles(
        {key: path for key, path, why in zip(files, paths, reasons, strict=True) if path and not why},
        tuple((f"{folder}/{name}", why) for (folder, name), why in zip(files, reasons, strict=True) if why),
    )


def _places(root: Path, folder: str) -> list[Path]:
    """The folders that exist and may hold the videos of one folder of the set."""
    if folder in _TEST:
        places = [root / outer / inner for outer in TEST_FOLDERS for inner in _TEST]
    else:
        places = [root / outer / "video" / folder.removeprefix("video/") for outer in DEV_FOLDERS]
    return [place for place in places if place.is_dir()]


def _first(places: Iterable[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _fault(path: Path | None) -> str:
    """Why a video cannot be used, in a word or two; empty where it can."""
    if path is None:
        return "missing"
    from flagbench.mlvu.frames import check

    try:
        if not path.stat().st_size:
            return "empty"
        check(path)
    except BadData as error:
        text = str(error)
        return next((short for sign, short in _SHORT.items() if sign in text), "unreadable")
    except OSError:
        return "unreadable"
    return ""


_SHORT = {"file is shorter than": "cut off", "no video stream": "without pictures"}
