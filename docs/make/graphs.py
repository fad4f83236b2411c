"""The graphs of the documentation, as DOT texts: what reads what, which column comes from which, and the DAGs."""

import html
import re
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from lineage import Column

# Colours and lines are the style sheet's; Graphviz only says where things are.
SETTINGS = """digraph {
    graph [rankdir=LR, bgcolor=transparent, fontname=Helvetica, fontsize=13, nodesep=0.15, ranksep=0.5, pad=0.1]
    node [shape=box, fontname=Helvetica, fontsize=13, height=0.35, margin="0.1,0.05"]
    edge [arrowsize=0.7]
"""
# In this order data goes.
ORDER = ["files", "raw", "staging", "core", "intermediate", "marts", "forecast"]
Link = Callable[[str], str | None]


def quoted(text: str) -> str:
    """Return a text as DOT has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def group_of(name: str) -> str:
    """Return what a node stands among: its schema, or the files."""
    return "files" if name.endswith(".csv") else name.partition(".")[0]


def node(name: str, label: str, link: Link, *, is_here: bool = False) -> str:
    """Return a node, with its group as its class."""
    found = {"label": quoted(label), "class": quoted(f"of-{group_of(name)}{' here' if is_here else ''}")}
    if (href := link(name)) and not is_here:
        found |= {"URL": quoted(href), "tooltip": quoted(name)}
    return f"    {quoted(name)} [{', '.join(f'{key}={value}' for key, value in found.items())}]\n"


def clustered(names: Iterable[str], link: Link) -> str:
    """Return nodes, each in the box of its group."""
    boxes = []
    for group, members in groupby(sorted(names, key=lambda name: (group_of(name), name)), group_of):
        lines = "".join(node(name, name if group == "files" else name.partition(".")[2], link) for name in members)
        boxes.append(
            f"    subgraph cluster_{group} {{\n    label={group}\n    class={quoted('of-' + group)}\n{lines}    }}\n"
        )
    return "".join(boxes)


def arrows(edges: Iterable[tuple[str, str]]) -> str:
    """Return edges, given as pairs of where from and where to."""
    return "".join(f"    {quoted(start)} -> {quoted(end)}\n" for start, end in sorted(set(edges)))


def whole(edges: list[tuple[str, str]], turns: list[list[str]], link: Link) -> str:
    """Return the graph of all tables that edges, from what is read to what reads it, tie together.

    What is read against the order, that of the layers or of the tasks of a DAG, is dashed and turns no table round.
    """
    nodes = "".join(node(name, name, link) for name in sorted({name for edge in edges for name in edge}))
    back = [edge for edge in edges if is_back(*edge, turns)]
    dashed = "".join(f"    {quoted(start)} -> {quoted(end)} [constraint=false, class=back]\n" for start, end in back)
    return SETTINGS.replace("=LR", "=TB") + nodes + arrows(set(edges) - set(back)) + dashed + "}"


def is_back(start: str, end: str, turns: list[list[str]]) -> bool:
    """Whether a table reads a later one; the views of marts come after the forecast that they show."""
    for tasks in turns:
        if start in tasks and end in tasks:
            return tasks.index(start) > tasks.index(end)
    return ORDER.index(group_of(start)) > ORDER.index(group_of(end)) and group_of(start) != "forecast"


def around(name: str, edges: list[tuple[str, str]], link: Link) -> str:
    """Return the graph of a table with what it reads and what reads it."""
    near = [edge for edge in edges if name in edge]
    nodes = "".join(node(one, one, link, is_here=one == name) for one in sorted({name, *sum(near, ())}))
    return SETTINGS + nodes + arrows(near) + "}"


def columns(steps: set[tuple[Column, Column]], link: Link) -> str:
    """Return the graph of columns, given as pairs of what is made and what it is made of; a table is a box of them."""
    boxes = []
    for table, members in groupby(sorted({column for step in steps for column in step}), lambda column: column.of):
        href = link(table)
        href = f' HREF="{html.escape(href)}" TITLE="{html.escape(table)}"' if href else ""
        rows = "".join(
            f'<TR><TD PORT="{column.name}" ALIGN="LEFT">{html.escape(column.name)}</TD></TR>' for column in members
        )
        label = (
            '<<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">'
            f"<TR><TD{href}><B>{html.escape(table)}</B></TD></TR>{rows}</TABLE>>"
        )
        boxes.append(f"    {quoted(table)} [shape=plain, label={label}, class={quoted('box of-' + group_of(table))}]\n")
    lines = "".join(
        f"    {quoted(source.of)}:{quoted(source.name)}:e -> {quoted(made.of)}:{quoted(made.name)}:w "
        f"[id={quoted('.'.join(source) + '--' + '.'.join(made))}]\n"
        for made, source in sorted(steps)
        if made.of != source.of
    )
    return SETTINGS.replace("ranksep=0.5", "ranksep=1") + "".join(boxes) + lines + "}"


def dag(tasks: list[dict[str, Any]], link: Link) -> str:
    """Return the graph of a DAG: the checks on a table are one node, all arrows between two groups are one."""
    shown = {task["name"]: re.sub("__.*", " checks", task["name"]) for task in tasks}
    edges = {(shown[task["name"]], shown[following]) for task in tasks for following in task["next"]}
    names = list(dict.fromkeys(shown.values()))
    first = {group_of(name): name for name in reversed(names)}
    last = {group_of(name): name for name in names}
    within = {edge for edge in edges if group_of(edge[0]) == group_of(edge[1])}
    between = {(group_of(start), group_of(end)) for start, end in edges - within}
    # What others say already goes: begin is before end by way of everything.
    between -= {(start, end) for start, end in between for way in first if {(start, way), (way, end)} <= between}
    between -= {(start, "end") for start, end in between if start == "begin" and len(between) > 1}
    grouped = {name for name in names if "." in name}
    loose = "".join(node(name, name, link) for name in names if name not in grouped)
    lines = "".join(
        f"    {quoted(last[start])} -> {quoted(first[end])} "
        f"[ltail={quoted('cluster_' + start)}, lhead={quoted('cluster_' + end)}]\n"
        for start, end in sorted(between)
    )
    boxed = clustered(grouped, link)
    return SETTINGS.replace("graph [", "graph [compound=true, ") + loose + boxed + arrows(within) + lines + "}"
