"""An index of vectors in memory that follows the server's rows: what `inline::faiss` is made of.

    provider ── Keeper ─┬─ HeldIndex (one per vector store: catches up, keeps itself in order) ─── SnapshotFiles
                        └─ …   └─ Contents (a version of the rows, searchable)
                                     ├─ VectorTable (vectors, ids, documents) ── AttributeSets (filters)
                                     └─ Graph (HNSW over most of the table, once it is large)

Numpy is imported by all but `held` and `keeper`, faiss by `graph` alone, once an index is large enough for a graph.
"""
