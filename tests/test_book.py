"""The built book: no warning, no dead link, no missing picture, and nothing from elsewhere."""

import html.parser
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image

import vae_helpers as vh

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "_build" / "html"


class Links(html.parser.HTMLParser):
    """What a page refers to, the anchors that it offers, and its pictures."""

    def __init__(self, path: Path):
        super().__init__()
        self.references, self.loads, self.anchors, self.images, self.text = [], [], set(), [], path.read_text("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag == "a" and attributes.get("href"):
            self.references.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)
        source = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if source and attributes.get("rel") not in ("canonical", "search", "next", "prev", "index", "genindex"):
            self.loads.append(source)


@pytest.fixture(scope="module")
def book(pages) -> dict[Path, Links]:
    return {path: Links(path) for path in sorted(pages.rglob("*.html")) if "_static" not in path.parts}


def contents() -> list[str]:
    """The book's files in the order of its table of contents."""
    listed = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    return [listed["root"], *(chapter["file"] for part in listed["parts"] for chapter in part["chapters"])]


def test_every_page_of_the_contents_is_built(book):
    files = contents()
    assert len(files) >= 8
    for file in files:
        assert PAGES / f"{file}.html" in book


def test_internal_links_and_pictures_resolve(book):
    broken = []
    for page, links in book.items():
        for reference in links.references + links.loads:
            parts = urlsplit(reference)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.exists():
                broken.append(f"{page.name}: {reference}")
            elif parts.fragment and target in book and unquote(parts.fragment) not in book[target].anchors:
                broken.append(f"{page.name}: {reference} (no such anchor)")
    assert broken == []


def test_nothing_is_loaded_from_another_origin(book):
    elsewhere = [
        f"{page.name}: {source}"
        for page, links in book.items()
        for source in links.loads
        if urlsplit(source).scheme in ("http", "https") or source.startswith("//")
    ]
    assert elsewhere == []
    css = (PAGES / "_static" / "bundle.css").read_text("utf-8")
    files = [address.strip("\"'") for address in re.findall(r"url\(([^)]*)\)", css) if "data:" not in address]
    assert len(files) >= 4  # three fonts of icons, one of formulas
    assert [file for file in files if not (PAGES / "_static" / file).is_file()] == []


def test_the_first_mention_of_a_term_leads_to_the_glossary(book):
    """Once a page, with the definition as a hint, and never in code, headings, tables or other links."""
    for page, links in book.items():
        if page.parent.name != "notebooks":
            continue
        mentions = re.findall(
            r'href="[^"]*glossary\.html#term-([^"]+)"[^>]*><abbr class="glossary-term" [^>]*title="([^"]+)"', links.text
        )
        assert len(mentions) > 7 and len({term for term, _ in mentions}) == len(mentions), page.name
        assert not re.search(r"<(pre|h[1-6]|td)[^>]*>(?:(?!</\1>).)*glossary-term", links.text, re.DOTALL), page.name
    index = book[PAGES / "genindex.html"].text
    assert 'href="notebooks/02_mlp_vae.html#mention-elbo"' in index or "#mention-vae" in index


def test_the_status_page_lists_every_chapter(book):
    page = book[PAGES / "book" / "status.html"].text
    chapters = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert page.count("<tr") == len(chapters) + 1
    assert all(re.search(rf"<p>{number}\. ", page) for number in (int(path.stem[:2]) for path in chapters))
    assert page.count(" GiB</p>") == len(chapters)


def test_formulas_need_no_script(book):
    """Every formula of the sources is MathML on its page, with its number beside it."""
    count = 0
    for script in sorted((ROOT / "notebooks").glob("[0-9]*.py")):
        page = book[PAGES / "notebooks" / f"{script.stem}.html"].text
        numbers = re.findall(r"\\tag\{([^}]*)\}", script.read_text("utf-8"))
        assert re.findall(r'<span class="eqno">\(([^)]*)\)</span>', page) == numbers
        count += page.count("<math")
    assert count > 2000
    for page, links in book.items():
        assert "\\(" not in links.text and "\\[" not in links.text and "tex-chtml" not in links.text, page.name


def test_each_page_leads_on_and_back_and_each_chapter_shows_its_sections(book):
    order = [PAGES / f"{file}.html" for file in contents()]
    for before, page, after in zip([None, *order], order, [*order[1:], None], strict=False):
        if page.name == "genindex.html":  # Sphinx writes that page, without neighbours
            continue
        soup = BeautifulSoup(book[page].text, "html.parser")
        for side, neighbour in (("left-prev", before), ("right-next", after)):
            link = soup.select_one(f"a.{side}")
            assert (link and (page.parent / link["href"]).resolve()) == neighbour, page.name
        sections = soup.select("article h2")
        if page.parent.name == "notebooks":
            assert 4 < len(sections) == len(soup.select("nav.page-toc .toc-h2")), page.name


def test_pages_are_light(book):
    """One style sheet, scripts after the text; less than a megabyte, uncompressed, until anything is scrolled to."""
    for page, links in book.items():
        if page.name == "index.html":
            continue
        loaded = re.findall(r'<link[^>]*rel="stylesheet"[^>]*>', links.text)
        assert len(loaded) == 1 and "bundle.css" in loaded[0], page.name
        assert "dataset.theme =" in links.text and "fontawesome.js" not in links.text, page.name
        assert ("/explorer.js" in links.text) == ("latent-explorer" in links.text), page.name
        assert ("searchindex.js" in links.text) == (page.name == "search.html"), page.name
        sources = re.findall(r'<script([^>]*)src="([^"?]*)', links.text)
        at_once = {Path(source).name for attributes, source in sources if "defer" not in attributes}
        assert page.name == "search.html" or at_once == {"documentation_options.js"}, page.name
        files = [page, PAGES / "_static" / "bundle.css", PAGES / "_static" / "math.woff2"]
        files += (PAGES / "_static" / "vendor" / "fontawesome" / "webfonts").glob("*.woff2")
        files += [(page.parent / source).resolve() for _, source in sources]
        files += [(page.parent / image["src"]).resolve() for image in links.images if image.get("loading") != "lazy"]
        size = sum(path.stat().st_size for path in set(files))
        assert size < 1e6, (page.name, size)
    script = (PAGES / "_static" / "scripts" / "pydata-sphinx-theme.js").read_text("utf-8")
    assert "e.tabIndex=e.tabIndex" in script, "the theme changed: see LAYS_OUT in tools/book_weight.py"


def test_every_picture_has_alt_text(book):
    for page, links in book.items():
        for image in links.images:
            alt = image.get("alt", "")
            assert alt and not alt.startswith(("../", "_images")), f"{page.name}: {image.get('src')} alt={alt!r}"


def test_pictures_load_late_and_films_respect_readers_who_want_no_motion(book):
    """Each picture of a chapter has its size and loads when it is scrolled to; a film has a still picture and a GIF."""
    films = 0
    for page, links in book.items():
        if page.parent.name != "notebooks":
            continue
        for image in links.images:
            if "_images" in image.get("src", ""):
                assert image.get("loading") == "lazy" and image.get("width") and image.get("height"), (page.name, image)
        for source, film in re.findall(r'<picture class="film"><source ([^>]*)><img [^>]*src="([^"]*)"', links.text):
            films += 1
            assert 'media="(prefers-reduced-motion: reduce)"' in source
            moving = page.parent / film
            with Image.open(page.parent / re.search('srcset="([^"]*)"', source)[1]) as still:
                assert not getattr(still, "is_animated", False)
            with Image.open(moving) as film, Image.open(moving.with_suffix(".gif")) as gif:
                assert gif.n_frames == film.n_frames - 1 and gif.size == film.size
            assert moving.with_suffix(".gif").stat().st_size < 1.5e6
    assert films == 6


def test_the_page_of_films_is_light(book):
    """What a browser loads for the chapter on animations, once everything was scrolled to."""
    page = PAGES / "notebooks" / "05_animations.html"
    pictures = {(page.parent / image["src"]).resolve() for image in book[page].images}
    assert page.stat().st_size + sum(picture.stat().st_size for picture in pictures) < 5e6


def test_chapters_offer_colab_and_download(book):
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    owner_and_name = urlsplit(config["repository"]["url"]).path.strip("/")
    for page, links in book.items():
        if page.parent.name == "notebooks":
            colab = [r for r in links.references if r.startswith("https://colab.research.google.com/")]
            assert colab, page.name
            assert all(f"{owner_and_name}/blob/{config['repository']['branch']}/notebooks/" in r for r in colab)
            assert any(r.endswith(".ipynb") and not urlsplit(r).scheme for r in links.references), page.name


def test_a_table_that_a_cell_printed_is_a_table(book):
    """CommonMark has none: without nb_render_markdown_format a reader sees pipes and dashes."""
    page = book[PAGES / "notebooks" / "02_mlp_vae.html"].text
    measured = page.split('id="what-we-measured"')[1].split("</section>")[0]
    assert "<table" in measured and "<p>|" not in measured


def test_the_page_of_the_package_lists_every_public_name(book):
    soup = BeautifulSoup(book[PAGES / "book" / "package.html"].text, "html.parser")
    ours = {name: str(getattr(value, "__module__", "")) for name, value in vars(vh).items()}
    public = {name for name, module in ours.items() if module.startswith("vae_helpers.")}
    listed = {place["id"].removeprefix("vae_helpers.") for place in soup.select('dt[id^="vae_helpers."]')}
    assert len(public) > 30 and public == {name for name in listed if "." not in name}
    signature = soup.find(id="vae_helpers.VAE").text
    assert "encoder" in signature and "keras" not in signature  # its own arguments, without types
    assert soup.find(id="vae_helpers.sgvb_b").parent.find("a", href="#vae_helpers.sgvb_a")


def test_search_finds_what_a_reader_would_look_for(book):
    index = (PAGES / "searchindex.js").read_text("utf-8")
    for term in ("elbo", "decod", "prior"):  # Sphinx stores stems
        assert f'"{term}"' in index or f"{term}:" in index, term


def test_every_test_that_the_book_names_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "book" / "testing.md").read_text("utf-8")))
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    assert len(named) > 40 and [name for name in sorted(named) if f"def {name}(" not in tests] == []


def test_what_the_tools_are_said_to_print_is_what_they_printed():
    """On the README and on the package's page; chapter 7 printed it."""
    printed = (ROOT / "notebooks" / "07_diagnosis.ipynb").read_text("utf-8")
    readme = re.search(r"^# (β = .*) …$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    package = re.search(r"^β = .*$", (ROOT / "book" / "package.md").read_text("utf-8"), re.MULTILINE)
    assert readme[1] in package[0] and package[0] in printed
