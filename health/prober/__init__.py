"""The prober: the one process of those that share a board that probes its backends.

`leader.Prober` runs it; `autostart.ensure_started` starts it in a process that serves
requests, `once.probe_once` makes one check of each backend without a board.
"""
