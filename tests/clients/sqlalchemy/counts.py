"""Compares how SQLAlchemy's suite went with what the documentation says of it, or writes it there.

usage: counts.py PAGE ROOT [--write]      ROOT/counts-*: a version, and how many tests passed, fail, write and are not for Chancery
"""

import pathlib
import re
import sys

BEGIN, END = "<!-- counts -->\n", "<!-- /counts -->\n"
HEAD = """\
| SQLAlchemy | pass | of those that read | excluded, with a reason | write | ask for what is not offered |
|---|---|---|---|---|---|
"""


def row(path):
    version, *numbers = path.read_text(encoding="ascii").split()
    passed, fails, writes, skipped = map(int, numbers)
    return f"| {version} | {passed} | {100 * passed / (passed + fails):.1f} % | {fails} | {writes} | {skipped} |\n"


def main():
    page, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    rows = [row(path) for path in sorted(root.glob("counts-*"), reverse=True)]
    assert rows, "the suite left no counts"
    table = BEGIN + HEAD + "".join(rows) + END
    text = page.read_text(encoding="utf-8")
    if "--write" in sys.argv:
        page.write_text(re.sub(f"{BEGIN}.*?{END}", table, text, flags=re.DOTALL), encoding="utf-8")
    elif table not in text:
        print(f"sqlalchemy: {page.name} says otherwise (`run --write` writes it):\n{table}")
        sys.exit(1)


main()
