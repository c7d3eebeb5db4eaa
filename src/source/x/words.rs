//! The texts on X.

use crate::{
    config::settings::XStream,
    source::{Words, words::Cell},
};

/// The texts on that stream.
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
    partitions: XStream::Sample10.partitions(),
    stream: "the sampled stream of the X API (stream `sample10`, about 10 % of all public posts, in two partitions)",
    lines: "Lines of the X API's 10 % sampled stream",
    cited_as: "X 10 % sampled stream",
    ..WORDS
};

static FIREHOSE: Words = Words {
    partitions: XStream::Firehose.partitions(),
    stream: "the full stream of the X API (stream `firehose`, all public posts, in twenty partitions)",
    lines: "Lines of the X API's full stream",
    cited_as: "X full stream",
    choice: "According to the platform, all public posts are in the stream. Posts of protected accounts are not in \
             it; posts of automated accounts are.",
    ..WORDS
};

static FILTERED: Words = Words {
    stream: "the filtered stream of the X API (stream `filtered`: the public posts that match rules, which the manifests \
             name)",
    lines: "Lines of the X API's filtered stream",
    quiet: "a connection was up, and bytes came shortly before and after (rules choose the posts, so an empty second \
            is normal)",
    assumes: "The estimate assumes that the two servers lose posts independently of each other, that the platform \
              sends both the same posts, and that both had the same rules: the section on the rules says when. It \
              does not count posts that the platform sends to neither, or that a network used by both loses, so it is \
              a lower bound.",
    cited_as: "X filtered stream",
    limits: "The archive has only ids: the posts must be fetched from the X API, and the older the ids, the more \
             posts are gone. It has only posts that match the rules; the manifests list the rules, and the seconds in \
             which they were in force. A covered second may still lack posts. Models of counts over time need the \
             covered seconds as their offset.",
    choice: "Rules choose which posts are in the stream; the manifests list the rules, and the seconds in which they \
             were in force. The platform decides how it applies them. Posts of protected accounts are not in it; \
             posts of automated accounts are.",
    ..WORDS
};

const WORDS: Words = Words {
    partitions: 0,
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
    fetch: "The posts themselves may not be passed on. With access to the X API you can fetch them by their ids, 100 \
            per request (`GET /2/tweets`); twarc does it in one command:",
    commands: "xz -dc {day}_*_IDs.txt.xz > ids.txt\ntwarc2 hydrate ids.txt posts.jsonl",
    note: "You do not get posts that were deleted, or whose authors are gone or protected; the older the ids, the \
           more are gone. In your work, say when you fetched the posts and how many you got. Read ids as text or as \
           64-bit integers: floating-point numbers round them to other ids.",
    covers: "a post was created in it (its id tells when),",
    quiet: Words::FEW,
    assumes: "The estimate assumes that the two servers lose posts independently of each other, and that the \
              platform sends both the same posts. It does not count posts that the platform sends to neither, or that \
              a network used by both loses, so it is a lower bound.",
    no_window: "no id tells the millisecond of its creation",
    cited_as: "X sampled stream",
    taken_out: "posts are taken out on request",
    persons: "The archive has ids of public posts, but no texts and no names. With access to the X API, anyone can \
              get the post of an id, and its author, as long as the post is public. Posts can reveal opinions, \
              beliefs and health. Deleted posts can no longer be fetched. To have an id removed, ask the people who \
              publish this archive.",
    limits: "The archive has only ids: the posts must be fetched from the X API, and the older the ids, the more \
             posts are gone. A covered second may still lack posts. Models of counts over time need the covered \
             seconds as their offset.",
    choice: "The platform chooses the posts of the sample. Posts of protected accounts are not in it; posts of \
             automated accounts are.",
    uses: "Fetching the posts by their ids for research on public conversation; sampling by time; checking another \
           collection of the same stream against this one.",
    ruled_by: "X's developer agreement and policy",
    terms: "The posts belong to their authors, and X's developer agreement and policy say what you may do with them. \
            Read these; in short, they say:",
    rules: &[
        "Before you use these ids you must have accepted X's terms of service, privacy policy, developer agreement and \
         policy.",
        "Only ids may be passed on, and nobody may get more than 1,500,000 post ids from one source within 30 days, \
         unless X has agreed in writing.",
        "X allows more for non-commercial academic research on behalf of an institution. One of its texts asks for \
         its written approval, another does not; the stricter reading is the safe one.",
        "Do not publish posts that you fetched by their ids. If a post is deleted or made private, or X or its \
         author asks you to, delete your copy within 24 hours.",
        "To have a post's id removed from this archive, ask the people who publish it: they can take it out of all its \
         files, and a new revision says how many were taken out.",
    ],
};
