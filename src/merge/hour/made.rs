//! What is made of the units of an hour: the same for all of them.

use arrow_schema::SchemaRef;

use crate::{cover::backfill::Connection, source::Source, vault::deleted::Deleted};

/// What is made of the units of an hour.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// What lines are.
    pub source: &'a dyn Source,
    /// The names of the hour's legs, ascending.
    pub names: &'a [String],
    /// The part of the stream that each of them is of.
    pub part_of: &'a [usize],
    /// The connections of each of them.
    pub connections: &'a [Vec<Connection>],
    /// The columns of `posts.parquet`, if that is wanted.
    pub columns: Option<&'a SchemaRef>,
    /// What was deleted.
    pub deleted: &'a Deleted<'a>,
}

impl Made<'_> {
    /// How often a post is received if nothing is missed.
    pub(super) fn copies(&self) -> usize {
        let parts = self.part_of.iter().max().map_or(1, |last| last + 1);
        self.part_of.len() / parts
    }
}
