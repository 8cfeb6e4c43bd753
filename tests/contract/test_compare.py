"""The comparison of trees notices what it promises to notice."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from compare import differences
from PIL import Image


def png(colour: int, level: int = 6, mode: str = "L") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (4, 4), colour).save(stream, "png", compress_level=level)
    return stream.getvalue()


def found(tmp_path: Path, name: str, one: bytes, other: bytes) -> list[str]:
    for side, content in (("one", one), ("other", other)):
        target = tmp_path / side / name
        target.parent.mkdir(parents=True)
        target.write_bytes(content)
    return differences(str(tmp_path / "one"), str(tmp_path / "other"))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("a.tsv", b"step\ta\n0\t1\n", b"step\ta\n0\t1.0\n"),
        ("a.tsv", b"step\ta\n0\t1\n", b"step\ta\n0\t1\n1\t1\n"),
        ("a.tsv", b"timestamp\tstep\n1700000000000\t1\n", b"timestamp\tstep\n1700000000\t1\n"),
        ("a.json", b'{"a": 1}', b'{"a": 1.0}'),
        ("a.json", b'{"a": true}', b'{"a": 1}'),
        ("a.json", b'{"a": NaN}', b'{"a": null}'),
        ("params.yaml", b"a: 1\n", b"a: '1'\n"),
        ("dvc.yaml", b"a: 1 # mine\n", b"a: 1\n"),
        (
            "images.dvc",
            b"outs:\n- {md5: ab.dir, size: 1, nfiles: 2}\n",
            b"outs:\n- {md5: ab.dir, size: 1, nfiles: 3}\n",
        ),
        ("other.dvc", b"outs:\n- {md5: ab.dir, size: 1}\n", b"outs:\n- {md5: cd.dir, size: 1}\n"),
        ("a.png", png(1), png(2)),
        ("a.png", png(1), png(1, mode="RGB")),
        ("report.html", b'<div id = "a">1</div>', b'<div id = "a">2</div>'),
        ("report.md", b"# R\n![a](a.png)\n", b"# R\n"),
        ("other.txt", b"a", b"b"),
    ],
)
def test_a_difference_is_found(tmp_path: Path, name: str, one: bytes, other: bytes) -> None:
    """Files that differ in what counts are named."""
    assert {text.split(":")[0] for text in found(tmp_path, name, one, other)} == {name}


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("a.tsv", b"timestamp\tstep\n1700000000000\t1\n", b"timestamp\tstep\n1800000000123\t1\n"),
        ("a.json", b'{"a": NaN, "b": 1}', b'{"b": 1,\n"a": NaN}'),
        ("params.yaml", b"{a: 1}", b"a:   1\n"),
        ("dvc.yaml", b"a: '1' # mine\n", b"# mine\na: '1'\n"),
        ("images.dvc", b"outs:\n- {md5: ab.dir, size: 1}\n", b"outs:\n- {md5: cd.dir, size: 2}\n"),
        ("a.png", png(1), png(1, level=0)),
        ("report.html", b'<div id = "a">1</div> <div id = "b">', b'<div id = "b"> <div id = "a">1</div>'),
        (".gitignore", b"/a\n/b\n", b"/b\n/a\n"),
    ],
)
def test_what_means_the_same_is_equal(tmp_path: Path, name: str, one: bytes, other: bytes) -> None:
    """Order, encoding and time stamps that do not count are no difference."""
    assert found(tmp_path, name, one, other) == []


def test_files_on_one_side_only_are_named(tmp_path: Path) -> None:
    """A missing file and one too many are both told; DVC's cache and git's storage are not looked at."""
    for path in ("one/a", "other/b", "one/.dvc/cache/x", "other/.git/y", "one/.dvc/tmp/z"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    assert differences(str(tmp_path / "one"), str(tmp_path / "other")) == ["a: missing", "b: not expected"]
