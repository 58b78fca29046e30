"""The composition root: a run config becomes a running stack. Only this package builds things.

    async with Stack.open(config, state_dir=…) as stack:
        app = create_app(stack.services, config.server)

What serves requests is in `Stack.services`; what did not open is in `Stack.problems`, and the rest serves without it.

    opening      Stack: the stages, in the order in which they are opened
    ├── foundation   databases (storage), the ways out, the key of secrets, the providers
    ├── inference    which models there are (models), whoever serves them, and shields and guards (safety)
    ├── stored       what clients keep here: conversations, prompts, connectors, files
    ├── work         the engine of runs, with responses, knowledge (ingestion) and batches as its kinds
    └── services     what the HTTP layer calls
"""

from llama_stack.stack.opening import Stack
from llama_stack.stack.services import Services

__all__ = ["Services", "Stack"]
