"""The Responses API over the agent and the run journal.

service     what the routes call
├── create      starts a run; streams it, waits for it, or neither
│   └── drafts      from a request to its turn: checks, references, prompts, outputs, secrets
├── reading     stored responses: read, followed, listed, cancelled, deleted
└── context     tokens of an input, and a shorter one
history     `agent.ports.History`: what comes before a turn
model       `agent.ports.Model`: chat completions of the inference service
events      a run's events as server-sent ones; failures: a failed response as an HTTP error
"""
