"""The wire types of the Responses API: the request, its tools and items, the response, and the events of a stream."""
