"""What SQLAlchemy's suite may expect of Chancery: what is offered beyond its defaults, and what is not, with the reason."""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

OFFERED = """
    aggregate_order_by boolean_col_expressions cast_precision_numerics_many_significant_digits create_table ctes
    ctes_with_values date_historic datetime_historic datetime_literals datetime_timezone except_ expressions_against_unbounded_text
    fetch_expression fetch_first fetch_no_order_by float_cast float_or_double_precision_behaves_generically
    get_isolation_level_values infinity_floats intersect isolation_level like_escapes
    mod_operator_as_percent_sign nullsordering numeric_received_as_decimal_untyped order_by_label_with_expression
    percent_schema_names precision_numerics_enotation_large precision_numerics_enotation_small
    precision_numerics_many_significant_digits precision_numerics_retains_significant_digits regexp_match regexp_replace
    schema_reflection schemas standalone_binds supports_bitwise_and supports_bitwise_or supports_bitwise_shift supports_bitwise_xor
    supports_distinct_on supports_is_distinct_from table_value_constructor timestamp_microseconds tuple_in unicode_ddl
    window_functions window_range window_range_numeric
""".split()

WRITES = "the engine reads and writes nothing"
NO_KEYS = "the files of the suite have no keys, indexes and constraints"
ABSENT = {
    **dict.fromkeys(["autoincrement_insert", "empty_inserts", "insert_from_select", "multivalues_inserts"], WRITES),
    **dict.fromkeys(["sane_rowcount", "sane_multi_rowcount", "implements_get_lastrowid", "update_where_target_in_subquery"], WRITES),
    **dict.fromkeys(["temporary_tables", "temp_table_reflection", "autoincrement_without_sequence"], WRITES),
    **dict.fromkeys(["self_referential_foreign_keys", "named_constraints"], NO_KEYS),
    **dict.fromkeys(["primary_key_constraint_reflection", "foreign_key_constraint_reflection"], NO_KEYS),
    **dict.fromkeys(["index_reflection", "indexes_with_ascdesc", "reflect_indexes_with_ascdesc"], NO_KEYS),
    **dict.fromkeys(["unique_constraint_reflection", "duplicate_key_raises_integrity_error"], NO_KEYS),
    **dict.fromkeys(["foreign_key_constraint_name_reflection", "implicitly_named_constraints"], NO_KEYS),
    "order_by_collation": "text is ordered by its bytes, whatever a collation says",
    "json_type": "there are no functions over JSON; a JSON column is text that is read",
    "on_update_cascade": WRITES,
}


class Requirements(SuiteRequirements):
    """Those of the suite, with `OFFERED` open and `ABSENT` closed."""


def _open(_):
    return exclusions.open()


def _closed(reason):
    return lambda _: exclusions.skip_if(exclusions.BooleanPredicate(True, reason))


for _name in OFFERED:
    setattr(Requirements, _name, property(_open))
for _name, _reason in ABSENT.items():
    setattr(Requirements, _name, property(_closed(_reason)))
Requirements.get_isolation_levels = lambda _, config: {"default": "AUTOCOMMIT", "supported": ["AUTOCOMMIT"]}
