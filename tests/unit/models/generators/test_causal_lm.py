"""Language models of texts alone, against a loop over full forward passes that shares no code with the adapter."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from flagbench import BadInput, ModelFault
from flagbench.models.generators import causal_lm
from flagbench.models.generators.causal_lm import TextInputs
from flagbench.models.generators.language_model import _tail, _Watch
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.positions import positions_of
from flagbench.models.loading.resolve import resolve_generator
from flagbench.models.prompts import Image, Prompt, Text
from flagbench.models.video import VideoSettings
from tests.answering import answers_of, asking
from tests.causal_checkpoints import CHAT, Naive, loaded, loaded_text, write_causal

pytestmark = pytest.mark.usefixtures("one_thread")

NO_SYSTEM = CHAT.replace(
    "<|im_start|>{{ message['role'] }}", "{% if message['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}\n"
)
STUBBORN = CHAT.replace("{{ message['content'] }}", "{{ message['content'] | replace('(', '[') }}")

KINDS = {
    "llama-chat": ("llama", CHAT, False),
    "qwen2-chat": ("qwen2", CHAT, False),
    "llama-plain": ("llama", None, True),
    "qwen2-plain": ("qwen2", None, False),
}
PROMPTS = [
    asking("Be brief.", "What is a fox?", "It is ("),
    asking("", "Why?"),
    asking("Be brief.", "的 and 😀, then a longer question of many more words than the others have. " * 2),
    Prompt("", (Text("One piece, "), Text("and another")), ""),
    asking("", "What is a fox?", "("),
]


def by_hand(kind, prompt):
    """The text that a model of this kind should read."""
    _, template, begin = KINDS[kind]
    if template is None:
        system = f"{prompt.system}\n" if prompt.system else ""
        return f"{'<s>' if begin else ''}{system}{prompt.text}{prompt.prefill}"
    system = f"<|im_start|>system\n{prompt.system}<|im_end|>\n" if prompt.system else ""
    return f"{system}<|im_start|>user\n{prompt.text}<|im_end|>\n<|im_start|>assistant\n{prompt.prefill}"


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    family, template, begin = KINDS[kind]
    return write_causal(tmp_path_factory.mktemp("causal") / kind, family, template, begin=begin)


@pytest.fixture(scope="module")
def naive(folder):
    return Naive(folder)


def test_answers_are_those_of_a_greedy_loop_over_full_passes(folder, naive, kind):
    wanted = [naive.answer(by_hand(kind, prompt), 12) for prompt in PROMPTS]

    assert answers_of(loaded(folder), PROMPTS, 12) == wanted
    assert len(set(wanted)) == len(wanted)


@pytest.mark.parametrize("size", [2, 4])
def test_batches_answer_as_one_by_one(folder, size):
    alone = answers_of(loaded(folder), PROMPTS, 12)

    assert answers_of(loaded(folder, size), PROMPTS, 12) == alone
    assert answers_of(loaded(folder, size), PROMPTS[::-1], 12)[::-1] == alone


def test_padding_moves_no_position(folder):
    """The logits behind a padded prompt are those of the prompt alone."""
    model = loaded(folder)
    batch, _ = model._prepared(PROMPTS, 0)
    assert batch["attention_mask"][:, -1].tolist() == [1] * len(PROMPTS)
    assert (batch["attention_mask"][:, 0] == 0).sum() == len(PROMPTS) - 1
    found = model._model.generate(**batch, max_new_tokens=1, output_logits=True, return_dict_in_generate=True)
    for row, prompt in enumerate(PROMPTS):
        alone, _ = model._prepared([prompt], 0)
        with torch.inference_mode():
            logits = model._model(alone["input_ids"]).logits[0, -1]
        assert (found.logits[0][row] - logits).abs().max() < 1e-4


def test_options_score_as_in_full_passes(folder, naive, kind):
    options = [["A", "B", "Option"], ["A"], ["B", "Best A) x"], ["A", "B"], ["A", "B", "C", "D"]]
    scores = loaded(folder, 4).score_options(PROMPTS, options)

    for prompt, given, found in zip(PROMPTS, options, scores, strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - naive.scores(by_hand(kind, prompt), given)).max() < 1e-3


def test_a_question_without_options_has_no_scores(folder):
    none, one = loaded(folder).score_options(PROMPTS[:2], [[], ["A"]])

    assert (none.shape, none.dtype, one.shape) == ((0,), np.float32, (1,))


def test_an_answer_ends_with_its_last_token_in_every_batch(tmp_path):
    """One that ends early gets padding behind it, which is not a text even where it is no special token."""
    folder = write_causal(tmp_path / "m", "llama")
    naive = Naive(folder)
    tokens = naive.ids(answers_of(loaded(folder), PROMPTS[:1], 12)[0])
    model = loaded(folder, 2)
    settings = model._model.generation_config
    settings.pad_token_id, settings.eos_token_id = naive.ids("x")[0], tokens[2]
    model._ends = frozenset({tokens[2]})
    short, _ = answers_of(model, PROMPTS[:2], 12)

    assert short == naive.words.decode(tokens[: tokens.index(tokens[2]) + 1])


@pytest.mark.parametrize("ends", ["one", "list", "tokenizer"])
def test_an_answer_ends_with_any_token_that_the_checkpoint_ends_answers_with(tmp_path, ends):
    folder = write_causal(tmp_path / "m", "llama")
    naive = Naive(folder)
    whole = [naive.ids(answer) for answer in answers_of(loaded(folder), PROMPTS[:2], 12)]
    wanted = [whole[0][2], whole[1][4]] if ends == "list" else whole[0][2]
    path = folder / "generation_config.json"
    own = json.loads(path.read_text()) | {"eos_token_id": None if ends == "tokenizer" else wanted}
    path.write_text(json.dumps(own))
    model = loaded(folder, 2)
    tokens = {naive.words.eos_token_id} if ends == "tokenizer" else {wanted} if ends == "one" else set(wanted)
    assert model._ends == tokens
    model._model.generation_config.pad_token_id = naive.ids("x")[0]  # no special token, so it would be read as a text

    cut = [next((at for at, token in enumerate(row) if token in tokens), len(row)) + 1 for row in whole]
    assert answers_of(model, PROMPTS[:2], 12) == [
        naive.words.decode(row[:end], skip_special_tokens=True) for row, end in zip(whole, cut, strict=True)
    ]


@pytest.mark.parametrize(
    ("field", "value"), [("eos_token_id", "</s>"), ("eos_token_id", [1, "x"]), ("bos_token_id", "<s>")]
)
def test_ids_of_a_generation_config_that_are_none_are_named(tmp_path, field, value):
    folder = write_causal(tmp_path / "m", "llama")
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(BadInput, match=f"says {field} = .*, and not the number of a token"):
        loaded(folder)


@pytest.mark.parametrize("text", ["{", "[1]", '{"eos_token_id": 1'])
@pytest.mark.parametrize("load", [loaded, loaded_text])
def test_a_damaged_generation_config_is_refused(tmp_path, load, text):
    folder = write_causal(tmp_path / "m", "llama")
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(BadInput, match=r"generation_config\.json .*JSON"):
        load(folder)


@pytest.mark.parametrize("prefill", ["", "It is"])
def test_a_chat_template_that_swells_is_refused(tmp_path, prefill):
    loop = "{% for _ in range(1100) %}{% for _ in range(10) %}" + "x" * 100 + "{% endfor %}{% endfor %}"
    folder = write_causal(tmp_path / "m", "llama", loop + CHAT)
    with pytest.raises(BadInput, match=r"the chat template of .* cannot be used \(it makes 1,100,\d+ characters of"):
        answers_of(loaded(folder), [Prompt("", (Text("a"),), prefill=prefill)], 2)
    assert loaded_text(folder).tokens.around == 0


def answers_ended(model, prompts, most, **length):
    found = dict(model.answers(prompts, max_new_tokens=most, **length))
    return [found[row] for row in range(len(prompts))]


def greedy(naive, before, most, ends=(), least=0):
    """The ids of an answer, one full pass a token; the one that ends it is its last."""
    written = []
    while len(written) < most:
        scores = naive.log_probabilities(before + written)[-1].clone()
        if len(written) < least:
            scores[list(ends)] = -torch.inf
        written.append(int(scores.argmax()))
        if written[-1] in ends:
            break
    return written


def test_an_answer_ends_with_the_last_token_of_a_text_that_ends_answers(folder, naive, kind):
    """It is the answer's last, as what is skipped are special tokens alone."""
    before = [naive.ids(by_hand(kind, prompt)) for prompt in PROMPTS]
    whole = [greedy(naive, ids, 12, {naive.words.eos_token_id}) for ids in before]
    ends = [(token, f"x{naive.words.decode([token])}") for token in whole[0][1:]]
    end, text = next((token, text) for token, text in ends if naive.ids(text)[-1] == token)
    assert len(naive.ids(text)) > 1
    cut = [greedy(naive, ids, 12, {naive.words.eos_token_id, end}) for ids in before]
    assert cut != whole

    for size in (1, 3):
        found = answers_ended(loaded(folder, size), PROMPTS, 12, ends=[text])
        assert found == [naive.words.decode(row, skip_special_tokens=True) for row in cut]


def test_ends_of_one_call_are_not_those_of_the_next(folder, naive):
    """FlagEmbedding adds them to the checkpoint's own list, where they stay."""
    model = loaded(folder)
    plain = answers_of(model, PROMPTS, 12)
    answers_ended(model, PROMPTS, 12, ends=[plain[0][:1]])

    assert answers_of(model, PROMPTS, 12) == plain


def test_an_answer_does_not_end_before_its_least_length(folder, naive, kind):
    before = naive.ids(by_hand(kind, PROMPTS[1]))
    first = naive.words.decode(greedy(naive, before, 1))
    ends = {naive.ids(first)[-1], naive.words.eos_token_id}
    found = [
        answers_ended(loaded(folder), PROMPTS[1:2], 6, ends=[first], min_new_tokens=least)[0] for least in (0, 1, 3)
    ]

    wanted = [greedy(naive, before, 6, ends, least) for least in (0, 1, 3)]
    assert len(wanted[0]) == 1 < 3 < len(wanted[2])
    assert found == [naive.words.decode(row, skip_special_tokens=True) for row in wanted]


def test_a_text_without_a_token_ends_nothing(folder):
    with pytest.raises(BadInput, match="the text '' cannot end an answer"):
        answers_ended(loaded(folder), PROMPTS[:1], 3, ends=[""])


def test_the_mean_over_tokens_is_the_sum_by_their_number(folder, naive, kind):
    options = ["A", "Option", "Best A) x"]
    model = loaded(folder)
    (total,), (mean,) = (model.score_options(PROMPTS[:1], [options], mean=mean) for mean in (False, True))

    lengths = [len(naive.ids(option)) for option in options]
    assert len(set(lengths)) > 1
    assert np.abs(mean - naive.scores(by_hand(kind, PROMPTS[0]), options) / lengths).max() < 1e-3
    assert np.abs(mean * lengths - total).max() < 1e-4


# Prompts


def test_a_plain_prompt_is_its_text_alone(folder, naive, kind):
    prompt = Prompt("Be brief.", (Text("Why?"),), "It is", form="plain", further=("Why not?",))
    batch, (text,) = loaded(folder)._prepared([prompt], 0)
    begin = [naive.words.convert_tokens_to_ids("<s>")] if KINDS[kind][2] else []

    assert text == "Be brief.\nWhy?\nWhy not?It is"
    assert batch["input_ids"][0].tolist() == begin + naive.ids(text)


def test_a_prompt_that_is_split_twice_begins_twice(tmp_path):
    """Once by its template, and once by its tokenizer."""
    template = "<s>" + CHAT
    model = loaded(write_causal(tmp_path / "m", "llama", template, begin=True))
    words = model.inputs.tokenizer
    found = {}
    for form in ("chat", "twice", "plain"):
        prompt = Prompt("", (Text("Why?"),), form=form)
        batch, _ = model._prepared([prompt], 0)
        found[form] = words.decode(batch["input_ids"][0].tolist())
    turn = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"

    assert found == {"chat": f"<s>{turn}", "twice": f"<s><s>{turn}", "plain": "<s>Why?"}


def test_a_prompt_that_is_split_twice_is_as_the_tokenizer_has_it(folder):
    model = loaded(folder)
    words = model.inputs.tokenizer
    prompt = Prompt("Be brief.", (Text("Why?"),), form="twice", further=("Why not?",))
    batch, (text,) = model._prepared([prompt], 0)
    whole = words(text)["input_ids"]

    ended = whole[-1] == words.convert_tokens_to_ids("</s>")
    assert batch["input_ids"][0].tolist() == whole[: len(whole) - ended]


def test_further_texts_are_messages_of_their_own(tmp_path):
    prompt = Prompt("Be brief.", (Text("One"),), "It", further=("Two", "Three"))
    text = loaded(write_causal(tmp_path / "m", "qwen2")).inputs.render(prompt)
    turns = [("system", "Be brief."), ("user", "One"), ("user", "Two"), ("user", "Three")]
    before = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)

    assert text == f"{before}<|im_start|>assistant\nIt"
    plain = loaded(write_causal(tmp_path / "plain", "qwen2", None))
    assert plain.inputs.render(prompt) == "Be brief.\nOne\nTwo\nThreeIt"


def test_a_template_without_a_system_message_has_it_before_the_question(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "qwen2", NO_SYSTEM))

    assert not model.inputs.system
    assert "\nBe brief.\nWhat is a fox?" in model.inputs.render(PROMPTS[0])


def test_a_template_that_changes_the_prefill_gets_it_behind_its_prompt(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "qwen2", STUBBORN))

    assert model.inputs.render(PROMPTS[4]).endswith("<|im_start|>assistant\n(")


def test_a_template_that_cuts_the_prefill_gets_it_behind_its_prompt(tmp_path):
    """A blank at its end is gone where a template trims messages."""
    trims = CHAT.replace("{{ message['content'] }}", "{{ message['content'] | trim }}")
    model = loaded(write_causal(tmp_path / "m", "qwen2", trims))

    assert model.inputs.render(asking("", "Why?", "It is ")).endswith("<|im_start|>assistant\nIt is ")
    assert model.inputs.render(asking("", "Why?", "It is")).endswith("<|im_start|>assistant\nIt is")


def test_of_several_templates_the_one_called_default_is_taken(tmp_path):
    words = loaded(write_causal(tmp_path / "m", "qwen2", None)).inputs.tokenizer
    for templates, chat, system in (
        ({"rag": NO_SYSTEM, "default": CHAT}, True, True),
        ({"rag": CHAT, "default": NO_SYSTEM}, True, False),
        ({"rag": CHAT}, False, False),
    ):
        words.chat_template = templates
        made = TextInputs(words, "m")
        assert (made.chat, made.system) == (chat, system)


def test_nothing_follows_a_text_where_the_tokenizer_ends_texts(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "llama", None, begin=True))
    words = model.inputs.tokenizer
    assert words("a")["input_ids"][-1] == words.convert_tokens_to_ids("</s>")
    batch, _ = model._prepared([asking(user="a")], 0)

    assert words.convert_ids_to_tokens(batch["input_ids"][0].tolist()) == ["<s>", "a"]


def test_a_text_that_begins_itself_has_one_beginning(tmp_path):
    template = "<s>{{ messages[-1]['content'] }}"
    model = loaded(write_causal(tmp_path / "m", "llama", template, begin=True))
    batch, _ = model._prepared([asking(user="a")], 0)

    assert model.inputs.tokenizer.decode(batch["input_ids"][0].tolist()) == "<s>a"


def test_an_option_that_joins_the_end_of_the_prompt_is_scored_with_it(tmp_path):
    folder = write_causal(tmp_path / "m", "qwen2", None)
    model, naive = loaded(folder), Naive(folder)
    assert _tail(model.inputs.tokenizer, "It is Bes", "t") == (1, naive.ids("Best"))
    ((joined,),) = model.score_options([asking(user="It is Bes")], [["t"]])

    assert abs(joined - naive.scores("It is ", ["Best"])[0]) < 1e-3


# What cannot be


def test_pictures_are_refused(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "llama"))
    prompt = Prompt("", (Image(np.zeros((4, 4, 3), dtype=np.uint8)), Text("what?")))

    with pytest.raises(BadInput, match="reads texts alone"):
        answers_of(model, [prompt])


def test_a_text_beyond_the_positions_is_refused_with_its_answer_counted(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "llama", None))
    text = "x" * 502
    assert len(answers_of(model, [asking(user=text)], 10)) == 1

    with pytest.raises(BadInput) as caught:
        answers_of(model, [asking(user=text)], 11)
    assert str(caught.value) == (
        "local/m has 512 positions, and a question takes 513, 11 of them for the answer: ask a shorter one, "
        "or allow fewer new tokens"
    )
    with pytest.raises(BadInput, match=r"has 512 positions, and a question takes 513: ask a shorter one$"):
        model.score_options([asking(user="x" * 513)], [["A"]])


def test_an_empty_text_without_a_token_is_refused(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "llama", None))

    with pytest.raises(BadInput, match="nothing to read"):
        answers_of(model, [asking()])


def test_half_precision_reaches_the_weights(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "llama"), dtype="bf16")

    assert next(model._model.parameters()).dtype == torch.bfloat16
    assert np.isfinite(model.score_options(PROMPTS[:1], [["A", "B"]])[0]).all()


@pytest.mark.parametrize(
    ("steps", "odd"),
    [([], None), ([0], False), ([1], True), ([0, 1, 0], True), ([1, 0, 0], True), ([0, 0, 0], False)],
)
def test_nan_at_any_step_is_seen(steps, odd):
    watch = _Watch()
    for step in steps:
        scores = torch.tensor([[0.5, 1.0], [0.0, torch.nan if step else 2.0]])
        assert watch(torch.zeros(1), scores) is scores

    assert (None if watch.found is None else bool(watch.found)) == odd


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"max_position_embeddings": 512, "rope_parameters": {"rope_type": "default"}}, 512),
        ({"max_position_embeddings": 512, "rope_parameters": None}, 512),
        ({"max_position_embeddings": 512, "rope_parameters": {"rope_type": "yarn"}}, 0),
        ({"max_position_embeddings": 512, "rope_parameters": {"mrope_section": [1]}}, 0),
        ({"max_position_embeddings": None}, 0),
        ({}, 0),
    ],
)
def test_positions_are_a_limit_where_they_are_not_scaled(config, positions):
    assert positions_of(SimpleNamespace(**config)) == positions


# What it is found to be


def test_layers_are_torchs_whatever_an_encoder_would_run_on(tmp_path, monkeypatch):
    folder, backends = write_causal(tmp_path / "m", "llama"), []
    read = causal_lm.read_pretrained
    monkeypatch.setattr(causal_lm, "read_pretrained", lambda *given: backends.append(given[3].backend) or read(*given))
    assert loaded(folder).backend == "torch"
    assert backends == ["torch"]


def test_a_model_of_texts_answers_questions_on_videos_blind_alone(tmp_path):
    folder = str(write_causal(tmp_path / "m", "llama"))
    allowed = {"trust_remote_code": False, "allow_pickle": False}
    blind = resolve_generator(folder, None, VideoSettings(0, sampler="mlvu"), Overrides(), **allowed)

    assert (blind.spec.adapter, blind.spec.own, blind.spec.dtype) == (
        "causal-lm",
        VideoSettings(0, sampler="mlvu"),
        "bf16",
    )
    unasked = resolve_generator(folder, None, None, Overrides(), **allowed)
    assert (unasked.spec.own, unasked.spec.adapter) == (None, "causal-lm")
    assert "video" not in unasked.spec.as_dict()
    with pytest.raises(BadInput, match=r"is a text model \(LlamaForCausalLM\) and sees no videos; .* or --blind"):
        resolve_generator(folder, None, VideoSettings(8, sampler="mlvu"), Overrides(), **allowed)


# Checkpoints that are odd


def written(folder, model):
    """A plain model of another family beside a Llama's tokenizer."""
    write_causal(folder, "llama", None)
    (folder / "generation_config.json").unlink()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    words = transformers.AutoTokenizer.from_pretrained(write_causal(tmp_path_factory.mktemp("words") / "m", "llama"))
    return {"vocab_size": len(words), "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}


def test_a_family_with_an_older_name_answers_as_its_greedy_loop(tmp_path, sizes):
    torch.manual_seed(1)
    config = transformers.GPT2Config(n_positions=512, n_embd=32, n_layer=2, n_head=4, **sizes)
    folder = written(tmp_path / "m", transformers.GPT2LMHeadModel(config))
    before = [f"{prompt.system}\n" if prompt.system else "" for prompt in PROMPTS]
    naive = Naive(folder)
    wanted = [
        naive.answer(f"{system}{each.text}{each.prefill}", 8) for system, each in zip(before, PROMPTS, strict=True)
    ]

    assert answers_of(loaded(folder), PROMPTS, 8) == wanted
    assert answers_of(loaded(folder, 4), PROMPTS, 8) == wanted


def test_a_model_that_counts_positions_from_the_padding_on_answers_batches_as_one_by_one(tmp_path, sizes):
    torch.manual_seed(1)
    narrow = {f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    feed = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    config = transformers.BartConfig(d_model=32, max_position_embeddings=512, **narrow, **feed, **sizes)
    folder = written(tmp_path / "m", transformers.BartForCausalLM(config))

    assert answers_of(loaded(folder, 4), PROMPTS, 8) == answers_of(loaded(folder), PROMPTS, 8)


def test_weights_that_give_nan_are_named_and_no_answer(tmp_path):
    model = loaded(write_causal(tmp_path / "m", "llama"))
    with torch.no_grad():
        model._model.lm_head.weight[3] = torch.nan

    with pytest.raises(ModelFault, match="gave NaN while it answered a question; use another dtype"):
        answers_of(model, PROMPTS[:1], 4)


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}",
        "{{ raise_exception('no') }}",
        "{{ raise_exception('') }}",
        "{{ 1 + 'a' }}",
        "{{ messages[9].content.text }}",
    ],
)
def test_a_template_that_fails_is_named(tmp_path, template):
    folder = write_causal(tmp_path / "m", "llama")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")

    for prompt in (PROMPTS[0], PROMPTS[1]):
        with pytest.raises(
            BadInput, match=r"the chat template of local/m cannot be used \(.+\): mend it, or remove it"
        ):
            answers_of(loaded(folder), [prompt])


def test_a_template_that_is_no_text_is_named(tmp_path):
    folder = write_causal(tmp_path / "m", "llama")
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BadInput, match=r"chat_template\.jinja is not UTF-8"):
        loaded(folder)


def test_a_config_that_contradicts_itself_is_one_line(tmp_path):
    """Whatever transformers raises: here an assertion of torch, since the pad token is beyond the vocabulary."""
    folder = write_causal(tmp_path / "m", "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 8, "pad_token_id": 60}))

    with pytest.raises(BadInput, match="cannot be loaded by transformers"):
        loaded(folder)
