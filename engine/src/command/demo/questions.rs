//! The demo's questions, asked as any client would ask them: over Flight SQL, with the answer and its ledger printed.

use std::net::SocketAddr;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use self::Seen::Rows;
use super::federation::{ADMINISTRATOR, ANALYST, AUDITOR, USERS};
use super::say;
use crate::error::{Code, EngineError, Result};

/// What is asked, and why it is worth asking.
const QUESTIONS: [(&str, &str); 5] = [
    (
        "Which carriers lose most time when visibility is poor? (bts, noaa)",
        "SELECT a.name AS carrier, count(*) AS flights, round(avg(f.dep_delay), 1) AS mean_delay_min
FROM bts.ontime.flights f
JOIN bts.ontime.airlines a ON a.carrier = f.carrier
JOIN noaa.observations.weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE w.visib < 2
GROUP BY a.name
HAVING count(*) >= 100
ORDER BY mean_delay_min DESC
LIMIT 5",
    ),
    (
        "Whose aircraft fly the most hours out of New York? (bts, faa)",
        "SELECT p.manufacturer, count(DISTINCT p.tailnum) AS aircraft, count(*) AS flights,
       round(sum(f.air_time) / 60) AS hours
FROM bts.ontime.flights f
JOIN faa.registry.planes p ON p.tailnum = f.tailnum
GROUP BY p.manufacturer
ORDER BY hours DESC
LIMIT 5",
    ),
    (
        "Where is one most likely to arrive an hour late? (bts, faa)",
        "SELECT ap.name AS destination, count(*) AS flights,
       round(100.0 * count(*) FILTER (WHERE f.arr_delay > 60) / count(*), 1) AS percent_late
FROM bts.ontime.flights f
JOIN faa.registry.airports ap ON ap.faa = f.dest
WHERE f.arr_delay IS NOT NULL
GROUP BY ap.name
HAVING count(*) > 1000
ORDER BY percent_late DESC
LIMIT 5",
    ),
    (
        "Do old aircraft suffer more from strong wind? (bts, faa, noaa)",
        "SELECT CASE WHEN p.year < 1995 THEN 'built before 1995' ELSE 'built since 1995' END AS aircraft,
       CASE WHEN w.wind_speed > 20 THEN 'strong wind' ELSE 'calm' END AS weather,
       count(*) AS flights, round(avg(f.dep_delay), 1) AS mean_delay_min
FROM bts.ontime.flights f
JOIN faa.registry.planes p ON p.tailnum = f.tailnum
JOIN noaa.observations.weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE p.year IS NOT NULL AND w.wind_speed IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2",
    ),
    (
        "How many flights are by aircraft that the registry does not know? (bts, faa)",
        "SELECT a.name AS carrier, count(*) AS flights, count(DISTINCT f.tailnum) AS aircraft
FROM bts.ontime.flights f
JOIN bts.ontime.airlines a ON a.carrier = f.carrier
WHERE f.tailnum IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM faa.registry.planes p WHERE p.tailnum = f.tailnum)
GROUP BY a.name
ORDER BY flights DESC
LIMIT 5",
    ),
];

/// What everybody asks, each for their own purpose, and what they are to see.
const ASKED_BY_ALL: [Shared; 2] = [
    Shared {
        question: "From where do how many aircraft leave, and which is first by number? (bts)",
        statement:
            "SELECT f.origin, count(*) AS flights, count(DISTINCT f.tailnum) AS aircraft, min(f.tailnum) AS first_number
FROM bts.ontime.flights f
GROUP BY f.origin
ORDER BY f.origin",
        // Three stations, of which the desk has one.
        seen: [
            ("analyst", Rows(3)),
            ("desk", Rows(1)),
            ("registrar", Rows(3)),
            NO_VISITOR,
            NO_AUDITOR,
            NO_ADMINISTRATOR,
        ],
    },
    Shared {
        question: "How many seats and how much speed have aircraft of each kind of engine? (faa)",
        statement: "SELECT p.engine, count(*) AS aircraft, round(avg(p.seats), 1) AS seats, min(p.model) AS model,
       max(p.speed) AS speed
FROM faa.registry.planes p
GROUP BY p.engine
ORDER BY p.engine",
        // Six kinds, of two of which there are but two aircraft.
        seen: [
            ("analyst", Rows(6)),
            ("desk", Rows(4)),
            ("registrar", Rows(6)),
            NO_VISITOR,
            NO_AUDITOR,
            NO_ADMINISTRATOR,
        ],
    },
];

/// A question of everybody.
struct Shared {
    question: &'static str,
    statement: &'static str,
    seen: [(&'static str, Seen); USERS.len()],
}

/// What somebody sees of a question. Anything else fails the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Rows(usize),
    /// Refused for want of a purpose.
    Nothing,
}

const NO_VISITOR: (&str, Seen) = ("visitor", Seen::Nothing);
const NO_AUDITOR: (&str, Seen) = (AUDITOR, Seen::Nothing);
const NO_ADMINISTRATOR: (&str, Seen) = (ADMINISTRATOR, Seen::Nothing);

/// What the auditor asks of all sites.
const RECORD: &str = "SELECT site, subject, purpose, outcome, count(*) AS statements, sum(rows) AS rows
FROM system.audit.queries
WHERE subject <> 'admin'
GROUP BY site, subject, purpose, outcome
ORDER BY site, subject, outcome";

/// Asks every question at `address` and prints statement, answer and ledger; then one question as everybody.
///
/// # Errors
/// When a question is not answered, or somebody sees more or less than they should.
pub(super) async fn ask_all(address: SocketAddr) -> Result<()> {
    ask_as_analyst(address).await?;
    ask_as_everybody(address).await?;
    say(&format!("── What did the sites record? (asked by {AUDITOR}, of all of them)\n\n{RECORD}\n"))?;
    let record = ask(&mut connect(address, AUDITOR).await?, RECORD).await?;
    say(&format!("{}\n", table(&record)?))
}

/// The same question side by side: each site decides by its own policy what the asker sees.
async fn ask_as_everybody(address: SocketAddr) -> Result<()> {
    for Shared { question, statement, seen } in ASKED_BY_ALL {
        say(&format!("── Asked by everybody: {question}\n\n{statement}\n"))?;
        for (user, expected) in seen {
            let answer = ask(&mut connect(address, user).await?, statement).await;
            check(user, expected, &answer)?;
            match answer {
                Ok(answer) => say(&format!("as {user}:\n{}\n", table(&answer)?))?,
                Err(refusal) => say(&format!("as {user}: {}\n", refusal.sentence()))?,
            }
        }
    }
    Ok(())
}

fn check(user: &str, expected: Seen, answer: &Result<Vec<RecordBatch>>) -> Result<()> {
    let (seen, shown) = match answer {
        Ok(batches) => {
            let rows = batches.iter().map(RecordBatch::num_rows).sum();
            (Some(Seen::Rows(rows)), format!("{rows} rows"))
        }
        Err(refusal) => {
            let closed = refusal.sentence().starts_with("PURPOSE: ");
            (closed.then_some(Seen::Nothing), refusal.sentence().to_string())
        }
    };
    if seen == Some(expected) {
        return Ok(());
    }
    let sentence = format!("the demo shows {user} {shown}, where it should be {expected:?}");
    Err(EngineError::new(Code::Internal, sentence))
}

async fn ask_as_analyst(address: SocketAddr) -> Result<()> {
    let mut analyst = connect(address, ANALYST).await?;
    for (number, (question, statement)) in QUESTIONS.iter().enumerate() {
        say(&format!("── {}. {question}\n\n{statement}\n", number + 1))?;
        let answer = ask(&mut analyst, statement).await?;
        say(&table(&answer)?)?;
        let ledger = ask(&mut analyst, &ledger_of_last()).await?;
        say(&format!("What crossed each border:\n{}\n", table(&ledger)?))?;
    }
    Ok(())
}

/// The ledger of the query that ended last.
fn ledger_of_last() -> String {
    "SELECT site, rows, bytes_sent, bytes_received, elapsed_ms, statement AS pushed FROM system.queries.ledger \
     WHERE query_id = (SELECT query_id FROM system.queries.recent ORDER BY started_at DESC, elapsed_ms LIMIT 1) \
     ORDER BY number"
        .to_string()
}

async fn connect(address: SocketAddr, user: &str) -> Result<FlightSqlServiceClient<Channel>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(EngineError::internal)?
        .connect()
        .await
        .map_err(|error| EngineError::internal(format!("the demo cannot reach its own coordinator: {error}")))?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.handshake(user, user).await.map_err(unanswered)?;
    Ok(client)
}

async fn ask(client: &mut FlightSqlServiceClient<Channel>, statement: &str) -> Result<Vec<RecordBatch>> {
    let info: FlightInfo = client.execute(statement.to_string(), None).await.map_err(unanswered)?;
    let mut batches = Vec::new();
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        let stream = client.do_get(ticket).await.map_err(unanswered)?;
        batches.extend(stream.try_collect::<Vec<_>>().await.map_err(unanswered)?);
    }
    Ok(batches)
}

fn table(batches: &[RecordBatch]) -> Result<String> {
    Ok(pretty_format_batches(batches).map_err(EngineError::internal)?.to_string())
}

/// The server's own words, as any client shows them.
fn unanswered(error: FlightError) -> EngineError {
    let words = match &error {
        FlightError::Tonic(status) => status.message().to_string(),
        other => format!("not answered: {other}"),
    };
    EngineError::new(Code::Internal, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_asked_and_only_what_is_expected_passes() {
        for Shared { seen, .. } in ASKED_BY_ALL {
            assert_eq!(seen.map(|(user, _)| user), USERS.map(|user| user.name));
        }
        let refused = |sentence: &str| Err(EngineError::new(Code::Internal, sentence));
        assert!(check("desk", Rows(0), &Ok(vec![])).is_ok());
        assert!(check("desk", Rows(1), &Ok(vec![])).is_err());
        assert!(check("desk", Rows(1), &refused("AGGREGATE: no")).is_err());
        assert!(check("visitor", Seen::Nothing, &refused("PURPOSE: you hold none")).is_ok());
        assert!(check("visitor", Seen::Nothing, &refused("NOT_FOUND: there is no table")).is_err());
        assert!(check("visitor", Seen::Nothing, &Ok(vec![])).is_err());
    }
}
