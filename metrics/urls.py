"""``path("", include("metrics.urls"))`` gives GET /metrics, without a slash behind it."""

from django.urls import path

from metrics import views

app_name = "sentinel_metrics"

urlpatterns = [path("metrics", views.metrics, name="metrics")]
