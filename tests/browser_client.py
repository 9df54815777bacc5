"""A visitor's browser without JavaScript, as small as tests need it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lxml import html

from participation import clock, tokens
from participation.accounts.models import Account, SignInSession

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse


class Browser:
    """Keeps cookies; reads pages as text; fills the forms that are really on the page."""

    def __init__(self, app: Flask) -> None:
        """Open an empty browser."""
        self.app = app
        self.client = app.test_client()

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """Open a page; redirects are not followed."""
        return self.client.get(path, **kwargs)

    def open(self, path: str) -> html.HtmlElement:
        """Open a page that must answer 200, following redirects, as a tree."""
        response = self.client.get(path, follow_redirects=True)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        return html.fromstring(response.get_data(as_text=True))

    def text(self, path: str) -> str:
        """What a person reads on a page."""
        return " ".join(self.open(path).text_content().split())

    def post(self, path: str, data: dict[str, Any] | None = None, **kwargs: Any) -> TestResponse:
        """Send values as they are."""
        return self.client.post(path, data=data or {}, **kwargs)

    def submit(
        self, page: str, values: dict[str, Any] | None = None, *, form: int | str = 0, **kwargs: Any
    ) -> TestResponse:
        """Open a page, fill one of its POST forms (by number or by a part of its action), send it.

        Hidden and preset values go along, as a browser would send them.
        """
        tree = self.open(page)
        forms = [one for one in tree.forms if (one.method or "").upper() == "POST"]
        by_action = (one for one in forms if str(form) in (one.action or ""))
        chosen = next(by_action) if isinstance(form, str) else forms[form]
        data: dict[str, Any] = {}
        for name, value in chosen.form_values():
            data.setdefault(name, []).append(value)
        data.update(values or {})
        kwargs.setdefault("follow_redirects", True)
        return self.client.post(chosen.action or page, data=data, **kwargs)

    def sign_in(self, account: Account, *, second_factor: bool = True) -> Browser:
        """Be signed in, without walking through the form."""
        token = tokens.new_token()
        now = clock.now()
        with self.app.extensions["platform"].database.unit_of_work() as session:
            session.add(
                SignInSession(
                    account_id=account.id,
                    token_hash=tokens.hash_token(token),
                    created_at=now,
                    expires_at=now + timedelta(days=1),
                    second_factor_at=now if second_factor else None,
                )
            )
        with self.client.session_transaction() as cookie:
            cookie["_user_id"] = token
            cookie["_fresh"] = True
        return self
