"""Expressions to the engine's SQL: what differs from the standard, and how names are quoted."""

import re

from sqlalchemy import exc
from sqlalchemy import types as sqltypes
from sqlalchemy.sql import compiler, elements
from sqlalchemy.sql.elements import quoted_name

#: Words that are no names without quotes, beyond those of SQL-92.
RESERVED = frozenset(
    """analyze anti array asof binary cluster connect cross distribute end exclude exists explain except fetch for format full from
    global group having inner intersect interval into join lateral left limit match_condition match_recognize minus natural
    offset on open order outer output partition pivot prewhere qualify returning right sample select semi set settings sort
    start struct tablesample top trim union unpivot using values view where window with""".split()
)

_STRING = sqltypes.String()
_BACKSLASH = "\\"

#: What no pattern has: a replacement of a regular expression cannot hold a backslash.
_MARK = "\ue000"

_PART = re.compile(r'"(?:[^"]|"")*"|[^."]+')


def schema_parts(schema):
    """`site.source` as its parts; a part in quotes may hold a dot, and a name that is to be quoted is one part."""
    if isinstance(schema, quoted_name) and schema.quote:
        return [schema]
    parts = _PART.findall(schema)
    if ".".join(parts) != schema:
        return [schema]
    return [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts]


def _is_alone(side):
    return isinstance(side, elements.BindParameter) and not side.expanding and not side.type._isnull


def _typed(bind):
    return elements.Cast(bind, bind.type)


class IdentifierPreparer(compiler.IdentifierPreparer):
    """Names in lower case stand as they are; all others are quoted."""

    reserved_words = compiler.RESERVED_WORDS | RESERVED

    def quote_schema(self, schema, force=None):
        if schema.startswith("__[SCHEMA_"):
            return schema
        return ".".join(self.quote(part) for part in schema_parts(schema))


class Compiler(compiler.SQLCompiler):
    """Statements."""

    def limit_clause(self, select, **kw):
        text = ""
        if select._limit_clause is not None:
            text += "\n LIMIT " + self.process(select._limit_clause, **kw)
        if select._offset_clause is not None:
            text += "\n OFFSET " + self.process(select._offset_clause, **kw)
        return text

    def fetch_clause(self, select, fetch_clause=None, require_offset=False, use_literal_execute_for_simple_int=False, **kw):
        options = select._fetch_clause_options or {}
        if options.get("percent") or options.get("with_ties"):
            raise exc.CompileError("Chancery has neither FETCH ... PERCENT nor WITH TIES")
        text = "\n LIMIT " + self.process(select._fetch_clause, **kw)
        if select._offset_clause is not None:
            text += "\n OFFSET " + self.process(select._offset_clause, **kw)
        return text

    def for_update_clause(self, select, **kw):
        """There is nothing to lock: nobody writes here."""
        return ""

    def visit_frame_clause(self, frameclause, **kw):
        """A frame's bounds are no parameters."""
        return super().visit_frame_clause(frameclause, **{**kw, "literal_execute": True})

    def _format_frame_clause(self, range_, **kw):
        """The same before SQLAlchemy 2.1."""
        return super()._format_frame_clause(range_, **{**kw, "literal_execute": True})

    def visit_empty_set_expr(self, element_types, **kw):
        columns = ", ".join(f"CAST(NULL AS {self._type_text(of)})" for of in element_types)
        return f"SELECT {columns} WHERE FALSE"

    def _type_text(self, of):
        return "INTEGER" if of._isnull else self.dialect.type_compiler_instance.process(of)

    def visit_binary(self, binary, *args, **kw):
        """Parameters alone have no type before they have a value: one of them is given its own."""
        if _is_alone(binary.left) and _is_alone(binary.right):
            binary = binary._clone()
            binary.left = _typed(binary.left)
        return super().visit_binary(binary, *args, **kw)

    def visit_concat_op_expression_clauselist(self, clauselist, operator, **kw):
        texts = [self.process(_typed(clause) if _is_alone(clause) else clause, **kw) for clause in clauselist.clauses]
        return " || ".join(texts)

    def get_select_precolumns(self, select, **kw):
        columns = getattr(select, "_distinct_on", ())
        if not select._distinct or not columns:
            return super().get_select_precolumns(select, **kw)
        return f"DISTINCT ON ({', '.join(self.process(column, **kw) for column in columns)}) "

    def visit_like_op_binary(self, binary, operator, **kw):
        return self._like(binary, "LIKE", **kw)

    def visit_not_like_op_binary(self, binary, operator, **kw):
        return self._like(binary, "NOT LIKE", **kw)

    def visit_ilike_op_binary(self, binary, operator, **kw):
        return self._like(binary, "ILIKE", **kw)

    def visit_not_ilike_op_binary(self, binary, operator, **kw):
        return self._like(binary, "NOT ILIKE", **kw)

    def _like(self, binary, words, **kw):
        """The engine's LIKE has the backslash for an escape and no other: a pattern with another one is translated, and where it
        is a constant, the engine does so once."""
        left, pattern = self.process(binary.left, **kw), self.process(binary.right, **kw)
        escape = binary.modifiers.get("escape")
        if escape not in (None, "\\"):
            text = lambda value: self.render_literal_value(value, _STRING)  # noqa: E731
            plain = f"replace({pattern}, {text(_BACKSLASH)}, {text(_BACKSLASH * 2)})"
            marked = f"regexp_replace({plain}, {text('(?s)' + re.escape(escape) + '(.)')}, {text(_MARK + '${1}')}, 'g')"
            pattern = f"replace({marked}, {text(_MARK)}, {text(_BACKSLASH)})"
        return f"{left} {words} {pattern}"

    def visit_regexp_match_op_binary(self, binary, operator, **kw):
        return self._regexp(binary, "~", **kw)

    def visit_not_regexp_match_op_binary(self, binary, operator, **kw):
        return self._regexp(binary, "!~", **kw)

    def _regexp(self, binary, operator, **kw):
        flags = binary.modifiers["flags"]
        if flags not in (None, "i"):
            raise exc.CompileError(f"Chancery knows the flag 'i' of a regular expression, not {flags!r}")
        return f"{self.process(binary.left, **kw)} {operator}{'*' if flags else ''} {self.process(binary.right, **kw)}"

    def visit_regexp_replace_op_binary(self, binary, operator, **kw):
        flags = binary.modifiers["flags"]
        arguments = [self.process(binary.left, **kw), self.process(binary.right, **kw)]
        arguments.append(self.render_literal_value("g" if flags is None else flags, _STRING))
        return f"regexp_replace({', '.join(arguments)})"

    def visit_aggregate_strings_func(self, fn, **kw):
        return f"string_agg{self.function_argspec(fn)}"

    def visit_localtimestamp_func(self, fn, **kw):
        return "CAST(CURRENT_TIMESTAMP AS TIMESTAMP)"

    def visit_now_func(self, fn, **kw):
        return "CURRENT_TIMESTAMP"
