"""A web server of one's own: ``python server.py``."""

from __future__ import annotations

import os
from wsgiref.simple_server import make_server

from sentinel_project.wsgi import application

host, port = os.environ["SENTINEL_BIND"].split(":")
make_server(host, int(port), application).serve_forever()
