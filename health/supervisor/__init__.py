"""`manage.py serve`: one parent, the application's gunicorn, and the health server.

`parent` watches and stops both, which are a `child` each; `programs` says how they are
started, and ``__main__`` is the application's. `hooks` is what our hooks do in gunicorn,
`worker_start` and `parent_death` tie a worker to its arbiter from its first moment on.
"""
