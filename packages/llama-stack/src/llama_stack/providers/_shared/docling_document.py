"""The text of a `DoclingDocument`, as docling-serve sends it in JSON, page by page.

Its Markdown would be shorter to read, but does not say on which page something stands.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Ref(msgspec.Struct):
    """`#/texts/12`."""

    target: str = msgspec.field(name="$ref")


class Place(msgspec.Struct):
    page_no: int


class Cell(msgspec.Struct):
    text: str = ""


class Grid(msgspec.Struct):
    """Rows of cells; one that spans several places stands in each of them."""

    grid: list[list[Cell]] = []


class Item(msgspec.Struct):
    """A text, a table, a picture or a group of those. `furniture` is what repeats on every page."""

    label: str = ""
    text: str = ""
    level: int = 1
    content_layer: str = "body"
    prov: list[Place] = []
    children: list[Ref] = []
    captions: list[Ref] = []
    data: Grid | None = None


class DoclingDocument(msgspec.Struct):
    body: Item
    texts: list[Item] = []
    groups: list[Item] = []
    tables: list[Item] = []
    pictures: list[Item] = []
    pages: dict[str, msgspec.Raw] = {}

    def blocks(self) -> Iterator[tuple[int | None, str]]:
        """Page and text of whatever has text, in reading order; each once, though references go in circles."""
        seen: set[str] = set()
        coming = [*reversed(self.body.children)]
        while coming:
            target = coming.pop().target
            item = self._item(target)
            if item is None or target in seen or item.content_layer == "furniture":
                continue
            seen.add(target)
            text = _text(item)
            if text:
                yield (item.prov[0].page_no if item.prov else None), text
            coming += reversed([*item.captions, *item.children])

    def _item(self, target: str) -> Item | None:
        kind, _, index = target.removeprefix("#/").partition("/")
        lists = {"texts": self.texts, "groups": self.groups, "tables": self.tables, "pictures": self.pictures}
        items = lists.get(kind, [])
        return items[int(index)] if index.isdecimal() and int(index) < len(items) else None


def _text(item: Item) -> str:
    if item.data is not None:
        rows = (" | ".join(" ".join(cell.text.split()) for cell in row) for row in item.data.grid)
        return "\n".join(row for row in rows if row.strip(" |"))
    text = item.text.strip()
    match item.label:
        case "title":
            return f"# {text}" if text else ""
        case "section_header":
            return f"{'#' * min(max(item.level + 1, 2), 6)} {text}" if text else ""
        case "list_item":
            return f"- {text}" if text else ""
        case _:
            return text
