//! What stands behind a door: a site or a coordinator, as the Flight server sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use connectors::connector::ForeignKey;
use datafusion::common::ParamValues;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::SendableRecordBatchStream;

use crate::audit::AuditLog;
use crate::catalog::view::{Directory, View};
use crate::error::{EngineError, Result};
use crate::identity::{Asker, Sessions};
use crate::key_set::{KeySet, KeysTo};
use crate::session::place::Place;
use crate::session::queries::{Queries, QueryId, QueryRecord};
use crate::session::turns::Turn;

/// A statement and with what values.
#[derive(Debug, Clone)]
pub struct Question {
    /// The text.
    pub sql: String,
    /// Values for its placeholders, when it has any.
    pub parameters: Option<ParamValues>,
    /// The versions of the tables that a coordinator planned it with; empty from clients.
    pub versions: BTreeMap<String, String>,
    /// Which of the query's statements to this site it is; 0 from clients.
    pub fragment: u64,
    /// The key sets that a coordinator sent with it; none from clients.
    pub key_sets: Vec<KeySet>,
    /// Where a coordinator will send values of the answer.
    pub keys_to: Vec<KeysTo>,
    /// Where its short names are looked for.
    pub place: Place,
}

impl Question {
    /// A statement without parameters.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            parameters: None,
            versions: BTreeMap::new(),
            fragment: 0,
            key_sets: Vec::new(),
            keys_to: Vec::new(),
            place: Place::default(),
        }
    }
}

/// What is known of a statement before it runs.
#[derive(Debug, Clone)]
pub struct Description {
    /// The columns of its answer.
    pub schema: SchemaRef,
    /// One field for each placeholder, in order, named as written (`$1`).
    pub parameters: SchemaRef,
}

/// A table as metadata calls list it.
#[derive(Debug, Clone)]
pub struct ListedTable {
    /// The catalog: a site, `system`, or the catalog of a regional table.
    pub catalog: String,
    /// The schema: a source.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Whether it is a view.
    pub is_view: bool,
    /// Its columns.
    pub columns: SchemaRef,
    /// The columns of its primary key, in the key's order; empty where none is known.
    pub primary_key: Vec<String>,
    /// The keys of other tables that it holds.
    pub foreign_keys: Vec<ForeignKey>,
    /// What its owner says about it.
    pub comment: Option<String>,
    /// The tags that it has at its site, in words.
    pub tags: Option<String>,
}

impl ListedTable {
    /// Its type, as metadata calls tell it.
    pub fn table_type(&self) -> &'static str {
        if self.is_view { "VIEW" } else { "BASE TABLE" }
    }

    /// What its primary key is called. A source's own name for it is not told, and may be no name here.
    pub fn key_name(&self) -> String {
        format!("{}_pkey", self.table)
    }
}

/// What a node can do now, as its operator is told.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// Whether it can answer.
    pub ready: bool,
    /// Whom it asks for that: `sites` or `sources`.
    pub of: &'static str,
    /// Each of them by its name, and how it stands.
    pub parts: BTreeMap<String, &'static str>,
    /// What is wrong with its own state: nothing is answered then.
    pub faults: Vec<&'static str>,
}

/// What was not let in, and in whose name it came.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// Who asked: a coordinator in its own name where its word about a user was not believed; `None` where nobody was.
    pub asker: Option<&'a Asker>,
    /// The query's identity, which the asker is told.
    pub query: &'a QueryId,
    /// Which of the query's statements to this site it was; 0 from clients.
    pub fragment: u64,
    /// The statement; empty where the call was refused before anybody looked for one.
    pub statement: &'a str,
}

/// A node's query engine. Every call is on behalf of a subject that the server has verified.
#[async_trait]
pub trait Door: Send + Sync + 'static {
    /// The node's name, for logs and metadata.
    fn name(&self) -> &str;

    /// The name, where the node is a site.
    fn site(&self) -> Option<&str> {
        None
    }

    /// The registry of this node's queries.
    fn queries(&self) -> &Arc<Queries>;

    /// The sessions that are open at this node.
    fn sessions(&self) -> &Arc<Sessions>;

    /// Whether the asker administers this node: sees what everybody runs here, and may end it.
    fn is_administrator(&self, asker: &Asker) -> bool;

    /// The session that every statement starts from.
    fn base(&self) -> &SessionState;

    /// The record, where the node keeps one.
    fn evidence(&self) -> Option<&Arc<AuditLog>> {
        None
    }

    /// What the node can do now; takes a few seconds at most.
    async fn readiness(&self) -> Readiness;

    /// Plans a statement far enough to know its columns; asks no site for rows.
    ///
    /// # Errors
    /// As the statement deserves: `SYNTAX`, `TYPE`, `STATEMENT`, `NOT_FOUND`, ….
    async fn describe(&self, asker: &Arc<Asker>, question: &Question) -> Result<Description>;

    /// The same for a statement that was asked before, where nothing need be planned for it, asked or waited for.
    ///
    /// # Errors
    /// When the asker cannot be told from others: a defect.
    fn known(&self, _asker: &Arc<Asker>, _question: &Question) -> Result<Option<Description>> {
        Ok(None)
    }

    /// Records that something was not let in, and tells what the asker is to be told: the error, or that it cannot be
    /// recorded. Called for whatever is refused before the statement has its warrant, and for nothing else.
    async fn refuse(&self, _refused: Refused<'_>, error: EngineError) -> EngineError {
        error
    }

    /// Runs a statement. The stream has the schema that [`Door::describe`] tells for it; it does no work before it is
    /// polled, and stops all work, here and at every site, when it is dropped. The record is ended by the caller.
    ///
    /// # Errors
    /// As [`Door::describe`]; errors while running are the stream's last item.
    async fn execute(&self, record: Arc<QueryRecord>, question: Question) -> Result<SendableRecordBatchStream>;

    /// The same for a statement that was asked before, where all that is left to do is to pass on what another node answers:
    /// its stream holds no thread, and may be polled by those that answer calls. What else comes to be done is done in that turn.
    ///
    /// # Errors
    /// As [`Door::known`].
    fn pass_on(
        &self,
        _record: &Arc<QueryRecord>,
        _question: &Question,
        _turn: Option<Arc<Turn>>,
    ) -> Result<Option<SendableRecordBatchStream>> {
        Ok(None)
    }

    /// Every table that the subject may see; never waits for a site that has answered before.
    ///
    /// # Errors
    /// Only when nothing can be listed at all.
    async fn tables(&self, asker: &Arc<Asker>) -> Result<Vec<ListedTable>>;

    /// The catalog and the schema of names that are not written in full, where a session has chosen none.
    fn own_place(&self) -> (String, String);

    /// Every catalog in which the subject may see anything, sorted.
    ///
    /// # Errors
    /// Only when nothing can be listed at all.
    async fn catalogs(&self, asker: &Arc<Asker>) -> Result<Vec<String>>;

    /// What a subject may see of this node, for the coordinator that plans for them; `None` where the node is no site.
    ///
    /// # Errors
    /// When the sources cannot be read.
    async fn view(&self, asker: &Arc<Asker>) -> Result<Option<View>>;

    /// What exists at this node, for coordinators; `None` where the node is no site.
    ///
    /// # Errors
    /// When the sources cannot be read.
    async fn directory(&self) -> Result<Option<Directory>>;

    /// Ends when the record of all that has ended is on the disk, or when that takes too long; nothing is begun any more.
    async fn settle(&self) {}
}
