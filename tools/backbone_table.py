"""Writes the table of docs/backbones.md anew from the catalogue: python tools/backbone_table.py"""

from __future__ import annotations

import re
from pathlib import Path

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.spec import BackboneSpec

PAGE = Path(__file__).resolve().parent.parent / "docs" / "backbones.md"
MARKED = re.compile(r"(?<=<!-- catalogue -->\n).*?(?=\n<!-- /catalogue -->)", re.DOTALL)
COLUMNS = "name", "network", "D", "rate", "parameters", "GMAC, 4 s", "weights", "their licence", "source"


def table() -> str:
    """The built-in backbones, those with weights and without a network first, then what prefixes make."""
    specs = sorted(
        (spec for spec in BACKBONES.usable() if spec.is_own),
        key=lambda s: (s.parameters != 0 and not s.weights, s.name),
    )
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_row, specs)]
    its_own = ("",) * (len(COLUMNS) - 2)
    rows += [(f"`{prefix.name}:{prefix.form}`", prefix.told, *its_own) for prefix in BACKBONES.prefixes.values()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(spec: BackboneSpec) -> tuple[str, ...]:
    weights = f"{spec.weights.note}; {spec.weights.size}" if spec.weights else "none"
    return (
        f"`{spec.name}`",
        spec.title,
        f"{spec.embedding_dim:,}",
        f"{spec.sample_rate_hz / 1000:g} kHz",
        f"{spec.parameters or 0:,}",
        f"{spec.gmacs:g}",
        weights,
        spec.licence.partition(":")[0],
        re.sub(r"github\.com/[\w./-]*\w", r"[code](https://\g<0>)", re.sub(r"arXiv ([\d.]+\d)", _arxiv, spec.source)),
    )


def _arxiv(found: re.Match[str]) -> str:
    return f"[arXiv {found[1]}](https://arxiv.org/abs/{found[1]})"


def main() -> None:
    PAGE.write_text(MARKED.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
