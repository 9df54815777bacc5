"""Two editors at the same page: nothing that one wrote is lost unnoticed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html

from participation import clock
from participation.permissions import Role
from participation.processes import operations
from participation.processes.models import Theme
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung


def _fields(page: html.HtmlElement) -> dict[str, Any]:
    form = next(one for one in page.forms if any(field.name == "seen" for field in one.inputs if field.name))
    return {name: value for name, value in form.form_values() if name != "preview"}


@pytest.mark.parametrize(("page", "field"), [
    ("", "title"), ("/phasen/{phase}", "title"), ("/themen/{theme}", "name"), ("/neuigkeiten/{news}", "title"),
    ("/sprachen?sprache=en", "process-{process}-title"),
])
def test_the_second_is_told_keeps_the_text_and_may_insist(
    session: Session, new_browser: Callable[[], Browser], page: str, field: str,
) -> None:
    process = factories.process(session)
    people = [factories.account(session, Role.EDITOR, on=process, display_name=name) for name in ("Frau Lampe", "Herr Docht")]
    news = operations.save_news(session, factories.actor(people[0]), process, None, clock.now(), title="Neu", body="Text.")
    session.commit()
    place = {"phase": process.phases[0].id, "theme": process.themes[0].id, "news": news.id, "process": process.id}
    address, field = f"/verwaltung/verfahren/{process.id}{page}".format(**place), field.format(**place)
    first, second = (new_browser().sign_in(person) for person in people)
    theirs, mine = _fields(first.open(address)), _fields(second.open(address))
    assert first.post(address, {**theirs, field: "Erste Fassung"}).status_code == 303
    preview = second.post(address, {**mine, field: "Zweite Fassung", "preview": "1"})
    assert preview.status_code in {200, 409}
    answer = second.post(address, {**mine, field: "Zweite Fassung"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Inzwischen hat Frau Lampe hier etwas gespeichert" in text
    assert "Zweite Fassung" in text
    assert "Erste Fassung" in first.get(address).get_data(as_text=True)
    again = _fields(html.fromstring(text))
    assert second.post(address, {**again, field: "Zweite Fassung"}).status_code == 303
    assert "Zweite Fassung" in first.get(address).get_data(as_text=True)


def test_what_was_deleted_meanwhile_gives_the_text_back(session: Session, new_browser: Callable[[], Browser]) -> None:
    process = factories.process(session)
    process.phases.append(factories.phase("inform"))
    account = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    address = f"/verwaltung/verfahren/{process.id}/phasen/{process.phases[1].id}"
    editor = new_browser().sign_in(account)
    mine = _fields(editor.open(address))
    operations.delete_phase(session, factories.actor(account), process.phases[1], clock.now())
    session.commit()
    answer = editor.post(address, {**mine, "body": "Ein langer Text, den niemand zweimal schreibt."})
    assert answer.status_code == 404
    shown = html.fromstring(answer.get_data(as_text=True)).xpath("//*[@class='bp-kept']//textarea")
    assert [one.text for one in shown] == [mine["title"], "Ein langer Text, den niemand zweimal schreibt."], (
        "no numbers, keys and buttons, which nobody typed")


def test_of_two_who_save_at_once_one_is_told(committing: Beteiligung) -> None:
    with committing.extensions["platform"].database.unit_of_work() as session:
        process = factories.process(session)
        address = f"/verwaltung/verfahren/{process.id}/themen/{process.themes[0].id}"
        people = [factories.account(session, Role.EDITOR, on=process) for _number in range(4)]
        number = process.themes[0].id
    editors = [Browser(committing).sign_in(person) for person in people]
    sent = [_fields(editor.open(address)) for editor in editors]
    answers: list[int] = []

    def save(place: int) -> None:
        answers.append(editors[place].post(address, {**sent[place], "name": f"Name {place}"}).status_code)

    threads = [threading.Thread(target=save, args=(place,)) for place in range(len(editors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [303, 409, 409, 409]
    with committing.extensions["platform"].database.reading() as session:
        assert session.get_one(Theme, number).name.startswith("Name ")
