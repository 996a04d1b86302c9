"""Chat templates that do not end, or write without end: each is stopped, in one line, wherever one is rendered."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from flagbench import BadInput
from flagbench.models import chat_templates
from flagbench.models.chat_templates import EndlessTemplate, bounded
from flagbench.models.generators.causal_lm import TextInputs
from flagbench.models.generators.tokens import TokenizerTokens
from flagbench.models.loading.causal_kinds import form_line
from flagbench.models.prompts import Prompt, Text
from tests.causal_checkpoints import write_causal

_LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
_ENDS = "{% endfor %}{% endfor %}{% endfor %}"
ENDLESS = {
    "empty loops": _LOOPS + _ENDS,
    "a filter in loops": _LOOPS + "{% set d = messages|length %}" + _ENDS,
    "a macro": "{% macro m(n) %}" + _LOOPS + _ENDS + "{% endmacro %}{{ m(1) }}",
    "a condition of a loop": _LOOPS.replace("range(99999) %}{% for c", "range(99999) if a < 0 %}{% for c") + _ENDS,
}
WRITING = "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endfor %}"


def render(template: str) -> str:
    (text,), _ = render_jinja_template(conversations=[[{"role": "user", "content": "hi"}]], chat_template=template)
    return str(text)


@pytest.mark.parametrize("template", ENDLESS.values(), ids=ENDLESS)
def test_a_template_without_end_is_stopped(template: str) -> None:
    before, started = sys.gettrace(), time.monotonic()
    with pytest.raises(EndlessTemplate, match=r"it runs for more than 0\.2 seconds"), bounded(seconds=0.2):
        render(template)
    assert time.monotonic() - started < 5
    assert sys.gettrace() is before


def test_a_template_that_writes_without_end_is_stopped() -> None:
    with pytest.raises(EndlessTemplate, match="it writes more than 1,000,000 characters"), bounded(characters=10**6):
        render(WRITING)


def test_others_are_rendered_as_without_bounds() -> None:
    template = "{% macro m(x) %}<{{ x }}>{% endmacro %}{% for each in messages %}{{ m(each.content) }}{% endfor %}"
    with bounded(seconds=60):
        assert render(template) == "<hi>"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_templates.bounded.__wrapped__, "__defaults__", (0.2, 10**6))  # type: ignore[attr-defined]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("template", [ENDLESS["empty loops"], WRITING], ids=["endless", "writing"])
def test_wherever_one_is_rendered(template: str, tmp_path: Path) -> None:
    import transformers

    write_causal(tmp_path, "llama")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = None
    plain = TokenizerTokens(tokenizer).around
    with pytest.raises(BadInput, match=r"the model's chat template cannot be used .*: mend it, or remove it"):
        form_line(template)
    inputs = TextInputs(tokenizer, "m")
    tokenizer.chat_template = template
    inputs.chat = True
    for prefill in ("", "The answer"):
        with pytest.raises(BadInput, match=r"the chat template of m cannot be used .*: mend it, or remove it"):
            inputs.render(Prompt(parts=(Text("hi"),), prefill=prefill))
    assert TokenizerTokens(tokenizer).around == plain
