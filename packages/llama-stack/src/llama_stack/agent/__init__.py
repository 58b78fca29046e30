"""The loop of a response. docs/agent.md says how it goes; this is where things are.

kind            `ResponseKind`: responses as a kind of runs, from the payload to the last event
ports           what the agent needs of the rest of the house

What is decided, and done
state           what is next; pure      effects: what that may be
├── approvals       calls that wait for the caller's word, and what it was
└── context         how large the context is, and what of it goes first
loop            carries it out, each effect a journalled step
├── generation      a call of the model
│   ├── chat/           items to messages, chunks to items
│   ├── attachments     images and files of the input, put in their place
│   ├── citations       found in the text while it comes
│   └── guarded         the events of an answer, held back until a guardrail has seen its text
├── toolbox         tools that run; tools/: which there are
└── compaction      summaries of a context, and of thoughts
guardrails      shields at the borders of a response
output_guard    a text that comes in pieces, held back until shields have seen it
redaction       the texts in JSON values, and the values with others in their place

What is kept, and shown
entries, ids    items, and what the model was shown of them; arguments: those of a call
turn            the documents of the journal: payload, results of steps, what the next turn reads
├── record          what the steps of earlier attempts have given
└── seals           what is encrypted in them
emitter         numbers, places and sends events
├── outgoing        those that wait until the answer is whole
└── fold            what the log of earlier attempts says
response        the response as JSON      include: what of an item a client sees
├── snapshot        while it runs
└── closing         when it was cancelled, failed, or out of time
"""
