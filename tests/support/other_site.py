"""URLs with an AdminSite of a project's own, and none of Django's."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.urls import path

from health.admin import BackendAdmin, OverviewAdmin, TransitionAdmin
from health.models import Backend, Overview, Transition
from metrics.admin import MetricFamilyAdmin
from metrics.models import MetricFamily

site = AdminSite(name="operations")
site.register(Overview, OverviewAdmin)
site.register(Backend, BackendAdmin)
site.register(Transition, TransitionAdmin)
site.register(MetricFamily, MetricFamilyAdmin)
site.register(User)

urlpatterns = [path("operations/", site.urls)]
