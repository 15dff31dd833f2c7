"""SQLAlchemy's own suite for dialects against a running federation: `exclusions.py` says what is left out, and each of its lines is
held against what the test then does."""

import os

import chancery_sqlalchemy  # noqa: F401  registers the dialect
import exclusions
import pytest
import sqlalchemy
from tables import TABLES

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403
from sqlalchemy.testing.plugin import pytestplugin  # noqa: E402


def pytest_collection_modifyitems(session, config, items):
    pytestplugin.pytest_collection_modifyitems(session, config, items)
    used = set()
    for item in items:
        for exclusion in exclusions.ALL:
            if exclusion.is_of(item):
                used.add(exclusion)
                item.add_marker(pytest.mark.xfail(reason=exclusion.reason, strict=exclusion.sure))
                item.writes = exclusion.writes
                break
    if not config.option.keyword and len(items) > 100:
        unused = [exclusion.pattern for exclusion in exclusions.ALL if exclusion not in used and not exclusion.elsewhere]
        assert not unused, f"exclusions of no test: {unused}"


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    TABLES.provides = not getattr(pyfuncitem, "writes", False)
    yield
    TABLES.provides = True


def pytest_terminal_summary(terminalreporter):
    """The counts, for the documentation."""
    stats = terminalreporter.stats
    kinds = ("passed", "xfailed", "xpassed", "skipped")
    tests = {kind: {report.nodeid: report for report in stats.get(kind, [])} for kind in kinds}
    excluded = {**tests["xfailed"], **tests["xpassed"]}
    writes = sum("writes" in report.wasxfail for report in excluded.values())
    fails = len(excluded) - writes
    counts = [sqlalchemy.__version__, len(tests["passed"]), fails, writes, len(tests["skipped"])]
    with open(os.environ["CHANCERY_SUITE_COUNTS"], "w", encoding="ascii") as file:
        file.write(" ".join(map(str, counts)))
