"""The devices that a request runs on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from flagbench import BadInput
from flagbench.models.device import check_named, joint_device, resolve_device, resolve_devices
from flagbench.models.loading.resolve import Model, has_files
from flagbench.runners.request import RunRequest


class RequestedDevice:
    """Device of a request, resolved on first use: that imports torch, which bad input need not wait for."""

    def __init__(self, request: RunRequest) -> None:
        """Know the request.

        Raises:
            BadInput: What it names is no device, whether its models need one or not.
        """
        check_named(request.device, request.devices)
        self._request = request

    @cached_property
    def names(self) -> tuple[str, ...]:
        """As torch names them."""
        served = self._request.served
        here = not (served and served.api_base), not (served and served.reranker_api_base)
        models = [each for each, runs in zip((self._request.model, self._request.reranker), here, strict=True) if runs]
        if not any(has_files(name) for name in models if name):
            return ("cpu",)
        several = self._request.devices
        if self._request.engine == "ray":
            return (_of_cluster(self._request),)
        return resolve_devices(several) if several is not None else (resolve_device(self._request.device),)

    def is_cpu(self) -> bool:
        """True on the processor."""
        return joint_device(self.names) == "cpu"

    def check_runs(self, models: Iterable[Model]) -> None:
        """Refuse what could not run there, before weights load.

        Raises:
            BadInput: There is no Ray cluster, or the matrix backend asked for cannot run a model.
        """
        if self._request.engine == "ray" and self.names:  # the device is refused before the cluster is looked for
            from flagbench.runners.workers.cluster import check_cluster

            check_cluster(self._request.ray_address)
        if self._request.backend:
            from flagbench.models.backbone.backend import check_backend

            for model in models:
                if model.checkpoint:
                    check_backend(self._request.backend, model.spec, joint_device(self.names))


def _of_cluster(request: RunRequest) -> str:
    """The device of every node of a Ray cluster: it has to be said, since this machine may have others."""
    if request.devices or request.device not in {"cpu", "cuda"}:
        given = f"--devices {request.devices}" if request.devices else f"--device {request.device}"
        raise BadInput(f"{given}: with --engine ray say --device cuda or --device cpu, for what its nodes have")
    return request.device
