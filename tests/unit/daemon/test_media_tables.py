"""Tables: from what the trainer passes to the files, which are read back."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from typing import Any

import numpy as np
import pytest
from lived.error import InvalidDataTypeError
from lived.media import Html, Image, Media, Table
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack
from PIL import Image as Pillow


def travel(media: Media) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files (by suffix) and the note that the daemon makes of ``media``."""
    kind, item = KINDS[media.kind], unpack(pack(media.item))
    places = kind.files(item)
    note = kind.note(item, [f"{folder}/key/0{suffix}" for folder, suffix in places])
    return dict(zip([suffix for _, suffix in places], kind.encode(item), strict=True)), note


def content(media: Media) -> dict[str, Any]:
    """The JSON of a table."""
    made: dict[str, Any] = json.loads(travel(media)[0][".json"])
    return made


def test_rows_are_written_as_json_and_csv() -> None:
    """With the columns that there are unless others are given."""
    table = Table(data=[["I love my phone", "1", 1]])
    table.add_data("My, phone", None, [1, {"a": 2}])
    table.add_row("x", np.float32(0.5), 2.5)
    files, note = travel(table)
    assert json.loads(files[".json"]) == {
        "columns": ["Input", "Output", "Expected"],
        "data": [["I love my phone", "1", 1], ["My, phone", None, [1, {"a": 2}]], ["x", 0.5, 2.5]],
    }
    rows = list(csv.reader(io.StringIO(files[".csv"].decode())))
    assert rows[2] == ["My, phone", "", '[1,{"a":2}]']
    assert (note["csv"], note["rows"], note["cells"]) == ("media/table/key/0.csv", 3, [])


def test_frames_and_arrays_are_rows() -> None:
    """A frame with its columns and types; an array of two axes."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None], "t": [pandas.Timestamp(0), pandas.NaT]})
    made = content(Table(dataframe=frame))
    assert made["columns"] == ["a", "b", "t"]
    assert [row[0] for row in made["data"]] == [1, 2]
    assert [row[2] for row in made["data"]] == ["1970-01-01T00:00:00", None]
    assert content(Table(["a", "b"], np.eye(2)))["data"] == [[1.0, 0.0], [0.0, 1.0]]


def test_cells_that_are_media_are_files_of_their_own() -> None:
    """Found through the index; plain pictures are taken too."""
    pixels = np.full((2, 2), 7, "uint8")
    table = Table(["id", "look"], [[1, Image(pixels, caption="c")], [2, Html("<p>", inject=False)]])
    table.add_data(3, Pillow.new("L", (1, 1), 9))
    files, note = travel(table)
    assert np.asarray(Pillow.open(io.BytesIO(files[".0.1.png"]))).tolist() == pixels.tolist()
    assert files[".1.1.html"] == b"<p>"
    assert [cell["file"] for cell in note["cells"]] == [
        "plots/images/key/0.0.1.png", "media/html/key/0.1.1.html", "plots/images/key/0.2.1.png"
    ]  # fmt: skip
    assert note["cells"][0]["caption"] == "c"
    assert json.loads(files[".json"])["data"][1] == [2, {"kind": "html", "cell": 1}]


def test_a_large_table_shares_no_rows_with_the_trainer() -> None:
    """Rows of plain cells are taken all at once; one that is of no plain type, and one that is media, is not."""
    given: list[list[Any]] = [[number, f"{number}", number / 2, None, True] for number in range(1000)]
    table = Table(list("abcde"), given)
    given[0][0], given[1] = "changed", []
    assert content(table)["data"][:2] == [[0, "0", 0.0, None, True], [1, "1", 0.5, None, True]]
    table.data[-1][0] = Html("<p>", inject=False)
    assert travel(table)[0][".999.0.html"] == b"<p>"
    odd = Table(["a", "b"], [(1, 2), [np.float32(0.5), (3, 4)]])
    assert content(odd)["data"] == [[1, 2], [0.5, [3, 4]]]
    with pytest.raises(InvalidDataTypeError, match="row 1 has 1 cells"):
        Table(["a", "b"], [[1, 2], [3]])


def test_columns_are_added_and_read() -> None:
    """As lists and arrays, with what a row is."""
    table = Table(["a"], [[1], [2]])
    table.add_column("b", np.array([3, 4]))
    assert table.get_column("b") == [3, 4]
    assert table.get_column("a", convert_to="numpy").tolist() == [1, 2]
    assert list(table.iterrows()) == [(0, [1, 3]), (1, [2, 4])]
    pytest.importorskip("pandas")
    assert table.get_dataframe()["b"].tolist() == [3, 4]


def test_columns_are_computed_from_rows() -> None:
    """And what W&B has to say of columns is taken, if there are such."""
    table = Table(["x", "y"], [[3, 1], [4, 6]])
    table.add_computed_columns(lambda number, row: {"diff": row["x"] - row["y"], "row": number})
    assert table.columns == ["x", "y", "diff", "row"]
    assert table.data == [[3, 1, 2, 0], [4, 6, -2, 1]]
    assert table.get_index() == [0, 1]
    with pytest.raises(InvalidDataTypeError, match="same for each"):
        table.add_computed_columns(lambda number, _: {str(number): 1})
    Table(["x"]).add_computed_columns(lambda number, row: {"never": 1})
    table.cast("x", float, optional=True)
    table.set_pk("x")
    for call in (lambda: table.cast("z", float), lambda: table.set_pk("z"), lambda: table.set_fk("x", table, "z")):
        with pytest.raises(InvalidDataTypeError, match="no column 'z'"):
            call()


def test_an_incremental_table_has_what_is_new() -> None:
    """The others have all rows each time."""
    table, whole = Table(["a"], [[1]], log_mode="INCREMENTAL"), Table(["a"], [[1]], log_mode="MUTABLE")
    for one in (table, whole):
        travel(one)
        one.add_data(2)
    files, note = travel(table)
    assert (json.loads(files[".json"])["data"], note["first"]) == ([[2]], 1)
    assert content(whole)["data"] == [[1], [2]]


def test_dates_and_long_integers_have_a_form() -> None:
    """ISO 8601, and all digits."""
    table = Table(["a", "b"], [[dt.date(2020, 1, 2), 2**70]])
    assert content(table)["data"] == [["2020-01-02", 2**70]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data": [[1]]}, "1 cells, and there are 3"),
        ({"data": "abc"}, "list of rows"),
        ({"data": np.zeros(3)}, "two axes"),
        ({"columns": ["a"], "data": [[object()]]}, "no cell"),
        ({"columns": ["a"], "data": [[Table()]]}, "no cell"),
        ({"dataframe": 3}, "int"),
        ({"log_mode": "SOMETIMES"}, "log_mode"),
    ],
)
def test_what_is_no_table_is_refused_at_the_call(arguments: dict[str, Any], said: str) -> None:
    """With what is wrong."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Table(**arguments)


def test_columns_that_do_not_fit_are_refused() -> None:
    """Too short, there already, not there."""
    table = Table(["a"], [[1], [2]])
    with pytest.raises(InvalidDataTypeError, match="1 cells for 2 rows"):
        table.add_column("b", [1])
    with pytest.raises(InvalidDataTypeError, match="already"):
        table.add_column("a", [1, 2])
    with pytest.raises(InvalidDataTypeError, match="no column 'z'"):
        table.get_column("z")
