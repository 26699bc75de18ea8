"""Gunicorn's settings for the sample project, where gunicorn is started by hand.

``gunicorn -c gunicorn.conf.py`` serves the application on SENTINEL_BIND and, from the
same workers, on SENTINEL_HEALTH_BIND. Set SENTINEL_HEALTH_BIND to nothing where
``manage.py health_server`` runs beside it and owns that address; ``manage.py serve``
does so by itself.
"""

import os

from health.gunicorn import *  # noqa: F403  the hooks, see there
from health.supervisor import environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentinel_project.settings")

wsgi_app = "sentinel_project.wsgi:application"
bind = list(filter(None, [environment.bind(), environment.health_bind()]))
workers = environment.workers()
# Its default path is one for all gunicorns of a user, which then take it from each other.
control_socket_disable = True
