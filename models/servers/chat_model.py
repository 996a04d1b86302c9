"""Models behind a server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, or a paid service.

A question is one POST to ``<url>/chat/completions``, at temperature 0. The frames go before the text, each as an
``image_url`` of base64 JPEG, which every such server takes, or all in one ``video_url`` (``data:video/jpeg``), which
vLLM takes and which keeps them a video for models that pair frames.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from flagbench import UNTOLD, BadInput
from flagbench.models.contract import Capability, Loading
from flagbench.models.prompts import Prompt
from flagbench.models.servers.chat import JPEG, Images, messages, read_completion
from flagbench.models.servers.concurrent import Stop, as_they_come
from flagbench.models.servers.exchange import Reply
from flagbench.models.servers.http import CLOCK, RATE_LIMIT, Client, Clock, RateLimit, environment_key, plain_url
from flagbench.models.servers.settings import ServerSettings
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoSettings

OWN_FIELDS = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed", "stream", "n"}
)
"""Fields of a request that no user may give."""


Connected = TypeVar("Connected", bound="ApiModel")


class ApiModel:
    """Answers through a server. Calls may come from several threads; they share the pace and the counts.

    Attributes:
        batch_size: 1: a request holds one prompt.
        lanes: Prompts that are asked at the same time.
        odd: What is odd about the server, in one line; empty where nothing is known of it.

    Raises:
        BadInput: The key cannot be sent.
    """

    capabilities: frozenset[Capability] = frozenset({"generate"})
    device = "server"
    backend = "api"
    batch_size = 1

    def __init__(self, spec: ModelSpec, rate_limit: RateLimit = RATE_LIMIT, clock: Clock = CLOCK) -> None:
        self.spec = spec
        self.lanes = rate_limit.concurrency
        self.odd = ""
        self._wire = self._settings(spec)
        self._client = Client(str(self._wire["url"]), spec.name, rate_limit=rate_limit, clock=clock, fix=self._fix)

    @staticmethod
    def _settings(spec: ModelSpec) -> Mapping[str, Any]:
        """The request settings of a spec, by name."""
        return spec.own_as(ServerSettings).wire()

    @property
    def usage(self) -> Counter[str]:
        """Counts of the calls.

        ``requests`` (failed ones too), ``answers``, ``prompt_tokens`` and ``completion_tokens`` as the server counts
        them, ``cut`` (answers that ended at the limit of tokens) and ``empty`` ones, as a model gives that reasons up
        to the limit.
        """
        return self._client.usage

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self) -> str:
        """Ask the server which models it has, before any question: one request, never repeated.

        Returns:
            What is odd, in one line: the model is not in its list, which is no error, as servers know aliases. Empty
            where all is well, or there is no list.

        Raises:
            BadInput: No server answers there, it does not take the key, or it is not ready.
        """
        odd = self._client.unlisted(self._wire["model"])
        return odd and f"{odd}: name the model as it does"

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        """See the contract. Prompts with a prefill are refused."""
        length = request_length(max_new_tokens, ends, min_new_tokens)
        return as_they_come(prompts, lambda prompt, stop: self._ask(prompt, length, stop), self.lanes)

    def score_options(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], *, mean: bool = False
    ) -> list[NDArray[np.float32]]:
        """See the contract: never."""
        raise BadInput(f"{self.spec.name}: a server gives no probabilities of options; let it generate the answer")

    def _ask(self, prompt: Prompt, length: Mapping[str, Any], stop: Stop) -> str | None:
        """One answer; None when all stopped before it came."""
        return self._client.post("chat/completions", self._body(prompt, length), self._read, stop)

    def _body(self, prompt: Prompt, length: Mapping[str, Any]) -> bytes:
        if prompt.prefill:
            raise BadInput(
                f"{self.spec.name}: a server cannot go on from '{prompt.prefill}'; use the prompt no-prefill"
            )
        if prompt.form == "plain":
            raise BadInput(f"{self.spec.name}: a question without a chat template is no chat completion")
        return request_body(self._wire, {"messages": messages(prompt, str(self._wire["images"]))}, length)

    def _read(self, reply: Reply) -> str:
        text, counts = read_completion(reply)
        self._client.count(answers=1, empty=int(not text.strip()), **counts)
        return text

    def _fix(self, status: int, message: str) -> str:
        """Advice against a refusal."""
        if status in (400, 422) and "seed" in message:
            return "let no seed be sent"
        if status == 404:
            return f"is '{self._wire['model']}' its name there, and does the url end as it should (/v1)?"
        return "does it take images, and so many frames and tokens?"


def connected(model: Connected) -> Connected:
    """A model whose server has answered, and what is odd about it; else its connections are closed.

    Raises:
        BadInput: No server answers there, it does not take the key, or it is not ready.
    """
    try:
        model.odd = model.check()
    except BaseException:
        model.close()
        raise
    return model


def request_length(max_new_tokens: int, ends: Sequence[str], min_new_tokens: int) -> dict[str, Any]:
    """The fields of a request that say how long its answer is."""
    stop = {"stop": list(ends)} if ends else {}
    # No field of OpenAI's own, but of the servers that run open models; without a least length it is not sent.
    return {"max_tokens": max_new_tokens, **stop, **({"min_tokens": min_new_tokens} if min_new_tokens else {})}


def request_body(wire: Mapping[str, Any], asked: Mapping[str, Any], length: Mapping[str, Any]) -> bytes:
    """The JSON of a request, greedy.

    Args:
        wire: Settings of the model: ``model``, ``extra``, and ``seed`` where one is sent.
        asked: The prompt, as this kind of request has it.
        length: As ``request_length`` has it.
    """
    body = {
        "model": wire["model"],
        **asked,
        "temperature": 0,
        **length,
        **({"seed": int(wire["seed"])} if "seed" in wire else {}),
        **json.loads(str(wire["extra"])),
    }
    # One that a server does not take can be left out by an extra field.
    return json.dumps({name: value for name, value in body.items() if (name, value) != ("min_tokens", None)}).encode()


def check_server(name: str, url: str, extra: Mapping[str, Any], own: Set[str]) -> None:
    """See that a model's name, a server's url and more fields of requests can be sent and written down.

    Args:
        name: As the server calls the model.
        url: As given.
        extra: By field.
        own: Fields that FlagBench sets.

    Raises:
        BadInput: They cannot.
    """
    if not name.strip():
        raise BadInput("the model on the server has no name: name one of those that the server lists")
    if taken := own & set(extra):
        raise BadInput(f"api/{name}: {', '.join(sorted(taken))} cannot be an extra field: FlagBench sets it")
    variable, key = environment_key()
    written = json.dumps([name, url, extra])
    if key.hide_in_answer(written) != written:
        raise BadInput(f"the key in {variable} is a part of the model's name, url or extra fields: take it out there")


def api_model(
    name: str,
    url: str,
    video: VideoSettings,
    *,
    images: Images = "image_url",
    seed: int | None = 0,
    extra: Mapping[str, Any] | None = None,
    revision: str = UNTOLD,
) -> ModelSpec:
    """The spec of a model behind a server; nothing is asked of it.

    Args:
        name: As the server calls it.
        url: Up to and with ``/v1``. It is part of the spec: another server may have other weights of that name.
        video: The prompt must be ``no-prefill`` and the answer generated.
        images: How frames are sent.
        seed: For servers that are not deterministic at temperature 0; None for those that refuse one.
        extra: More fields of every request (``mm_processor_kwargs``).
        revision: Of the weights, where it is known: a server does not say.

    Raises:
        BadInput: One of them is not possible.
    """
    check_server(name, url, extra or {}, OWN_FIELDS)
    if video.prompt != "no-prefill":
        raise BadInput(f"api/{name}: a server cannot go on from the beginning of an answer; use the prompt no-prefill")
    if video.answer != "generate":
        raise BadInput(f"api/{name}: a server gives no probabilities of options; let it generate the answer")
    if images not in get_args(Images):
        raise BadInput(f"api/{name}: frames are sent as {' or '.join(get_args(Images))}, not as '{images}'")
    return ModelSpec(
        name=f"api/{name}",
        revision=revision,
        family="api",
        adapter="api",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
        own=ServerSettings.of(
            video,
            url=plain_url(url),
            model=name,
            images=images,
            jpeg=JPEG,
            extra=json.dumps(extra or {}, sort_keys=True),
            seed=seed,
        ),
    )


def load(spec: ModelSpec, directory: Path, loading: Loading) -> ApiModel:
    """Nothing is read: the spec is all there is."""
    return ApiModel(spec)
