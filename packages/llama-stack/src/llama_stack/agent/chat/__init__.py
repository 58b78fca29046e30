"""Responses over chat completions.

there   request: the chat completion that asks for the next part
        ├── messages    items as messages: nodes (what each item is), pairing (results to calls), parts (content)
        └── choice      `tool_choice`, and which tools are offered
back    assembler: a stream of chunks as events and items
        ├── chunks          what matters in a chunk
        ├── open_items      messages and reasoning that are being streamed
        └── call_pieces     calls, put together; open_calls: as items; custom_input: the text of a custom tool's
"""
