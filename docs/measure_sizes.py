"""Writes docs/distributions/sizes.json: what each distribution takes when installed. To be run by hand.

    python -m docs.measure_sizes

Sizes differ between systems and versions, so `make docs` reads them from that file. They are those of the environment
that runs this, which must have what the distributions need; a provider that a variable turns on is left out.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from llama_stack.cli.building.footprint import SERVER
from llama_stack.cli.recipes.recipe import packaged_recipes

SIZES = Path(__file__).parent / "distributions" / "sizes.json"
KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
_MB = 1_000_000


def measured(name: str) -> dict[str, int]:
    """Megabytes and packages of the server itself, and of what the distribution adds."""
    command = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack", "list-deps", name]
    environ = {key: os.environ[key] for key in KEPT if key in os.environ}
    said = subprocess.run(  # noqa: S603 - our own command, with the names of our own files
        [*command, "--sizes", "--json"], env=environ, capture_output=True, text=True, check=True
    )
    parts: list[dict[str, Any]] = json.loads(said.stdout)
    absent = [part["name"] for part in parts if not part["installed"]]
    if absent:
        raise SystemExit(f"{name}: not installed here: {', '.join(absent)}")
    found: dict[str, int] = {}
    for key, wanted in (("server", True), ("added", False)):
        sizes = [part["bytes"] for part in parts if (part["needed_by"] == SERVER) is wanted]
        found |= {f"{key}_mb": round(sum(sizes) / _MB), f"{key}_packages": len(sizes)}
    return found


def main() -> None:
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    how = f"llama stack list-deps NAME --sizes, {system}"
    sizes = {"how": how, "distributions": {name: measured(name) for name in packaged_recipes()}}
    SIZES.parent.mkdir(exist_ok=True)
    SIZES.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
