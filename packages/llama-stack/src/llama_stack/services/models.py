"""The models that the server offers: as OpenAI lists them, with what else we know, and as Anthropic does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from llama_stack.routing.models import ModelEntry, ModelTable
from llama_stack.services.messages.names import ModelNames
from llama_stack_api.anthropic.models import ListParams, ModelInfo, ModelInfoList
from llama_stack_api.errors import InvalidRequest, MethodNotAllowed
from llama_stack_api.openai.models import Model, ModelDeleted, ModelList
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call

OWNER = "llama_stack"


class ModelService:
    """`names` say which model is meant by a name of Anthropic's."""

    def __init__(self, table: ModelTable, names: ModelNames) -> None:
        self._table = table
        self._names = names

    async def list_models(self, call: Call) -> ModelList:
        """All models in the table, registered ones first."""
        return ModelList(object="list", data=[_listed(entry) for entry in self._table.entries()])

    async def get_model(self, model_id: str, call: Call) -> Model:
        """`ModelNotFound` names near misses and the candidates of an ambiguous id."""
        entry = await self._table.resolve(model_id, call=call)
        target = entry.targets[0]
        return Model(
            **_listed(entry).model_dump(exclude_unset=True),
            identifier=entry.identifier,
            type="model",
            model_type=entry.kind,
            provider_id=target.provider_id,
            provider_resource_id=target.provider_resource_id,
            metadata=dict(entry.metadata),
        )

    async def list_infos(self, params: ListParams, call: Call) -> ModelInfoList:
        """A page of the models that answer messages."""
        entries = [entry for entry in self._table.entries() if entry.kind == ModelType.llm]
        start, end = _page(entries, params)
        page = [_info(entry) for entry in entries[start:end]]
        more = start > 0 if params.before_id is not None else end < len(entries)
        first, last = (page[0].id, page[-1].id) if page else (None, None)
        return ModelInfoList(data=page, has_more=more, first_id=first, last_id=last)

    async def get_info(self, model_id: str, call: Call) -> ModelInfo:
        """Of the model that answers to this name, which may be one of Anthropic's."""
        name = await self._names.resolve(model_id, call)
        return _info(await self._table.resolve(name, call=call))

    async def delete_model(self, model_id: str, call: Call) -> ModelDeleted:
        """Always refused, but a model that is not there is not found."""
        await self._table.resolve(model_id, call=call)
        raise MethodNotAllowed(
            f"Model {model_id!r} cannot be deleted by request: models come from the run config "
            "(registered_resources.models, and what providers list) and go with it.",
            code="model_not_deletable",
            headers={"allow": "GET"},
        )


def _listed(entry: ModelEntry) -> Model:
    target = entry.targets[0]
    return Model(
        id=entry.identifier,
        object="model",
        created=entry.created,
        owned_by=OWNER,
        custom_metadata={
            **entry.metadata,
            "model_type": entry.kind,
            "provider_id": target.provider_id,
            "provider_resource_id": target.provider_resource_id,
            "targets": [each.key for each in entry.targets],
            "verified": entry.verified,
        },
    )


def _page(entries: Sequence[ModelEntry], params: ListParams) -> tuple[int, int]:
    if params.before_id is None:
        start = 0 if params.after_id is None else _place(entries, params.after_id, "after_id") + 1
        return start, start + params.limit
    if params.after_id is not None:
        raise InvalidRequest("before_id: give this or after_id, not both.", param="before_id")
    end = _place(entries, params.before_id, "before_id")
    return max(0, end - params.limit), end


def _place(entries: Sequence[ModelEntry], model_id: str, param: str) -> int:
    for place, entry in enumerate(entries):
        if entry.identifier == model_id:
            return place
    raise InvalidRequest(f"{param}: there is no model {model_id[:200]!r}.", param=param)


def _info(entry: ModelEntry) -> ModelInfo:
    shown = entry.metadata.get("display_name")
    context = entry.metadata.get("context_length")
    return ModelInfo(
        id=entry.identifier,
        display_name=shown if isinstance(shown, str) else entry.identifier,
        created_at=datetime.fromtimestamp(entry.created, UTC).isoformat().replace("+00:00", "Z"),
        max_input_tokens=context if isinstance(context, int) else None,
    )
