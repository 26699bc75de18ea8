"""`manage.py serve`: one parent, the application's gunicorn, and the health server.

``parent`` watches and stops both, ``servers`` are the two gunicorns, ``child`` is the
module that each runs as, ``lifeline`` ties a process's life to its parent's, ``vitals``
tells the health server and the parent of the application what no file needs to.
"""
