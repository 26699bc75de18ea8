"""Read-only pages of the metric families, for staff who may view them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from metrics.instrument.views import not_measured
from metrics.models import MetricFamily

if TYPE_CHECKING:
    from metrics import admin_rows
    from metrics.history.reading import History

    _Admin = admin.ModelAdmin[MetricFamily]
else:
    _Admin = admin.ModelAdmin


@admin.register(MetricFamily)
class MetricFamilyAdmin(_Admin):
    """The families of a scrape and their values, as the runner gathers them."""

    def get_urls(self) -> list[URLPattern]:
        """Return the list and the page of one family; nothing can be added or changed."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        data = not_measured(wrap(self.data_view))
        family_data = not_measured(wrap(self.family_data_view))
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("data/", data, name=f"{name}_data"),
            path("<path:object_id>/data/", family_data, name=f"{name}_family_data"),
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
        """List families; ``q`` searches names, helps and labels, ``type`` filters, ``o`` sorts."""
        found = self._rows(request)
        from metrics import admin_lists

        history = self._history()
        query, kind = request.GET.get("q", "").strip(), request.GET.get("type", "")
        matching = [row for row in found if row.matches(query)]
        shown = [row for row in matching if kind in ("", row.type)]
        listed = admin_lists.listed(shown, history.window)
        order = admin_lists.Order.of(request.GET.get("o", ""))
        kinds = sorted({row.type for row in found})
        same = {name: value for name, value in (("q", query), ("type", kind)) if value}
        context = {
            "title": "Metric families",
            "rows": [
                (one, self._url("change", quote(one.row.name))) for one in order.sorted(listed)
            ],
            "columns": [
                (column, order.aria(column), "?" + urlencode({**same, "o": order.next(column)}))
                for column in admin_lists.COLUMNS
            ],
            "total": len(found),
            "query": query,
            "kind": kind,
            "order": request.GET.get("o", ""),
            "missing": history.missing,
            "data_url": self._url("data"),
            "choices": [
                (choice or "All", choice == kind, "?" + urlencode({"q": query, "type": choice}))
                for choice in ("", *kinds)
            ],
        }
        return self._page(request, "family_list.html", context | (extra_context or {}))

    def data_view(self, request: HttpRequest) -> HttpResponse:
        """Return the list's figures as JSON, by family."""
        rows = self._rows(request)
        from metrics import admin_lists

        listed = admin_lists.listed(rows, self._history().window)
        return _json({"families": {one.row.name: one.as_dict() for one in listed}})

    def family_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show one family with its course; ``q`` searches the labels, ``p`` is the page."""
        found = self._family(request, object_id)
        from metrics import admin_charts

        history = self._history()
        query = request.GET.get("q", "").strip()
        given = request.GET.get("p", "")
        page = int(given) if given.isdecimal() and len(given) < 7 else 1
        samples, many = found.page(query, max(1, page))
        pages = found.pages(many)
        columns, table = admin_charts.chart_table(history.window, found.name)
        context = {
            "title": found.name,
            "family": found,
            "samples": [
                (
                    sample,
                    [
                        (name, value, "?" + urlencode({"q": f'{name}="{value}"'}))
                        for name, value in sample.labels
                    ],
                )
                for sample in samples
            ],
            "found": many,
            "query": query,
            "page": page,
            "pages": pages,
            "page_links": [
                (text, "?" + urlencode({"q": query, "p": number}))
                for text, number in (("Previous", page - 1), ("Next", page + 1))
                if 1 <= number <= pages
            ],
            "budget": f"{found.budget * 100:.3g} %",
            "missing": history.missing,
            "has_history": bool(columns),
            "columns": columns,
            "table": [
                (datetime.datetime.fromtimestamp(at, datetime.UTC), row) for at, row in table
            ],
            "data_url": self._url("family_data", quote(found.name)),
        }
        return self._page(request, "family_detail.html", context)

    def family_data_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return what is drawn of a family as JSON: null where it has no history."""
        found = self._family(request, object_id)
        from metrics import admin_charts

        chart = admin_charts.chart(self._history().window, found.name, found.unit)
        return _json({"chart": chart})

    def _family(self, request: HttpRequest, object_id: str) -> admin_rows.FamilyRow:
        name = unquote(object_id)
        for row in self._rows(request):
            if row.name == name:
                return row
        raise Http404("There is no such metric family.")

    def _history(self) -> History:
        from metrics.history import reading

        return reading.read()

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
            headers=_FRESH,
        )


_FRESH = {"Cache-Control": "no-store"}


def _json(figures: dict[str, Any]) -> JsonResponse:
    return JsonResponse(figures, headers=_FRESH)
