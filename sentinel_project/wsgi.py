"""The WSGI application that gunicorn's sync, gthread and gevent workers serve."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentinel_project.settings")
application = get_wsgi_application()
