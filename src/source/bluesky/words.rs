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
    fetch: "The posts themselves are not passed on. Anybody gets them by their addresses, 25 in a request and without a \
            key (`app.bsky.feed.getPosts`), for example:",
    commands: "xz -dc {day}_*_IDs.txt.xz | cut -f1 | sort -u > uris.txt\n\
               head -25 uris.txt | sed 's/^/uris=/' | paste -sd'&' | \\\n  \
               xargs -I{} curl -s 'https://public.api.bsky.app/xrpc/app.bsky.feed.getPosts?{}'",
    note: "Posts that were deleted, or whose author is gone, do not come back; the older the list, the more are gone. In \
           your work, say when you asked and how many came. Once a day this archive also takes out what was deleted: a \
           later revision of an hour lacks it. So fetch the lists anew before you work with them, and delete your copies \
           of posts that they no longer have; a post that has been missing for less than 30 days may come back.",
    covers: "a post was created or updated in it, as its revision tells (a post that an instance of Jetstream saw more \
             than a minute before or after that time fills no gap),",
    quiet: "a connection was up, with bytes shortly before and after, or a later one brought all of that time; and posts \
            are so few that an empty second is no surprise. Where an hour has hardly any posts, events of other kinds \
            around the second show that nothing was missed",
    assumes: "It compares the instances of Jetstream that the servers listened to, not only the servers. It assumes that \
              they lose events independently of each other. It does not count what reached none of them, nor what an \
              instance lost that both servers listened to, so it is a lower bound.",
    no_window: "",
    cited_as: "Bluesky",
    taken_out: "posts are taken out on request, and, once a day, when they were deleted or their account is gone",
    persons: "Addresses of public posts, no texts; an address names the account. With it, anyone can get the post and \
              its author as long as the post is public; posts can reveal opinions, beliefs and health. Deleted posts are \
              taken out of the lists, and posts of accounts that are not active are held back. To have more removed, ask \
              whoever publishes this archive.",
    limits: "Addresses alone: the posts have to be fetched, and the older the lists, the more posts are gone. Deleted \
             posts are not in the lists, so they do not count what was written. A second that is covered may still lack \
             posts. Counts over time need the seconds covered as their offset.",
    choice: "The stream has all records of the collections that were asked for, including those of automated accounts; \
             it lacks what an account's own server does not pass on.",
    uses: "Fetching the posts by their addresses for research on public conversation; sampling by time; checking another \
           collection of the same stream against this one.",
    ruled_by: "the law, and by what they say it may be used for",
    terms: "What people write on Bluesky is public, and it is theirs. Whoever fetches it should know:",
    rules: &[
        "Do not keep, show or pass on a post that its author has deleted. Ask again before you publish, and drop what no \
         longer comes back.",
        "Do not publish texts with names or addresses that lead to a person, unless that person has agreed.",
        "Some people say in their profile or their repository what their posts may be used for: respect it.",
        "To have a record's address removed from this archive, ask the people who publish it: they can take it out of \
         all its files, and a new revision says how many were taken out.",
    ],
};
