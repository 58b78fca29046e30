"""Vector stores: files in, the chunks that answer a query out.

stores     created, listed, changed, deleted; which provider and which embedding model
files      attached to a store, one by one (`batches`: many at once); their ingestion is runs
content    the text of a file, and its chunks
search     in one store, or for the tool file_search in several
raw        chunks that a client made itself
upkeep     what is done in the background: expiry, removal, changes that a provider has not confirmed
"""
