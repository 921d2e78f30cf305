"""Point every link at another repository: `python tools/set_repository.py https://github.com/you/vae-book`.

`_config.yml` declares the address (`repository: url:`). This script reads it there and replaces it, as plain text, in
every file that git knows or would add; the Colab links (`/github/owner/name/`) follow when both addresses are on
GitHub. Nothing else in a file changes, not one byte. Python's standard library and git are enough to run it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "_config.yml"
ADDRESS = re.compile(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]+)?/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
DECLARED = re.compile(r"^repository:[^\n]*\n(?:(?:[ \t][^\n]*|#[^\n]*)?\n)*?[ \t]+url:[ \t]*[\"']?([^\s\"']+)", re.M)
COLAB = "colab.research.google.com/github/"


def declared_address(root: Path) -> str:
    """The address that `_config.yml` names.

    Raises:
        ValueError: `_config.yml` declares none.
    """
    found = DECLARED.search((root / CONFIG).read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{CONFIG} declares no `repository: url:`")
    return found.group(1)


def checked_address(text: str) -> str:
    """`text` without a final slash or `.git`, when it looks like https://host/owner/name.

    Raises:
        ValueError: it looks like something else.
    """
    address = text.strip().rstrip("/").removesuffix(".git")
    if not ADDRESS.fullmatch(address) or {"", ".", ".."} & set(urlsplit(address).path.split("/")[1:]):
        raise ValueError(f"{text!r} does not look like https://host/owner/name")
    return address


def replacements(old: str, new: str) -> list[tuple[re.Pattern[bytes], bytes]]:
    """Patterns and what replaces them. A longer name that merely starts like `old` is left alone."""
    pairs = [(old, new)]
    on_github = [urlsplit(address).netloc == "github.com" for address in (old, new)]
    if all(on_github):
        pairs.append(tuple(COLAB + urlsplit(address).path.strip("/") for address in (old, new)))
    return [(re.compile(re.escape(a).encode() + rb"(?![A-Za-z0-9_-])"), b.encode()) for a, b in pairs]


def known_files(root: Path) -> list[Path]:
    """Files that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout
    paths = (root / name for name in sorted(set(names.decode().split("\0"))) if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def set_repository(root: Path, text: str) -> dict[str, int]:
    """Replace the declared address by `text` under `root`; return the number of replacements in each changed file."""
    old, new = declared_address(root), checked_address(text)
    changed = {}
    if old == new:
        return changed
    patterns = replacements(old, new)
    for path in known_files(root):
        before = after = path.read_bytes()
        if b"\0" in before:
            continue  # a picture or another binary file
        count = 0
        for pattern, replacement in patterns:
            after, times = pattern.subn(lambda _, text=replacement: text, after)
            count += times
        if count:
            path.write_bytes(after)
            changed[path.relative_to(root).as_posix()] = count
    return changed


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("Usage: make repository URL=https://github.com/you/vae-book", file=sys.stderr)
        return 2
    try:
        old = declared_address(ROOT)
        new = checked_address(arguments[0])
        changed = set_repository(ROOT, new)
    except ValueError as error:
        print(f"Nothing changed: {error}.", file=sys.stderr)
        return 2
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Nothing changed: git could not list the files ({error}). Work in a clone.", file=sys.stderr)
        return 1
    if not changed:
        print(f"Nothing to change: the address is {old} already.")
        return 0
    for name, count in changed.items():
        print(f"{count:4d} in {name}")
    print(f"{old} -> {new}: {sum(changed.values())} replacements in {len(changed)} files.")
    if urlsplit(new).netloc != "github.com":
        print("Colab opens repositories on github.com only: its links were left as they were.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
