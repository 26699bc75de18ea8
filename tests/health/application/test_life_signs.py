"""The piece of memory in which life is shown."""

from __future__ import annotations

from health.application import life_signs


def test_last_words_fit_on_a_line() -> None:
    """The latest are kept, and none there are at the start."""
    mine = life_signs.LifeSigns.create()
    assert (mine.words(), mine.anyone_lives(), mine.anyone_lived()) == ("", False, False)
    mine.say("a long story\nin many lines " + "x" * 5000)
    assert mine.words().startswith("a long story in many lines xxx")
    mine.say("brief")
    assert (mine.words(), mine.anyone_lived()) == ("brief", False)
