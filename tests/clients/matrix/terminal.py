"""`chancery sql` as a person has it before them, at a terminal of its own: the prompt's colours and completion, the pager, the editor,
progress and \\watch.

usage: terminal.py HOST:PORT AUTHORITY.crt
"""

import os
import pathlib
import pty
import re
import select
import signal
import sys
import tempfile
import time

from told import check, finish

ADDRESS, AUTHORITY = sys.argv[1:]
SECONDS_MAX = 30
CURSOR_IS = b"\x1b[6n"


class Terminal:
    """A terminal with the shell in it. What it writes is kept in `seen`."""

    def __init__(self, *arguments, **environment):
        self.seen = b""
        self.child, self.screen = pty.fork()
        if self.child == 0:
            os.environ.update({"TERM": "xterm", "CHANCERY_PASSWORD": "analyst", **environment})
            os.execvp("chancery", ["chancery", "sql", *arguments])

    def type(self, text):
        os.write(self.screen, text.encode())

    def press_ctrl_c(self):
        os.write(self.screen, b"\x03")

    def until(self, pattern):
        """Reads on until it is there; what is before it is done with."""
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            found = re.search(pattern.encode(), self.seen, re.DOTALL)
            if found:
                self.seen = self.seen[found.end() :]
                return
            assert time.monotonic() < deadline, f"in vain: {pattern!r} in {self.seen[-2000:]!r}"
            if select.select([self.screen], [], [], 0.5)[0]:
                try:
                    part = os.read(self.screen, 65536)
                except OSError:
                    part = b""
                assert part, f"the shell has ended; it wrote {self.seen!r}"
                for _ in range(part.count(CURSOR_IS)):
                    os.write(self.screen, b"\x1b[1;1R")
                self.seen += part

    def close(self):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.screen)


HOME = tempfile.TemporaryDirectory()
ARGUMENTS = ["--user", "analyst", "--tls-ca", AUTHORITY, f"grpc+tls://{ADDRESS}"]


def terminal(*arguments, **environment):
    return Terminal(*(arguments or ARGUMENTS), **{"HOME": HOME.name, "XDG_CONFIG_HOME": HOME.name, "PAGER": "cat", **environment})


@check("shell", "names are completed and words have colours")
def _():
    shell = terminal()
    shell.until("chancery.*> ")
    shell.type("\\d north.civil.peo\t")
    shell.until("north.civil.people")
    shell.type("\r")
    shell.until("seen as show_last.2.")
    shell.type("SELECT count(*) AS people FROM north.civil.people;")
    shell.until("\x1b\\[[0-9;]*34mSELECT")
    shell.type("\r")
    shell.until(" 150")
    shell.close()


@check("shell", "long answers are read in a pager")
def _():
    shell = terminal(PAGER="sed s/^/paged:/")
    shell.until("chancery.*> ")
    shell.type("SELECT 17 AS n;\r")
    shell.until("paged: 17")
    shell.type("\\pager off\r")
    shell.until("The pager is off")
    shell.type("SELECT 18 AS n;\r")
    shell.until("\n 18\r")
    shell.close()


@check("shell", "a statement is edited, and asked again and again")
def _():
    editor = pathlib.Path(HOME.name) / "editor"
    editor.write_text('#!/bin/sh\ngrep -q "SELECT 1 AS one;" "$1" && echo "SELECT 40 + 2 AS edited;" >"$1"\n', encoding="ascii")
    editor.chmod(0o700)
    shell = terminal(EDITOR=str(editor), VISUAL="")
    shell.until("chancery.*> ")
    shell.type("SELECT 1 AS one;\r")
    shell.until("1 row")
    shell.type("\\e\r")
    shell.until("edited.* 42\r")
    shell.type("\\watch 0.2\r")
    for _ in range(3):
        shell.until("edited.* 42\r")
    shell.press_ctrl_c()
    shell.until("cancelled")
    shell.close()


@check("shell", "progress is told while a statement runs")
def _():
    shell = terminal()
    shell.until("chancery.*> ")
    endless = "a.n % 7 = b.n % 7 AND a.label <> b.label"
    shell.type(f"SELECT count(*) FROM north.lab.numbers a JOIN north.lab.numbers b ON {endless};\r")
    shell.until("north [0-9]+ rows, [0-9]+ .?B")
    shell.press_ctrl_c()
    shell.until("cancelled")
    shell.close()


@check("shell", "a profile says what the command line does not")
def _():
    directory = pathlib.Path(HOME.name) / "chancery"
    directory.mkdir(exist_ok=True)
    (directory / "profiles.toml").write_text(
        f'[profile.lab]\nurl = "grpc+tls://{ADDRESS}"\nuser = "analyst"\ntls_ca = "{AUTHORITY}"\n'
        'password_command = "echo analyst"\npurpose = "research"\nformat = "csv"\n',
        encoding="utf-8",
    )
    shell = terminal("--profile", "lab", "-c", "SHOW purpose", "-c", "SELECT 7 AS n", CHANCERY_PASSWORD="")
    shell.until("purpose\r\nresearch\r\nn\r\n7\r\n")
    shell.close()


finish()
