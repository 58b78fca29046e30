"""What clients keep here, and responses and messages refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llama_stack.routing.opening import OpenProvider
from llama_stack.services.connectors import ConnectorService
from llama_stack.services.file_processors import FileProcessorService, processors_of
from llama_stack.services.prompts import PromptService
from llama_stack.stack.files import FileParts, open_files
from llama_stack.stack.foundation import Foundation
from llama_stack.storage.sql.connectors import ConnectorStore
from llama_stack.storage.sql.conversations import ConversationStore
from llama_stack.storage.sql.prompts import PromptStore


@dataclass(frozen=True, slots=True)
class StoredParts:
    """`processors` read what `files` hold."""

    conversations: ConversationStore
    prompts: PromptService
    connectors: ConnectorService
    files: FileParts
    processors: FileProcessorService


async def open_stored(base: Foundation, providers: Sequence[OpenProvider]) -> StoredParts:
    config, stores, storage = base.config, base.config.storage.stores, base.storage
    prompts = PromptStore(await storage.owned(stores.prompts), limits=config.server.prompts)
    connectors = ConnectorStore(await storage.owned(stores.connectors))
    conversations = ConversationStore(await storage.sql(stores.conversations), limits=config.server.conversations)
    files = await open_files(config.server, providers, base.database, base.state_dir / "local-copies", base.exits)
    return StoredParts(
        conversations=conversations,
        prompts=PromptService(prompts),
        connectors=ConnectorService(config.connectors, connectors, base.mcp, base.sealer),
        files=files,
        processors=FileProcessorService(processors_of(providers), files.local),
    )
