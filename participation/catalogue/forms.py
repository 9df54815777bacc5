"""The form of a measure: the sheet that planners fill."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from participation.catalogue.models import MEASURE_STATE_LABELS, PRIORITY_LABELS
from participation.catalogue.operations import LINE_MAX, TEXT_MAX
from participation.processes.models import Process

LINE = Length(max=LINE_MAX, message=_l("Dieser Text ist zu lang."))
TEXT = Length(max=TEXT_MAX, message=_l("Dieser Text ist zu lang."))


class MeasureForm(FlaskForm):
    """All fields of a Maßnahmenblatt."""

    version_seen = HiddenField()
    code = StringField(_l("Kennung"), [InputRequired(_l("Bitte geben Sie eine Kennung an."))])
    title = StringField(_l("Titel"), [InputRequired(_l("Bitte geben Sie einen Titel an."))])
    theme_id = SelectField(_l("Handlungsfeld"), coerce=lambda raw: int(raw) if str(raw).isdecimal() else 0,
                           validate_choice=False)
    state = SelectField(_l("Stand"), validate_choice=False)
    points = TextAreaField(_l("Unterpunkte"), [TEXT])
    is_greyed = BooleanField(_l("Ausgegraut: läuft schon oder gehört in ein anderes Konzept"))
    remark = TextAreaField(_l("Anmerkung"), [TEXT])
    priority = SelectField(_l("Priorität aus der Beteiligung"), validate_choice=False)
    deviating_priority = SelectField(_l("Abweichende Priorität"), validate_choice=False)
    deviation_reason = TextAreaField(_l("Grund der Abweichung"), [TEXT])
    field_of_action = StringField(_l("Themenfeld des Maßnahmenblatts"), [LINE])
    goal = TextAreaField(_l("Ziel"), [TEXT])
    approach = TextAreaField(_l("Umsetzung"), [TEXT])
    target_group = TextAreaField(_l("Zielgruppe"), [TEXT])
    actors = TextAreaField(_l("Akteure"), [TEXT])
    resources = TextAreaField(_l("Ressourcen"), [TEXT])
    benefit = TextAreaField(_l("Mehrwert"), [TEXT])
    responsible = StringField(_l("Zuständig"), [LINE])
    decided_by = StringField(_l("Wer entscheidet"), [LINE])
    communication = TextAreaField(_l("Kommunikation"), [TEXT])
    cost = StringField(_l("Kosten"), [LINE])
    timeframe = StringField(_l("Zeitraum"), [LINE])

    def offer(self, process: Process) -> None:
        """Offer the themes of a process, states and priorities. The operation judges what comes back."""
        self.state.choices = [(one.value, _l(label)) for one, label in MEASURE_STATE_LABELS.items()]
        ranks = [(one.value, _l(label)) for one, label in PRIORITY_LABELS.items()]
        self.priority.choices = [("", _l("keine")), *ranks]
        self.deviating_priority.choices = [("", _l("keine Abweichung")), *ranks]
        self.theme_id.label.text = process.theme_label
        self.theme_id.choices = [(0, _l("keines")), *((theme.id, theme.name) for theme in process.themes)]
