"""`doctor`: what is wrong with a config, its machine and its backends, in the order in which it is best put right.

It starts no server and no model, and changes nothing: files are looked at, ports tried and let go, backends asked for
their models.
"""
