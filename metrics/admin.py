"""Read-only pages of the metric families, for staff who may view them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from metrics.models import MetricFamily

if TYPE_CHECKING:
    from metrics import admin_rows

    _Admin = admin.ModelAdmin[MetricFamily]
else:
    _Admin = admin.ModelAdmin

MAX_ROWS = 500
"""Samples on one page; a search leads to the rest."""


@admin.register(MetricFamily)
class MetricFamilyAdmin(_Admin):
    """The families of a scrape and their values, as the runner gathers them."""

    def get_urls(self) -> list[URLPattern]:
        """Return the list and the page of one family; nothing can be added or changed."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("<path:object_id>/", wrap(self.family_view), name=f"{name}_change"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: families come from the code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: values come from what happens."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: see above."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """List all families; ``q`` searches names, helps and labels, ``type`` filters."""
        found = self._rows(request)
        query, kind = request.GET.get("q", "").strip(), request.GET.get("type", "")
        kinds = sorted({row.type for row in found})
        matching = [row for row in found if row.matches(query)]
        shown = [row for row in matching if kind in ("", row.type)]
        context = {
            "title": "Metric families",
            "rows": [(row, self._url("change", quote(row.name))) for row in shown],
            "total": len(found),
            "query": query,
            "kind": kind,
            "choices": [
                (choice or "All", choice == kind, "?" + urlencode({"q": query, "type": choice}))
                for choice in ("", *kinds)
            ],
        }
        return self._page(request, "family_list.html", context | (extra_context or {}))

    def family_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show one family with the values of its samples; ``q`` searches the labels."""
        name = unquote(object_id)
        found = [row for row in self._rows(request) if row.name == name]
        if not found:
            raise Http404("There is no such metric family.")
        query = request.GET.get("q", "").strip()
        samples = [sample for row in found for sample in row.samples(query)]
        context = {
            "title": name,
            "family": found[0],
            "samples": samples[:MAX_ROWS],
            "found": len(samples),
            "max_rows": MAX_ROWS,
            "query": query,
        }
        return self._page(request, "family_detail.html", context)

    def _rows(self, request: HttpRequest) -> list[admin_rows.FamilyRow]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        # Every process with an admin imports this module; few are asked for a page.
        from metrics import admin_rows
        from metrics.scraping.scraper import SCRAPER

        return admin_rows.rows(SCRAPER.read().families)

    def _url(self, page: str, *args: str) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/sentinel_metrics/{template}",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "list_url": self._url("changelist"),
                **context,
            },
            headers={"Cache-Control": "no-store"},
        )
