// The Flight SQL JDBC driver logs in by a certificate and by an issuer's token, against a running federation.
//
// usage: java -cp DRIVER.jar JdbcIdentity.java COORDINATOR NORTH ROOT      each HOST:PORT; ROOT: certs/, ana.jwt, forged.jwt

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;

public class JdbcIdentity {
    static int failures = 0;
    static Path root;

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

    static Properties with(String... pairs) {
        Properties properties = new Properties();
        properties.setProperty("tlsRootCerts", root.resolve("certs/authority.crt").toString());
        for (int at = 0; at < pairs.length; at += 2) properties.setProperty(pairs[at], pairs[at + 1]);
        return properties;
    }

    static Properties showing(String name, String... pairs) {
        Properties properties = with(pairs);
        properties.setProperty("clientCertificate", root.resolve("certs/" + name + ".crt").toString());
        properties.setProperty("clientKey", root.resolve("certs/" + name + ".key").toString());
        return properties;
    }

    static List<String> ask(Connection connection, String sql) throws SQLException {
        List<String> rows = new ArrayList<>();
        try (Statement statement = connection.createStatement(); ResultSet results = statement.executeQuery(sql)) {
            while (results.next()) rows.add(results.getString(1));
        }
        return rows;
    }

    static void asks(String address, Properties how, String believedBy) throws SQLException {
        try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + address + "/", how)) {
            equal(List.of("north"), ask(connection, "SELECT DISTINCT region FROM north.civil.people"));
            equal(List.of(believedBy), ask(connection, "SELECT DISTINCT believed_by FROM system.sessions.open"));
        }
    }

    static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) throw new AssertionError("expected " + expected + ", and it is " + actual);
    }

    static void refused(String address, Properties how) throws Exception {
        try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + address + "/", how)) {
            ask(connection, "SELECT 1");
        } catch (SQLException error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause())
                if (String.valueOf(cause.getMessage()).contains("UNAUTHENTICATED")) return;
            throw error;
        }
        throw new AssertionError("it was answered");
    }

    static String read(String name) throws Exception {
        return Files.readString(root.resolve(name));
    }

    public static void main(String[] arguments) throws Exception {
        String coordinator = arguments[0], north = arguments[1];
        root = Path.of(arguments[2]);
        check("a certificate at the coordinator and at a site", () -> {
            for (String address : List.of(coordinator, north)) {
                asks(address, showing("ana.health.example"), "certificate");
                refused(address, showing("north"));
                refused(address, showing("ana.health.example", "user", "ana", "password", "wrong"));
                refused(address, with());
            }
        });
        check("an issuer's token", () -> {
            asks(coordinator, with("token", read("ana.jwt")), "token");
            refused(coordinator, with("token", read("forged.jwt")));
            refused(coordinator, showing("ana.health.example", "token", read("forged.jwt")));
        });
        System.exit(failures == 0 ? 0 : 1);
    }
}
