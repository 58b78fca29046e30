"""`/docs`: the OpenAPI document as one page to read. It has no script and no foreign address, so it works offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
}
REFERENCE = "#/components/schemas/"
_LIMITS = {
    "minimum": "≥ ",
    "maximum": "≤ ",
    "exclusiveMinimum": "> ",
    "exclusiveMaximum": "< ",
    "minLength": "length ≥ ",
    "maxLength": "length ≤ ",
    "minItems": "items ≥ ",
    "maxItems": "items ≤ ",
    "maxProperties": "keys ≤ ",
    "pattern": "pattern ",
    "format": "format ",
    "default": "default ",
}

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d9dde3, #3a3f47); --soft: light-dark(#f5f6f8, #202329);
  --dim: light-dark(#59616d, #a3abb8); --mark: light-dark(#0b57d0, #8ab4f8) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  background: light-dark(#fff, #16181c); color: light-dark(#1c1f24, #e4e7ec) }
a { color: var(--mark); text-decoration: none } a:hover { text-decoration: underline }
h1 small, p, .dim, td:last-child { color: var(--dim) } h1 small { font-weight: 400 }
h2 { margin: 2rem 0 .5rem } nav a { margin-right: 1rem }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: 0 .8rem }
details[open] { padding-bottom: .6rem } details details { background: var(--soft) }
summary { cursor: pointer; padding: .45rem 0; overflow-wrap: anywhere } summary .dim { margin-left: .6rem }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
.method { display: inline-block; min-width: 4.2rem; font: 700 .8em ui-monospace, monospace; color: var(--mark) }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; font-size: .92em }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-top: 1px solid var(--line) }
th { border: 0; font-weight: 600 } td:first-child { white-space: nowrap }
@media (max-width: 40rem) { td { display: block; border: 0; padding: 0 } td:first-child { border-top: 1px solid
  var(--line); padding-top: .4rem } th { display: none } }
"""


def docs_page(document: Schema) -> bytes:
    """A whole HTML page. Whatever comes from the document is escaped."""
    title, version = escape(document["info"]["title"]), escape(document["info"]["version"])
    tags = _by_tag(document["paths"])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title} API</title><style>{STYLE}</style></head><body>",
        f"<h1>{title} <small>{version}</small></h1>",
        '<p>What the server takes and returns, from <a href="openapi.json">openapi.json</a>.</p><nav>',
        *(f'<a href="#tag-{escape(tag)}">{escape(tag)}</a>' for tag in tags),
        '<a href="#types">Types</a></nav>',
    ]
    schemas = document.get("components", {}).get("schemas", {})
    for tag, operations in tags.items():
        parts.append(f'<section id="tag-{escape(tag)}"><h2>{escape(tag)}</h2>')
        parts += (_operation(*each, schemas) for each in operations)
        parts.append("</section>")
    parts.append('<section id="types"><h2>Types</h2>')
    parts += (_type_entry(name, schema) for name, schema in sorted(schemas.items()))
    parts.append("</section></body></html>")
    return "".join(parts).encode("utf-8", "replace")


def _by_tag(paths: Schema) -> dict[str, list[tuple[str, str, Schema]]]:
    tags: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            for tag in operation.get("tags", ["Other"]):
                tags.setdefault(tag, []).append((method.upper(), path, operation))
    return tags


def _operation(method: str, path: str, operation: Schema, schemas: Schema) -> str:
    body = [_text(operation)]
    if parameters := operation.get("parameters"):
        rows = [(f"{each['name']}", each["schema"], each.get("required", False), each) for each in parameters]
        body.append(f"<details open><summary>Parameters</summary>{_table(rows)}</details>")
    if request := operation.get("requestBody"):
        body += _contents("Request", request, schemas)
    for status, response in operation["responses"].items():
        body += _contents(f"Response {status}", response, schemas)
    summary = f'<span class="dim">{escape(operation.get("summary", ""))}</span>'
    heading = f'<span class="method">{escape(method)}</span><code>{escape(path)}</code>{summary}'
    return f"<details><summary>{heading}</summary>{''.join(body)}</details>"


def _contents(label: str, body: Schema, schemas: Schema) -> Iterator[str]:
    for media_type, content in body.get("content", {}).items():
        schema = content.get("schema", {})
        about = f'{escape(label)} <span class="dim">{escape(media_type)} · {_type(schema)}</span>'
        named = schemas.get(schema.get("$ref", "").removeprefix(REFERENCE), schema)
        yield f"<details><summary>{about}</summary>{_text(body)}{_properties(named)}</details>"


def _type_entry(name: str, schema: Schema) -> str:
    # The target is within, and not the details themselves: following a link to it opens what is around it.
    inner = f'<div id="type-{escape(name)}">{_text(schema)}{_properties(schema)}</div>'
    return f"<details><summary><code>{escape(name)}</code></summary>{inner}</details>"


def _properties(schema: Schema) -> str:
    properties, required = schema.get("properties"), schema.get("required", ())
    if not properties:
        return f"<p><code>{_type(schema)}</code>{_limits(schema)}</p>"
    return _table((name, each, name in required, each) for name, each in properties.items())


def _table(rows: Iterable[tuple[str, Schema, bool, Schema]]) -> str:
    """Rows of name, schema, whether it is required, and what holds the description."""
    cells = (
        f"<tr><td><code>{escape(name)}</code>{' <b>required</b>' if required else ''}</td>"
        f"<td><code>{_type(schema)}</code>{_limits(schema)}</td><td>{_text(about)}</td></tr>"
        for name, schema, required, about in rows
    )
    return f"<table><tr><th>Name</th><th>Type</th><th>Description</th></tr>{''.join(cells)}</table>"


def _text(described: Schema) -> str:
    text = described.get("description", "")
    return "<br>".join(escape(paragraph) for paragraph in text.split("\n\n"))


def _limits(schema: Schema) -> str:
    stated = (schema, *schema.get("anyOf", ()))
    found = [
        f"{words}{_value(each[key])}" for each in stated for key, words in _LIMITS.items() if each.get(key) is not None
    ]
    return f' <span class="dim">{escape(", ".join(found))}</span>' if found else ""


def _type(schema: Schema | bool) -> str:
    """In words, as HTML: names of types are links."""
    if isinstance(schema, bool):
        return "any" if schema else "nothing"
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(REFERENCE))
        return f'<a href="#type-{name}">{name}</a>'
    for key, joint in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " &amp; ")):
        if key in schema:
            return joint.join(dict.fromkeys(_type(each) for each in schema[key]))
    if "const" in schema or "enum" in schema:
        return " | ".join(escape(json.dumps(each)) for each in schema.get("enum", [schema.get("const")]))
    return _plain_type(schema)


def _plain_type(schema: Schema) -> str:
    kind = schema.get("type")
    if kind == "array":
        return f"array of {_type(schema.get('items', True))}"
    if kind == "object" and (values := schema.get("additionalProperties")) not in (None, True, False):
        return f"map to {_type(values)}"
    return escape(" | ".join(kind)) if isinstance(kind, list) else escape(kind or "any")


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
