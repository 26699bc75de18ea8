"""The ASGI application that gunicorn's asgi worker serves."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentinel_project.settings")
application = get_asgi_application()
