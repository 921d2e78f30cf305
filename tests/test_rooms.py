"""The drawing of the package in CONTRIBUTING.md is true: every room is in it, with what it imports, one way."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vae_helpers"


def drawn() -> dict[str, list[str]]:
    """The rooms of the drawing from the ground up, and what each is said to import."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.split("```text\nroom ")[1].split("```")[0].splitlines()[1:]
    columns = (re.split(r"\s{2,}", line) for line in block)
    return {name: imports.split() for name, _, imports in columns}


def imported(room: str) -> set[str]:
    """What a module of the package imports from it, wherever in the file."""
    nodes = ast.walk(ast.parse((PACKAGE / f"{room}.py").read_text(encoding="utf-8")))
    found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
    return {name for node in found for name in ([node.module] if node.module else [a.name for a in node.names])}


def test_every_room_is_drawn_with_its_imports():
    rooms = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    drawing = drawn()
    assert set(drawing) == rooms
    assert {room: set(names) - {"-"} for room, names in drawing.items()} == {room: imported(room) for room in rooms}


def test_imports_go_one_way():
    """Each room imports only rooms that stand above it in the drawing; the public names are collected last."""
    drawing = drawn()
    below: set[str] = set()
    for room, names in drawing.items():
        assert set(names) - {"-"} <= below, f"{room} imports a room that is drawn after it"
        below.add(room)
    assert imported("__init__") <= below
