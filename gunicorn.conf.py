"""Gunicorn's settings for the sample project, where gunicorn is started by hand.

``gunicorn -c gunicorn.conf.py`` serves the application on SENTINEL_BIND and, from the
same workers, on SENTINEL_HEALTH_BIND. Set SENTINEL_HEALTH_BIND to nothing where
``manage.py health_server`` runs beside it and owns that address; ``manage.py serve``
does so by itself.
"""

import multiprocessing
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentinel_project.settings")

wsgi_app = "sentinel_project.wsgi:application"
bind = [
    os.environ.get("SENTINEL_BIND", "127.0.0.1:8000"),
    *filter(None, [os.environ.get("SENTINEL_HEALTH_BIND", "127.0.0.1:9201")]),
]
workers = int(os.environ.get("SENTINEL_WORKERS", 2 * multiprocessing.cpu_count() + 1))
# Its default path is one for all gunicorns of a user, which then take it from each other.
control_socket_disable = True
