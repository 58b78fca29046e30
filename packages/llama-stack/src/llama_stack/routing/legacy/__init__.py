"""Packages written for llama-stack-api 0.7, turned into descriptors: the only place that knows their conventions.

specs          `get_provider_spec()`, and what a spec says, as descriptors
provider       the life of a provider: its factory, its attributes, its methods behind today's ports
calls          the request at work: whose it is, and what it brought, for objects that are not told
dependencies   other APIs, as such an object calls them
inference, safety, tools, files, vectors     what each API's methods are here
"""
