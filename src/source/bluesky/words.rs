//! The texts on Bluesky.

use crate::source::{Words, words::Cell};

pub(super) static WORDS: Words = Words {
    partitions: 0,
    stream: "Bluesky's Jetstream (stream `bluesky`: every public event of the requested collections)",
    listed: "Addresses and revisions",
    name: "address",
    names: "addresses",
    titled: "Addresses of posts",
    backfill: "replay",
    ids: "the records that were created or updated in an hour, one a line, ascending by time: the address of the \
          record and its revision (a TID, which tells the microsecond)",
    cells: &[
        Cell {
            name: "uri",
            what: "The address of the record: at://did/collection/rkey.",
            is_number: false,
            pattern: Some("^([^\\t]+)\\t"),
        },
        Cell {
            name: "rev",
            what: "Its revision, a TID: the 53 bits after the highest one are the microsecond in which it was made.",
            is_number: false,
            pattern: Some("^[^\\t]+\\t([^\\t]+)$"),
        },
    ],
    named_by: "one address a line (at://did/collection/rkey: all versions), or lines of IDs.txt (one version)",
    account_by: "a DID: users.csv has it as did",
    dated_by: "its revision",
    lines: "Events of Bluesky's Jetstream",
    fetch: "The posts themselves are not passed on. Anybody can fetch them by their addresses, 25 per request and \
            without a key (`app.bsky.feed.getPosts`), for example:",
    commands: "xz -dc {day}_*_IDs.txt.xz | cut -f1 | sort -u > uris.txt\n\
               head -25 uris.txt | sed 's/^/uris=/' | paste -sd'&' | \\\n  \
               xargs -I{} curl -s 'https://public.api.bsky.app/xrpc/app.bsky.feed.getPosts?{}'",
    note: "You do not get posts that were deleted, or whose author is gone; the older the list, the more are gone. \
           In your work, say when you fetched the posts and how many you got. Once a day, this archive also takes out \
           deleted posts: a later revision of an hour lacks them. So download the lists again before you work with \
           them, and delete your copies of posts that they no longer have. A post that has been missing for less than \
           30 days may come back.",
    covers: "a post was created or updated in it, as its revision tells (a post fills no gap if every instance of \
             Jetstream saw it more than a minute after that time, or more than a second before it),",
    quiet: "a connection was up, and bytes came shortly before and after, or a later connection replayed all of that \
            time; and posts are so rare that an empty second is normal. In an hour with hardly any posts, events of \
            other kinds around the second show that nothing was missed",
    assumes: "The estimate compares not only the servers, but also the instances of Jetstream that they listened to. \
              It assumes that these lose events independently of each other. It does not count events that reached \
              none of them, or that were lost by an instance that both servers listened to, so it is a lower bound.",
    no_window: "",
    cited_as: "Bluesky",
    taken_out: "posts are taken out on request and, once a day, if they were deleted or their account is gone",
    persons: "The archive has addresses of public posts, but no texts. An address names the account; with it, anyone \
              can get the post and its author, as long as the post is public. Posts can reveal opinions, beliefs and \
              health. Deleted posts are taken out of the lists, and posts of accounts that are not active are held \
              back. To have more removed, ask the people who publish this archive.",
    limits: "The archive has only addresses: the posts must be fetched, and the older the lists, the more posts are \
             gone. Deleted posts are not in the lists, so the lists do not count all that was written. A covered \
             second may still lack posts. Models of counts over time need the covered seconds as their offset.",
    choice: "The stream has all records of the requested collections, including those of automated accounts. It \
             lacks what an account's own server does not pass on.",
    uses: "Fetching the posts by their addresses for research on public conversation; sampling by time; checking another \
           collection of the same stream against this one.",
    ruled_by: "the law, and by what their authors allow",
    terms: "What people write on Bluesky is public, but it belongs to them. If you fetch it:",
    rules: &[
        "Do not keep, show or pass on a post that its author has deleted. Fetch the posts again before you publish, \
         and drop those that you no longer get.",
        "Do not publish texts with names or addresses that lead to a person, unless that person has agreed.",
        "Some people say in their profile or their repository what their posts may be used for: respect it.",
        "To have a record's address removed from this archive, ask the people who publish it: they can take it out of \
         all its files, and a new revision says how many were taken out.",
    ],
};
