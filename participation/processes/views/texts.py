"""Where editors write a process in other languages, and its news."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from flask import flash, request
from flask_babel import gettext as _

from participation import text, web
from participation.actions import Action
from participation.errors import Conflict, InvalidInput, NotFound
from participation.language import EASY, VARIANTS, translated
from participation.processes import history, operations
from participation.processes.forms import NewsForm
from participation.processes.models import Process, ProcessNews
from participation.processes.outdated import outdated_texts
from participation.processes.queries import LARGEST_ID, news_of, variants_of
from participation.processes.views.pages import blueprint
from participation.processes.views.staff import (
    PER_PAGE,
    load_for_editing,
    refuse_overwriting,
    render_page,
)
from participation.sent_forms import sent_once
from participation.tokens import hash_token

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

# The plain ones are read as they were typed.
MARKDOWN = frozenset({"body", "faq", "contact"})


@blueprint.route("/verwaltung/verfahren/<int:process_id>/sprachen", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def variants(process_id: int) -> ResponseReturnValue:
    """Every text of a process beside its wording in another language, or in Leichte Sprache."""
    process = load_for_editing(process_id)
    code = request.args.get("sprache", EASY)
    code = code if code in VARIANTS else EASY
    keys = operations.variant_keys(web.current_session(), process)
    problems: dict[str, str] = {}
    rows = web.current_session().scalars(variants_of(process.id, code))
    stored = {(row.entity, row.entity_id, row.field): row.text for row in rows if row.language == code}
    current = hash_token(json.dumps(sorted(stored.items())))
    seen, status = web.seen_by_form(current), 200
    preview = None
    checked = {key for key in keys if "-".join(map(str, key)) in request.form.getlist("geprueft")}
    if request.method == "POST":
        entered = {key: request.form.get("-".join(map(str, key)), "") for key in keys}
    else:
        entered = stored
    if "preview" in request.form:
        preview = _preview(entered, code)
    elif request.method == "POST":
        try:
            refuse_overwriting(process, current)
            operations.save_variants(web.current_session(), web.current_actor(), process, code, entered,
                                     web.current_now(), checked)
        except (InvalidInput, Conflict) as error:
            for one in (error, *(error.others if isinstance(error, InvalidInput) else ())):
                problems[one.field or "texte"] = web.translated(one)
            seen, status = web.seen_by_form(current, error), web.status_of(error)
        else:
            flash(_("Gespeichert."), "success")
            return web.go("processes.variants", process_id=process.id, sprache=code)
    texts = [("-".join(map(str, key)), german, limit, entered.get(key, ""), key) for key, (german, limit) in keys.items()]
    outdated = {one: at for one, at in outdated_texts(web.current_session(), process).items() if one[1] in keys}
    page = render_page("processes/variants.html", process, texts=texts, code=code, languages_of_texts=VARIANTS, refused=problems,
                       written=sum(1 for one in texts if one[3]), seen=seen, preview=preview, checked=checked,
                       outdated={key: at for (language, key), at in outdated.items() if language == code},
                       to_check=Counter(language for language, _key in outdated))
    return page, status


def _preview(entered: dict[operations.VariantKey, str], code: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(kind of part, column, pairs of question and Markdown) of what was written in Markdown; a plain text has no question."""
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for (kind, _number, name), raw in entered.items():
        wording = text.clean_text(raw)
        if name in MARKDOWN and wording:
            parts = text.questions(wording) if name == "faq" else [("", wording)]
            found.append((kind, name, [(question, translated(answer, code)) for question, answer in parts]))
    return found


@blueprint.route("/verwaltung/verfahren/<int:process_id>/neuigkeiten", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
@sent_once
def news(process_id: int) -> ResponseReturnValue:
    """What was told, and something new."""
    return _news_page(load_for_editing(process_id), None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/neuigkeiten/<int:news_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_news(process_id: int, news_id: int) -> ResponseReturnValue:
    """Mend what was told."""
    process = load_for_editing(process_id)
    return _news_page(process, _one_news(process, news_id))


def _one_news(process: Process, news_id: int) -> ProcessNews:
    found = web.current_session().get(ProcessNews, min(news_id, LARGEST_ID))
    if found is None or found.process_id != process.id:
        raise NotFound
    return found


def _news_page(process: Process, item: ProcessNews | None) -> ResponseReturnValue:
    form = NewsForm(data={"title": item.title, "body": item.body} if item else None)
    preview = text.clean_text(form.body.data or "") if "preview" in request.form else ""
    current, status = history.fingerprint(item), 422 if request.method == "POST" and not preview else 200
    seen = web.seen_by_form(current)
    if request.method == "POST" and not preview and form.validate():
        try:
            refuse_overwriting(process, current)
            operations.save_news(web.current_session(), web.current_actor(), process, item, web.current_now(),
                                 title=form.title.data or "", body=form.body.data or "")
        except (InvalidInput, Conflict) as error:
            web.attach(form, error)
            seen, status = web.seen_by_form(current, error), web.status_of(error)
        else:
            flash(_("Die Neuigkeit ist gespeichert."), "success")
            return web.go("processes.news", process_id=process.id)
    rows = web.current_session().scalars(news_of(process.id).limit(PER_PAGE)).all()
    page = render_page("processes/news_edit.html", process, form=form, item=item, rows=rows, preview=preview,
                   seen=seen)
    return page, status


@blueprint.post("/verwaltung/verfahren/<int:process_id>/neuigkeiten/<int:news_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_news(process_id: int, news_id: int) -> ResponseReturnValue:
    """Take it down."""
    process = load_for_editing(process_id)
    operations.delete_news(web.current_session(), web.current_actor(), process, _one_news(process, news_id),
                           web.current_now())
    flash(_("Die Neuigkeit ist gelöscht."), "success")
    return web.go("processes.news", process_id=process.id)
