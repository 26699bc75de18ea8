"""Read-only pages of the board and of its history, for staff who may see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone

from health.models import SEE_ERRORS, Backend, Overview, Transition
from metrics.instrument.views import not_measured

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = admin.ModelAdmin


def may_see_errors(request: HttpRequest) -> bool:
    """Whether this user may read what the errors of backends say."""
    return request.user.has_perm(f"sentinel_health.{SEE_ERRORS}")


_PAGES = {
    "family": ("sentinel_metrics", "metricfamily"),
    "backend": ("sentinel_health", "backend"),
}
"""The models whose pages the overview leads to."""


class ReadOnlyAdmin(_Admin):
    """Nothing here can be added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the page only shows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the page only shows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the page only shows."""
        return False


@admin.register(Overview)
class OverviewAdmin(ReadOnlyAdmin):
    """What is wrong, seen at one glance; no table of the database is behind it."""

    def get_urls(self) -> list[URLPattern]:
        """Return the page and its figures as JSON."""
        wrap = self.admin_site.admin_view
        name = "sentinel_health_overview"
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("data/", not_measured(wrap(self.data_view)), name=f"{name}_data"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the figures; ``minutes`` says over what time, ``all`` which tables whole."""
        figures = self._figures(request)
        from metrics.history.reading import SPANS

        query = request.GET.urlencode()
        context = {
            **self.admin_site.each_context(request),
            "title": "Overview",
            "opts": self.opts,
            "figures": figures,
            "chart_names": list(figures["charts"]),
            "spans": SPANS,
            "now": timezone.now(),
            "data_url": self._url("sentinel_health_overview_data") + (query and f"?{query}"),
            **(extra_context or {}),
        }
        return TemplateResponse(
            request,
            "admin/sentinel_health/overview.html",
            context,
            headers={"Cache-Control": "no-store"},
        )

    def data_view(self, request: HttpRequest) -> HttpResponse:
        """Return the same figures as JSON."""
        return JsonResponse(self._figures(request), headers={"Cache-Control": "no-store"})

    def _figures(self, request: HttpRequest) -> dict[str, Any]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        # Every process with an admin imports this module; few are asked for a page.
        from health.overview.figures import overview
        from metrics.history.reading import SPANS, WHOLE

        given = request.GET.get("minutes", "")
        minutes = int(given) if given in map(str, SPANS) else WHOLE
        everything = request.GET.getlist("all")
        figures = overview(minutes, everything)
        for table in figures["tables"]:
            for cell in (cell for row in table["rows"] for cell in row if "page" in cell):
                cell["href"] = self._href(request, *cell.pop("page"))
            if table["more"]:
                query = request.GET.copy()
                query.appendlist("all", table["name"])
                table["all_url"] = f"?{query.urlencode()}"
        return figures

    def _href(self, request: HttpRequest, kind: str, name: str) -> str:
        """Return where a page leads to, if this user may see it and this site has it."""
        app, model = _PAGES[kind]
        if not request.user.has_perm(f"{app}.view_{model}"):
            return ""
        try:
            return self._url(f"{app}_{model}_change", quote(name))
        except NoReverseMatch:
            return ""

    def _url(self, name: str, *args: str) -> str:
        return reverse(f"admin:{name}", args=args, current_app=self.admin_site.name)


@admin.register(Backend)
class BackendAdmin(ReadOnlyAdmin):
    """The board as it is now; no table of the database is behind it."""

    def get_urls(self) -> list[URLPattern]:
        """Return the list alone: a backend has no page of its own."""
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="sentinel_health_backend_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the verdict and every backend."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        # Every process with an admin imports this module; few are asked for a page.
        from health.overview import backends
        from health.readiness.assessment import assess

        verdict = assess()
        context = {
            **self.admin_site.each_context(request),
            "title": "Backends",
            "opts": self.opts,
            "verdict": verdict,
            "status": verdict.status.replace("_", " "),
            "rows": backends.rows(verdict),
            "errors": may_see_errors(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/sentinel_health/backends.html", context)


@admin.register(Transition)
class TransitionAdmin(ReadOnlyAdmin):
    """The stored changes, newest first."""

    list_filter = ("healthy", "at")
    search_fields = ("backend",)
    date_hierarchy = "at"

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Show errors to those who may see them."""
        columns = ("at", "backend", "was", "healthy")
        return (*columns, "error") if may_see_errors(request) else columns

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Show the columns of the list."""
        return self.get_list_display(request)
