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
        news=[("neu", words)], proposals=[(2, words)], more_proposals=3, answers=[(3, words, status)], more_answers=1,
        begun=[words], ending=[(words, clock.now())]))
    own = {"settings_link": LINK + "/a", "leave_link": LINK + "/b"}
    letter = SimpleNamespace(subject=words, body=f"## Stand\n\n{words}\n\n- eins\n- zwei", author=person)
    reported = {"is_comment": True, "process": words, "title": words, "words": words}
    special: dict[str, dict[str, Any]] = {
        "account_deleted": {"name": "", "take_along": True},
        "answer": {"title": words, "label": ANSWER_LABELS[status], "answer": words},
        "barrier": {"message": words, "page": words, "reply_to": "wer@beispiel.example"},
        "confirm_following": {"title": words, "is_known": False},
        "decision": {"title": words, "words": words, "is_comment": True, "number": "", "rule": "Werbung", "statement": words, "outcome": Outcome.REJECT.value,
                     "outcome_label": "abgelehnt", "is_change": True},
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
