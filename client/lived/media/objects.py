"""Things in space: files of 3D formats, clouds of points, scenes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lived.capture import exact, ndarray_of
from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import copied, file_of, numbers, several, suffix_of

FILES = ("obj", "gltf", "glb", "babylon", "stl", "pts.json")
SCENES = ("lidar/beta",)
#: Columns of an array of points: coordinates; with a category; with red, green and blue.
_COLUMNS = (3, 4, 6)
_CATEGORIES = (1, 14)


class Object3D(Media):
    """An object, a cloud of points, or a scene.

    Args:
        data_or_path: the path of a file in one of the formats obj, gltf, glb, babylon, stl and pts.json, or an open
            one; an array of points, ``n x 3`` (x, y, z), ``n x 4`` (and a category from 1 to 14) or ``n x 6`` (and red,
            green, blue from 0 to 255); or a scene: a dict with ``type`` ``"lidar/beta"`` and any of ``points``,
            ``boxes`` (dicts with eight ``corners``, and maybe ``label``, ``color``, ``score``) and ``vectors`` (dicts
            with ``start`` and ``end``).
        caption: shown with it.
        file_type: the format of an open file without a name.

    Raises:
        InvalidDataTypeError: it is none of these.
        OSError: the file cannot be read.
    """

    kind: ClassVar[str] = "object3D"

    def __init__(self, data_or_path: Any, caption: str | None = None, file_type: str | None = None) -> None:
        if isinstance(data_or_path, Mapping):
            item = _scene(data_or_path)
        elif (file := file_of("Object3D", data_or_path)) is not None:
            suffix = suffix_of(data_or_path, FILES, file_type)
            if suffix is None:
                raise InvalidDataTypeError("Object3D", f"the file is of none of the formats {', '.join(FILES)}")
            item = {"suffix": suffix, "file": file}
        else:
            item = {"points": copied(_points(data_or_path))}
        super().__init__(item | {"caption": caption})

    @classmethod
    def from_file(cls, data_or_path: Any, file_type: str | None = None) -> Object3D:
        """The object in a file."""
        return cls(data_or_path, file_type=file_type)

    @classmethod
    def from_numpy(cls, data: Any) -> Object3D:
        """The cloud of an array of points."""
        if ndarray_of(data) is None:
            raise InvalidDataTypeError("Object3D", f"{type(data)} is no array")
        return cls(data)

    @classmethod
    def from_point_cloud(
        cls,
        points: Any,
        boxes: Sequence[Mapping[str, Any]] = (),
        vectors: Sequence[Mapping[str, Any]] | None = None,
        point_cloud_type: str = "lidar/beta",
    ) -> Object3D:
        """A scene of points with boxes and vectors."""
        vectors = () if vectors is None else vectors
        return cls({"type": point_cloud_type, "points": points, "boxes": boxes, "vectors": vectors})


def _points(data: Any) -> Any:
    array = numbers("Object3D", data)
    if array.ndim != 2 or array.shape[1] not in _COLUMNS:
        raise InvalidDataTypeError("Object3D", f"points of shape {array.shape}, not n x 3, n x 4 or n x 6")
    least, most = _CATEGORIES
    if array.shape[1] == 4 and len(array) and not (array[:, 3].min() >= least and array[:, 3].max() <= most):
        raise InvalidDataTypeError("Object3D", f"a category of a point is not from {least} to {most}")
    return array


def _scene(scene: Mapping[str, Any]) -> dict[str, Any]:
    if scene.get("type") not in SCENES:
        raise InvalidDataTypeError("Object3D", f"a scene has the type 'lidar/beta', not {scene.get('type')!r}")
    unknown = sorted(set(scene) - {"type", "points", "boxes", "vectors"})
    if unknown:
        raise InvalidDataTypeError("Object3D", f"a scene has points, boxes and vectors, not {', '.join(unknown)}")
    points, boxes, vectors = (
        several("Object3D", part, given) if (given := scene.get(part)) is not None else ()
        for part in ("points", "boxes", "vectors")
    )
    return {
        "scene": scene["type"],
        "points": copied(_points(points)) if len(points) else None,
        "boxes": [_box(box, index) for index, box in enumerate(boxes)],
        "vectors": [_vector(vector, index) for index, vector in enumerate(vectors)],
    }


def _box(box: Any, index: int) -> dict[str, Any]:
    where = f"box {index}"
    if not isinstance(box, Mapping) or "corners" not in box:
        raise InvalidDataTypeError("Object3D", f"{where} is no dict with corners")
    corners = _plain(box["corners"], f"the corners of {where}")
    if len(corners) != 8 or not all(_is_point(corner) for corner in corners):
        raise InvalidDataTypeError("Object3D", f"{where} has not eight corners of x, y and z")
    return {key: _plain(value, f"{key!r} of {where}") for key, value in box.items()}


def _vector(vector: Any, index: int) -> dict[str, Any]:
    where = f"vector {index}"
    if not isinstance(vector, Mapping) or not {"start", "end"} <= set(vector):
        raise InvalidDataTypeError("Object3D", f"{where} is no dict with start and end")
    plain = {key: _plain(value, f"{key!r} of {where}") for key, value in vector.items()}
    if not (_is_point(plain["start"]) and _is_point(plain["end"])):
        raise InvalidDataTypeError("Object3D", f"{where} has a start or end that is not x, y and z")
    return plain


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(one) in (int, float) for one in value)


def _plain(value: Any, where: str) -> Any:
    """``value`` as lists and plain values."""
    array = ndarray_of(value)
    if array is not None:
        value = array.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one, where) for one in value]
    plain = exact(value)
    if plain is None and value is not None:
        raise InvalidDataTypeError("Object3D", f"{where} is {type(value)}")
    return plain


def box3d(
    *,
    center: Sequence[float],
    size: Sequence[float],
    orientation: Sequence[float],
    color: Sequence[float],
    label: str | None = None,
    score: float | None = None,
) -> dict[str, Any]:
    """A box of a scene.

    Args:
        center: its middle: x, y, z.
        size: its lengths along its own x, y and z.
        orientation: the rotation from the scene's axes to the box's own, as a quaternion ``(r, x, y, z)`` of any length
            but 0. Signs count: ``(r, -x, -y, -z)`` turns the other way.
        color: red, green, blue.
        label: shown on it.
        score: how sure a detection is.

    Raises:
        InvalidDataTypeError: an argument has not that many numbers, or the quaternion is 0.
    """
    middle, lengths, quaternion = (
        _floats("center", center, 3),
        _floats("size", size, 3),
        _floats("orientation", orientation, 4),
    )
    rotation = _rotation(quaternion)
    corners = []
    for signs in itertools.product((-1, 1), repeat=3):
        own = [0.5 * length * sign for length, sign in zip(lengths, signs, strict=True)]
        corners.append(tuple(middle[j] + sum(own[i] * rotation[i][j] for i in range(3)) for j in range(3)))
    return {"corners": tuple(corners), "color": tuple(_floats("color", color, 3)), "label": label, "score": score}


def _floats(name: str, given: Sequence[float], count: int) -> list[float]:
    found = [float(one) for one in given]
    if len(found) != count or not all(map(math.isfinite, found)):
        raise InvalidDataTypeError("box3d", f"{name} must be {count} finite numbers, not {given!r}")
    return found


def _rotation(quaternion: list[float]) -> list[list[float]]:
    """The matrix ``R`` of which ``own @ R`` are the scene's coordinates."""
    length = math.hypot(*quaternion)
    if length == 0:
        raise InvalidDataTypeError("box3d", "orientation is a quaternion of length 0")
    r, i, j, k = (one / length for one in quaternion)
    return [
        [1 - 2 * (j * j + k * k), 2 * (i * j + k * r), 2 * (i * k - j * r)],
        [2 * (i * j - k * r), 1 - 2 * (i * i + k * k), 2 * (j * k + i * r)],
        [2 * (i * k + j * r), 2 * (j * k - i * r), 1 - 2 * (i * i + j * j)],
    ]
