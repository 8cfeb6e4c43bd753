"""Points, scenes, meshes and molecules as lines and points that a few lines of script draw.

A scene is a map: ``points`` (x, y, z, colour), ``lines`` (x, y, z of both ends, colour), ``labels`` (x, y, z, text) and
``size``, the radius of a point. Coordinates are whole numbers from -500 to 500, z upwards; a colour is red, green and
blue as one number. Of what has more points and lines than a page wants, evenly many are taken.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from lived_daemon.report.overlays import colour_of

__all__ = ["scene_of"]

MOST_POINTS = 3000
MOST_LINES = 4000
#: Bonds are looked for among so many atoms at most; all are compared with all.
_MOST_BONDED = 1500
#: In ångström: atoms of proteins and small molecules that are nearer are bonded.
_BOND = 1.95
_PLAIN = 0x3366AA
_GREY = 0x888888
_ELEMENTS = {"C": 0x444444, "N": 0x2244DD, "O": 0xDD2222, "S": 0xC8A800, "P": 0xE07000, "H": 0xBBBBBB, "FE": 0xA04020}

Scene = dict[str, Any]
Point = Sequence[float]


def scene_of(path: str, content: bytes) -> Scene | None:
    """What is to be drawn of a file, by its suffix; None for a format that is not drawn.

    Raises:
        ValueError: the file is not what its suffix says.
    """
    for suffix, read in _READ.items():
        if path.lower().endswith(suffix):
            return _placed(*read(content))
    return None


#: Points with colours, lines of two ends and a colour, labels with places, and the radius of a point.
_Parts = tuple[list[tuple[Point, int]], list[tuple[Point, Point, int]], list[tuple[Point, str]], float]


def _placed(points: Any, lines: Any, labels: Any, size: float) -> Scene:
    """The scene, thinned, and moved and scaled into its cube."""
    import numpy as np

    points, lines = _thinned(points, MOST_POINTS), _thinned(lines, MOST_LINES)
    places = [point for point, _ in points] + [end for one in lines for end in one[:2]]
    known = np.array([place[:3] for place in places], float).reshape(-1, 3)
    known = known[np.isfinite(known).all(axis=1)]
    if not len(known):
        return {"points": [], "lines": [], "labels": [], "size": size}
    centre = (known.min(axis=0) + known.max(axis=0)) / 2
    factor = 500 / (float(np.linalg.norm(known - centre, axis=1).max()) or 1.0)
    middle = centre.tolist()

    def put(place: Point) -> list[int]:
        if None in place[:3]:
            return []
        moved = [(float(one) - half) * factor for one, half in zip(place, middle, strict=False)]
        return [round(max(-500, min(500, one))) for one in moved] if all(map(math.isfinite, moved)) else []

    return {
        "points": [[*at, colour] for point, colour in points if (at := put(point))],
        "lines": [[*at, *to, colour] for start, end, colour in lines if (at := put(start)) and (to := put(end))],
        "labels": [[*at, label] for point, label in labels[:100] if (at := put(point))],
        "size": size,
    }


def _thinned(values: Sequence[Any], most: int) -> Sequence[Any]:
    return values[:: -(-len(values) // most)] if len(values) > most else values


def _colour(*channels: float | None) -> int:
    red, green, blue = (min(255, max(0, int(one or 0))) for one in channels)
    return red << 16 | green << 8 | blue


# -- what live.log writes of points and scenes -------------------------------------------------------------------------


def _point_cloud(content: bytes) -> _Parts:
    import orjson

    value = orjson.loads(content)
    scene = value if isinstance(value, dict) else {"points": value}
    points = [(row, _of_row(row)) for row in _thinned(scene.get("points") or [], MOST_POINTS)]
    lines, labels = [], []
    for box in scene.get("boxes") or []:
        corners, given = box["corners"], box.get("color")
        colour = _colour(*given[:3]) if isinstance(given, list) and len(given) >= 3 else 0xDD2222
        lines += [(corners[one], corners[other], colour) for one, other in _box_edges(corners)]
        said = [str(box["label"])] if box.get("label") is not None else []
        said += [f"{box['score']:.3g}"] if isinstance(box.get("score"), (int, float)) else []
        if said:
            labels.append((max(corners, key=lambda corner: corner[2]), " ".join(said)))
    lines += [(vector["start"], vector["end"], 0x118833) for vector in scene.get("vectors") or []]
    return points, lines, labels, 1.5


def _of_row(row: Sequence[Any]) -> int:
    if len(row) >= 6:
        return _colour(*row[3:6])
    return _colour(*colour_of(int(row[3] or 0))) if len(row) == 4 else _PLAIN


def _box_edges(corners: Sequence[Point]) -> list[tuple[int, int]]:
    """The twelve edges of a box whose corners stand in any order.

    Seen from another corner a diagonal of a face, or of the box, fills a right angle somewhere; an edge never does.
    """
    edges = [
        (one, other)
        for one, other in combinations(range(len(corners)), 2)
        if all(
            sum((a - c) * (b - c) for a, b, c in zip(corners[one], corners[other], corner, strict=True)) > 1e-9
            for index, corner in enumerate(corners)
            if index not in (one, other)
        )
    ]
    return edges if len(edges) == 12 else list(combinations(range(len(corners)), 2))


# -- molecules ---------------------------------------------------------------------------------------------------------


def _pdb(content: bytes) -> _Parts:
    atoms = []
    for line in content.decode(errors="replace").splitlines():
        if line.startswith(("ATOM", "HETATM")) and len(line) >= 54:
            element = line[76:78].strip() or line[12:16].strip().lstrip("0123456789")[:1]
            atoms.append(([float(line[at : at + 8]) for at in (30, 38, 46)], element))
        elif line.startswith("ENDMDL"):
            break
    return _molecule(atoms, _near([place for place, _ in atoms]))


def _sdf(content: bytes) -> _Parts:
    """The first molecule of a file, in version 2000 of its format."""
    lines = content.decode(errors="replace").splitlines()
    count, bonded = int(lines[3][:3]), int(lines[3][3:6])
    atoms = [([float(line[at : at + 10]) for at in (0, 10, 20)], line[31:34].strip()) for line in lines[4 : 4 + count]]
    bonds = [(int(line[:3]) - 1, int(line[3:6]) - 1) for line in lines[4 + count : 4 + count + bonded]]
    return _molecule(atoms, bonds)


def _near(places: list[list[float]]) -> list[tuple[int, int]]:
    import numpy as np

    if not 1 < len(places) <= _MOST_BONDED:
        return []
    known = np.array(places)
    distances = np.linalg.norm(known[:, None] - known[None], axis=2)
    first, second = np.nonzero(np.triu((distances < _BOND) & (distances > 0.4)))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _molecule(atoms: list[tuple[list[float], str]], bonds: list[tuple[int, int]]) -> _Parts:
    points: list[tuple[Point, int]] = [(place, _ELEMENTS.get(element.upper(), 0x22AA66)) for place, element in atoms]
    lines: list[tuple[Point, Point, int]] = [(atoms[one][0], atoms[other][0], _GREY) for one, other in bonds]
    return points, lines, [], 5.0 if len(atoms) < 200 else 2.0


# -- meshes ------------------------------------------------------------------------------------------------------------


def _obj(content: bytes) -> _Parts:
    places: list[list[float]] = []
    faces: list[list[int]] = []
    for line in content.decode(errors="replace").splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            places.append([float(one) for one in rest[:3]])
        elif word == "f":
            corners = [int(one.split("/")[0]) for one in rest]
            faces.append([one - 1 if one > 0 else len(places) + one for one in corners])
    # What is modelled for a screen has y upwards.
    up: list[Point] = [(x, -z, y) for x, y, z in places]
    return _mesh([[up[corner] for corner in face] for face in faces], up)


def _stl(content: bytes) -> _Parts:
    import numpy as np

    if content[:5] == b"solid" and b"vertex" in content[:1000]:
        words = [line.split()[1:] for line in io.BytesIO(content) if line.strip().startswith(b"vertex")]
        corners = np.array(words, float).reshape(-1, 3, 3)
    else:
        form = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
        corners = np.frombuffer(content, form, offset=84)["corners"]
    return _mesh(_thinned(corners.tolist(), MOST_LINES), [])


def _mesh(faces: Sequence[Sequence[Point]], places: Sequence[Point]) -> _Parts:
    edges = {
        tuple(sorted((tuple(one), tuple(other))))
        for face in _thinned(faces, MOST_LINES)
        for one, other in zip(face, [*face[1:], *face[:1]], strict=True)
    }
    points = [] if edges else [(place, _PLAIN) for place in places]
    return points, [(one, other, _PLAIN) for one, other in sorted(edges)], [], 1.5


_READ: dict[str, Callable[[bytes], _Parts]] = {
    ".pts.json": _point_cloud,
    ".pdb": _pdb,
    ".pqr": _pdb,
    ".sdf": _sdf,
    ".sd": _sdf,
    ".obj": _obj,
    ".stl": _stl,
}
