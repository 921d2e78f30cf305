"""Point every link and instruction at another repository: `python tools/set_repository.py https://github.com/you/name`.

`_config.yml` declares the address and the branch or tag (`repository: url:` and `branch:`). The address given here
takes the declared one's place, as plain text, in every file that git knows or would add; so does its last part, the
name of the folder, in instructions (`cd name`). Without an address the declared one stays, and only what follows from
`_config.yml` is written anew: Colab's links and the first code cell of each chapter, in both halves. Nothing else in a
file changes, not one byte. Python's standard library and git are enough to run it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"https://[\w.-]+(?::\d+)?/(?P<owner>\w[\w.-]*)/(?P<name>\w[\w.-]*)", re.ASCII)
# The cell that carries the tag nbval-skip, in a chapter's .py half.
CELL = re.compile(r'(?<=\n# %% tags=\["hide-input", "nbval-skip"\]\n).*?(?=\n\n# %%)', re.DOTALL)
COLAB_CELL = '''\
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("../vae_helpers"):
    fetch = f"""
    [ -d {name} ] || git clone -q --depth=1 --branch={branch} {url}
    {{sys.executable}} -m pip install -q --no-deps ./{name}
    """
    subprocess.run(["bash", "-ec", fetch], check=True)
    os.chdir("{name}/notebooks")'''


def declared(root: Path = ROOT) -> tuple[str, str]:
    """The address and the branch or tag that `_config.yml` names."""
    section = re.search(r"^repository:\n((?:[ #].*\n|\n)+)", (root / "_config.yml").read_text("utf-8"), re.M)[1]
    return tuple(re.search(rf"^ +{key}: *[\"']?([^\s\"']+)", section, re.M)[1] for key in ("url", "branch"))


def checked(text: str) -> str:
    """`text` without a final slash or `.git`, when it looks like https://host/owner/name.

    Raises:
        ValueError: it looks like something else.
    """
    address = text.strip().rstrip("/").removesuffix(".git")
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"{text!r} does not look like https://host/owner/name")
    return address


def colab_cell(url: str, branch: str) -> str:
    """The first code cell of each chapter: on Colab it clones the book and installs the package, elsewhere nothing."""
    return COLAB_CELL.format(url=url, branch=branch, name=ADDRESS.fullmatch(url)["name"])


def moved(text: str, old: str, new: str, branch: str) -> str:
    """A file's text with addresses, folder names and Colab's links changed."""
    (owner, name), (new_owner, new_name) = (ADDRESS.fullmatch(url).groups() for url in (old, new))
    end = r"(?![\w-])"  # a longer name that merely starts like this one is left alone
    text = re.sub(re.escape(old) + end, new, text)
    text = re.sub(rf"(\bcd |github\.com/you[\w-]*/){re.escape(name)}{end}", rf"\g<1>{new_name}", text)
    link = r"(colab\.research\.google\.com/github/)"
    if new.startswith("https://github.com/"):  # Colab opens no others
        text = re.sub(rf"{link}{re.escape(owner)}/{re.escape(name)}{end}", rf"\g<1>{new_owner}/{new_name}", text)
    return re.sub(rf"({link}[^/\s]+/[^/\s]+/blob/)[^/\s]+/", rf"\g<1>{branch}/", text)


def with_host(path: Path, text: str, url: str) -> str:
    """`_config.yml` for the kind of host: its links differ, and Colab opens notebooks on GitHub alone."""
    if path.name != "_config.yml":
        return text
    # A host of a university's own is most often GitLab.
    kind = next((kind for kind in ("github", "gitlab", "bitbucket") if kind in url.split("/")[2]), "gitlab")
    colab = "https://colab.research.google.com" if url.startswith("https://github.com/") else '""'
    text = re.sub(r"(\n +repository_provider: ).*", rf"\g<1>{kind}", text)
    return re.sub(r"(\n +colab_url: ).*", rf"\g<1>{colab}", text)


def with_cell(path: Path, text: str, cell: str) -> str:
    """A chapter's text with its first code cell replaced."""
    if path.parent.name != "notebooks" or path.suffix not in (".py", ".ipynb"):
        return text
    if path.suffix == ".py":
        return CELL.sub(lambda _: cell, text)
    notebook = json.loads(text)
    for one in notebook["cells"]:
        if "nbval-skip" in one["metadata"].get("tags", []):
            one["source"] = cell.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def set_repository(root: Path, new: str | None = None) -> list[str]:
    """Write what follows from the declared address, or from `new` in its place; return the files that changed."""
    old, branch = declared(root)
    new = checked(new or old)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    changed = []
    for path in sorted(root / name for name in set(names) if name):
        if not path.is_file() or path.is_symlink() or b"\0" in (content := path.read_bytes()):
            continue  # a picture or another binary file
        before = content.decode("utf-8")
        after = with_cell(path, moved(before, old, new, branch), colab_cell(new, branch))
        after = with_host(path, after, new)
        if after != before:
            path.write_bytes(after.encode("utf-8"))
            changed.append(path.relative_to(root).as_posix())
    return changed


def main(arguments: list[str]) -> str | None:
    """What went wrong, or nothing."""
    try:
        changed = set_repository(ROOT, *arguments[:1])
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        return f"Nothing changed: {error}. Usage, in a clone: make repository URL=https://github.com/you/name"
    print("\n".join(changed), f"{len(changed)} files changed: see git diff.", sep="\n")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
