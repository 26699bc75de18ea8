"""The health server: a program of its own (``python -m health.server``) with its own port.

`app` is its WSGI application, `urls` and `views` what it answers, `gunicorn_app` and
`worker` the gunicorn that serves it.
"""
