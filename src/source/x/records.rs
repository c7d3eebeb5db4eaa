//! Posts of a unit of work: read once, then written to as many files as are wanted.

use std::borrow::Cow;

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;

use super::{columns::AROUND, columns_post::POST, csv::TWEETS, flatten, id::author, parse::Post};
use crate::{
    period::UtcMs,
    source::{
        Difference, Placed, Records, Rejected,
        cells::{Author, Cells, Struct},
        differing,
        key::Key,
    },
};

/// Posts, and the columns that are being filled with them.
pub(super) struct Posts<'l> {
    posts: Vec<Post<'l>>,
    columns: Option<Columns>,
}

/// Columns of Parquet.
struct Columns {
    post: Struct,
    /// As many as [`AROUND`] has.
    around: Vec<Cells>,
}

impl Columns {
    fn new() -> Self {
        Self {
            post: Struct::new(POST),
            around: AROUND.iter().map(|c| Cells::new(&c.kind)).collect(),
        }
    }

    fn push(&mut self, post: &Post<'_>) {
        let author = Author {
            id: post.author_id.as_ref(),
            json: post.author.as_ref().map_or("", |author| author.object.json),
        };
        self.post.push_object(&post.pieces.data, author);
        if let [by, includes, errors, rules] = self.around.as_mut_slice() {
            by.push_object(post.author.as_ref().map(|author| &author.object), author);
            includes.push_object(post.pieces.includes.as_ref(), author);
            errors.push(post.pieces.errors, author);
            rules.push(post.pieces.matching_rules, author);
        }
    }

    fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut arrays = self.post.into_columns()?;
        for cells in self.around {
            arrays.push(cells.finish()?);
        }
        Ok(arrays)
    }
}

impl Posts<'_> {
    pub(super) fn new(has_columns: bool) -> Self {
        Self {
            posts: Vec::new(),
            columns: has_columns.then(Columns::new),
        }
    }
}

impl<'l> Records<'l> for Posts<'l> {
    fn read(&mut self, line: &'l [u8], retrieved_at: Option<UtcMs>) -> Result<usize, Rejected> {
        let record = self.posts.len();
        // where it stays: a post is large
        self.posts.push(Post::empty());
        let post = &mut self.posts[record];
        if let Err(why) = post.read(line, self.columns.is_some()) {
            self.posts.truncate(record);
            return Err(why);
        }
        post.retrieved_at = retrieved_at.map_or_else(String::new, |at| at.to_string());
        Ok(record)
    }

    fn make_room(&mut self, records: usize) {
        self.posts.reserve(records);
    }

    fn placed(&self, record: usize) -> &Placed {
        &self.posts[record].placed
    }

    fn put_id(&self, record: usize, to: &mut Vec<u8>) {
        to.extend_from_slice(self.posts[record].placed.key.to_string().as_bytes());
        to.push(b'\n');
    }

    fn put_deletion(&self, _record: usize, _to: &mut Vec<u8>) {}

    fn row(&self, record: usize) -> Option<Vec<Cow<'_, str>>> {
        Some(flatten::post_row(&self.posts[record]))
    }

    fn differences(&self, kept: usize, other: usize) -> Vec<Difference<'_>> {
        let [kept, other] = [kept, other].map(|record| flatten::post_row(&self.posts[record]));
        differing(&TWEETS, kept, other)
    }

    fn author(&self, record: usize) -> Option<(Key, bool)> {
        let post = &self.posts[record];
        Some((author(&post.author_id)?, post.author.is_some()))
    }

    fn author_row(&self, record: usize) -> Vec<Cow<'_, str>> {
        flatten::user_row(&self.posts[record])
    }

    fn push_columns(&mut self, record: usize) {
        if let Some(columns) = &mut self.columns {
            columns.push(&self.posts[record]);
        }
    }

    fn take_columns(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let columns = self.columns.as_mut();
        let columns = columns.map(|columns| std::mem::replace(columns, Columns::new()));
        columns.map_or(Ok(Vec::new()), Columns::finish)
    }
}
