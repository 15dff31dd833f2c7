// The Flight SQL JDBC driver against a running federation: connects, asks all of DatabaseMetaData, statements, prepared statements
// with every type, cancelling, large results and errors. What is not as expected is printed, and the exit status is 1.
//
// usage: java -cp DRIVER.jar Jdbc.java HOST:PORT AUTHORITY.crt DIRECTORY VERSION      beside made_types.sql
//
// DIRECTORY/types.jdbc-VERSION: what each type is shown as; DIRECTORY/parameters.jdbc-VERSION: what of each type is bound

import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

public class Jdbc {
    static int failures = 0;
    static String url, madeTypes;

    interface Action {
        void run() throws Exception;
    }

    static void check(String name, Action action) {
        try {
            action.run();
            System.out.println("jdbc: " + name + ": ok");
        } catch (Throwable error) {
            failures++;
            System.out.println("jdbc: " + name + ": FAILED: " + error);
            if (!(error instanceof AssertionError)) error.printStackTrace(System.out);
        }
    }

    static void equal(Object expected, Object actual) {
        if (!Objects.equals(String.valueOf(expected), String.valueOf(actual)))
            throw new AssertionError("expected " + expected + ", and it is " + actual);
    }

    static void holds(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    static Connection connect(String user, String more) throws SQLException {
        return DriverManager.getConnection(url + more, user, user);
    }

    static List<String> rows(ResultSet results) throws SQLException {
        List<String> rows = new ArrayList<>();
        int width = results.getMetaData().getColumnCount();
        while (results.next()) {
            StringJoiner row = new StringJoiner("|");
            for (int column = 1; column <= width; column++) row.add(String.valueOf(results.getObject(column)));
            rows.add(row.toString());
        }
        results.close();
        return rows;
    }

    static List<String> ask(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return rows(statement.executeQuery(sql));
        }
    }

    static String refusal(Action action) throws Exception {
        try {
            action.run();
        } catch (SQLException error) {
            return error.getMessage();
        }
        throw new AssertionError("it was answered");
    }

    static String shown(Object value) {
        if (value == null) return "NULL";
        if (value instanceof byte[] bytes) return "0x" + HexFormat.of().formatHex(bytes);
        if (value instanceof java.sql.Array array) {
            try {
                return Arrays.deepToString((Object[]) array.getArray());
            } catch (SQLException error) {
                return "error: " + error.getMessage();
            }
        }
        return value.toString();
    }

    static void types(Connection connection, String sql, PrintStream out) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql); ResultSet results = statement.executeQuery()) {
            equal(statement.getMetaData().getColumnCount(), results.getMetaData().getColumnCount());
            ResultSetMetaData meta = results.getMetaData();
            int width = meta.getColumnCount();
            List<List<String>> values = new ArrayList<>();
            Set<String>[] classes = new Set[width + 1];
            while (results.next()) {
                List<String> row = new ArrayList<>();
                for (int column = 1; column <= width; column++) {
                    Object value = null;
                    String text;
                    try {
                        value = results.getObject(column);
                        text = shown(value);
                    } catch (Exception error) {
                        text = "error: " + error.getMessage();
                    }
                    if (classes[column] == null) classes[column] = new TreeSet<>();
                    if (value != null) classes[column].add(value.getClass().getSimpleName());
                    row.add(text);
                }
                values.add(row);
            }
            equal(3, values.size());
            for (int column = 1; column <= width; column++) {
                equal(statement.getMetaData().getColumnType(column), meta.getColumnType(column));
                if (sql == madeTypes && meta.getColumnName(column).equals("id")) continue;
                StringJoiner line = new StringJoiner("\t");
                String classNames = String.join(", ", classes[column]);
                line.add(meta.getColumnName(column)).add(JDBCType.valueOf(meta.getColumnType(column)) + " (" + classNames + ")");
                for (List<String> row : values) line.add(row.get(column - 1).replace("\n", "\\n"));
                out.println(line);
            }
        }
    }

    /**
     * The listings, and the columns that JDBC says each has. Three of `getProcedures` are reserved, and their names left open: these are
     * the driver's.
     */
    static final Map<String, Set<String>> LISTINGS = columns("""
        getAttributes TYPE_CAT TYPE_SCHEM TYPE_NAME ATTR_NAME DATA_TYPE ATTR_TYPE_NAME ATTR_SIZE DECIMAL_DIGITS
            NUM_PREC_RADIX NULLABLE REMARKS ATTR_DEF SQL_DATA_TYPE SQL_DATETIME_SUB CHAR_OCTET_LENGTH
            ORDINAL_POSITION IS_NULLABLE SCOPE_CATALOG SCOPE_SCHEMA SCOPE_TABLE SOURCE_DATA_TYPE
        getBestRowIdentifier SCOPE COLUMN_NAME DATA_TYPE TYPE_NAME COLUMN_SIZE BUFFER_LENGTH DECIMAL_DIGITS
            PSEUDO_COLUMN
        getCatalogs TABLE_CAT
        getClientInfoProperties NAME MAX_LEN DEFAULT_VALUE DESCRIPTION
        getColumnPrivileges TABLE_CAT TABLE_SCHEM TABLE_NAME COLUMN_NAME GRANTOR GRANTEE PRIVILEGE IS_GRANTABLE
        getColumns TABLE_CAT TABLE_SCHEM TABLE_NAME COLUMN_NAME DATA_TYPE TYPE_NAME COLUMN_SIZE BUFFER_LENGTH
            DECIMAL_DIGITS NUM_PREC_RADIX NULLABLE REMARKS COLUMN_DEF SQL_DATA_TYPE SQL_DATETIME_SUB
            CHAR_OCTET_LENGTH ORDINAL_POSITION IS_NULLABLE SCOPE_CATALOG SCOPE_SCHEMA SCOPE_TABLE
            SOURCE_DATA_TYPE IS_AUTOINCREMENT IS_GENERATEDCOLUMN
        getCrossReference PKTABLE_CAT PKTABLE_SCHEM PKTABLE_NAME PKCOLUMN_NAME FKTABLE_CAT FKTABLE_SCHEM
            FKTABLE_NAME FKCOLUMN_NAME KEY_SEQ UPDATE_RULE DELETE_RULE FK_NAME PK_NAME DEFERRABILITY
        getExportedKeys PKTABLE_CAT PKTABLE_SCHEM PKTABLE_NAME PKCOLUMN_NAME FKTABLE_CAT FKTABLE_SCHEM
            FKTABLE_NAME FKCOLUMN_NAME KEY_SEQ UPDATE_RULE DELETE_RULE FK_NAME PK_NAME DEFERRABILITY
        getFunctionColumns FUNCTION_CAT FUNCTION_SCHEM FUNCTION_NAME COLUMN_NAME COLUMN_TYPE DATA_TYPE TYPE_NAME
            PRECISION LENGTH SCALE RADIX NULLABLE REMARKS CHAR_OCTET_LENGTH ORDINAL_POSITION IS_NULLABLE
            SPECIFIC_NAME
        getFunctions FUNCTION_CAT FUNCTION_SCHEM FUNCTION_NAME REMARKS FUNCTION_TYPE SPECIFIC_NAME
        getImportedKeys PKTABLE_CAT PKTABLE_SCHEM PKTABLE_NAME PKCOLUMN_NAME FKTABLE_CAT FKTABLE_SCHEM
            FKTABLE_NAME FKCOLUMN_NAME KEY_SEQ UPDATE_RULE DELETE_RULE FK_NAME PK_NAME DEFERRABILITY
        getIndexInfo TABLE_CAT TABLE_SCHEM TABLE_NAME NON_UNIQUE INDEX_QUALIFIER INDEX_NAME TYPE
            ORDINAL_POSITION COLUMN_NAME ASC_OR_DESC CARDINALITY PAGES FILTER_CONDITION
        getPrimaryKeys TABLE_CAT TABLE_SCHEM TABLE_NAME COLUMN_NAME KEY_SEQ PK_NAME
        getProcedureColumns PROCEDURE_CAT PROCEDURE_SCHEM PROCEDURE_NAME COLUMN_NAME COLUMN_TYPE DATA_TYPE
            TYPE_NAME PRECISION LENGTH SCALE RADIX NULLABLE REMARKS COLUMN_DEF SQL_DATA_TYPE SQL_DATETIME_SUB
            CHAR_OCTET_LENGTH ORDINAL_POSITION IS_NULLABLE SPECIFIC_NAME
        getProcedures PROCEDURE_CAT PROCEDURE_SCHEM PROCEDURE_NAME FUTURE_USE1 FUTURE_USE2 FUTURE_USE3 REMARKS
            PROCEDURE_TYPE SPECIFIC_NAME
        getPseudoColumns TABLE_CAT TABLE_SCHEM TABLE_NAME COLUMN_NAME DATA_TYPE COLUMN_SIZE DECIMAL_DIGITS
            NUM_PREC_RADIX COLUMN_USAGE REMARKS CHAR_OCTET_LENGTH IS_NULLABLE
        getSchemas TABLE_SCHEM TABLE_CATALOG
        getSuperTables TABLE_CAT TABLE_SCHEM TABLE_NAME SUPERTABLE_NAME
        getSuperTypes TYPE_CAT TYPE_SCHEM TYPE_NAME SUPERTYPE_CAT SUPERTYPE_SCHEM SUPERTYPE_NAME
        getTablePrivileges TABLE_CAT TABLE_SCHEM TABLE_NAME GRANTOR GRANTEE PRIVILEGE IS_GRANTABLE
        getTableTypes TABLE_TYPE
        getTables TABLE_CAT TABLE_SCHEM TABLE_NAME TABLE_TYPE REMARKS TYPE_CAT TYPE_SCHEM TYPE_NAME
            SELF_REFERENCING_COL_NAME REF_GENERATION
        getTypeInfo TYPE_NAME DATA_TYPE PRECISION LITERAL_PREFIX LITERAL_SUFFIX CREATE_PARAMS NULLABLE
            CASE_SENSITIVE SEARCHABLE UNSIGNED_ATTRIBUTE FIXED_PREC_SCALE AUTO_INCREMENT LOCAL_TYPE_NAME
            MINIMUM_SCALE MAXIMUM_SCALE SQL_DATA_TYPE SQL_DATETIME_SUB NUM_PREC_RADIX
        getUDTs TYPE_CAT TYPE_SCHEM TYPE_NAME CLASS_NAME DATA_TYPE REMARKS BASE_TYPE
        getVersionColumns SCOPE COLUMN_NAME DATA_TYPE TYPE_NAME COLUMN_SIZE BUFFER_LENGTH DECIMAL_DIGITS
            PSEUDO_COLUMN
        """);

    static Map<String, Set<String>> columns(String text) {
        Map<String, Set<String>> columns = new TreeMap<>();
        String listing = null;
        for (String word : text.split("\\s+")) {
            if (word.startsWith("get")) columns.put(listing = word, new TreeSet<>());
            else columns.get(listing).add(word);
        }
        return columns;
    }

    /**
     * What the driver has no answer to, and throws a `RuntimeException` at: of what changes under an open result, and of results
     * that outlive a transaction, Avatica, which the driver is built on, says "todo: implement this method". The server is not asked.
     */
    static final Set<String> UNANSWERED = Set.of(
        "ownUpdatesAreVisible", "ownDeletesAreVisible", "ownInsertsAreVisible",
        "othersUpdatesAreVisible", "othersDeletesAreVisible", "othersInsertsAreVisible",
        "updatesAreDetected", "deletesAreDetected", "insertsAreDetected", "supportsResultSetHoldability");

    /** No foreign keys are told, and of an answer of the server without rows the driver knows no columns. */
    static final Set<String> EMPTY = Set.of("getImportedKeys", "getExportedKeys", "getCrossReference");

    /** Arguments that make sense: a table that is there, and of each number one that JDBC has a name for. */
    static Object[] arguments(Method method) {
        String name = method.getName();
        String fourth = name.equals("getCrossReference") ? "south" : "%";
        Iterator<String> names = List.of("north", "civil", "people", fourth, "civil", "people").iterator();
        Iterator<Integer> numbers = switch (name) {
            case "supportsConvert" -> List.of(Types.INTEGER, Types.VARCHAR).iterator();
            case "supportsTransactionIsolationLevel" -> List.of(Connection.TRANSACTION_READ_COMMITTED).iterator();
            case "supportsResultSetHoldability" -> List.of(ResultSet.HOLD_CURSORS_OVER_COMMIT).iterator();
            case "getBestRowIdentifier" -> List.of(DatabaseMetaData.bestRowSession).iterator();
            default -> List.of(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY).iterator();
        };
        return Stream.of(method.getParameterTypes()).map(of -> {
            if (of == String.class) return names.next();
            if (of == int.class) return numbers.next();
            if (of == boolean.class) return true;
            // Of every type of table, of every type of user's types.
            return of == Class.class ? DatabaseMetaData.class : null;
        }).toArray();
    }

    /** Every method, and each listing with the columns that JDBC gives it: the driver has those of keys in another order. */
    static void allOfMetadata(DatabaseMetaData meta) throws Exception {
        List<String> wrong = new ArrayList<>();
        Set<String> listed = new TreeSet<>(), unanswered = new TreeSet<>();
        for (Method method : DatabaseMetaData.class.getMethods()) {
            String name = method.getName();
            try {
                Object answer = method.invoke(meta, arguments(method));
                if (!(answer instanceof ResultSet results)) continue;
                Set<String> columns = new TreeSet<>();
                ResultSetMetaData described = results.getMetaData();
                int width = described.getColumnCount();
                for (int column = 1; column <= width; column++) columns.add(described.getColumnName(column));
                rows(results);
                listed.add(name);
                Set<String> expected = LISTINGS.getOrDefault(name, Set.of("none that JDBC has"));
                boolean isEmpty = EMPTY.contains(name) && columns.isEmpty();
                if (!expected.equals(columns) && !isEmpty) wrong.add(name + ": expected " + expected + ", and it is " + columns);
            } catch (InvocationTargetException error) {
                String told = error.getCause().getMessage();
                boolean isKnown = UNANSWERED.contains(name) && "todo: implement this method".equals(told);
                if (isKnown) unanswered.add(name);
                else wrong.add(name + ": " + error.getCause());
            }
        }
        equal(List.of(), wrong);
        equal(LISTINGS.keySet(), listed);
        equal(new TreeSet<>(UNANSWERED), unanswered);
    }

    static void listings(DatabaseMetaData meta) throws SQLException {
        equal(List.of("north", "south", "system"), rows(meta.getCatalogs()));
        holds(rows(meta.getSchemas("north", "%")).equals(List.of("civil|north", "lab|north")), "the schemas of north: " + rows(meta.getSchemas("north", "%")));
        List<String> tables = new ArrayList<>();
        ResultSet listed = meta.getTables(null, null, "people", null);
        while (listed.next()) tables.add(listed.getString("TABLE_CAT") + "." + listed.getString("TABLE_SCHEM") + " " + listed.getString("TABLE_TYPE"));
        listed.close();
        equal(List.of("north.civil BASE TABLE", "south.civil BASE TABLE"), tables);
        equal(List.of(), rows(meta.getTables("north", "civil", "people", new String[] {"VIEW"})));
        equal(List.of("BASE TABLE", "VIEW"), rows(meta.getTableTypes()));
        List<String> columns = new ArrayList<>();
        ResultSet described = meta.getColumns("north", "civil", "people", "%");
        while (described.next())
            columns.add(described.getString("COLUMN_NAME") + " " + described.getInt("DATA_TYPE") + " " + described.getString("REMARKS") + " " + described.getInt("ORDINAL_POSITION"));
        described.close();
        equal(List.of("id_no -5 null 1", "phone 12 of the household; kind = contact; seen as show_last(2) 2", "region 12 null 3", "born 91 null 4"), columns);
        equal(List.of("north|civil|people|id_no|1|people_pkey"), rows(meta.getPrimaryKeys("north", "civil", "people")));
        equal(List.of(), rows(meta.getPrimaryKeys("south", "civil", "people")));
        equal(List.of(), rows(meta.getImportedKeys("north", "civil", "people")));
        equal(List.of(), rows(meta.getExportedKeys("north", "civil", "people")));
        equal(List.of(), rows(meta.getCrossReference("north", "civil", "people", "south", "civil", "people")));
        rows(meta.getTypeInfo());
    }

    static void facts(DatabaseMetaData meta) throws SQLException {
        equal("Chancery", meta.getDatabaseProductName());
        equal("\"", meta.getIdentifierQuoteString());
        holds(meta.isReadOnly(), "it reads only");
        holds(meta.isCatalogAtStart(), "the catalog comes first");
        holds(meta.supportsFullOuterJoins() && meta.supportsOuterJoins() && meta.supportsLimitedOuterJoins(), "outer joins");
        holds(meta.supportsGroupBy() && meta.supportsUnion() && meta.supportsUnionAll(), "GROUP BY and UNION");
        holds(meta.supportsCorrelatedSubqueries() && meta.supportsSubqueriesInIns(), "subqueries");
        holds(meta.getNumericFunctions().contains("abs") && meta.getStringFunctions().contains("upper"), "functions");
        holds(meta.getTimeDateFunctions().contains("date_trunc"), "functions of time");
        equal(1048576, meta.getMaxStatementLength());
        equal(true, meta.getDriverName().startsWith("Arrow Flight SQL JDBC Driver"));
        holds(!meta.getDatabaseProductVersion().isEmpty(), "the server's version");
        equal("catalog schema procedure", meta.getCatalogTerm() + " " + meta.getSchemaTerm() + " " + meta.getProcedureTerm());
        equal("\\", meta.getSearchStringEscape());
        holds(List.of(meta.getSQLKeywords().split(", ")).containsAll(List.of("EXPLAIN", "ILIKE", "LIMIT", "QUALIFY")), meta.getSQLKeywords());
        holds(!meta.supportsTransactions() && !meta.supportsSavepoints() && !meta.supportsBatchUpdates(), "nothing is written");
        holds(!meta.supportsSelectForUpdate() && !meta.supportsStoredProcedures() && !meta.supportsNamedParameters(), "what is not offered");
        equal(Connection.TRANSACTION_NONE, meta.getDefaultTransactionIsolation());
        holds(meta.supportsTransactionIsolationLevel(Connection.TRANSACTION_NONE), "no isolation");
        holds(!meta.supportsTransactionIsolationLevel(Connection.TRANSACTION_SERIALIZABLE), "no isolation but none");
        holds(meta.supportsResultSetType(ResultSet.TYPE_FORWARD_ONLY) && !meta.supportsResultSetType(ResultSet.TYPE_SCROLL_SENSITIVE), "results go forward");
        holds(meta.supportsResultSetConcurrency(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY), "results are read");
        holds(meta.supportsMinimumSQLGrammar() && meta.supportsCoreSQLGrammar() && !meta.supportsExtendedSQLGrammar(), "grammar");
        holds(meta.supportsANSI92EntryLevelSQL() && !meta.supportsANSI92FullSQL(), "SQL-92");
        holds(meta.supportsColumnAliasing() && meta.nullPlusNonNullIsNull() && meta.supportsLikeEscapeClause(), "language");
        equal(0, meta.getMaxConnections());
    }

    interface Binder {
        void bind(PreparedStatement statement) throws SQLException;
    }

    /** A value of a column, the number of its row, and the setter that JDBC has for it. */
    record Value(String column, String id, Binder binder) {}

    static Value odd(String column, Binder binder) {
        return new Value(column, "2", binder);
    }

    static Value least(String column, Binder binder) {
        return new Value(column, "1", binder);
    }

    static Binder array(String of, Object... items) {
        return statement -> statement.setArray(1, statement.getConnection().createArrayOf(of, items));
    }

    static Binder moment(String at) {
        return statement -> statement.setTimestamp(1, Timestamp.valueOf(at));
    }

    /** The columns of `north.lab.types`. */
    static final List<Value> HELD = List.of(
        odd("boolean", to -> to.setBoolean(1, true)),
        odd("int8", to -> to.setByte(1, (byte) 127)),
        odd("int16", to -> to.setShort(1, (short) 32767)),
        odd("int32", to -> to.setInt(1, 2147483647)),
        odd("int64", to -> to.setLong(1, 9223372036854775807L)),
        odd("uint8", to -> to.setShort(1, (short) 255)),
        odd("uint16", to -> to.setInt(1, 65535)),
        odd("uint32", to -> to.setLong(1, 4294967295L)),
        odd("uint64", to -> to.setBigDecimal(1, new BigDecimal("18446744073709551615"))),
        odd("float16", to -> to.setFloat(1, Float.POSITIVE_INFINITY)),
        odd("float32", to -> to.setFloat(1, Float.NaN)),
        odd("float64", to -> to.setDouble(1, Double.MIN_VALUE)),
        odd("decimal_9_2", to -> to.setBigDecimal(1, new BigDecimal("9999999.99"))),
        odd("decimal_38_10", to -> to.setBigDecimal(1, new BigDecimal("0.0000000001"))),
        odd("decimal_76_20", to -> to.setBigDecimal(1, new BigDecimal("1.50000000000000000000"))),
        odd("utf8", to -> to.setString(1, "naïve 北京 𠮷 \"quoted\" O'Brien\n2")),
        odd("large_utf8", to -> to.setString(1, "x".repeat(40))),
        odd("dictionary", to -> to.setString(1, "green")),
        odd("binary", to -> to.setBytes(1, new byte[] {0, (byte) 255, 16})),
        odd("large_binary", to -> to.setBytes(1, new byte[] {0, (byte) 255})),
        odd("fixed_binary_4", to -> to.setBytes(1, new byte[] {(byte) 255, (byte) 254, (byte) 253, (byte) 252})),
        odd("date32", to -> to.setDate(1, java.sql.Date.valueOf("9999-12-31"))),
        odd("date64", to -> to.setDate(1, java.sql.Date.valueOf("2038-01-19"))),
        odd("time32_ms", to -> to.setTime(1, new Time(86_399_999))),
        // The driver has milliseconds for times and moments.
        least("time64_us", to -> to.setTime(1, new Time(0))),
        odd("timestamp_ms", moment("9999-12-31 23:59:59.999")),
        odd("timestamp_us", moment("9999-12-31 23:59:59.999")),
        odd("timestamp_ns", moment("2262-04-11 00:00:00")),
        odd("timestamp_us_utc", moment("2100-06-01 00:00:00")),
        odd("timestamp_ms_shanghai", moment("2024-07-01 00:00:00")),
        odd("duration_us", to -> to.setLong(1, 129_600_000_001L)),
        odd("list", array("INTEGER", 1, null, 3)),
        odd("large_list", array("VARCHAR", "a", null)),
        odd("fixed_list_2", array("INTEGER", null, 4)),
        odd("struct", to -> to.setObject(1, to.getConnection().createStruct("struct", new Object[] {null, null}))),
        odd("map", to -> to.setObject(1, Map.of("a", 1L))));

    /** The columns of made_types.sql. */
    static final List<Value> MADE = List.of(
        odd("utf8_view", to -> to.setString(1, "naïve 北京 𠮷 \"quoted\" O'Brien\n2")),
        odd("binary_view", to -> to.setBytes(1, new byte[] {0, (byte) 255, 16})),
        odd("run_end_encoded", to -> to.setString(1, "green")),
        odd("dictionary_int64", to -> to.setLong(1, 9223372036854775807L)),
        odd("list_view", array("INTEGER", 1, null, 3)),
        odd("large_list_view", array("INTEGER", 1, null, 3)),
        odd("list_of_views", array("VARCHAR", "a", null)),
        odd("decimal32_9_2", to -> to.setBigDecimal(1, new BigDecimal("9999999.99"))),
        odd("decimal64_18_2", to -> to.setBigDecimal(1, new BigDecimal("9999999.99"))),
        odd("timestamp_s", moment("9999-12-31 00:00:00")),
        odd("time32_s", to -> to.setTime(1, new Time(86_399_000))),
        least("time64_ns", to -> to.setTime(1, new Time(0))),
        odd("duration_s", to -> to.setLong(1, 86_399)),
        odd("duration_ms", to -> to.setLong(1, 86_399_999)),
        odd("duration_ns", to -> to.setLong(1, 86_399_999_999_000L)),
        odd("interval_year_month", to -> to.setString(1, "1 year 2 months")),
        odd("interval_day_time", to -> to.setString(1, "1 day 2 hours")),
        odd("interval_month_day_nano", to -> to.setString(1, "1 month 2 days 3.000004 seconds")));

    /** The types of which a value and a NULL go through; what of the others does is in the documentation, and compared with it. */
    static final Set<String> BOUND = Set.of(
        "boolean", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float64", "decimal_9_2",
        "decimal_38_10", "utf8", "large_utf8", "dictionary", "binary", "large_binary", "fixed_binary_4", "date32", "date64", "time32_ms",
        "time64_us", "timestamp_ms", "timestamp_us", "timestamp_ns", "timestamp_us_utc", "timestamp_ms_shanghai", "utf8_view",
        "binary_view", "run_end_encoded", "list_view", "large_list_view", "timestamp_s", "time64_ns");

    /** `yes` where a statement with this parameter finds what it should, or what it does instead. */
    static String outcome(Connection connection, String sql, Binder binder, List<String> expected) {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            binder.bind(statement);
            List<String> found = rows(statement.executeQuery());
            return found.equals(expected) ? "yes" : "finds " + found;
        } catch (SQLException | RuntimeException error) {
            if (error.getMessage() == null) return error.getClass().getSimpleName();
            String told = error.getMessage().lines().findFirst().orElse("");
            return told.replaceAll("class [\\w.]*\\.(\\w+)", "$1").replaceAll("^.*exception while executing query: ", "");
        }
    }

    /** A value and a NULL of each type, compared with the column that has them; a line of each. */
    static void everyParameter(PrintStream out) throws SQLException {
        List<String> wrong = new ArrayList<>();
        Connection connection = connect("analyst", "");
        for (Value value : Stream.concat(HELD.stream(), MADE.stream()).toList()) {
            String from = HELD.contains(value) ? "north.lab.types" : "(" + madeTypes + ") AS t";
            String sql = "SELECT id FROM " + from + " WHERE \"" + value.column + "\" = ?";
            String some = outcome(connection, sql, value.binder, List.of(value.id));
            Binder nothing = to -> to.setNull(1, to.getParameterMetaData().getParameterType(1));
            String none = outcome(connection, sql, nothing, List.of());
            String both = some.equals(none) ? some : "value: " + some + "; NULL: " + none;
            String told = none.equals("yes") && !some.equals("yes") ? "NULL alone: " + some : both;
            out.println(value.column + "\t" + told);
            if (BOUND.contains(value.column) && !told.equals("yes")) wrong.add(value.column + ": " + told);
        }
        try {
            connection.close();
        } catch (SQLException error) {
            // What it began to bind and could not, the driver keeps, and complains of here.
            System.out.println("jdbc: after parameters: " + error.getMessage());
        }
        equal(List.of(), wrong);
    }

    /** By `setObject`, which tells the type from the value. */
    static void parameter(Connection connection, String column, String condition, Object value) throws SQLException {
        String sql = "SELECT id FROM north.lab.types WHERE " + (condition == null ? column + " = ?" : condition) + " ORDER BY id";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            equal(1, statement.getParameterMetaData().getParameterCount());
            statement.setObject(1, value);
            try (ResultSet results = statement.executeQuery()) {
                List<String> found = rows(results);
                holds(found.contains("2"), column + " = " + value + " finds " + found);
            }
        } catch (SQLException | RuntimeException error) {
            throw new AssertionError(column + " = " + value + ": " + error, error);
        }
    }

    static void parameters(Connection connection) throws SQLException {
        parameter(connection, "boolean", null, true);
        parameter(connection, "int8", null, (byte) 127);
        parameter(connection, "int16", null, (short) 32767);
        parameter(connection, "int32", null, 2147483647);
        parameter(connection, "int64", null, 9223372036854775807L);
        parameter(connection, "uint8", null, (short) 255);
        parameter(connection, "float32", "float32 > ?", 1.5f);
        parameter(connection, "float64", "float64 > ?", 0.0);
        parameter(connection, "decimal_38_10", null, new BigDecimal("0.0000000001"));
        parameter(connection, "utf8", "utf8 LIKE ?", "naïve 北京%");
        parameter(connection, "binary", null, new byte[] {0, (byte) 255, 16});
        parameter(connection, "date32", null, java.sql.Date.valueOf("9999-12-31"));
        parameter(connection, "time32_ms", "time32_ms > ?", Time.valueOf("12:00:00"));
        parameter(connection, "timestamp_us", "timestamp_us > ?", Timestamp.valueOf("2024-01-01 00:00:00"));
        // To the type that the caller names.
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM north.lab.types WHERE int32 = ?")) {
            statement.setObject(1, "2147483647", Types.INTEGER);
            equal(List.of("2"), rows(statement.executeQuery()));
            statement.setObject(1, null, Types.INTEGER);
            equal(List.of(), rows(statement.executeQuery()));
        }
        // To the moment, and not around to another number.
        String moments = "SELECT count(*) FROM (VALUES (TIMESTAMP '2024-01-01 00:00:00'), (TIMESTAMP '2024-01-01 00:00:01')) AS t(at) WHERE at = ?";
        try (PreparedStatement statement = connection.prepareStatement(moments)) {
            statement.setTimestamp(1, Timestamp.valueOf("2024-01-01 00:00:01"));
            equal(List.of("1"), rows(statement.executeQuery()));
            statement.setTimestamp(1, Timestamp.valueOf("2024-01-01 00:00:02"));
            equal(List.of("0"), rows(statement.executeQuery()));
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM (VALUES (CAST(1 AS TINYINT))) AS t(n) WHERE n = ?")) {
            statement.setInt(1, 1);
            equal(List.of("1"), rows(statement.executeQuery()));
            statement.setInt(1, 257);
            equal(List.of("0"), rows(statement.executeQuery()));
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT n FROM (VALUES (1), (2), (3)) AS t(n) ORDER BY n LIMIT ?")) {
            statement.setInt(1, 2);
            equal(List.of("1", "2"), rows(statement.executeQuery()));
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ? AS shown, upper(?) FROM north.lab.types LIMIT 1")) {
            statement.setString(1, "as it is");
            statement.setString(2, "loud");
            equal(List.of("as it is|LOUD"), rows(statement.executeQuery()));
            statement.setString(2, "again");
            equal(List.of("as it is|AGAIN"), rows(statement.executeQuery()));
        }
    }

    /** A statement that does not end by itself, found by its marker among those that run. */
    static String endless(String marker) {
        String pairs = "north.lab.numbers a JOIN north.lab.numbers b ON a.n % 7 = b.n % 7 AND a.label <> b.label";
        return "SELECT count(*) AS " + marker + " FROM " + pairs;
    }

    /** Waits until as many statements with this marker run, as another connection of the same user sees them. */
    static void awaitRunning(Connection watching, String marker, String count, int seconds) throws Exception {
        String like = "statement LIKE '%" + marker + "%' AND statement NOT LIKE '%system.queries%'";
        String running = "SELECT count(*) FROM system.queries.running WHERE " + like;
        long deadline = System.nanoTime() + seconds * 1_000_000_000L;
        while (!ask(watching, running).equals(List.of(count))) {
            holds(System.nanoTime() < deadline, "after " + seconds + " s there run not " + count + " of " + marker);
            Thread.sleep(250);
        }
    }

    static void cancelled(Connection connection, Connection watching) throws Exception {
        try (Statement statement = connection.createStatement()) {
            List<Throwable> wrong = new ArrayList<>();
            CountDownLatch returned = new CountDownLatch(1);
            Thread canceller = new Thread(() -> {
                try {
                    awaitRunning(watching, "cancelled_by_jdbc", "1", 30);
                    // It runs before the driver has the stream that cancelling ends.
                    while (!returned.await(1, TimeUnit.SECONDS)) statement.cancel();
                } catch (Throwable error) {
                    wrong.add(error);
                }
            });
            canceller.start();
            long began = System.nanoTime();
            String told = refusal(() -> rows(statement.executeQuery(endless("cancelled_by_jdbc"))));
            returned.countDown();
            canceller.join();
            equal(List.of(), wrong);
            long seconds = (System.nanoTime() - began) / 1_000_000_000;
            holds(seconds < 120, "it took " + seconds + " s: " + told);
            awaitRunning(watching, "cancelled_by_jdbc", "0", 60);
        }
        equal(List.of("100"), ask(connection, "SELECT count(*) FROM south.civil.people"));
    }

    /** The driver waits no longer for the first rows; what it asked for ends with the statement. */
    static void timedOut(Connection watching) throws Exception {
        try (Connection connection = connect("analyst", "")) {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(2);
                String told = refusal(() -> statement.executeQuery(endless("timed_out_by_jdbc")));
                holds(told.contains("Query timed out"), told);
            }
            awaitRunning(watching, "timed_out_by_jdbc", "0", 60);
        }
    }

    static void statements() throws Exception {
        try (Connection connection = connect("analyst", "")) {
            statements(connection);
        }
    }

    static void statements(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            holds(statement.execute("SELECT 1 AS one"), "a query has a result");
            equal("one", statement.getResultSet().getMetaData().getColumnLabel(1));
            equal(List.of("1"), rows(statement.getResultSet()));
            equal(-1, statement.getUpdateCount());
            holds(!statement.getMoreResults(), "one result");
            equal(-1, statement.getUpdateCount());
            // What is set answers with what is in force.
            holds(statement.execute("SET purpose = 'research'"), "a setting has a result");
            equal(List.of("research"), rows(statement.getResultSet()));
            // A query is run as one, whatever it was called by: the driver tells them apart by their columns.
            equal(-1, statement.executeUpdate("SELECT 1 AS one"));
            for (String named : List.of("CREATE TABLE", "DROP TABLE", "INSERT INTO")) {
                String rest = Map.of("CREATE TABLE", " (a INT)", "DROP TABLE", "", "INSERT INTO", " VALUES (1)").get(named);
                String sql = named + " north.lab.made" + rest;
                for (Action action : List.<Action>of(() -> statement.executeUpdate(sql), () -> statement.execute(sql))) {
                    String told = refusal(action);
                    holds(told.contains("STATEMENT: " + named), told);
                }
            }
            statement.setMaxRows(3);
            equal(3, statement.getMaxRows());
            equal(List.of("0", "1", "2"), rows(statement.executeQuery("SELECT n FROM north.lab.numbers WHERE n < 10 ORDER BY n")));
            statement.setMaxRows(0);
            statement.setFetchSize(7);
            equal(7, statement.getFetchSize());
            statement.setQueryTimeout(60);
            equal(60, statement.getQueryTimeout());
            equal(10, rows(statement.executeQuery("SELECT n FROM north.lab.numbers WHERE n < 10")).size());
            equal(null, statement.getWarnings());
            statement.clearWarnings();
            equal(ResultSet.TYPE_FORWARD_ONLY, statement.getResultSetType());
            equal(ResultSet.CONCUR_READ_ONLY, statement.getResultSetConcurrency());
            statement.addBatch("SELECT 1");
            statement.clearBatch();
            // The driver has no call for several statements at once, and falls over itself.
            statement.addBatch("SELECT 1");
            try {
                statement.executeBatch();
                throw new AssertionError("a batch is answered");
            } catch (NullPointerException | SQLException known) {
                statement.clearBatch();
            }
            equal(List.of("1"), rows(statement.executeQuery("SELECT 1 AS one")));
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT 1 AS one")) {
            holds(statement.execute(), "a query has a result");
            equal(List.of("1"), rows(statement.getResultSet()));
            String told = refusal(statement::executeUpdate);
            holds(told.contains("STATEMENT: a statement that answers with rows"), told);
        }
        try (PreparedStatement statement = connection.prepareStatement("SET purpose = 'research'")) {
            equal(0, statement.executeUpdate());
        }
        // Rows of parameters go where something is changed, and there is nothing to change.
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM north.lab.types WHERE int32 = ?")) {
            for (int value : List.of(1, 2)) {
                statement.setInt(1, value);
                statement.addBatch();
            }
            refusal(statement::executeBatch);
        }
    }

    static void unsupported(String what, Action action) throws Exception {
        try {
            action.run();
        } catch (SQLFeatureNotSupportedException error) {
            return;
        }
        throw new AssertionError(what + " is answered");
    }

    /** What a connection says of itself and what it takes, most of which stays in the driver. */
    static void connections() throws Exception {
        Connection connection = connect("analyst", "");
        holds(connection.isValid(5), "it is valid");
        refusal(() -> connection.isValid(-1));
        holds(connection.isReadOnly() && connection.getAutoCommit(), "it reads, each statement by itself");
        equal(Connection.TRANSACTION_NONE, connection.getTransactionIsolation());
        connection.setAutoCommit(false);
        equal(List.of("1"), ask(connection, "SELECT 1 AS one"));
        connection.commit();
        connection.rollback();
        connection.setAutoCommit(true);
        connection.clearWarnings();
        equal(null, connection.getWarnings());
        // Neither of the two tells the server: USE does, and `catalog=` in the URL.
        connection.setCatalog("south");
        connection.setSchema("civil");
        equal("south civil", connection.getCatalog() + " " + connection.getSchema());
        refusal(() -> ask(connection, "SELECT count(*) FROM people"));
        equal(List.of("south|civil"), ask(connection, "USE south.civil"));
        equal(List.of("100"), ask(connection, "SELECT count(*) FROM people"));
        unsupported("nativeSQL", () -> connection.nativeSQL("SELECT 1"));
        unsupported("prepareCall", () -> connection.prepareCall("CALL nothing()"));
        unsupported("setSavepoint", connection::setSavepoint);
        unsupported("createBlob", connection::createBlob);
        unsupported("createClob", connection::createClob);
        unsupported("createStruct", () -> connection.createStruct("struct", new Object[] {1}));
        unsupported("generated keys", () -> connection.prepareStatement("SELECT 1", Statement.RETURN_GENERATED_KEYS));
        connection.close();
        holds(connection.isClosed() && !connection.isValid(5), "it is closed");
        refusal(connection::createStatement);
    }

    public static void main(String[] arguments) throws Exception {
        url = "jdbc:arrow-flight-sql://" + arguments[0] + "/?tlsRootCerts=" + arguments[1];
        madeTypes = Files.readString(Path.of("made_types.sql"));
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        String directory = arguments[2] + "/", name = ".jdbc-" + arguments[3];
        try (Connection connection = connect("analyst", ""); Connection watching = connect("analyst", "");
             PrintStream out = new PrintStream(directory + "types" + name, "UTF-8");
             PrintStream bound = new PrintStream(directory + "parameters" + name, "UTF-8")) {
            DatabaseMetaData meta = connection.getMetaData();
            System.out.println("jdbc: " + meta.getDriverName() + " " + meta.getDriverVersion());
            check("every type", () -> {
                types(connection, "SELECT * FROM north.lab.types ORDER BY id", out);
                types(connection, madeTypes, out);
            });
            check("all of DatabaseMetaData", () -> allOfMetadata(meta));
            check("facts", () -> facts(meta));
            check("listings", () -> listings(meta));
            check("policy is in force", () -> {
                equal(List.of("01|north"), ask(connection, "SELECT phone, region FROM north.civil.people WHERE id_no = 1"));
                equal(List.of("150"), ask(connection, "SELECT count(*) FROM north.civil.people"));
            });
            check("a join of two sites", () -> equal(List.of("150|100"), ask(connection, "SELECT * FROM (SELECT count(*) FROM north.civil.people) a CROSS JOIN (SELECT count(*) FROM south.civil.people) b")));
            check("parameters of every type", () -> everyParameter(bound));
            check("parameters where they stand", () -> parameters(connection));
            check("statements", Jdbc::statements);
            check("a connection", Jdbc::connections);
            check("a million rows", () -> {
                try (Statement statement = connection.createStatement(); ResultSet results = statement.executeQuery("SELECT n, label FROM north.lab.numbers")) {
                    long count = 0, sum = 0;
                    while (results.next()) { count++; sum += results.getLong(1); }
                    equal("1000000 499999500000", count + " " + sum);
                }
            });
            check("cancelling", () -> cancelled(connection, watching));
            check("a timeout", () -> timedOut(watching));
            check("errors", () -> {
                String missing = refusal(() -> ask(connection, "SELECT * FROM north.civil.persons"));
                holds(missing.contains("NOT_FOUND: there is no table `north.civil.persons`"), missing);
                String written = refusal(() -> ask(connection, "DELETE FROM north.civil.people"));
                holds(written.contains("STATEMENT: DELETE"), written);
                String divided = refusal(() -> ask(connection, "SELECT 1 / (id - id) FROM north.lab.types"));
                holds(divided.contains("EVAL"), divided);
            });
            check("SHOW, DESCRIBE and USE", () -> {
                equal(List.of("north", "south", "system"), ask(connection, "SHOW CATALOGS"));
                holds(ask(connection, "DESCRIBE north.civil.people").contains("phone|VARCHAR|YES|show_last(2)"), "DESCRIBE: " + ask(connection, "DESCRIBE north.civil.people"));
            });
        }
        check("the catalog at connect", () -> {
            Connection connection = connect("analyst", "&catalog=south");
            equal(List.of("100"), ask(connection, "SELECT count(*) FROM people"));
            equal(List.of("south"), ask(connection, "SHOW catalog"));
            // With a catalog, the driver closes its channel before the session that it closes through it.
            try {
                connection.close();
            } catch (SQLException error) {
                equal("Channel shutdown invoked", error.getMessage());
            }
        });
        check("a purpose in the URL", () -> {
            try (Connection connection = connect("analyst", "&purpose=research")) {
                equal(List.of("research"), ask(connection, "SHOW purpose"));
            }
            String told = refusal(() -> { try (Connection connection = connect("analyst", "&purpose=marketing")) { ask(connection, "SELECT 1"); } });
            holds(told.contains("PURPOSE"), told);
        });
        check("a catalog that is not there", () -> refusal(() -> connect("analyst", "&catalog=nowhere").close()));
        check("a wrong password", () -> refusal(() -> DriverManager.getConnection(url, "analyst", "wrong").close()));
        check("a stranger sees nothing", () -> {
            try (Connection connection = connect("stranger", "")) {
                equal(List.of("system"), rows(connection.getMetaData().getCatalogs()));
                equal(List.of(), rows(connection.getMetaData().getTables("north", null, null, null)));
            }
        });
        System.exit(failures == 0 ? 0 : 1);
    }
}
