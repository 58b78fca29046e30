"""The tools of a response: functions of the caller, and tools that a server runs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, PlainSerializer, SecretStr, Tag

from llama_stack_api.base import OTHER, Flag, Integer, JsonObject, Number, WireModel, by_type, other_than
from llama_stack_api.filters import Filter

TOOL_TYPES = (
    "function", "custom", "namespace", "tool_search", "mcp", "file_search", "web_search", "web_search_2025_08_26",
    "web_search_preview", "web_search_preview_2025_03_11", "code_interpreter", "image_generation", "computer",
    "computer_use_preview", "shell", "local_shell", "apply_patch", "programmatic_tool_calling",
)  # fmt: skip
FORMAT_TYPES = ("text", "grammar")
ENVIRONMENT_TYPES = ("container_auto", "local", "container_reference")
SKILL_TYPES = ("skill_reference", "inline")

Secret: TypeAlias = Annotated[
    SecretStr, PlainSerializer(lambda secret: secret.get_secret_value(), return_type=str, when_used="json")
]
"""Hidden in logs and by `model_dump()`, but written as JSON, which is what goes over the wire."""

AllowedCaller: TypeAlias = Literal["direct", "programmatic"] | str
AllowedCallers: TypeAlias = Annotated[list[AllowedCaller], Field(min_length=1)]
SearchContextSize: TypeAlias = Literal["low", "medium", "high"] | str


class FunctionTool(WireModel):
    """A function of the caller. `parameters` is a JSON Schema; `defer_loading` leaves it to be found by a search."""

    nulls_sent: ClassVar[frozenset[str]] = frozenset({"parameters", "strict"})

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: Flag | None = None
    output_schema: JsonObject | None = None
    defer_loading: Flag | None = None
    allowed_callers: AllowedCallers | None = None


class TextInput(WireModel):
    type: Literal["text"] = "text"


class GrammarInput(WireModel):
    type: Literal["grammar"] = "grammar"
    syntax: Literal["lark", "regex"] | str
    definition: str


class OtherInput(WireModel):
    type: str = Field(json_schema_extra=other_than(*FORMAT_TYPES))


CustomInput: TypeAlias = Annotated[
    Annotated[TextInput, Tag("text")] | Annotated[GrammarInput, Tag("grammar")] | Annotated[OtherInput, Tag(OTHER)],
    by_type(*FORMAT_TYPES),
]


class CustomTool(WireModel):
    """A tool of the caller whose input is free text, or text of a grammar."""

    type: Literal["custom"] = "custom"
    name: str
    description: str | None = None
    format: CustomInput | None = None
    defer_loading: Flag | None = None
    allowed_callers: AllowedCallers | None = None


class OtherNamespacedTool(WireModel):
    type: str = Field(json_schema_extra=other_than("function", "custom"))


NamespacedTool: TypeAlias = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[OtherNamespacedTool, Tag(OTHER)],
    by_type("function", "custom"),
]


class NamespaceTool(WireModel):
    """Tools of the caller under a common name."""

    type: Literal["namespace"] = "namespace"
    name: str
    description: str | None = None
    tools: list[NamespacedTool]


class ToolSearchTool(WireModel):
    """Lets the model find tools whose definitions it was not given."""

    type: Literal["tool_search"] = "tool_search"
    execution: Literal["server", "client"] | None = None
    description: str | None = None
    parameters: JsonObject | None = None


class MCPToolFilter(WireModel):
    """Selects tools by name, or those that say of themselves that they only read."""

    tool_names: list[str] | None = None
    read_only: Flag | None = None


class MCPApprovalFilter(WireModel):
    """Which tools always, and which never, need an approval. Llama Stack takes plain lists of names too."""

    always: MCPToolFilter | list[str] | None = None
    never: MCPToolFilter | list[str] | None = None


class MCPTool(WireModel):
    """The tools of an MCP server, which is known by its address or by the id of a connector."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    server_url: str | None = None
    connector_id: (
        Literal[
            "connector_dropbox", "connector_gmail", "connector_googlecalendar", "connector_googledrive",
            "connector_microsoftteams", "connector_outlookcalendar", "connector_outlookemail", "connector_sharepoint",
        ]
        | str
        | None
    ) = None  # fmt: skip
    tunnel_id: str | None = None
    server_description: str | None = None
    authorization: Secret | None = None
    headers: dict[str, Secret] | None = None
    allowed_tools: list[str] | MCPToolFilter | None = None
    allowed_callers: AllowedCallers | None = None
    require_approval: Literal["always", "never"] | MCPApprovalFilter | None = None
    defer_loading: Flag | None = None


class HybridSearch(WireModel):
    """The shares of the two rankings in the score."""

    embedding_weight: Number
    text_weight: Number


class RankingOptions(WireModel):
    ranker: Literal["auto", "default-2024-11-15"] | str | None = None
    score_threshold: Number | None = None
    hybrid_search: HybridSearch | None = None


class FileSearchTool(WireModel):
    type: Literal["file_search"] = "file_search"
    vector_store_ids: list[str]
    max_num_results: Integer | None = Field(default=None, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    filters: Filter | None = None


class ApproximateLocation(WireModel):
    """`country` is an ISO 3166-1 alpha-2 code, `timezone` an IANA name."""

    type: Literal["approximate"] = "approximate"
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class WebSearchFilters(WireModel):
    """Subdomains of an allowed domain are allowed too."""

    allowed_domains: list[str] | None = None


class WebSearchTool(WireModel):
    type: Literal["web_search", "web_search_2025_08_26"] = "web_search"
    external_web_access: Flag | None = None
    filters: WebSearchFilters | None = None
    user_location: ApproximateLocation | None = None
    search_context_size: SearchContextSize | None = None


class WebSearchPreviewTool(WireModel):
    type: Literal["web_search_preview", "web_search_preview_2025_03_11"] = "web_search_preview"
    user_location: ApproximateLocation | None = None
    search_context_size: SearchContextSize | None = None
    search_content_types: list[Literal["text", "image"] | str] | None = None


class DomainSecret(WireModel):
    """A secret that requests to `domain` may use by its `name`."""

    domain: str
    name: str
    value: Secret


class NetworkPolicy(WireModel):
    """What a container may reach: nothing, or the domains of an `allowlist`."""

    type: Literal["disabled", "allowlist"] | str
    allowed_domains: list[str] | None = None
    domain_secrets: list[DomainSecret] | None = None


class AutoContainer(WireModel):
    """A container that is made for the tool, with files in it."""

    type: Literal["auto"] | str = "auto"
    file_ids: list[str] | None = None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | str | None = None
    network_policy: NetworkPolicy | None = None


class CodeInterpreterTool(WireModel):
    """`container` is the id of a container, or how to make one."""

    type: Literal["code_interpreter"] = "code_interpreter"
    container: str | AutoContainer | None = None
    allowed_callers: AllowedCallers | None = None


class ImageMask(WireModel):
    image_url: str | None = None
    file_id: str | None = None


class ImageGenerationTool(WireModel):
    type: Literal["image_generation"] = "image_generation"
    model: str | None = None
    quality: Literal["low", "medium", "high", "auto"] | str | None = None
    size: Literal["1024x1024", "1024x1536", "1536x1024", "auto"] | str | None = None
    output_format: Literal["png", "webp", "jpeg"] | str | None = None
    output_compression: Integer | None = Field(default=None, ge=0, le=100)
    moderation: Literal["auto", "low"] | str | None = None
    background: Literal["transparent", "opaque", "auto"] | str | None = None
    input_fidelity: Literal["high", "low"] | str | None = None
    input_image_mask: ImageMask | None = None
    partial_images: Integer | None = Field(default=None, ge=0, le=3)
    action: Literal["generate", "edit", "auto"] | str | None = None


class ComputerTool(WireModel):
    type: Literal["computer"] = "computer"


class ComputerUsePreviewTool(WireModel):
    """`display_width` and `display_height` are in pixels."""

    type: Literal["computer_use_preview"] = "computer_use_preview"
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"] | str
    display_width: Integer
    display_height: Integer


class SkillReference(WireModel):
    type: Literal["skill_reference"] = "skill_reference"
    skill_id: str
    version: str | None = None


class InlineSkillSource(WireModel):
    """`data` is base64."""

    type: Literal["base64"] | str = "base64"
    media_type: Literal["application/zip"] | str = "application/zip"
    data: str


class InlineSkill(WireModel):
    type: Literal["inline"] = "inline"
    name: str
    description: str
    source: InlineSkillSource


class OtherSkill(WireModel):
    type: str = Field(json_schema_extra=other_than(*SKILL_TYPES))


Skill: TypeAlias = Annotated[
    Annotated[SkillReference, Tag("skill_reference")]
    | Annotated[InlineSkill, Tag("inline")]
    | Annotated[OtherSkill, Tag(OTHER)],
    by_type(*SKILL_TYPES),
]


class ContainerEnvironment(WireModel):
    """A container that is made for the shell, with files and skills in it."""

    type: Literal["container_auto"] = "container_auto"
    file_ids: list[str] | None = None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | str | None = None
    network_policy: NetworkPolicy | None = None
    skills: list[Skill] | None = None


class LocalSkill(WireModel):
    name: str
    description: str
    path: str


class LocalEnvironment(WireModel):
    """The caller's own machine."""

    type: Literal["local"] = "local"
    skills: list[LocalSkill] | None = None


class ContainerReference(WireModel):
    type: Literal["container_reference"] = "container_reference"
    container_id: str


class OtherEnvironment(WireModel):
    type: str = Field(json_schema_extra=other_than(*ENVIRONMENT_TYPES))


Environment: TypeAlias = Annotated[
    Annotated[ContainerEnvironment, Tag("container_auto")]
    | Annotated[LocalEnvironment, Tag("local")]
    | Annotated[ContainerReference, Tag("container_reference")]
    | Annotated[OtherEnvironment, Tag(OTHER)],
    by_type(*ENVIRONMENT_TYPES),
]


class ShellTool(WireModel):
    type: Literal["shell"] = "shell"
    environment: Environment | None = None
    allowed_callers: AllowedCallers | None = None


class LocalShellTool(WireModel):
    type: Literal["local_shell"] = "local_shell"


class ApplyPatchTool(WireModel):
    type: Literal["apply_patch"] = "apply_patch"
    allowed_callers: AllowedCallers | None = None


class ProgrammaticToolCalling(WireModel):
    """Lets the model write programs that call the tools."""

    type: Literal["programmatic_tool_calling"] = "programmatic_tool_calling"


class OtherTool(WireModel):
    """A tool of a type that the contract does not know."""

    type: str = Field(json_schema_extra=other_than(*TOOL_TYPES))


Tool: TypeAlias = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[NamespaceTool, Tag("namespace")]
    | Annotated[ToolSearchTool, Tag("tool_search")]
    | Annotated[MCPTool, Tag("mcp")]
    | Annotated[FileSearchTool, Tag("file_search")]
    | Annotated[WebSearchTool, Tag("web_search")]
    | Annotated[WebSearchTool, Tag("web_search_2025_08_26")]
    | Annotated[WebSearchPreviewTool, Tag("web_search_preview")]
    | Annotated[WebSearchPreviewTool, Tag("web_search_preview_2025_03_11")]
    | Annotated[CodeInterpreterTool, Tag("code_interpreter")]
    | Annotated[ImageGenerationTool, Tag("image_generation")]
    | Annotated[ComputerTool, Tag("computer")]
    | Annotated[ComputerUsePreviewTool, Tag("computer_use_preview")]
    | Annotated[ShellTool, Tag("shell")]
    | Annotated[LocalShellTool, Tag("local_shell")]
    | Annotated[ApplyPatchTool, Tag("apply_patch")]
    | Annotated[ProgrammaticToolCalling, Tag("programmatic_tool_calling")]
    | Annotated[OtherTool, Tag(OTHER)],
    by_type(*TOOL_TYPES),
]
