#!/usr/bin/env python3
"""Finds import cycles between the source files of one crate, or of one Python package.

    .ci/import_cycles.py crates/*/src clients/python/src/voiddht

An import is an item that a file names of another file of the crate: in a `use`, or by a path that
begins with `crate`, `super`, `self` or a child module. Declaring a module is none; a parent that
uses an item of a child which uses one of the parent is a cycle. Tests are left out. Prints the
imports of each cycle, and fails if there is one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator

#: A file by the segments of its path in the crate; the root is the empty one.
Module = tuple[str, ...]
#: What each file imports of which other.
Imports = dict[Module, set[tuple[Module, str]]]


def rust_files(root: Path) -> dict[Module, str]:
    """The text of each file, without comments and tests."""
    files = {}
    for path in root.rglob("*.rs"):
        module = path.relative_to(root).with_suffix("").parts
        if {"tests", "testing", "bin"} & set(module):
            continue
        text = re.split(r"#\[cfg\(.*test.*\)\]\s*mod \w+ \{", path.read_text())[0]
        text = re.sub(r"pub\(in [\w:]+\)|//.*", "", text)
        files[() if module in {("lib",), ("main",)} else module] = text
    return files


def expand(tree: str) -> list[str]:
    """The paths of a `use` tree."""
    start, brace, rest = tree.strip().partition("{")
    if not brace:
        return [start.split(" as ")[0].strip()]
    paths, part, depth = [], "", 0
    for character in rest[: rest.rindex("}")] + ",":
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            paths += [start + path for path in expand(part)] if part.strip() else []
            part = ""
        else:
            part += character
    return paths


def rust_paths(text: str) -> Iterator[str]:
    use = re.compile(r"^\s*(?:pub(?:\(.*?\))? )?use ([^;]+);", re.MULTILINE)
    for tree in use.findall(text):
        yield from expand(tree)
    yield from re.findall(r"(?<![\w:])[a-z]\w*(?:::\w+)+", use.sub("", text))


def rust_imports(root: Path) -> Imports:
    files = rust_files(root)

    def resolve(module: Module, path: str) -> tuple[Module, str] | None:
        first, *rest = (segment.strip() for segment in path.split("::"))
        if first == "crate":
            found = tuple(rest)
        elif first == "self":
            found = module + tuple(rest)
        elif first == "super":
            base = module[:-1]
            while rest and rest[0] == "super":
                base, rest = base[:-1], rest[1:]
            found = base + tuple(rest)
        elif module + (first,) in files:
            found = module + (first, *rest)
        else:
            return None
        found = tuple(segment for segment in found if segment not in {"self", "*"})
        owner = next(found[:n] for n in range(len(found), -1, -1) if found[:n] in files or n == 0)
        return owner, "::".join(found[len(owner):]) or "(module)"

    found = {}
    for module, text in files.items():
        resolved = {resolve(module, path) for path in rust_paths(text)} - {None}
        found[module] = {(to, item) for to, item in resolved if to not in {module, ()}}
    return found


def python_imports(root: Path) -> Imports:
    """Imports in functions and for type checkers are imports too."""
    files = {(path.stem,): path.read_text() for path in root.glob("*.py")}
    found = {}
    for module, text in files.items():
        pairs = re.findall(r"^\s*from \.(\w*) import (\([^)]*\)|.+)", text, re.MULTILINE)
        named = [((to or name,), name if to else "(module)")
                 for to, names in pairs for name in re.findall(r"\w+", names)]
        found[module] = {(to, name) for to, name in named if to in files}
    return found


def cycles(imports: Imports) -> list[list[Module]]:
    """The strongly connected components of more than one file (Tarjan)."""
    index: dict[Module, int] = {}
    low: dict[Module, int] = {}
    stack: list[Module] = []
    found = []

    def visit(module: Module) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for to in {to for to, _ in imports.get(module, ())}:
            if to not in index:
                visit(to)
                low[module] = min(low[module], low[to])
            elif to in stack:
                low[module] = min(low[module], index[to])
        if low[module] == index[module]:
            place = stack.index(module)
            component = stack[place:]
            del stack[place:]
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(imports):
        if module not in index:
            visit(module)
    return found


def report(root: Path) -> list[str]:
    """A line for each import that is part of a cycle."""
    imports = python_imports(root) if any(root.glob("*.py")) else rust_imports(root)
    lines = []
    for cycle in cycles(imports):
        lines.append(f"{root}: an import cycle of {len(cycle)} files")
        for module in cycle:
            for to, item in sorted(imports[module]):
                if to in cycle:
                    lines.append(f"    {'/'.join(module)} -> {'/'.join(to)}: {item}")
    return lines


def main(roots: list[str]) -> int:
    failed = False
    for root in map(Path, roots):
        lines = report(root)
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
        failed |= bool(lines)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
