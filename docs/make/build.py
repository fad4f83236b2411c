"""Make the documentation's site out of what ops/facts.py has written down, the README and the guides.

Usage: build.py <file of facts> <folder of the site>. The pages' Markdown is kept beside the facts.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Container
from pathlib import Path
from typing import Any

import graphs
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from lineage import Column, Lineage
from sphinx.cmd.build import build_main

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LAYERS = ["raw", "staging", "core", "intermediate", "marts", "forecast", "audit"]


class Site:
    """Everything that a page can be made of."""

    def __init__(self, facts: dict[str, Any]) -> None:
        """Bring together what the database and the files say of the same thing."""
        self.files: dict[str, dict[str, Any]] = facts["sql"]
        self.functions: list[dict[str, Any]] = facts["functions"]
        self.dags: list[dict[str, Any]] = facts["dags"]
        self.verdicts: dict[str, dict[str, Any]] = facts["verdicts"]
        self.delivered = {
            f"raw.{file['source']}": (f"{file['source']}.csv", file["columns"]) for file in facts["files"]
        }
        there = {relation["name"]: relation for relation in facts["relations"]}
        is_function = {function["name"] for function in self.functions}
        self.lineage = Lineage(
            {name: file["sql"] for name, file in self.files.items() if "__" not in name and name not in is_function},
            {function["name"]: function["body"] for function in self.functions if function["language"] == "sql"},
            {name: [column["name"] for column in relation["columns"]] for name, relation in there.items()},
            self.delivered,
        )
        tables = {name for name in self.files if "__" not in name and name not in is_function}
        self.relations = {name: there.get(name) or self.unbuilt(name) for name in sorted(tables | there.keys())}
        self.known = {**dict.fromkeys(is_function, "functions"), **dict.fromkeys(self.relations, "tables")}
        self.edges = [
            (source, name) for name in self.relations for source in self.reads(name) if source in self.known
        ] + [(file, table) for table, (file, _) in self.delivered.items()]
        # A table without a file of its own is filled by another's.
        filled = {(writer, name) for name in self.relations for writer in self.writers(name)}
        self.edges += sorted((writer, name) for writer, name in filled if (name, writer) not in self.edges)

    def unbuilt(self, name: str) -> dict[str, Any]:
        """Return what is known of a table whose file has not run in this warehouse yet."""
        column = {"type": "", "comment": None, "is_personal": False}
        return {
            "name": name,
            "kind": "table, not built here yet",
            "comment": None,
            "key": [],
            "readers": [],
            "columns": [{**column, "name": known} for known in self.lineage.columns[name]],
            "sample": None,
        }

    def reads(self, name: str) -> list[str]:
        """Return what a table or view reads, by its file's header."""
        return self.files[name]["reads"] if name in self.files else []

    def writers(self, name: str) -> list[str]:
        """Return the tables whose files fill a table that has none of its own."""
        return [] if name in self.files else sorted(self.lineage.writers.get(name, set()))

    def page(self, name: str) -> dict[str, Any]:
        """Return all that the page of a table or view shows."""
        checks = [
            {"name": check, **file, "verdict": self.verdicts.get(check)}
            for check, file in self.files.items()
            if check.startswith(f"{name}__")
        ]
        columns = [
            {**column, "origins": self.lineage.origins(Column(name, column["name"]))}
            for column in self.relations[name]["columns"]
        ]
        return {
            **self.relations[name],
            "columns": columns,
            "file": self.files.get(name),
            "checks": checks,
            "writers": self.writers(name),
            "reads": sorted(
                {*self.reads(name), *(file for table, (file, _) in self.delivered.items() if table == name)}
            ),
            "read_by": sorted(reader for reader in self.relations if name in self.reads(reader)),
            "dags": [dag["name"] for dag in self.dags if any(task["name"] == name for task in dag["tasks"])],
        }

    def steps(self, name: str) -> set[tuple[Column, Column]]:
        """Return the steps from the files to the columns of a table; what audit lends them is left out."""
        return {
            (made, source)
            for column in self.relations[name]["columns"]
            for made, source in self.lineage.steps(Column(name, column["name"]))
            if not source.of.startswith("audit.") and not made.of.startswith("audit.")
        }

    def link(self, here: str) -> graphs.Link:
        """Return what gives the address of a name's page, as seen from a page in the folder `here`."""
        way = "../" if here else ""

        def address(name: str) -> str | None:
            table = name.removesuffix(" checks")
            return f"{way}{self.known[table]}/{table}.html" if table in self.known else None

        return address

    def graphs(self) -> dict[str, str]:
        """Return every graph, as a DOT text, by a name."""
        edges = [edge for edge in self.edges if not any(name.startswith("audit.") for name in edge)]
        turns = [[task["name"] for task in dag["tasks"]] for dag in self.dags]
        drawn = {"lineage": graphs.whole(edges, turns, self.link(""))}
        for name in self.relations:
            drawn[f"around {name}"] = graphs.around(name, self.edges, self.link("tables"))
            if name.startswith("marts.") and (steps := self.steps(name)):
                drawn[f"columns {name}"] = graphs.columns(steps, self.link("tables"))
        for dag in self.dags:
            drawn[f"dag {dag['name']}"] = graphs.dag(dag["tasks"], self.link("dags"))
        return drawn


def draw(dots: dict[str, str]) -> dict[str, str]:
    """Return each graph as SVG that stands in a page; raises subprocess.CalledProcessError with Graphviz' words."""
    environment = Path(sys.executable).parents[1]
    done = subprocess.run(  # noqa: S603 - a program of ours, no shell
        [Path(sys.executable).with_name("node"), HERE / "draw.cjs", environment],
        input=json.dumps(dots),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name: inline(svg) for name, svg in json.loads(done.stdout).items()}


def inline(svg: str) -> str:
    """Return an SVG text as part of a page: no prologue, a point a pixel, no blank line, which ends Markdown's HTML."""
    sized = re.sub(r'(width|height)="(\d+)pt"', r'\1="\2"', svg[svg.index("<svg") :])
    return re.sub(r"\s*\n\s*", " ", sized)


def slug(title: str) -> str:
    """Return a title as a file's name."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def chapters(readme: str) -> dict[str, str]:
    """Return the README's introduction, by the name of index, and each of its sections with headings a level up."""
    found: dict[str, str] = {}
    for part in re.split(r"^(?=## )", readme, flags=re.MULTILINE):
        title = part.splitlines()[0].lstrip("# ")
        text = re.sub(r"^#(#+ )", r"\1", part, flags=re.MULTILINE) if part.startswith("##") else part
        found[slug(title) if part.startswith("##") else "index"] = text
    # There a section is a page of its own.
    found["index"] = re.sub(r"\]\(#([\w-]+)\)", r"](guides/\1.md)", found["index"])
    return found


def marked(text: str | None, known: Container[str]) -> str:
    """Return a plain text as Markdown that shows it as it is, the names of tables and functions as code."""

    def named(match: re.Match[str]) -> str:
        return f"`{match[0]}`" if match[0] in known else match[0]

    # Only what is code for Markdown too: a backtick beside others is not, and in a table a | ends the cell.
    is_code = r"(?<!`)`[^`|]+`(?!`)"

    def escaped(part: str) -> str:
        return part if re.fullmatch(is_code, part) else re.sub(r"([\\`*_{}\[\]<>#|$~&])", r"\\\1", part)

    parts = re.split(f"({is_code})", re.sub(r"(?<![\w.`])[a-z]+\.[a-z_]+(?![\w.]*\w)", named, text or ""))
    return " ".join("".join(map(escaped, parts)).split())


def code(name: str) -> str:
    """Return a name as code in a table of Markdown, whatever is in it: a file's header may name a column anything."""
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    blank = " " if "`" in name else ""
    return f"{fence}{blank}{name}{blank}{fence}".replace("|", "\\|")


def unrooted(text: str) -> str:
    """Return a Markdown text without its links that begin at the root: they lead to pages of Airflow's."""
    return re.sub(r"\[([^\]]*)\]\(/[^)]*\)", r"\1", text)


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def quote(path: str, start: str, end: str = ".") -> str:
    """Return what a document says, from the words `start` on, up to and with the next `end`.

    Raises ValueError where it does not say so: the glossary must not go on saying it.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    begun = text.find(start)
    if begun < 0:
        raise ValueError(f"{path} no longer says {start!r}, which the glossary quotes")
    return " ".join(text[begun : text.index(end, begun + len(start)) + len(end)].split())


def write(site: Site, folder: Path) -> None:
    """Write the Markdown of every page."""
    drawn = draw(site.graphs())
    readme = chapters((ROOT / "README.md").read_text(encoding="utf-8"))
    guides = {name: text for name, text in readme.items() if name != "index"}
    guides |= {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        # Of HTML alone: what it makes is Markdown, and `marked` keeps texts from being taken for that.
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"marked": lambda text: marked(text, site.known)}
    templates.filters |= {filter_.__name__: filter_ for filter_ in (sentence, code, slug, unrooted)}
    templates.globals |= {
        "site": site,
        "graph": drawn,
        "quote": quote,
        "guides": guides,
        "layers": LAYERS,
        "readme": readme,
    }

    def render(template: str, path: str, **what: Any) -> None:
        target = folder / f"{path}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(templates.get_template(f"{template}.md.jinja").render(**what), encoding="utf-8")

    for name, text in guides.items():
        (folder / "guides").mkdir(parents=True, exist_ok=True)
        (folder / "guides" / f"{name}.md").write_text(text, encoding="utf-8")
    for layer in LAYERS:
        render("layer", f"tables/{layer}", layer=layer)
    for name in site.relations:
        render("table", f"tables/{name}", page=site.page(name))
    for function in site.functions:
        render("function", f"functions/{function['name']}", page=function, file=site.files[function["name"]])
    for dag in site.dags:
        render("dag", f"dags/{dag['name']}", dag=dag)
    for page in ("index", "lineage", "glossary", "functions"):
        render(page, page)


def main(facts: Path, site: Path) -> int:
    """Build the site; return what Sphinx returns: 0 only if nothing is wrong, a link that leads nowhere included."""
    pages = facts.with_name(f"{facts.stem}-pages")
    shutil.rmtree(pages, ignore_errors=True)
    shutil.rmtree(site, ignore_errors=True)
    write(Site(json.loads(facts.read_text(encoding="utf-8"))), pages)
    known = ["-b", "html", "-c", str(HERE), "-d", str(pages / ".doctrees"), "-q", "-W", "--keep-going", "-j", "2"]
    wrong = int(build_main([*known, str(pages), str(site)]))
    # The README names its pictures in HTML, which Sphinx does not read; its chapters are in guides/.
    shutil.copytree(ROOT / "docs" / "img", site / "guides" / "docs" / "img")
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
