"""Vectors, words and attributes in a SQLite file of their own, by apsw and sqlite-vec: what `inline::sqlite-vec` is
made of. No other SQLite library may open the file: two in one process lose each other's locks."""
