//! What the server is asked for a table's rows, as text: columns as they are served, some of the pages, a filter, a limit.

/// A table of the server and how each of its columns is sent.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) columns: Vec<SelectedColumn>,
}

/// One column of it.
#[derive(Debug, Clone)]
pub(super) struct SelectedColumn {
    pub(super) name: String,
    /// The type that the server casts it to.
    pub(super) cast: Option<String>,
    /// Whether expressions of the server over it mean what they mean over what is served.
    pub(super) is_exact: bool,
}

/// Pages of a table's file from one on; up to another, or to the end that the table has by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) from: u32,
    pub(super) before: Option<u32>,
}

/// Which rows and columns of a table are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Positions of the columns of the answer.
    pub(super) columns: Vec<usize>,
    /// A condition over the columns as they are served, and the positions of the columns in it.
    pub(super) filter: Option<(String, Vec<usize>)>,
    pub(super) limit: Option<usize>,
}

impl Selection {
    /// The statement for the wanted rows that lie in `pages`.
    pub(super) fn text(&self, wanted: &Wanted, pages: Option<Pages>) -> String {
        let body = match &wanted.filter {
            None => self.served(&wanted.columns, pages),
            Some((filter, read)) => {
                // A filter is stated over what is served: `"c"::text = …`, where the column itself is of another type.
                let served = self.served(&with(&wanted.columns, read), pages);
                format!("SELECT {} FROM ({served}) AS served WHERE {filter}", self.names(&wanted.columns))
            }
        };
        match wanted.limit {
            None => body,
            Some(limit) => format!("{body} LIMIT {limit}"),
        }
    }

    fn served(&self, columns: &[usize], pages: Option<Pages>) -> String {
        let columns: Vec<_> = self.at(columns).map(SelectedColumn::served).collect();
        let from = format!("{}.{}", quoted(&self.schema), quoted(&self.table));
        let places = pages.map(|pages| format!(" WHERE {}", pages.condition())).unwrap_or_default();
        format!("SELECT {} FROM {from}{places}", columns.join(", "))
    }

    fn names(&self, columns: &[usize]) -> String {
        self.at(columns).map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    fn at<'a>(&'a self, columns: &'a [usize]) -> impl Iterator<Item = &'a SelectedColumn> {
        columns.iter().filter_map(|position| self.columns.get(*position))
    }
}

impl SelectedColumn {
    fn served(&self) -> String {
        let name = quoted(&self.name);
        match &self.cast {
            None => name,
            Some(cast) => format!("{name}::{cast} AS {name}"),
        }
    }
}

impl Pages {
    fn condition(&self) -> String {
        let from = format!("ctid >= '({},0)'::tid", self.from);
        match self.before {
            None => from,
            Some(before) => format!("{from} AND ctid < '({before},0)'::tid"),
        }
    }
}

/// A name as the server reads it back, exactly.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `columns`, and what of `others` is not among them.
fn with(columns: &[usize], others: &[usize]) -> Vec<usize> {
    let mut all = columns.to_vec();
    for other in others {
        if !all.contains(other) {
            all.push(*other);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &Wanted, pages: Option<Pages>, expect: &str) {
        let column = |name: &str, cast: Option<&str>| SelectedColumn {
            name: name.into(),
            cast: cast.map(str::to_owned),
            is_exact: true,
        };
        let columns = vec![column("id", None), column("code", Some("text")), column("a \"b\"", None)];
        let selection = Selection { schema: "s".into(), table: "客户".into(), columns };
        assert_eq!(selection.text(wanted, pages), expect);
    }

    #[test]
    fn a_table_is_asked_for_what_is_wanted() {
        let all = Wanted { columns: vec![0, 1, 2], ..Wanted::default() };
        check(&all, None, r#"SELECT "id", "code"::text AS "code", "a ""b""" FROM "s"."客户""#);
        check(&Wanted { limit: Some(3), ..Wanted::default() }, None, r#"SELECT  FROM "s"."客户" LIMIT 3"#);
        let filter = Some(("\"code\" = 'x'".to_owned(), vec![1]));
        check(
            &Wanted { columns: vec![0], filter, limit: Some(1) },
            Some(Pages { from: 0, before: Some(7) }),
            "SELECT \"id\" FROM (SELECT \"id\", \"code\"::text AS \"code\" FROM \"s\".\"客户\" \
             WHERE ctid >= '(0,0)'::tid AND ctid < '(7,0)'::tid) AS served WHERE \"code\" = 'x' LIMIT 1",
        );
        let last = Some(Pages { from: 7, before: None });
        check(
            &Wanted { columns: vec![0], ..Wanted::default() },
            last,
            r#"SELECT "id" FROM "s"."客户" WHERE ctid >= '(7,0)'::tid"#,
        );
    }
}
