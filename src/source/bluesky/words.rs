//! What is told of Bluesky.

use crate::source::{Words, words::Cell};

pub(super) static WORDS: Words = Words {
    stream: "Bluesky's Jetstream (stream `bluesky`: every public event of the collections that were asked for)",
    listed: "Addresses and revisions",
    name: "address",
    names: "addresses",
    titled: "Addresses of posts",
    backfill: "replay",
    ids: "what was created and updated in an hour, one a line: the address of the record and its revision (a TID, which \
          tells the microsecond), ascending by time",
    cells: &[
        Cell {
            name: "uri",
            what: "Where the record is: at://did/collection/rkey.",
            is_number: false,
            pattern: Some("^([^\\t]+)\\t"),
        },
        Cell {
            name: "rev",
            what: "Its revision: a TID, whose first 53 bits after the highest are the microsecond in which it was made.",
            is_number: false,
            pattern: Some("^[^\\t]+\\t([^\\t]+)$"),
        },
    ],
    named_by: "one address a line (at://did/collection/rkey: all versions), or lines of IDs.txt (one version)",
    account_by: "a DID: users.csv has it as did",
    dated_by: "its revision",
    lines: "Events of Bluesky's Jetstream",
    fetch: "The posts themselves are not passed on. Anybody gets them by their addresses, 25 in a request and without a key \
            (`app.bsky.feed.getPosts`), for example:",
    commands: "xz -dc {day}_*_IDs.txt.xz | cut -f1 | sort -u > uris.txt\n\
               head -25 uris.txt | sed 's/^/uris=/' | paste -sd'&' | \\\n  \
               xargs -I{} curl -s 'https://public.api.bsky.app/xrpc/app.bsky.feed.getPosts?{}'",
    note: "What was deleted, or whose author is gone, does not come back, and the older the list, the more is gone. Say in \
           your work when you asked, and how much came. This archive takes out what was deleted, too, once a day: a later \
           revision of an hour lacks it. So fetch the lists anew before you work with them, and delete what you have of \
           posts that are no longer in them; posts that are missing for less than 30 days can be back later.",
    covers: "a post was created or updated in it, as its revision tells (one that an instance of Jetstream saw more than a minute \
             before or after that fills no gap),",
    quiet: "a connection was up, with bytes shortly before and after, or brought all of that time later; and so few posts come \
            that an empty second is no surprise. Where an hour has hardly a post, events of other kinds that came around the \
            second tell that nothing was missed",
    assumes: "It compares instances of Jetstream, those to which the servers listened, and not only the servers: an event that \
              one of them lost is one that the other may have. It assumes that they lose events independently of each other. \
              What never reached an instance, or what both servers got from one, is not in it: it is a lower bound.",
    no_window: "",
    cited_as: "Bluesky",
    taken_out: "posts are taken out on request, and, once a day, when they were deleted or their account is gone",
    persons: "Addresses of public posts, no texts; an address names the account. Anybody gets by it the post and its \
              author, as long as the post is public; posts can tell of opinions, beliefs and health. What is deleted is taken \
              out of the lists, and posts of accounts that are not active are held back. Whoever wants more \
              removed asks those who publish this archive.",
    limits: "Addresses alone: the posts have to be fetched, and the older the lists, the more posts are gone. What was \
             deleted is not in the lists, so they are no count of what was written. A second that is covered may still \
             lack posts. Counts over time need the seconds covered as their offset.",
    choice: "All records of the collections that were asked for are in the stream, those of automated accounts, too; what \
             an account's own server does not pass on is not.",
    uses: "Fetching the posts by their addresses for research on public conversation; sampling by time; checking another \
           collection of the same stream against this one.",
    ruled_by: "the law, and by what they say it may be used for",
    terms: "What people write on Bluesky is public, and theirs. What that asks of whoever fetches it:",
    rules: &[
        "A post that its author has deleted is not to be kept, shown or passed on. Ask again before you publish, and drop \
         what no longer comes back.",
        "Do not publish texts with names or addresses by which a person is found, unless that person has agreed.",
        "Some people say in their profile or their repository what their posts may be used for: respect it.",
        "Who wants a record's address removed from this archive asks the people who publish it: they can take it \
         out of all its files, and a new revision says how many were.",
    ],
};
