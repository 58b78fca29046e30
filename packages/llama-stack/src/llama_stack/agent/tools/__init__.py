"""The tools of a response, by kind, behind the protocols of `base`.

functions       the caller's: function, custom, namespace; and those that nobody here runs
mcp             of MCP servers: mcp_access (reaching one), mcp_policy (what the request says of it), mcp_items
web_search, file_search     query: what the model asks of both
tool_search     deferred tools: deferral (which are offered), ranking (which fit)
names           the names under which the model calls all of them
"""
