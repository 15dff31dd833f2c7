//! A regional table over sites that decide differently.

use super::{Written, eventually_value, governed, refusal, start, table};

const SHOWN: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE civil.people TO ROLE analyst FOR PURPOSE care WITH (id = 'people');";
const MASKED: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE civil.people TO ROLE analyst FOR PURPOSE care WITH (id = 'people');
    CREATE POLICY incomes ON TABLE civil.people COLUMN MASK hide COLUMNS (income) TO ALL;
    CREATE POLICY years ON TABLE civil.people COLUMN MASK truncate_to_year COLUMNS (born) TO ALL;
    CREATE POLICY elders ON TABLE civil.people ROW FILTER (age >= 40) TO ALL;";
const COUNT: &str = "SELECT count(*) FROM national.civil.people";

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_table_has_what_each_of_its_sites_shows() {
    let policies = [("north", SHOWN), ("south", MASKED), ("east", SHOWN)];
    let cluster = start(governed(&policies, Written::AsFiles)).await;
    let ana = cluster.user("ana").await;
    eventually_value(&ana, "SELECT count(DISTINCT region) FROM national.civil.people", "3").await;
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'people' \
                   AND table_catalog = 'national'";
    let columns = table(&ana, columns, &["column_name"]).await.concat();
    assert_eq!(columns, ["age", "born", "id", "name", "region"], "income is hidden in the south");
    let hidden = refusal(&ana, "SELECT income FROM national.civil.people").await;
    let unknown = refusal(&ana, "SELECT outcom FROM national.civil.people").await;
    assert_eq!(hidden, unknown.replace("outcom", "income"));

    // 80 people live in the south, and those of them who are younger than 40 are hidden.
    let by_region = table(
        &ana,
        "SELECT region, CAST(count(*) AS VARCHAR) AS n, CAST(min(age) AS VARCHAR) AS youngest, \
         CAST(max(date_part('doy', born)) AS VARCHAR) AS latest FROM national.civil.people GROUP BY region",
        &["region", "n", "youngest", "latest"],
    )
    .await;
    assert_eq!(by_region[0][..2], ["east", "5"]);
    assert_eq!(by_region[1][..2], ["north", "120"]);
    assert_ne!(by_region[1][3], "1");
    assert_eq!(by_region[2][..1], ["south"]);
    assert_eq!(by_region[2][2..], ["40", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_table_of_which_nothing_is_shown_is_not_there() {
    let nobody = SHOWN.replace("analyst", "registrar");
    let cluster =
        start(governed(&["north", "south", "east"].map(|site| (site, nobody.as_str())), Written::AsFiles)).await;
    let ana = cluster.user("ana").await;
    let unknown = refusal(&ana, "SELECT count(*) FROM national.civil.nonsuch").await;
    assert!(unknown.starts_with("NOT_FOUND: "), "{unknown}");
    assert_eq!(refusal(&ana, COUNT).await, unknown.replace("nonsuch", "people"));
    let tables = "SELECT table_catalog FROM information_schema.tables";
    assert!(!table(&ana, tables, &["table_catalog"]).await.concat().contains(&"national".to_string()));
}
