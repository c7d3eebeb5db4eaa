//! What is told of X.

use crate::source::{Words, words::Cell};

/// What is told of that stream.
pub(super) fn of(stream: &str) -> &'static Words {
    match stream {
        "sample10" => &SAMPLE10,
        "firehose" => &FIREHOSE,
        "filtered" => &FILTERED,
        _ => &SAMPLE,
    }
}

static SAMPLE: Words = WORDS;

static SAMPLE10: Words = Words {
    stream: "the sampled stream of the X API (stream `sample10`, about 10 % of all public posts, in two partitions)",
    lines: "Lines of the X API's 10 % sampled stream",
    cited_as: "X 10 % sampled stream",
    ..WORDS
};

static FIREHOSE: Words = Words {
    stream: "the full stream of the X API (stream `firehose`, all public posts, in twenty partitions)",
    lines: "Lines of the X API's full stream",
    cited_as: "X full stream",
    choice: "All public posts are in the stream, as far as the platform says. Posts of protected accounts are not in it; \
             posts of automated accounts are.",
    ..WORDS
};

static FILTERED: Words = Words {
    stream: "the filtered stream of the X API (stream `filtered`: the public posts that match rules, which the manifests \
             name)",
    lines: "Lines of the X API's filtered stream",
    quiet: "a connection was up, with bytes shortly before and after: rules choose what comes, so a second may well have \
            no post",
    assumes: "It assumes that the two servers lose posts independently of each other, that the platform offers both the \
              same posts, and that both had the same rules: the section on the rules says when. It does not count what \
              the platform keeps from both, nor what a network that both use loses, so it is a lower bound.",
    cited_as: "X filtered stream",
    limits: "Ids alone: the posts have to be fetched from the X API, and the older the ids, the more posts are gone. The \
             posts are those that match the rules, which the manifests name with the seconds in which they were in \
             force: what another rule would have brought is not here. A second that is covered may still lack posts. \
             Counts over time need the seconds covered as their offset.",
    choice: "Rules choose which posts are in the stream; the manifests name them, with the seconds in which they were in \
             force. How the platform applies them is the platform's choice. Posts of protected accounts are not in it; \
             posts of automated accounts are.",
    ..WORDS
};

const WORDS: Words = Words {
    stream: "the sampled stream of the X API (stream `sample`, about 1 % of all public posts)",
    listed: "Ids",
    name: "id",
    names: "ids",
    titled: "Post ids",
    backfill: "backfill",
    ids: "the ids of an hour, one a line, ascending; an id tells the millisecond of its creation: `(id >> 22) + \
          1288834974657`",
    cells: &[Cell {
        name: "id",
        what: "A post's id; (id >> 22) + 1288834974657 is the millisecond in which it was made.",
        is_number: true,
        pattern: None,
    }],
    named_by: "one id a line, digits only",
    account_by: "digits only: users.csv has it as author_id",
    dated_by: "its id",
    lines: "Lines of the X API's sampled stream",
    fetch: "The posts themselves may not be passed on. Whoever has access to the X API can fetch them by their ids, 100 \
            in a request (`GET /2/tweets`); twarc does it in one command:",
    commands: "xz -dc {day}_*_IDs.txt.xz > ids.txt\ntwarc2 hydrate ids.txt posts.jsonl",
    note: "Posts that were deleted, or whose authors are gone or protected, do not come back, and the older the ids, the \
           more are gone. In your work, say when you asked and how many came. Read ids as text or as 64-bit integers: a \
           program that makes floating point numbers of them destroys them.",
    covers: "a post was created in it, as its id tells,",
    quiet: Words::FEW,
    assumes: "It assumes that the two servers lose posts independently of each other, and that the platform offers both \
              the same posts. It does not count what the platform keeps from both, nor what a network that both use \
              loses, so it is a lower bound.",
    no_window: "no id tells the millisecond of its creation",
    cited_as: "X sampled stream",
    taken_out: "posts are taken out on request",
    persons: "Ids of public posts, no texts and no names. With an id, whoever has access to the X API can get the post \
              and its author as long as the post is public; posts can reveal opinions, beliefs and health. Deleted posts \
              do not come back. To have an id removed, ask whoever publishes this archive.",
    limits: "Ids alone: the posts have to be fetched from the X API, and the older the ids, the more posts are gone. A \
             second that is covered may still lack posts. Counts over time need the seconds covered as their offset.",
    choice: "Which posts are in the sample is the platform's choice. Posts of protected accounts are not in it; posts of \
             automated accounts are.",
    uses: "Fetching the posts by their ids for research on public conversation; sampling by time; checking another \
           collection of the same stream against this one.",
    ruled_by: "X's developer agreement and policy",
    terms: "The posts belong to their authors, and X's developer agreement and policy say what may be done with them. In \
            short, and not in place of reading them:",
    rules: &[
        "Before you use these ids you must have accepted X's terms of service, privacy policy, developer agreement and \
         policy.",
        "Only ids may be passed on, and nobody may get more than 1,500,000 ids of posts within 30 days from one source, \
         unless X has agreed in writing.",
        "For academic research that is not commercial, on behalf of an institution, X allows more: one of its texts asks \
         for its written approval, another does not. The stricter reading is the safe one.",
        "Do not publish posts that you fetched by their ids. When a post is deleted or made private, or X or its author \
         asks for it, delete your copy, within 24 hours.",
        "To have a post's id removed from this archive, ask the people who publish it: they can take it out of all its \
         files, and a new revision says how many were taken out.",
    ],
};
