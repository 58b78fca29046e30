"""The composition root: a run config becomes a running stack. Only this package builds things.

    async with Stack.open(config, state_dir=…) as stack:
        app = create_app(stack.services, config.server)

What serves requests is in `Stack.services`; what did not open is in `Stack.problems`, and the rest serves without it.

    opening      Stack: the order in which things are opened
    ├── storage      the databases of the config, each opened once
    ├── models       which models there are, and how often whom to try
    └── responses    runs, the agent, its tools
    services     what the HTTP layer calls
"""

from llama_stack.stack.opening import Stack
from llama_stack.stack.services import Services

__all__ = ["Services", "Stack"]
