"""Every mail, in every language, with usual and with hostile values: what arrives, and whether it can be read."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from flask_babel import force_locale
from lxml import html

from moderation.models import Outcome
from participation import clock, mail
from participation.contributions.models import AnswerStatus
from participation.contributions.proposals.models import ANSWER_LABELS
from participation.following.jobs import Told
from participation.following.queries import News, ProcessDigest, ProposalDigest
from participation.mail_templates import LINE_LENGTH, mail_context, render_mail
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app import Beteiligung

FOLDER = Path(__file__).parents[1] / "templates" / "mail"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt") if not path.stem.startswith("_"))
LINK = "http://localhost/konto/ein-langer-link/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
USUAL = "Eine Bank für die Große Straße"
HOSTILE = '<script>alert(1)</script> ${7*7} שלום "Ümläute" & ' + "Langeswort" * 30
LISTS = {"digest", "newsletter"}


def _values(name: str, words: str) -> dict[str, Any]:
    """What each mail is given by its job."""
    person = words[:60]
    status = next(iter(AnswerStatus))
    news = News()
    news.proposals.append(ProposalDigest(id=1, title=words, slug="ein-platz", process_title=words, comments=2,
                                         answer=status, measures=[("M7", words)]))
    news.processes.append(ProcessDigest(
        title=words, slug="ein-platz",
        news=[("neu", words)], proposals=[(2, words)], more_proposals=3, answers=[(3, words, status, False), (4, words, status, True)], more_answers=1,
        begun=[words], ending=[(words, clock.now())]))
    own = {"settings_link": LINK + "/a", "leave_link": LINK + "/b"}
    letter = SimpleNamespace(subject=words, body=f"## Stand\n\n{words}\n\n- eins\n- zwei", author=person)
    reported = {"is_comment": True, "process": words, "title": words, "words": words}
    special: dict[str, dict[str, Any]] = {
        "account_deleted": {"name": "", "take_along": True},
        "answer": {"title": words, "label": ANSWER_LABELS[status], "answer": words, "cost": 1250, "is_change": False, "had_cost": False},
        "barrier": {"message": words, "page": words, "reply_to": "wer@beispiel.example"},
        "confirm_following": {"title": words, "is_known": False},
        "decision": {"title": words, "words": words, "is_comment": True, "number": "", "rule": "Werbung", "statement": words, "outcome": Outcome.REJECT.value,
                     "outcome_label": "abgelehnt", "is_change": True, "is_visible": False},
        "digest": {"news": news, **own},
        "invitation": {"role": "Redaktion", "place": words},
        "invite_co_author": {"process": words},
        "newsletter": {"letter": letter, "process": words, "test_mark": "", **own},
        "receipt": {"number": "K7P-4MX-2QD", "title": words, "is_guest": True, "is_published": False,
                    "is_comment": False},
        "report_outcome": {"number": "K7P-4MX-2QD", "reason": "Werbung", "is_gone": True, **reported},
        "report_receipt": {"number": "K7P-4MX-2QD", "reason": "Werbung", "is_gone": False, **reported},
        "role_given": {"role": "Redaktion", "place": words},
    }
    return {"name": person, "link": LINK, **special.get(name, {})}


def _render(app: Beteiligung, session: Session, name: str, locale: str, words: str) -> mail.Mail:
    factories.municipality(session, name="Musterstadt", email="rathaus@musterstadt.example")
    session.commit()
    headers = (("List-Unsubscribe", "<http://localhost/x>"),) if name in LISTS else ()
    values = _values(name, words)
    with app.app_context(), mail_context(), force_locale(locale):
        if name == "digest":
            values |= {"told": Told().parts(values.pop("news"), locale), "first": words}
        return render_mail(name, key=f"test-{name}", recipient="wer@beispiel.example", headers=headers, **values)


@pytest.mark.parametrize("locale", ["de", "en", "nl"])
@pytest.mark.parametrize("words", [USUAL, HOSTILE], ids=["usual", "hostile"])
@pytest.mark.parametrize("name", NAMES)
def test_both_parts_say_the_same_and_can_be_read(
    app: Beteiligung, session: Session, name: str, locale: str, words: str
) -> None:
    found = _render(app, session, name, locale, words)
    message = mail.build_message(found, "beteiligung@musterstadt.example")
    assert "\n" not in found.subject
    assert found.subject
    assert message["Reply-To"] == "rathaus@musterstadt.example"
    tree = html.fromstring(found.html)
    assert tree.get("lang") == locale
    assert tree.get("dir") == "ltr"
    assert tree.xpath("//title")[0].text_content().strip()
    assert not tree.xpath("//script | //img | //link | //*[@onclick] | //table[not(@role='presentation')]")
    links = {one for one in tree.xpath("//a/@href") if not one.startswith("mailto:")}
    assert all(one.startswith("http://localhost/") for one in links)
    plain_links = set(re.findall(r"http://localhost[^\s<>]*", found.plain))
    assert links == plain_links, "the same ways on in both"
    assert {"http://localhost/impressum", "http://localhost/datenschutz"} <= links
    for part in (found.plain, tree.text_content(), found.subject):
        assert not re.search(r"\bNone\b|\{\{|%\(|Undefined|Guten Tag ,", part)
        assert "rathaus@musterstadt.example" in found.plain
    assert max(len(line) for line in found.plain.splitlines() if " " in line.strip("- ") and "http" not in line
               and "Langeswort" not in line) <= LINE_LENGTH
    assert "\n\n\n" not in found.plain
    if name in LISTS:
        assert message["List-Unsubscribe"]
        assert LINK + "/b" in links, "and a way to stop it that everybody sees"


@pytest.mark.parametrize("breaks", ["\r\nBcc: all@example.org", "\nX-Evil: 1", "\u2028Bcc: x@example.org"])
def test_line_breaks_in_names_add_no_header(app: Beteiligung, session: Session, breaks: str) -> None:
    found = _render(app, session, "newsletter", "de", f"Neues{breaks}")
    message = mail.build_message(found, "beteiligung@musterstadt.example")
    assert message["Bcc"] is None
    assert message["X-Evil"] is None
    assert len(str(message["Subject"]).splitlines()) == 1


def test_what_is_written_arrives_as_it_was_written() -> None:
    plain = "Grüße\n\nFrom hier\n.\n=20 bleibt  \n" + "ä" * 400 + "\n"
    subject = "Neues zu: Über die Größe des Fußgängerüberwegs an der Ölmühle, der Münsterstraße und dem Bürgerbüro"
    message = mail.build_message(
        mail.Mail("k", "wer@bücher.example", subject, plain, "<p>Grüße</p>", sender_name='Stadt Bühl, "Amt 1"'),
        "beteiligung@musterstadt.example")
    wire = message.as_bytes(policy=mail.ON_THE_WIRE)
    assert wire.isascii(), "for servers that know nothing else"
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert max(map(len, wire.split(b"\r\n"))) < 998, "RFC 5322, 2.1.1"
    got = message_from_bytes(wire, policy=policy.default)
    assert got["Subject"] == subject
    assert got["From"].addresses[0].display_name == 'Stadt Bühl, "Amt 1"'
    assert got["To"].addresses[0].addr_spec == "wer@xn--bcher-kva.example"
    assert not any(part.defects for part in got.walk())
    bodies = [got.get_body((kind,)) for kind in ("plain", "html")]
    assert [body.get_content().replace("\r\n", "\n") for body in bodies if body] == [plain, "<p>Grüße</p>"]


@pytest.mark.parametrize("name", ["digest", "newsletter", "confirm_following"])
def test_what_is_german_in_an_english_mail_says_so(app: Beteiligung, session: Session, name: str) -> None:
    tree = html.fromstring(_render(app, session, name, "en", USUAL).html)
    around = [one for one in tree.xpath("//body//*[contains(text(), $words)]", words=USUAL) if one.tag != "bdi"]
    assert around
    for one in around:
        assert one.xpath("ancestor-or-self::*[@lang][1]/@lang") == ["de"], html.tostring(one)
    german = html.fromstring(_render(app, session, name, "de", USUAL).html)
    assert not german.xpath("//body//*[@lang]")


def test_a_newsletter_is_signed_alike_in_both_forms(app: Beteiligung, session: Session) -> None:
    found = _render(app, session, "newsletter", "de", USUAL)
    (signed,) = [one for one in html.fromstring(found.html).xpath("//p") if "Freundliche Grüße" in one.text_content()]
    assert [part.strip() for part in signed.itertext() if part.strip()] == ["Freundliche Grüße", USUAL, "Musterstadt"]
    assert f"Freundliche Grüße\n{USUAL}\nMusterstadt" in found.plain


def _of_values(app: Beteiligung, session: Session, kind: str, /, locale: str, **values: Any) -> tuple[str, html.HtmlElement]:
    """A mail in a language, with values of its own: as plain text, and as a page."""
    factories.municipality(session)
    session.commit()
    with app.app_context(), mail_context():
        found = render_mail(kind, key="one", recipient="wer@beispiel.example", locale=locale, **_values(kind, USUAL) | values)
    return found.plain, html.fromstring(found.html)


def test_the_mail_of_an_answer_keeps_paragraphs_addresses_and_cost(app: Beteiligung, session: Session) -> None:
    plain, page = _of_values(
        app, session, "answer", "de", cost=1250,
        answer="Wir stellen die Bank **im Mai** auf.\n\nGrund: [Plan](https://example.org)\n\n- eins\n- zwei")
    assert "Wir stellen die Bank im Mai auf.\n\nGrund: Plan (https://example.org)\n\n- eins\n- zwei\n" in plain
    assert [one.text_content() for one in page.xpath("//div/p")] == ["Wir stellen die Bank im Mai auf.", "Grund: Plan"]
    assert page.xpath("//div//a[. = 'Plan']/@href") == ["https://example.org"]
    for text in (plain, page.text_content()):
        assert "Kosten: etwa 1.250 Euro" in text
    plain, page = _of_values(app, session, "answer", "de", cost=None)
    assert "Kosten" not in plain + page.text_content()


def test_german_words_in_mails_of_another_language_are_marked(app: Beteiligung, session: Session) -> None:
    """WCAG 2.2, 3.1.2: what residents wrote, and what the administration writes to them."""
    _plain, page = _of_values(app, session, "answer", "en", title="Eine Bank", answer="Sie kommt.\n\nBald.")
    assert [one.text_content() for one in page.xpath("//*[@lang='de']")] == ["Eine Bank", "Sie kommt.\nBald.\n"]
    _plain, page = _of_values(app, session, "decision", "nl", title="Eine Bank", words="So ein", statement="Bitte sachlich.")
    assert [one.text_content() for one in page.xpath("//*[@lang='de']")] == ["Eine Bank", "So ein", "Bitte sachlich."]
    _plain, page = _of_values(app, session, "decision", "de")
    assert not page.xpath("//body//@lang")


@pytest.mark.parametrize(("outcome", "is_visible", "wanted"), [
    (Outcome.RETURN, False, "Hier können Sie ihn ändern:"), (Outcome.APPROVE, True, "Hier ist er zu lesen:"),
    (Outcome.RETURN, True, "Hier ist er zu lesen:"), (Outcome.REJECT, False, "Hier sehen Sie den aktuellen Stand:"),
])
def test_the_link_of_a_decision_says_what_it_is_for(
    app: Beteiligung, session: Session, outcome: Outcome, is_visible: bool, wanted: str,  # noqa: FBT001 - a parameter
) -> None:
    plain, page = _of_values(app, session, "decision", "de", outcome=outcome.value, is_visible=is_visible)
    assert f"{wanted}\n{LINK}\n" in plain
    assert page.xpath(f"//p[a/@href='{LINK}']")[0].text_content().startswith(wanted)


@pytest.mark.parametrize(("name", "wanted"), [
    ("Tobias Lünnemann, Stadt Billerbeck", "Guten Tag Tobias Lünnemann,"), ("Ute Meier", "Guten Tag Ute Meier,"),
    ("Meier, Ute", "Guten Tag Meier, Ute,"), ("Planung, Stadt Billerbeck", "Guten Tag Planung,"), ("", "Guten Tag,"),
])
def test_staff_are_greeted_without_where_they_are_of(app: Beteiligung, session: Session, name: str, wanted: str) -> None:
    plain, page = _of_values(app, session, "role_given", "de", name=name)
    assert plain.startswith(f"{wanted}\n")
    assert page.xpath("//body/p")[0].text_content() == wanted
