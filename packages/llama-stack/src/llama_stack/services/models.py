"""The models that the server offers, as OpenAI lists them and with what else we know."""

from __future__ import annotations

from llama_stack.routing.models import ModelEntry, ModelTable
from llama_stack_api.errors import MethodNotAllowed
from llama_stack_api.openai.models import Model, ModelDeleted, ModelList
from llama_stack_api.principal import Call

OWNER = "llama_stack"


class ModelService:
    def __init__(self, table: ModelTable) -> None:
        self._table = table

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
