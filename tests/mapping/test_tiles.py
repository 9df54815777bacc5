"""Tiles by way of our own server."""

from __future__ import annotations

import os

import pytest

from mapping import tiles
from mapping.basemap import Basemap
from mapping.geometry import BBox
from mapping.tiles import NoTileError, TileStore, TileUnavailableError, fetch_tile

PNG = b"\x89PNG\r\n\x1a\n and so on"
HERE = (12, 2131, 1353)


class Service:
    """Stands for the service of tiles."""

    def __init__(self, answer: bytes | None = PNG) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if self.answer is None:
            raise TileUnavailableError
        return self.answer


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def store(service, tmp_path) -> TileStore:
    ground = Basemap("xyz_proxy", "https://tiles.example/{z}/{x}/{y}.png", "©")
    return TileStore(ground, tmp_path / "tiles", BBox(7.21, 51.93, 7.44, 52.05), fetch=service)


def test_a_tile_is_asked_once_and_then_kept(store, service):
    assert store.tile(*HERE).mimetype == "image/png"
    assert store.tile(*HERE).body == PNG
    assert service.asked == ["https://tiles.example/12/2131/1353.png"]


def test_an_old_tile_is_asked_again_but_better_than_none(store, service):
    store.tile(*HERE)
    path = store.folder / "12" / "2131" / "1353"
    os.utime(path, (0, 0))
    service.answer = None
    assert store.tile(*HERE).body == PNG
    service.answer = PNG + b"new"
    assert store.tile(*HERE).body == PNG + b"new"
    assert len(service.asked) == 3


def test_without_an_answer_and_without_a_kept_tile_it_is_unavailable(store, service):
    service.answer = None
    with pytest.raises(TileUnavailableError):
        store.tile(*HERE)


def test_what_is_no_picture_is_neither_shown_nor_kept(store, service):
    service.answer = b"<html>login</html>"
    with pytest.raises(TileUnavailableError):
        store.tile(*HERE)
    assert not store.folder.exists()


@pytest.mark.parametrize("place", [(12, 0, 0), (12, 5000, 1), (25, 1, 1), (-1, 0, 0)])
def test_the_rest_of_the_world_is_not_asked(store, service, place):
    with pytest.raises(NoTileError):
        store.tile(*place)
    assert service.asked == []


def test_a_full_disk_does_not_take_the_map(store, service, monkeypatch):
    monkeypatch.setattr(tiles, "MIN_FREE_BYTES", 2**63)
    assert store.tile(*HERE).body == PNG
    assert store.tile(*HERE).body == PNG
    assert len(service.asked) == 2


@pytest.mark.parametrize("url", ["http://tiles.example/1", "file:///etc/passwd", "ftp://tiles.example/1"])
def test_only_https_is_fetched(url):
    with pytest.raises(TileUnavailableError):
        fetch_tile(url)
