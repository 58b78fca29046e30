"""Pages of distributions and of deployment: their links lead somewhere, and each distribution has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llama_stack.config.locate import packaged_distributions

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "deployment.md", *sorted((DOCS / "distributions").glob("*.md"))]


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve()
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


def test_each_distribution_has_a_page_that_the_index_names() -> None:
    index = (DOCS / "distributions" / "index.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES} == {"deployment", "index", *packaged_distributions()}
    assert all(f"({name}.md)" in index for name in packaged_distributions())


def test_a_page_says_which_variables_there_are() -> None:
    page = (DOCS / "distributions" / "bedrock.md").read_text(encoding="utf-8")
    assert "| `AWS_DEFAULT_REGION` | `us-east-1` |" in page
    assert "turns on `s3`" in page
    assert "boto3" in page
    assert re.search(r"Installed, the server takes \d+ MB", page)
