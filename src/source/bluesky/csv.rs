//! The columns of `posts.csv` and `users.csv`, in their order.

use crate::source::{Named, Table};

/// `posts.csv`, one row a post that was created or updated.
pub(super) static POSTS: Table = Table {
    name: "posts",
    row: "commit that creates or updates a post (a record of `app.bsky.feed.post`), ascending by the time of its \
          revision, then by key. The items of a list are joined by one space; a tag that contains a space is whole \
          only in `posts.parquet`",
    columns: &POST_COLUMNS,
    retrieved_at: "retrieved_at",
};

/// `users.csv`, one row an account.
pub(super) static USERS: Table = Table {
    name: "users",
    row: "account with an event of any kind in this hour, ascending by `did`",
    columns: &USER_COLUMNS,
    retrieved_at: "",
};

/// Which cell of a row of posts is for the account's handle.
pub(super) const HANDLE: usize = 3;
const _: () = assert!(matches!(POST_COLUMNS[HANDLE].0.as_bytes(), b"handle"));

const DID: Named = ("did", "The account whose repository it is");

const POST_COLUMNS: [Named; 19] = [
    ("uri", "The address of the post: `at://did/collection/rkey`"),
    ("cid", "The hash of this version of the post"),
    DID,
    (
        "handle",
        "The account's handle, if an identity event of this hour before the post tells it; otherwise empty, as for \
         most posts. `users.csv` has the last handle of the hour",
    ),
    (
        "created_at",
        "When the post was made, according to the author's app: any text",
    ),
    (
        "indexed_at",
        "The time of the revision; this decides the hour",
    ),
    ("operation", "`create` or `update`"),
    (
        "text",
        "The text; every line break and NUL is one space (`posts.parquet` has the exact text)",
    ),
    ("langs", "The languages that its author's app gives"),
    ("reply_root", "The first post of the thread that it answers"),
    ("reply_parent", "The post that it answers"),
    ("quoted_uri", "The record that it quotes"),
    ("embed_type", "What is embedded: its `$type`"),
    ("external_uri", "The address of the page that is embedded"),
    ("tags", "Its tags: those beside the text, then those in it"),
    ("mentions", "The accounts that its text mentions"),
    ("links", "The addresses that its text links to"),
    ("labels", "The labels that its author has given it"),
    (
        "retrieved_at",
        "When the server whose copy is kept received it",
    ),
];

const USER_COLUMNS: [Named; 7] = [
    ("did", "The account"),
    (
        "handle",
        "Its handle according to the last identity event of this hour that tells one; empty if there is none",
    ),
    (
        "active",
        "Whether it is active, according to this hour's last account event; empty if there is none",
    ),
    (
        "status",
        "Why it is not active, according to that event: `takendown`, `suspended`, `deleted`, `deactivated`, \
         `desynchronized`, `throttled` or a newer word",
    ),
    ("posts", "Posts that it created in this hour"),
    ("first_seen", "The time of its first event of this hour"),
    ("last_seen", "The time of its last event of this hour"),
];

/// One row of an account made of two.
pub(super) fn join(earlier: Vec<String>, later: Vec<String>) -> Vec<String> {
    let rows: (Result<[String; 7], _>, Result<[String; 7], _>) =
        (earlier.try_into(), later.try_into());
    let (
        Ok([did, handle, active, status, posts, first_seen, _]),
        Ok(
            [
                _,
                new_handle,
                new_active,
                new_status,
                more_posts,
                _,
                last_seen,
            ],
        ),
    ) = rows
    else {
        // no row of this program
        return Vec::new();
    };
    let number = |cell: String| cell.parse::<u64>().unwrap_or(0);
    let handle = if new_handle.is_empty() {
        handle
    } else {
        new_handle
    };
    let [active, status] = if new_active.is_empty() {
        [active, status]
    } else {
        [new_active, new_status]
    };
    let posts = number(posts) + number(more_posts);
    vec![
        did,
        handle,
        active,
        status,
        posts.to_string(),
        first_seen,
        last_seen,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_word_of_each_column_stays_and_posts_add_up() {
        let rows = [
            ["d", "a.example", "", "", "0", "1", "1"],
            ["d", "", "", "", "1", "2", "2"],
            ["d", "", "false", "deleted", "0", "3", "3"],
            ["d", "b.example", "", "", "0", "4", "4"],
            ["d", "", "true", "", "0", "5", "5"],
            ["d", "", "", "", "1", "6", "6"],
        ];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let all = rows.iter().cloned().reduce(join).unwrap();
        assert_eq!(all, ["d", "b.example", "true", "", "2", "1", "6"]);
        for end in 1..rows.len() {
            let parts = [&rows[..end], &rows[end..]];
            let parts = parts.map(|part| part.iter().cloned().reduce(join).unwrap());
            assert_eq!(parts.into_iter().reduce(join).unwrap(), all);
        }
    }
}
