//! The budget of a statement: counted in its tokens before it is parsed and in its tree before it is planned, so that no text
//! makes a parser or a planner recurse or work without end.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Query, Select, Statement, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};

/// How large a statement may be; a limit that is passed is told as `COMPLEXITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    bytes: usize,
    tokens: usize,
    operators: usize,
    depth: usize,
    arms: usize,
    items: usize,
    grouping_sets: usize,
    relations: usize,
}

impl Budget {
    /// For what people and their tools write.
    pub fn of(limits: &Limits) -> Self {
        Self {
            bytes: limits.statement_bytes_max,
            tokens: limits.statement_tokens_max,
            operators: limits.operators_per_chain_max,
            depth: limits.nesting_depth_max,
            arms: limits.set_operation_arms_max,
            items: limits.in_list_items_max,
            grouping_sets: limits.grouping_sets_max,
            relations: limits.statement_relations_max,
        }
    }

    /// For what coordinators write: every column by name at each step, every operator in parentheses of its own. How deep
    /// those nest, the parser bounds.
    pub fn of_fragment(limits: &Limits) -> Self {
        let depth = usize::MAX;
        let tokens = limits.fragment_tokens_max;
        Self { tokens, depth, arms: usize::MAX, operators: limits.operators_per_chain_max * 2, ..Self::of(limits) }
    }

    /// For policy, whose filters may have thousands of parts; their own parser balances them.
    fn of_policy(self) -> Self {
        Self { tokens: self.tokens.saturating_mul(4), operators: self.operators.saturating_mul(20), ..self }
    }

    /// Checks a text before it is parsed.
    ///
    /// # Errors
    /// `COMPLEXITY` with what there is too much of. Whether the text is SQL, the parser says.
    pub fn check_text(&self, sql: &str) -> Result<()> {
        if sql.len() > self.bytes {
            return Err(too_much("bytes", sql.len(), self.bytes));
        }
        let mut tokens = Vec::new();
        // What cannot be read ends the count; the parser says what is wrong.
        let _ = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location_into_buf(&mut tokens);
        let tokens: Vec<_> = tokens.into_iter().map(|token| token.token).filter(|token| !is_space(token)).collect();
        let budget = if policy::statement::is_policy_statement(sql) { self.of_policy() } else { *self };
        if tokens.len() > budget.tokens {
            return Err(too_much("words and signs", tokens.len(), budget.tokens));
        }
        Count::new(budget).over(&tokens)
    }

    /// Checks a query before it is planned.
    ///
    /// # Errors
    /// `COMPLEXITY` for more tables than may be read, each named part of a `WITH` counted wherever it is named;
    /// `UNSUPPORTED` for a recursive one.
    pub fn check_tree(&self, statement: &ParsedStatement) -> Result<()> {
        match statement {
            ParsedStatement::Statement(statement) => self.check_query(statement),
            ParsedStatement::Explain(explain) => self.check_tree(&explain.statement),
            // Of classes that are refused.
            ParsedStatement::CreateExternalTable(_) | ParsedStatement::CopyTo(_) | ParsedStatement::Reset(_) => Ok(()),
        }
    }

    fn check_query(&self, statement: &Statement) -> Result<()> {
        let scopes = vec![Scope::default()];
        let mut relations = Relations { scopes, written: 0, grouping_sets: 0, recursive: false, function: None };
        // The visitor never breaks off.
        let _ = statement.visit(&mut relations);
        if relations.grouping_sets > self.grouping_sets {
            return Err(too_much("grouping sets", relations.grouping_sets, self.grouping_sets));
        }
        if relations.recursive {
            return Err(EngineError::new(Code::Unsupported, "WITH RECURSIVE is not offered"));
        }
        if let Some(function) = relations.function {
            let sentence = format!("the function `{function}` is not offered as a table");
            return Err(EngineError::new(Code::Function, sentence));
        }
        let read = relations.scopes.first().map_or(0, |scope| scope.relations).max(relations.written);
        if read > self.relations {
            let what = "tables, subqueries and SELECTs, each named part of a WITH as often as it is named";
            return Err(too_much(what, read, self.relations));
        }
        Ok(())
    }
}

fn too_much(what: &str, found: usize, most: usize) -> EngineError {
    EngineError::new(
        Code::Complexity,
        format!("the statement has {found} {what}; at most {most} are read here; ask for less at once"),
    )
}

fn is_space(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

/// What stands between an opening and its end: expressions side by side, of which the highest counts.
#[derive(Debug, Default)]
struct Level {
    opened_by: Opener,
    /// Items of a list so far, where it is one.
    items: Option<usize>,
    /// The height of the highest expression that has ended.
    ended: usize,
    /// ANDs that belong to a BETWEEN.
    betweens: usize,
    chain: Chain,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Opener {
    #[default]
    Statement,
    Parenthesis,
    Case,
    /// The parentheses of `OPERATOR(+)`.
    Operator,
}

/// What the parser looks for where a word stands: the same word is a clause in one place and a name in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An expression begins, or something else does.
    Start,
    /// An expression goes on: all words are names, but those that stand before an expression.
    Operand,
    /// Any word is a name.
    Name,
    /// An expression may end, or go on with an operator.
    After,
    /// Between `AT` and the end of `AT TIME ZONE`.
    Zone,
}

/// How high the tree of an expression may be: the parser makes a chain of equal operators as high as it is long. OR binds
/// loosest, then AND, then all others.
#[derive(Debug, Default)]
struct Chain {
    ors: usize,
    ands: usize,
    ands_most: usize,
    others: usize,
    others_most: usize,
    /// The highest of what stands in parentheses.
    within: usize,
    dots: usize,
}

impl Chain {
    fn height(&self) -> usize {
        self.ors + self.ands.max(self.ands_most) + self.others.max(self.others_most) + self.within
    }

    fn and(&mut self) {
        self.ands += 1;
        self.others_most = self.others_most.max(std::mem::take(&mut self.others));
    }

    fn or(&mut self) {
        self.ors += 1;
        self.ands_most = self.ands_most.max(std::mem::take(&mut self.ands));
        self.others_most = self.others_most.max(std::mem::take(&mut self.others));
    }
}

impl Level {
    fn of(opened_by: Opener) -> Self {
        Self { opened_by, ..Self::default() }
    }

    fn height(&self) -> usize {
        self.ended.max(self.chain.height())
    }

    /// An expression has ended, another may follow.
    fn next_expression(&mut self) {
        self.ended = self.height();
        self.chain = Chain::default();
        self.betweens = 0;
    }
}

/// A walk over the tokens of one statement.
struct Count {
    budget: Budget,
    level: Level,
    /// Those around it, the outermost first.
    around: Vec<Level>,
    arms: usize,
    place: Place,
}

/// Names of so many parts are none; longer ones are steps into a value.
const NAME_PARTS_MAX: usize = 4;

impl Count {
    fn new(budget: Budget) -> Self {
        Self { budget, level: Level::default(), around: vec![], arms: 1, place: Place::Start }
    }

    fn over(mut self, tokens: &[Token]) -> Result<()> {
        let mut before = Keyword::NoKeyword;
        for token in tokens {
            let keyword = keyword(token);
            self.take(token, keyword, before)?;
            before = keyword;
        }
        while !self.around.is_empty() {
            self.close()?;
        }
        self.check_height()
    }

    fn take(&mut self, token: &Token, keyword: Keyword, before: Keyword) -> Result<()> {
        match token {
            // Each is a step into what stands before it: `a[1][1]`.
            Token::LBracket => self.operator().and_then(|()| self.open(Opener::Parenthesis, before)),
            Token::LParen if before == Keyword::OPERATOR => self.open(Opener::Operator, before),
            Token::LParen | Token::LBrace => self.open(Opener::Parenthesis, before),
            Token::RParen | Token::RBracket | Token::RBrace => {
                // A CASE that was not ended does not hide the parenthesis around it.
                while self.level.opened_by == Opener::Case {
                    self.close()?;
                }
                self.close()
            }
            // Of all columns.
            Token::Mul if matches!(self.place, Place::Start | Place::Name) => {
                self.place = Place::After;
                Ok(())
            }
            Token::Comma => {
                self.place = Place::Start;
                let level = &mut self.level;
                level.next_expression();
                let items = level.items.as_mut().map(|items| {
                    *items += 1;
                    *items
                });
                match items {
                    Some(items) if items > self.budget.items => {
                        Err(too_much("items in a list", items, self.budget.items))
                    }
                    _ => Ok(()),
                }
            }
            Token::Word(_) => self.word(keyword, before),
            Token::Period => {
                self.place = Place::Name;
                let chain = &mut self.level.chain;
                chain.dots += 1;
                chain.others += usize::from(chain.dots >= NAME_PARTS_MAX);
                self.check_height()
            }
            Token::SemiColon | Token::EOF => {
                self.next_expression();
                Ok(())
            }
            token if is_value(token) => {
                self.place = Place::After;
                self.level.chain.dots = 0;
                Ok(())
            }
            Token::DoubleColon => {
                let counted = self.operator();
                self.place = Place::Name;
                counted
            }
            _ => self.operator(),
        }
    }

    fn word(&mut self, keyword: Keyword, before: Keyword) -> Result<()> {
        use Keyword as K;
        let place = std::mem::replace(&mut self.place, Place::After);
        let is_name = match place {
            Place::Name => true,
            Place::Operand => !is_before_expression(keyword),
            Place::Start | Place::After | Place::Zone => false,
        };
        match keyword {
            // `LIKE ANY a`, `SELECT DISTINCT a`.
            K::DISTINCT | K::ALL | K::ANY | K::SOME if place != Place::Name => {
                self.place = place;
                Ok(())
            }
            _ if is_name => Ok(()),
            K::CASE => self.open(Opener::Case, before),
            K::END if self.level.opened_by == Opener::Case => self.close(),
            K::WHEN | K::THEN | K::ELSE if self.level.opened_by == Opener::Case => {
                self.next_expression();
                Ok(())
            }
            K::UNION | K::INTERSECT | K::EXCEPT | K::MINUS => {
                self.next_expression();
                self.arms += 1;
                match self.arms > self.budget.arms {
                    true => Err(too_much("parts of UNION, INTERSECT and EXCEPT", self.arms, self.budget.arms)),
                    false => Ok(()),
                }
            }
            // `IS DISTINCT FROM` and `WITHIN GROUP` go on with their expression.
            K::FROM if before == K::DISTINCT => self.operator(),
            K::GROUP if before == K::WITHIN => self.operator(),
            K::SELECT
            | K::FROM
            | K::WHERE
            | K::GROUP
            | K::HAVING
            | K::ORDER
            | K::LIMIT
            | K::ON
            | K::JOIN
            | K::QUALIFY => {
                self.next_expression();
                Ok(())
            }
            K::BY => {
                self.place = Place::Start;
                Ok(())
            }
            K::TIME if place == Place::Zone => {
                self.place = Place::Zone;
                Ok(())
            }
            K::ZONE if place == Place::Zone => {
                self.place = Place::Operand;
                Ok(())
            }
            K::TO if before == K::SIMILAR => {
                self.place = Place::Operand;
                Ok(())
            }
            K::OVER => {
                self.place = Place::Name;
                Ok(())
            }
            K::OR => {
                self.place = Place::Operand;
                self.level.chain.or();
                self.check_height()
            }
            K::AND if self.level.betweens == 0 => {
                self.place = Place::Operand;
                self.level.chain.and();
                self.check_height()
            }
            K::AND => {
                self.level.betweens -= 1;
                self.operator()
            }
            K::BETWEEN => {
                self.level.betweens += 1;
                self.operator()
            }
            keyword if is_operator(keyword) => {
                let counted = self.operator();
                self.place = match keyword {
                    K::AT => Place::Zone,
                    K::COLLATE => Place::Name,
                    // `a NOT IN`, `a IS NOT NULL`: the operator is still to come.
                    K::NOT if matches!(place, Place::After | Place::Zone) => Place::After,
                    K::IS | K::IN | K::SIMILAR | K::NOTNULL | K::MEMBER | K::OPERATOR => Place::After,
                    _ => Place::Operand,
                };
                counted
            }
            _ => Ok(()),
        }
    }

    /// An expression has ended, another may follow.
    fn next_expression(&mut self) {
        self.place = Place::Start;
        self.level.next_expression();
    }

    fn operator(&mut self) -> Result<()> {
        self.place = Place::Operand;
        let chain = &mut self.level.chain;
        chain.others += 1;
        chain.dots = 0;
        self.check_height()
    }

    fn open(&mut self, opener: Opener, before: Keyword) -> Result<()> {
        self.place = Place::Start;
        self.level.chain.dots = 0;
        let items = (before == Keyword::IN).then_some(1);
        self.around.push(std::mem::replace(&mut self.level, Level { items, ..Level::of(opener) }));
        let depth = self.around.len();
        match depth > self.budget.depth {
            true => Err(too_much("levels of nesting", depth, self.budget.depth)),
            false => Ok(()),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.place = Place::After;
        let Some(around) = self.around.pop() else { return Ok(()) };
        let closed = std::mem::replace(&mut self.level, around);
        if closed.opened_by == Opener::Operator {
            self.place = Place::Operand;
        }
        let height = closed.height() + 1;
        self.level.chain.within = self.level.chain.within.max(height);
        self.check_height()
    }

    fn check_height(&self) -> Result<()> {
        let height = self.level.height();
        match height > self.budget.operators {
            true => Err(too_much("operators in one chain", height, self.budget.operators)),
            false => Ok(()),
        }
    }
}

fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn is_value(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Char(_)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_)
    )
}

/// Words that make an expression higher.
fn is_operator(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(
        keyword,
        K::NOT
            | K::IS
            | K::IN
            | K::LIKE
            | K::ILIKE
            | K::SIMILAR
            | K::RLIKE
            | K::REGEXP
            | K::ESCAPE
            | K::DIV
            | K::XOR
            | K::AT
            | K::COLLATE
            | K::OVERLAPS
            | K::INTERVAL
            | K::NOTNULL
            | K::MEMBER
            | K::PRIOR
            | K::CONNECT_BY_ROOT
            | K::OPERATOR
    )
}

/// Words that stand before an expression, or begin one.
fn is_before_expression(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(keyword, K::NOT | K::CASE | K::INTERVAL | K::PRIOR | K::CONNECT_BY_ROOT)
}

/// A query whose names are in scope.
#[derive(Debug, Default)]
struct Scope {
    /// The names of its `WITH` whose queries are still to come.
    to_come: VecDeque<String>,
    /// What each name of its `WITH` reads.
    named: HashMap<String, usize>,
    relations: usize,
}

/// What a query reads, each named part of a `WITH` as often as it is named.
struct Relations {
    scopes: Vec<Scope>,
    written: usize,
    /// The most that one SELECT has.
    grouping_sets: usize,
    recursive: bool,
    /// The last function after LATERAL, whose rows would stand for a table's.
    function: Option<String>,
}

impl Relations {
    fn add(&mut self, relations: usize) {
        self.written = self.written.saturating_add(1);
        if let Some(scope) = self.scopes.last_mut() {
            scope.relations = scope.relations.saturating_add(relations);
        }
    }

    fn named(&self, table: &TableFactor) -> Option<usize> {
        let TableFactor::Table { name, .. } = table else { return None };
        let [part] = name.0.as_slice() else { return None };
        let name = part.as_ident()?.value.to_lowercase();
        self.scopes.iter().rev().find_map(|scope| scope.named.get(&name).copied())
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.as_ref();
        self.recursive |= with.is_some_and(|with| with.recursive);
        let names = with.into_iter().flat_map(|with| &with.cte_tables).map(|cte| cte.alias.name.value.to_lowercase());
        self.scopes.push(Scope { to_come: names.collect(), ..Scope::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        let read = self.scopes.pop().map_or(0, |scope| scope.relations);
        if let Some(scope) = self.scopes.last_mut() {
            match scope.to_come.pop_front() {
                Some(name) => {
                    scope.named.insert(name, read);
                }
                None => scope.relations = scope.relations.saturating_add(read),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.grouping_sets = self.grouping_sets.max(grouping_sets(&select.group_by));
        self.add(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        // One that is named like a table is refused where names are looked up.
        if let TableFactor::Function { name, .. } = table {
            self.function = Some(name.to_string());
        }
        let relations = self.named(table).unwrap_or(1);
        self.add(relations);
        ControlFlow::Continue(())
    }
}

/// How many grouping sets a GROUP BY stands for: CUBE doubles them with each of its parts.
fn grouping_sets(group_by: &GroupByExpr) -> usize {
    let doubled =
        |parts: usize| u32::try_from(parts).ok().and_then(|parts| 1_usize.checked_shl(parts)).unwrap_or(usize::MAX);
    let sets = |expr: &Expr| match expr {
        Expr::Cube(parts) => doubled(parts.len()),
        Expr::Rollup(parts) => parts.len() + 1,
        Expr::GroupingSets(sets) => sets.len(),
        _ => 1,
    };
    match group_by {
        GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
            exprs.iter().map(sets).fold(1, usize::saturating_mul)
        }
        GroupByExpr::Expressions(exprs, _) => doubled(exprs.len()),
        GroupByExpr::All(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn told(sql: &str) -> String {
        let budget = Budget::of(&Limits::default());
        let checked = budget.check_text(sql).and_then(|()| {
            let parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap_or_default();
            parsed.iter().try_for_each(|statement| budget.check_query(statement))
        });
        checked.map_or_else(|error| error.to_string(), |()| "fits".to_string())
    }

    fn check(sql: &str, expected: &str) {
        let told = told(sql);
        assert!(told.contains(expected), "{}: {told}", sql.chars().take(80).collect::<String>());
    }

    fn many(part: &str, between: &str, count: usize) -> String {
        vec![part; count].join(between)
    }

    #[test]
    fn what_is_written_by_people_fits() {
        check(&format!("SELECT * FROM t WHERE {}", many("a = 1 AND b.c <> 'x'", " OR ", 90)), "fits");
        check(&format!("SELECT {} FROM t", many("t.a + 1 AS b", ", ", 2_000)), "fits");
        check(&format!("SELECT * FROM t WHERE a IN ({})", many("1", ", ", 5_000)), "fits");
        check(&format!("SELECT CASE {} END FROM t", many("WHEN a = 1 THEN b + 1", " ", 500)), "fits");
        check(&many("SELECT a FROM t WHERE b BETWEEN 1 AND 2", " UNION ALL ", 64), "fits");
        check(&format!("SELECT * FROM t WHERE {}", many("a BETWEEN 1 AND 2", " AND ", 150)), "fits");
        check(
            &format!(
                "WITH {} SELECT * FROM c0",
                (0..80).map(|n| format!("c{n} AS (SELECT * FROM t)")).collect::<Vec<_>>().join(", ")
            ),
            "fits",
        );
    }

    #[test]
    fn a96_no_chain_is_longer_than_may_be() {
        let high = "operators in one chain";
        for count in [250, 1_500] {
            for part in ["1", "f(1)", "(1)", "CASE WHEN a THEN b END", "f() WITHIN GROUP (ORDER BY x)"] {
                check(&format!("SELECT {}", many(part, " + ", count)), high);
            }
            check(&format!("SELECT * FROM t WHERE {}", many("a=0", " OR ", count)), high);
            check(&format!("SELECT * FROM t WHERE {}", many("a=0", " AND ", count)), high);
            check(&format!("SELECT {}", many("'a'", "||", count)), high);
            check(&format!("SELECT {} 1", many("-", " ", count)), high);
            check(&format!("SELECT {} a", many("NOT", " ", count)), high);
            check(&format!("SELECT a {}", many("IS TRUE", " ", count)), high);
            check(&format!("SELECT a {}", many("IS DISTINCT FROM a", " ", count)), high);
            check(&format!("SELECT a{}", many("::int", "", count)), high);
            check(&format!("SELECT {}", many("a", ".", count)), high);
        }
        let both = format!("a {} BETWEEN 1 AND 2", many("IS TRUE", " ", 20));
        check(&format!("SELECT {both} {}", many("IS TRUE BETWEEN 1 AND 2", " ", 80)), high);
        let nested = (0..30).fold("1".to_string(), |inner, _| format!("({inner}){}", "+1".repeat(10)));
        check(&format!("SELECT {nested}"), high);
    }

    #[test]
    fn a96_a_name_that_is_a_word_of_sql_hides_no_chain() {
        // A CASE is counted as one, whatever it is: such nest too deep.
        let high = "COMPLEXITY";
        let ones = "1+".repeat(150);
        for name in [
            "on",
            "join",
            "limit",
            "group",
            "qualify",
            "where",
            "having",
            "order",
            "from",
            "select",
            "union",
            "except",
            "minus",
            "or",
            "and",
            "when",
            "then",
            "else",
            "end",
            "like",
            "is",
            "in",
            "t.on",
            "t.limit",
            "t.or",
            "t.case",
            "not on",
            "interval on",
            "case",
            "case + when",
            "case + end",
            "(1) OPERATOR(pg.+) on",
            "f() OVER on",
            "1::on",
            "x COLLATE on",
            "a AT TIME ZONE on",
            "a SIMILAR TO on",
            "a LIKE ANY on",
            "all + on",
        ] {
            for between in [format!("+{ones}"), " AND ".to_string(), "=0 OR ".to_string(), "=0 AND NOT ".to_string()] {
                let count = if between.len() > 100 { 40 } else { 400 };
                check(&format!("SELECT a+{} FROM t", many(name, &between, count)), high);
                check(&format!("SELECT 1 FROM t WHERE {}", many(name, &between, count)), high);
            }
        }
        for step in ["::on", " COLLATE on", " AT TIME ZONE on", " SIMILAR TO on", " OPERATOR(pg.+) on", ".on", ".and"] {
            check(&format!("SELECT a{}", step.repeat(400)), high);
        }
        let betweens = many("between", "+", 50) + "=0" + &" AND a=0".repeat(50);
        check(&format!("SELECT 1 FROM t WHERE a + {}", many(&betweens, " AND ", 20)), high);
    }

    #[test]
    fn a_clause_after_a_star_or_an_operator_is_one() {
        let ones = many("1", "+", 190);
        for sql in [
            "SELECT {n} FROM t WHERE {n} GROUP BY {n} HAVING {n} ORDER BY {n} LIMIT {n}",
            "SELECT *, t.*, {n} FROM t JOIN s ON {n} JOIN u ON {n} WHERE {n}",
            "SELECT {n} UNION ALL SELECT DISTINCT * FROM t WHERE {n} UNION SELECT t.* FROM t WHERE {n}",
            "SELECT a IS NOT DISTINCT FROM {n} FROM t WHERE a NOT BETWEEN {n} AND 1 ORDER BY {n}",
            "SELECT sum({n}) OVER (PARTITION BY {n} ORDER BY {n} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
            "SELECT CASE WHEN {n} THEN {n} ELSE {n} END FROM t WHERE a::int IN ({n}) QUALIFY {n}",
            "SELECT a::interval FROM t WHERE {n} ORDER BY a AT TIME ZONE 'UTC', {n}",
        ] {
            check(&sql.replace("{n}", &ones), "fits");
        }
    }

    #[test]
    fn what_is_asked_in_the_suites_fits() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let mut folders = vec![folder.join("corpus"), folder.join("queries")];
        let mut statements = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "sql") {
                    for sql in std::fs::read_to_string(&path).unwrap().split("\n\n") {
                        let budget = Budget { operators: 40, ..Budget::of(&Limits::default()) };
                        assert!(budget.check_text(sql).is_ok(), "{}: {sql}", path.display());
                        statements += 1;
                    }
                }
            }
        }
        assert!(statements > 100, "{statements}");
    }

    #[test]
    fn a96_nothing_else_is_without_end() {
        check(&format!("SELECT {}", many("1", ",", 20_000)), "words and signs");
        check(&format!("SELECT 1 {}", "x".repeat(1 << 20)), "bytes");
        check(&format!("SELECT {}1{}", "(".repeat(41), ")".repeat(41)), "levels of nesting");
        check(&format!("SELECT {}1{}", "CASE WHEN ".repeat(41), " THEN 1 END".repeat(41)), "levels of nesting");
        check(&many("SELECT 1", " UNION ALL ", 65), "parts of UNION");
        check(&format!("SELECT * FROM t WHERE a NOT IN ({})", many("1", ", ", 5_001)), "items in a list");
        check(&format!("SELECT * FROM {}", many("t", ", ", 1_001)), "tables, subqueries");
        check(&format!("SELECT 1 FROM t GROUP BY CUBE({})", many("a", ", ", 70)), "grouping sets");
        check(&format!("SELECT 1 FROM t GROUP BY {}", many("CUBE(a, b)", ", ", 6)), "grouping sets");
        check("SELECT 1 FROM t GROUP BY CUBE(a, b, c), ROLLUP(d, e), GROUPING SETS ((a), (b))", "fits");
    }

    #[test]
    fn a100_named_parts_count_where_they_are_named() {
        let doubled: Vec<String> =
            (1..20).map(|n| format!("c{n} AS (SELECT * FROM c{m} x, C{m} y)", m = n - 1)).collect();
        check(&format!("WITH c0 AS (SELECT 1), {} SELECT * FROM c19", doubled.join(", ")), "tables, subqueries");
        check("WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT * FROM r", "UNSUPPORTED");
        check("SELECT * FROM (WITH RECURSIVE r AS (SELECT 1) SELECT * FROM r)", "UNSUPPORTED");
    }

    #[test]
    fn what_is_no_sql_is_counted_too() {
        for sql in ["", ")", ")))(((", "CASE CASE END END END", "'", "SELECT ]]", "}", "BETWEEN AND AND OR"] {
            check(sql, "fits");
        }
    }
}
