// The Flight SQL JDBC driver against a running federation: connects, asks all of DatabaseMetaData, statements, prepared statements
// with every type, cancelling, large results and errors. What is not as expected is printed, and the exit status is 1.
//
// usage: java -cp DRIVER.jar Jdbc.java HOST:PORT AUTHORITY.crt OUT      beside made_types.sql; OUT: what each type is shown as

import java.io.PrintStream;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

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

    static void allOfMetadata(DatabaseMetaData meta) throws Exception {
        List<String> unanswered = new ArrayList<>();
        for (Method method : DatabaseMetaData.class.getMethods()) {
            if (method.getParameterCount() > 0) continue;
            try {
                Object answer = method.invoke(meta);
                if (answer instanceof ResultSet results) rows(results);
            } catch (java.lang.reflect.InvocationTargetException error) {
                unanswered.add(method.getName() + ": " + error.getCause());
            }
        }
        equal(List.of(), unanswered);
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
    }

    static void parameter(Connection connection, String column, String condition, int sqlType, Object value) throws SQLException {
        String sql = "SELECT id FROM north.lab.types WHERE " + (condition == null ? column + " = ?" : condition) + " ORDER BY id";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            equal(1, statement.getParameterMetaData().getParameterCount());
            if (value == null) statement.setNull(1, sqlType);
            else statement.setObject(1, value);
            try (ResultSet results = statement.executeQuery()) {
                List<String> found = rows(results);
                if (value == null) equal(List.of(), found);
                else holds(found.contains("2"), column + " = " + value + " finds " + found);
            }
        } catch (SQLException | RuntimeException error) {
            throw new AssertionError(column + " = " + value + ": " + error, error);
        }
    }

    static void parameters(Connection connection) throws SQLException {
        parameter(connection, "boolean", null, Types.BOOLEAN, true);
        parameter(connection, "int8", null, Types.TINYINT, (byte) 127);
        parameter(connection, "int16", null, Types.SMALLINT, (short) 32767);
        parameter(connection, "int32", null, Types.INTEGER, 2147483647);
        parameter(connection, "int64", null, Types.BIGINT, 9223372036854775807L);
        parameter(connection, "uint8", null, Types.TINYINT, (short) 255);
        parameter(connection, "uint16", null, Types.SMALLINT, 65535);
        parameter(connection, "uint32", null, Types.INTEGER, 4294967295L);
        parameter(connection, "float32", "float32 > ?", Types.FLOAT, 1.5f);
        parameter(connection, "float64", "float64 > ?", Types.DOUBLE, 0.0);
        parameter(connection, "decimal_9_2", null, Types.DECIMAL, new BigDecimal("9999999.99"));
        parameter(connection, "decimal_38_10", null, Types.DECIMAL, new BigDecimal("0.0000000001"));
        parameter(connection, "large_utf8", null, Types.VARCHAR, "x".repeat(40));
        parameter(connection, "utf8", "utf8 LIKE ?", Types.VARCHAR, "naïve 北京%");
        parameter(connection, "binary", null, Types.VARBINARY, new byte[] {0, (byte) 255, 16});
        parameter(connection, "date32", null, Types.DATE, java.sql.Date.valueOf("9999-12-31"));
        parameter(connection, "time32_ms", "time32_ms > ?", Types.TIME, Time.valueOf("12:00:00"));
        parameter(connection, "timestamp_us", "timestamp_us > ?", Types.TIMESTAMP, Timestamp.valueOf("2024-01-01 00:00:00"));
        for (String column : List.of("boolean", "int32", "int64", "float64", "decimal_38_10", "utf8", "date32", "timestamp_us"))
            parameter(connection, column, null, Types.NULL, null);
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

    static void cancelled(Connection connection) throws Exception {
        String endless = "SELECT count(*) FROM north.lab.numbers a JOIN north.lab.numbers b ON a.n % 7 = b.n % 7 AND a.label <> b.label";
        try (Statement statement = connection.createStatement()) {
            ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
            later.schedule(() -> { statement.cancel(); return null; }, 2, TimeUnit.SECONDS);
            long began = System.nanoTime();
            String told = refusal(() -> rows(statement.executeQuery(endless)));
            later.shutdownNow();
            long seconds = (System.nanoTime() - began) / 1_000_000_000;
            holds(seconds < 20, "it took " + seconds + " s: " + told);
        }
        equal(List.of("100"), ask(connection, "SELECT count(*) FROM south.civil.people"));
    }

    public static void main(String[] arguments) throws Exception {
        url = "jdbc:arrow-flight-sql://" + arguments[0] + "/?tlsRootCerts=" + arguments[1];
        madeTypes = Files.readString(Path.of("made_types.sql"));
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        try (Connection connection = connect("analyst", ""); PrintStream out = new PrintStream(arguments[2], "UTF-8")) {
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
            check("parameters of every type", () -> parameters(connection));
            check("a million rows", () -> {
                try (Statement statement = connection.createStatement(); ResultSet results = statement.executeQuery("SELECT n, label FROM north.lab.numbers")) {
                    long count = 0, sum = 0;
                    while (results.next()) { count++; sum += results.getLong(1); }
                    equal("1000000 499999500000", count + " " + sum);
                }
            });
            check("cancelling", () -> cancelled(connection));
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
