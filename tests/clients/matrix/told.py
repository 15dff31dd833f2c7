"""What the programs here share: checks that are told one by one, and an exit status that says whether all held."""

import pathlib
import sys
import traceback

FAILED = []

TYPES = "SELECT * FROM north.lab.types ORDER BY id"
MADE_TYPES = pathlib.Path(__file__).with_name("made_types.sql").read_text(encoding="utf-8")


def check(client, name):
    """Runs the function that it decorates, at once, as one check."""

    def run(body):
        try:
            body()
            print(f"{client}: {name}: ok")
        except Exception as error:  # a check that fails must not hide the others
            FAILED.append(name)
            print(f"{client}: {name}: FAILED: {error}")
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stdout)

    return run


def equal(expected, actual):
    assert expected == actual, f"expected {expected!r}, and it is {actual!r}"


def refusal(ask):
    """The words of the refusal."""
    try:
        ask()
    except Exception as error:
        return str(error)
    raise AssertionError("it was answered")


def write_types(path, *tables):
    """The columns of each table: name, type, the values of the three rows. The `id` of the second one is told already."""
    columns = [column for number, table in enumerate(tables) for column in table if number == 0 or column[0] != "id"]
    with open(path, "w", encoding="utf-8") as out:
        for name, of, values in columns:
            cells = [name, str(of)] + ["NULL" if value is None else str(value) for value in values]
            out.write("\t".join(cell.replace("\n", "\\n") for cell in cells) + "\n")


def write_parameters(path, outcomes):
    """What became of a parameter of each type: name, and `yes` or what it is instead."""
    lines = ["\t".join([name, told.replace("\n", "\\n")]) for name, told in outcomes.items()]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def finish():
    sys.exit(1 if FAILED else 0)
