"""Django signals of the health app."""

from __future__ import annotations

from django.dispatch import Signal

backend_health_changed = Signal()
"""Sent after a backend changed, in the process that noticed.

``sender`` is `health.core.document.Event`; ``backend`` is the name, ``healthy``
the new state, ``was`` the old one (None when it was not known), ``event`` the
`health.core.document.Event`. What a receiver raises is logged and stops nothing.
"""
