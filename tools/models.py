"""`python -m tools.models` writes the tables of docs/models.md anew, from what the models say of themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from tools.documents import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = PROJECT / "docs" / "models.md"
MODELS = PROJECT / "transform" / "models"


def described_models() -> Iterator[dict[str, Any]]:
    """Yield what each model says of itself in its YAML file: those for people first, then what they stand on."""
    for path in sorted(MODELS.rglob("*.yml"), key=lambda path: (len(path.relative_to(MODELS).parts), path)):
        yield from yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])


def with_models(document: str) -> str:
    """Return docs/models.md with the tables that the models' descriptions make."""
    sections = "\n\n".join(_section(model) for model in described_models())
    between = re.compile(r"(?<=<!-- models -->\n).*?(?=<!-- /models -->)", re.DOTALL)
    return between.sub(lambda _: f"{sections}\n", document)


def _section(model: dict[str, Any]) -> str:
    lines = [f"| `{column['name']}` | {' '.join(column['description'].split())} |" for column in model["columns"]]
    return "\n".join(
        [f"### `{model['name']}`", "", " ".join(model["description"].split()), "", "| column | |", "|---|---|", *lines]
    )


if __name__ == "__main__":
    DOCUMENT.write_text(with_models(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
