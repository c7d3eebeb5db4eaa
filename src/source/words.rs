//! The texts on a platform for people who get its ids: where they come from, how to get the posts, and what may be
//! done with them.

/// Words of a platform.
#[derive(Debug)]
pub struct Words {
    /// Into how many partitions the platform divides the stream; 0: into none.
    pub partitions: u8,
    /// Which stream it is, after "posts that"; the stream's word is in backquotes.
    pub stream: &'static str,
    /// What its lists have of each post.
    pub listed: &'static str,
    /// What those name posts by, …
    pub name: &'static str,
    /// … as many.
    pub names: &'static str,
    /// What such a list is, as a title.
    pub titled: &'static str,
    /// What it is called that a connection asks for what was missed.
    pub backfill: &'static str,
    /// What a line of the list of ids is.
    pub ids: &'static str,
    /// The cells of such a line, with tabs between them.
    pub cells: &'static [Cell],
    /// How a person names posts, one a line, …
    pub named_by: &'static str,
    /// … and an account.
    pub account_by: &'static str,
    /// What tells when a post was made.
    pub dated_by: &'static str,
    /// What the servers receive.
    pub lines: &'static str,
    /// How to get what they name.
    pub fetch: &'static str,
    /// The commands for it, with `{day}` for a day.
    pub commands: &'static str,
    /// What to think of meanwhile.
    pub note: &'static str,
    /// When a post covers a second, after "A second is covered if".
    pub covers: &'static str,
    /// When a second without a post does, after "or if it is quiet:".
    pub quiet: &'static str,
    /// What the estimate of what two servers both missed takes for granted.
    pub assumes: &'static str,
    /// What is said of the sampling window where no id tells it; empty: nothing.
    pub no_window: &'static str,
    /// What an archive of it is called in a citation.
    pub cited_as: &'static str,
    /// What is taken out of an archive.
    pub taken_out: &'static str,
    /// What there is of persons in its lists.
    pub persons: &'static str,
    /// What the lists are not good for.
    pub limits: &'static str,
    /// How it came about what is in the stream.
    pub choice: &'static str,
    /// What the lists can be used for.
    pub uses: &'static str,
    /// Whose rules rule what may be done with the posts.
    pub ruled_by: &'static str,
    /// What rules what may be done with it, …
    pub terms: &'static str,
    /// … in short.
    pub rules: &'static [&'static str],
}

/// A cell of a line of the list of ids.
#[derive(Debug)]
pub struct Cell {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub what: &'static str,
    /// Whether it is a number.
    pub is_number: bool,
    /// The regular expression that takes it out of the line, if there are others.
    pub pattern: Option<&'static str>,
}

impl Words {
    /// Of a stream that always brings posts: when a second without one is quiet.
    pub const FEW: &'static str = "a connection was up, bytes came shortly before and after, and posts are so rare \
                                   that an empty second is normal";

    /// When a second is covered, up to the estimate; `of_what` begins the sentence, with "a second" at its end.
    pub fn covered(&self, of_what: &str) -> String {
        format!(
            "{of_what} is covered if {} or if it is quiet: {}. Covered seconds at the edge of a gap are partial. A \
             covered second may still lack posts; the estimate below says how many",
            self.covers, self.quiet
        )
    }

    /// Of a stream that this program does not know.
    pub const UNKNOWN: Self = Self {
        partitions: 0,
        stream: "a stream that this program does not know",
        listed: "Ids",
        name: "id",
        names: "ids",
        titled: "Post ids",
        backfill: "backfill",
        ids: "what there is of an hour, one a line, ascending",
        cells: &[Cell {
            name: "id",
            what: "What names a post.",
            is_number: false,
            pattern: None,
        }],
        named_by: "one id a line",
        account_by: "the id of an author",
        dated_by: "its id",
        lines: "Lines of the stream",
        fetch: "A newer version of this program knows how to get what they name.",
        commands: "twinstream --version",
        note: "",
        covers: "a post was created in it,",
        quiet: Self::FEW,
        assumes: "The estimate assumes that the two servers lose posts independently of each other, and that both \
                  are sent the same posts.",
        no_window: "",
        cited_as: "a stream of another program",
        taken_out: "posts are taken out on request",
        persons: "",
        limits: "",
        choice: "",
        uses: "",
        ruled_by: "rules that its publishers know",
        terms: "Ask the people who publish it.",
        rules: &[],
    };
}
