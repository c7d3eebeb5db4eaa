//! What is told of a platform wherever its ids are given to somebody: where they come from, how to get what they
//! name, and what may be done with it.

/// Words of a platform.
#[derive(Debug)]
pub struct Words {
    /// Which stream it is, after "posts that"; the word of the stream stands in backquotes.
    pub stream: &'static str,
    /// What a line of the list of ids is.
    pub ids: &'static str,
    /// How to get what they name.
    pub fetch: &'static str,
    /// The commands for it, with `{day}` for a day.
    pub commands: &'static str,
    /// What to think of meanwhile.
    pub note: &'static str,
    /// When a post covers a second, after "A second is covered if".
    pub covers: &'static str,
    /// What the estimate of what two servers both missed takes for granted.
    pub assumes: &'static str,
    /// What is said of the sampling window where no id tells it; empty: nothing.
    pub no_window: &'static str,
    /// What an archive of it is called in a citation.
    pub cited_as: &'static str,
    /// What rules what may be done with it, …
    pub terms: &'static str,
    /// … in short.
    pub rules: &'static [&'static str],
}

impl Words {
    /// Of a stream that this program does not know.
    pub const UNKNOWN: Self = Self {
        stream: "a stream that this program does not know",
        ids: "what there is of an hour, one a line, ascending",
        fetch: "A later program than this one knows how to get what they name.",
        commands: "twinstream --version",
        note: "",
        covers: "a post was created in it,",
        assumes: "It assumes that the two servers lose posts independently of each other, and that both are offered the \
                  same posts.",
        no_window: "",
        cited_as: "a stream of another program",
        terms: "Ask those who publish it.",
        rules: &[],
    };
}
