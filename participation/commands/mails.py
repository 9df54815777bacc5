"""What comes back from mail servers, from the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import OperationalError

from participation import clock
from participation.following.newsletters.operations import note_returned
from participation.returned_mail import LONGEST, read_returned
from participation.web import current_database, current_keyring

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


@click.command("bounces", help="Eine zurückgekommene E-Mail von der Standardeingabe lesen; vom Mailserver aufgerufen.")
@click.pass_obj
def bounces_command(create_app: Callable[[], Flask]) -> None:
    """Whatever it is, the mail server must not send it back to anybody: only a database that is away asks it to wait."""
    returned = read_returned(sys.stdin.buffer.read(LONGEST))
    while sys.stdin.buffer.read(LONGEST):
        # A mail server takes a reader that stops early for one that failed.
        pass
    if returned is None:
        return
    try:
        with create_app().app_context(), current_database().unit_of_work() as session:
            note_returned(session, current_keyring(), returned, clock.now())
    except OperationalError:
        sys.exit(os.EX_TEMPFAIL)


COMMANDS = (bounces_command,)
