"""Write docs/families.md from the registry, and from the figures that the parity tests leave (``make families``)."""

from __future__ import annotations

import json
from pathlib import Path

from flagbench.models.loading.registry import family_names, family_spec, published, registry
from flagbench.runners.commands.show import settings_line
from tests.parity.st_keys import table

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "families.md"
_SHOWN = 4
FIGURES = Path(__file__).with_name("figures.json")

_HEAD = """# Model families

Made by `make families` from `models/models.toml` and from the parity tests; not written by hand.

A family is a set of settings. A published checkpoint takes its family's by name; any other checkpoint takes those
detected from its files, or those of the family named with `--family`. The column *reference* names the code whose
outputs the family's adapter is compared with: classes of FlagEmbedding 1.4.2 on tiny random checkpoints, kept in
`tests/parity/goldens`, or, where there is no class, a naive computation in float64. *Largest difference* is the largest
that the tests saw, in fp32, over all batch sizes, relative to the largest value where that is above 1. The bound is
1e-5, and 3e-6 where the batches are the reference's own.

Settings are those on a GPU; on the processor dtypes of half precision give way to fp32. Each published checkpoint may
override its family's; `flagbench models show NAME` prints the effective settings.
"""

_VISUALIZED = """## Files of Visualized-BGE

A folder of one's own has `config.json` and tokenizer of the text tower (BERT or XLM-RoBERTa) and, in a \
`Visualized_….pth` (a flat
dict of tensors, with `--allow-pickle`) or as safetensors, these tensors; any other is refused by name. All sizes \
are read from them.

| names begin with | what they are |
|---|---|
| `bge_embeddings.`, `bge_encoder.`, `bge_pooler.` | the text tower: `embeddings.`, `encoder.`, `pooler.` of the \
plain BGE model |
| `model_visual.visual.` | the vision tower, EVA02-CLIP: `patch_embed.proj`, `cls_token`, `pos_embed`, `rope`, \
`blocks.0.` to the last |
| `visual_proj.` | `weight` and `bias`, from the vision tower's states to the text tower's |
| `model_visual.logit_scale`, `model_visual.visual.norm.`, `model_visual.visual.head.`, \
`bge_embeddings.position_ids` | not used; they may be there |

An image is made as large as the vision tower takes, patch size times grid (224 pixels of the published two): its \
shorter side by
bicubic interpolation, then the middle. Each patch takes the place of a token of the text.
"""


def render(figures: dict[str, float]) -> str:
    """The page.

    Args:
        figures: Largest difference from the reference by family.
    """
    parts = [_HEAD]
    for ability, title in (("encode", "Embedders"), ("score", "Rerankers")):
        parts.append(f"## {title}\n")
        parts.append("| family | settings | instruction | reference | largest difference |\n|---|---|---|---|---|")
        parts += [_row(family, figures) for family in family_names() if _ability(family) == ability]
        parts.append("")
    parts.append(table())
    parts.append(_VISUALIZED)
    parts.append("## Published checkpoints\n\n| checkpoint | family | revision | licence |\n|---|---|---|---|")
    parts += [
        f"| {spec.name} | {spec.family} | `{spec.revision[:8]}` | {spec.licence} |"
        for spec in published().values()
        if spec.has_files
    ]
    for name, families in registry().ask.items():
        parts.append(f"| {name} | one of {', '.join(families)}, named with `--family` | `main` | mit |")
    return "\n".join(parts) + "\n"


def _ability(family: str) -> str:
    return str(registry().families[family]["ability"])


def _row(family: str, figures: dict[str, float]) -> str:
    table = registry().families[family]
    spec = family_spec(family, name="any", revision="")
    figure = f"{figures[family]:.1e}" if family in figures else "not measured"
    return f"| `{family}` | {settings_line(spec)} | {_instruction(table)} | {table['reference']} | {figure} |"


def _instruction(table: object) -> str:
    assert isinstance(table, dict)
    found = [f"`{each['text']}` before {', '.join(_texts(each['before']))}" for each in table["instructions"]]
    if form := table.get("task_format"):
        found.append(f"`{form}` with the task's instruction".replace("\n", "\\n"))
    if prompt := table.get("prompt"):
        found.append(f"prompt: `{prompt}`")
    return "; ".join(found) or "none"


def _texts(selectors: list[str]) -> list[str]:
    names = {"query": "queries", "passage": "passages", "*": "all other texts"}
    if len(selectors) > _SHOWN:
        return [f"the queries of {len(selectors)} tasks"]
    return [names.get(selector, f"the queries of {selector.removesuffix('-query')} tasks") for selector in selectors]


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(json.loads(FIGURES.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
