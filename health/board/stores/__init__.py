"""Where the board's document lives: in a process (`memory`), in a file, or in a Django cache.

`base.Store` is what each of them can do.
"""
