"""What the model families of Bedrock can do, where Converse treats them differently.

Of a model that is not named here the most is assumed: what it cannot do, Bedrock refuses by name.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

ANTHROPIC: Final = "anthropic"


@dataclass(frozen=True, slots=True)
class Traits:
    """tools           it can call tools
    forces          the kinds of `toolChoice` beside `auto` that it takes
    schemas         it takes `outputConfig.textFormat` and strict tools
    top_k           where it takes `top_k` in `additionalModelRequestFields`; empty: nowhere
    thinking        how it is told to reason; empty: we know of no way
    always_reasons  it cannot be told not to
    mixes_results   results of tools and other content may stand in one turn
    caches          it takes cache points
    """

    tools: bool = True
    forces: frozenset[str] = frozenset({"any", "tool"})
    schemas: bool = False
    top_k: tuple[str, ...] = ("top_k",)
    thinking: Literal["", "claude", "nova", "effort"] = ""
    always_reasons: bool = False
    mixes_results: bool = False
    caches: bool = False


_CLAUDE: Final = Traits(thinking="claude", mixes_results=True, caches=True)
_NOVA: Final = Traits(top_k=("inferenceConfig", "topK"), mixes_results=True, caches=True)
_AUTO_ONLY: Final[frozenset[str]] = frozenset()
_OPEN: Final = Traits(schemas=True)

FAMILIES: Final[tuple[tuple[re.Pattern[str], Traits], ...]] = tuple(
    (re.compile(pattern), traits)
    for pattern, traits in (
        (r"^anthropic\.claude-(instant|v?2)", replace(_CLAUDE, tools=False, thinking="", caches=False)),
        (r"^anthropic\.claude-(3|(opus|sonnet)-4(-[01]\b|-2025))", _CLAUDE),
        (r"^anthropic\.", replace(_CLAUDE, schemas=True)),
        (r"^amazon\.nova-2", replace(_NOVA, thinking="nova")),
        (r"^amazon\.nova", _NOVA),
        (r"^amazon\.titan", Traits(tools=False, top_k=())),
        (r"^meta\.llama(2|3-(8|70)b)", Traits(tools=False, top_k=())),
        (r"^meta\.", Traits(forces=_AUTO_ONLY, top_k=())),
        (r"^mistral\.(mistral-7b|mixtral)", Traits(tools=False)),
        (r"^mistral\.(mistral-large-3|ministral|magistral|voxtral|devstral)", _OPEN),
        (r"^mistral\.", Traits(forces=frozenset({"any"}))),
        (r"^cohere\.command-(text|light)", Traits(tools=False, top_k=("k",))),
        (r"^cohere\.", Traits(forces=_AUTO_ONLY, top_k=("k",))),
        (r"^ai21\.(j2|jamba-instruct)", Traits(tools=False, top_k=())),
        (r"^ai21\.", Traits(forces=_AUTO_ONLY, top_k=())),
        (r"^deepseek\.r1", Traits(tools=False, top_k=(), always_reasons=True)),
        (r"^openai\.gpt-oss", replace(_OPEN, thinking="effort", top_k=(), always_reasons=True)),
        (r"^(minimax\.|(moonshot|moonshotai|qwen)\..*thinking)", replace(_OPEN, always_reasons=True)),
        (r"^(deepseek|google|minimax|moonshot|moonshotai|nvidia|qwen|zai)\.", _OPEN),
    )
)


def traits_of(model: str) -> Traits:
    """Of a model by its id, or by that of an inference profile of AWS's own."""
    name = foundation_of(model)
    return next((traits for pattern, traits in FAMILIES if pattern.search(name)), Traits())


def vendor_of(model: str) -> str:
    """Ids are `vendor.model` or `geography.vendor.model`, or an ARN that ends in one. Empty where the id is none: what
    an account has named itself says nothing of a vendor."""
    name = foundation_of(model)
    return name.partition(".")[0] if "." in name else ""


def foundation_of(model: str) -> str:
    """`us.meta.llama4-…` and its ARN are `meta.llama4-…`."""
    name = model.rpartition("/")[2]
    return re.sub(r"^(us-gov|us|eu|apac|ap|jp|au|ca|global)\.(?=[a-z0-9-]+\.)", "", name)
