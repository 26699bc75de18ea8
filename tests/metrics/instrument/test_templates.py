"""What is measured of templates."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Iterator
from typing import Any

import django
import jinja2
import pytest
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import TemplateDoesNotExist, engines
from django.template.loader import render_to_string, select_template
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.views.generic import TemplateView

from metrics.instrument import templates as instrument
from metrics.instrument.bounds import FirstOnes
from tests.metrics.instrument.figures import Figures

COUNT = "django_template_render_duration_seconds_count"
DJANGO = {
    "base.html": "<b>{% block body %}{% endblock %}</b>",
    "page.html": "{% extends 'base.html' %}{% block body %}{% include 'part.html' %}{% endblock %}",
    "part.html": "{{ word }}",
    "form.html": "{{ form }}",
    "both.html": "{{ call }}",
    "missing.html": "{% include 'nowhere.html' %}",
}
JINJA2 = {
    "base.jinja": "<b>{% block body %}{% endblock %}</b>",
    "page.jinja": "{% extends 'base.jinja' %}"
    "{% block body %}{% include 'part.jinja' %}{% endblock %}",
    "part.jinja": "{{ word }}",
    "both.jinja": "{{ call() }}",
    "missing.jinja": "{% include 'nowhere.jinja' %}",
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "NAME": "ours",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", DJANGO)]},
    },
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "OPTIONS": {"loader": jinja2.DictLoader(JINJA2)},
    },
]


def rendered(request: HttpRequest, name: str) -> HttpResponse:
    """Answer by the short cut."""
    return render(request, name, {"word": "well"})


def response(request: HttpRequest, name: str) -> HttpResponse:
    """Answer with what is rendered later."""
    return TemplateResponse(request, name, {"word": "well"})


async def rendered_async(request: HttpRequest, name: str) -> HttpResponse:
    """Answer by the short cut, in an event loop."""
    await asyncio.sleep(0)
    return render(request, name, {"word": "well"})


urlpatterns = [
    path("rendered/<str:name>", rendered),
    path("response/<str:name>", response),
    path("async/<str:name>", rendered_async),
    path("class/page.html", TemplateView.as_view(template_name="page.html")),
]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """Measure from here on: it harms no other test, as what a caller gets is the same."""
    instrument.install()
    instrument.install()


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have both engines, and begin with no name known."""
    monkeypatch.setattr(instrument, "_name", FirstOnes(instrument.MOST_NAMES))
    monkeypatch.setattr(instrument, "_observers", {})
    with override_settings(TEMPLATES=TEMPLATES, ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        yield


PAGES = pytest.mark.parametrize(
    ("engine", "name"), [("ours", "page.html"), ("jinja2", "page.jinja")]
)


@PAGES
def test_however_it_is_rendered(engine: str, name: str) -> None:
    """It counts once, with what it includes and extends, under the name it was asked for by."""
    counted = Figures(COUNT)
    assert render_to_string(name, {"word": "well"}) == "<b>well</b>"
    for view in ("rendered", "response", "async"):
        assert Client().get(f"/{view}/{name}").content == b"<b>well</b>"
    answer = asyncio.run(AsyncClient().get(f"/async/{name}"))
    assert answer.content == b"<b>well</b>"
    assert select_template(["nowhere.html", name]).render({"word": "well"}) == "<b>well</b>"
    assert counted.new() == [{"engine": engine, "template": name, "n": 6.0}]


def test_a_class_of_views() -> None:
    """Is measured like any other view."""
    counted = Figures(COUNT)
    assert Client().get("/class/page.html").content == b"<b></b>"
    assert counted.new() == [{"engine": "ours", "template": "page.html", "n": 1.0}]


def test_templates_made_of_strings() -> None:
    """Have no name, however many there are."""
    counted = Figures(COUNT)
    for engine in ("ours", "jinja2"):
        for number in range(50):
            assert engines[engine].from_string(f"{number}{{{{ word }}}}").render({"word": "!"})
    assert counted.new() == [{"engine": "jinja2", "n": 50.0}, {"engine": "ours", "n": 50.0}]


def test_one_engine_in_the_other() -> None:
    """Is part of the one that was asked."""

    def call() -> str:
        return render_to_string("page.html", {"word": "well"})

    counted = Figures(COUNT)
    assert "well" in render_to_string("both.jinja", {"call": call})
    assert "well" in render_to_string("both.html", {"call": call})
    assert counted.new() == [
        {"engine": "jinja2", "template": "both.jinja", "n": 1.0},
        {"engine": "ours", "template": "both.html", "n": 1.0},
    ]


def test_forms() -> None:
    """Are rendered by an engine of Django's, which counts where no template of ours is."""

    class Form(forms.Form):
        word = forms.CharField()

    counted = Figures(COUNT)
    assert "word" in render_to_string("form.html", {"form": Form()})
    assert counted.new() == [{"engine": "ours", "template": "form.html", "n": 1.0}]
    assert "word" in str(Form())
    assert counted.new() == [
        {"engine": "djangoforms", "template": "django/forms/div.html", "n": 1.0},
        {"engine": "ours", "template": "form.html", "n": 1.0},
    ]


def breaks() -> str:
    """Raise."""
    raise LookupError("broken")


@pytest.mark.parametrize(("engine", "name"), [("ours", "both.html"), ("jinja2", "both.jinja")])
def test_what_a_template_raises(engine: str, name: str) -> None:
    """Counts by its class, and comes to the caller; the next rendering counts again."""
    counted = Figures(COUNT)
    with pytest.raises(LookupError, match="broken"):
        render_to_string(name, {"call": breaks})
    render_to_string(name, {"call": str})
    labels = {"engine": engine, "template": name}
    found = counted.new()
    assert labels | {"n": 1.0} in found
    assert labels | {"error_type": "LookupError", "n": 1.0} in found
    assert len(found) == 2


def test_templates_that_are_not_there() -> None:
    """Are an error of the one that includes them; one that is not found is not rendered."""
    counted = Figures(COUNT)
    with pytest.raises(TemplateDoesNotExist):
        render_to_string("missing.html")
    with pytest.raises(jinja2.TemplateNotFound):
        render_to_string("missing.jinja")
    with pytest.raises(TemplateDoesNotExist):
        render_to_string("nowhere.html")
    assert sorted((row["template"], row["error_type"]) for row in counted.new()) == [
        ("missing.html", "django.template.exceptions.TemplateDoesNotExist"),
        ("missing.jinja", "jinja2.exceptions.TemplateNotFound"),
    ]


def test_names_without_number() -> None:
    """Stay up to the five hundredth; any other is another, and costs no memory."""
    many = {f"{number}.html": "" for number in range(1000)}
    loaders = [("django.template.loaders.locmem.Loader", many)]
    counted = Figures(COUNT)
    with override_settings(TEMPLATES=[{**TEMPLATES[0], "OPTIONS": {"loaders": loaders}}]):
        for name in (*many, "0.html"):
            render_to_string(name)
    found = {row["template"]: row["n"] for row in counted.new()}
    assert len(found) == instrument.MOST_NAMES + 1
    assert (found["0.html"], found["499.html"], found["_OTHER"]) == (2.0, 1.0, 500.0)
    assert len(instrument._observers) == instrument.MOST_NAMES


@pytest.mark.skipif(django.VERSION < (6,), reason="partials came with Django 6.0")
def test_a_part_of_a_template() -> None:
    """Has the name it was asked for by."""
    parts = {"a.html": "{% partialdef word %}well{% endpartialdef %}"}
    loaders = [("django.template.loaders.locmem.Loader", parts)]
    counted = Figures(COUNT)
    with override_settings(TEMPLATES=[{**TEMPLATES[0], "OPTIONS": {"loaders": loaders}}]):
        assert render_to_string("a.html#word") == "well"
    assert counted.new() == [{"engine": "ours", "template": "a.html#word", "n": 1.0}]


def test_threads_and_tasks() -> None:
    """Each renders for itself, and none is lost."""
    counted = Figures(COUNT)

    def work() -> None:
        for _ in range(50):
            render_to_string("page.html")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def main() -> None:
        client = AsyncClient()
        await asyncio.gather(*(client.get("/async/page.html") for _ in range(20)))

    asyncio.run(main())
    assert counted.new() == [{"engine": "ours", "template": "page.html", "n": 220.0}]


@PAGES
def test_a_template_is_what_it_was(engine: str, name: str) -> None:
    """What it renders is safe, and its method's signature is the same."""
    template: Any = engines[engine].get_template(name)
    assert hasattr(template.render({"word": "<"}), "__html__") is (engine == "ours")
    assert list(inspect.signature(template.render).parameters) == ["context", "request"]
    assert template.origin.template_name == name


def test_a_fault_of_ours_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the caller has the page."""
    monkeypatch.setattr(instrument, "_name_of", None)
    with caplog.at_level(logging.ERROR):
        assert render_to_string("page.html", {"word": "well"}) == "<b>well</b>"
    assert "is not measured" in caplog.text
