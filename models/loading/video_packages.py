"""The packages with which transformers prepares images and videos: which a model needs, and torchvision's trap."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flagbench import BadInput

if TYPE_CHECKING:
    import torch

# What transformers' processors import beside torch: all images are opened with pillow.
_PACKAGES_OF_ALL = (("PIL", "pillow"),)
_PACKAGES_OF_VIDEO = (("torchvision", "torchvision"),)
_PACKAGES_OF_TYPE: Mapping[str, tuple[tuple[str, str], ...]] = {"smolvlm": (("num2words", "num2words"),)}

# Operators whose compiled code a torchvision of another build than torch's lacks, and to which it gives shapes when it
# is imported, which fails where they are not even declared. What prepares videos uses neither.
_UNDECLARED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a declaration ends with its library


def check_packages(model_type: str) -> None:
    """Look whether the packages that a model's processor imports are here.

    Raises:
        BadInput: One is not; the message names it and the fix.
    """
    needed = (*_PACKAGES_OF_ALL, *(_PACKAGES_OF_VIDEO if takes_videos(model_type) else ()))
    for module, package in (*needed, *_PACKAGES_OF_TYPE.get(model_type, ())):
        if not _installed(module):
            raise BadInput(
                f"transformers prepares the videos of {model_type} models with {package}, which is not installed: "
                f"pip install {package}"
                + (" (the build of your torch: CPU or the same CUDA)" if package == "torchvision" else "")
            )


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def takes_videos(model_type: str) -> bool:
    """Tell whether transformers has a video processor for a type of model; others get a clip as images."""
    use_torchvision()
    from transformers.models.auto.video_processing_auto import (  # type: ignore[attr-defined]
        VIDEO_PROCESSOR_MAPPING_NAMES,
    )

    return model_type in VIDEO_PROCESSOR_MAPPING_NAMES


def use_torchvision() -> None:
    """Make torchvision, where it is installed, usable beside a torch of another build.

    A CUDA build beside a CPU torch fails when it is imported (``operator torchvision::nms does not exist``), and
    transformers then says that it has no AutoProcessor.

    Raises:
        BadInput: It cannot be imported all the same.
    """
    try:
        importlib.import_module("torchvision")
        return
    except ModuleNotFoundError as error:
        if error.name == "torchvision":
            return
        raise BadInput(f"torchvision cannot be imported ({first_line(error)}): install it again") from error
    except (RuntimeError, ImportError, OSError) as error:
        if "torchvision::" not in str(error) or _declared:
            raise BadInput(
                f"torchvision cannot be imported ({first_line(error)}): install the one that fits this torch"
            ) from error
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _UNDECLARED:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
    use_torchvision()


def first_line(error: BaseException) -> str:
    """The message of an error, in one line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
