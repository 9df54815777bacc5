"""Who lives and works in the demo town, and how they sign in."""

from __future__ import annotations

from itertools import cycle

from argon2 import PasswordHasher

from participation.accounts.models import Account, RoleGrant
from participation.demo.stage import Demo, read
from participation.following.models import Frequency
from participation.following.operations import follow
from participation.municipalities.models import Municipality
from participation.permissions import Actor, Role

# Known to everybody who starts the demo; real installations have no password that anybody else set.
DEMO_PASSWORD = "mitreden-in-der-demo"  # noqa: S105


def sign_ins() -> list[tuple[str, str]]:
    """(what the account is for, e-mail address) of each demo account."""
    people = read("people")
    shown = [(f"Einwohnerin {person['name']}", person["email"]) for person in people["person"] if "email" in person]
    names = {
        Role.ADMIN: "Administration",
        Role.EDITOR: "Redaktion",
        Role.MODERATOR: "Moderation",
        Role.PLANNER: "Planung",
    }
    return [*((f"{names[Role(one['roles'][0])]} ({one['name']})", one["email"]) for one in people["staff"]), *shown]


def add_people(demo: Demo, town: Municipality) -> None:
    """Residents who can sign in, and staff with their roles."""
    data = read("people")
    password = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(DEMO_PASSWORD)
    for person in data["person"]:
        demo.people[person["key"]] = person
        if "email" in person:
            demo.accounts[person["key"]] = _account(demo, person["name"], person["email"], password)
    for person in data["staff"]:
        demo.people[person["key"]] = {**person, "name": person["public_name"], "kind": "account"}
        account = _account(demo, person["public_name"], person["email"], password)
        # Staff needs a second factor; the demo shows its code on the page that asks for it.
        account.totp_secret_sealed = demo.keyring.seal(demo_totp_secret(person["email"]))
        account.totp_confirmed_at = demo.now
        account.grants = [RoleGrant(role=Role(role), municipality_id=town.id) for role in person["roles"]]
        demo.accounts[person["key"]] = account
    demo.session.flush()


def _account(demo: Demo, name: str, email: str, password: str) -> Account:
    account = Account(
        email=email, display_name=name, password_hash=password, created_at=demo.now, email_confirmed_at=demo.now
    )
    demo.session.add(account)
    demo.session.flush()
    return account


def demo_totp_secret(email: str) -> str:
    """The second factor of a demo account, the same every time, so that the demo can show its code."""
    import base64  # noqa: PLC0415 - for this one line
    import hashlib  # noqa: PLC0415

    return base64.b32encode(hashlib.sha256(f"demo:{email}".encode()).digest()[:20]).decode()


def add_followers(demo: Demo) -> None:
    """Those who can be signed in as follow the town's large process, each at their own pace."""
    process = next(one for one in demo.processes.values() if one.slug == "smart-city")
    for account, frequency in zip(demo.accounts.values(), cycle(Frequency)):
        if not account.grants and frequency is not Frequency.NEVER:
            actor = Actor(account_id=account.id, email=account.email, email_is_confirmed=True)
            follow(demo.session, demo.keyring, actor, process, None, demo.now, frequency=frequency)
