"""Whatever has an owner: `open_sql(config)` gives a `Database`; each kind of row has a store beside it."""
