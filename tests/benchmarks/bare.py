"""The yardstick: the smallest Flask page, on the same server."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def page() -> str:
    """One short line."""
    return "<!doctype html><title>Seite</title><p>Guten Tag"
