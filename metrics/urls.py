"""``path("", include("metrics.urls"))`` gives GET /metrics, or what SENTINEL_PATHS says."""

from metrics import views
from metrics.endpoints import patterns

app_name = "sentinel_metrics"

urlpatterns = patterns("metrics", views.metrics)
