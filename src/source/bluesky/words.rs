//! What is told of Bluesky.

use crate::source::Words;

pub(super) static WORDS: Words = Words {
    stream: "Bluesky's Jetstream (stream `bluesky`: every public event of the collections that were asked for)",
    ids: "what was created and updated in an hour, one a line: the address of the record and its revision (a TID, which \
          tells the microsecond), ascending by time",
    fetch: "The posts themselves are not passed on. Anybody gets them by their addresses, 25 in a request and without a key \
            (`app.bsky.feed.getPosts`), for example:",
    commands: "xz -dc {day}_*_IDs.txt.xz | cut -f1 | sort -u > uris.txt\n\
               head -25 uris.txt | sed 's/^/uris=/' | paste -sd'&' | \\\n  \
               xargs -I{} curl -s 'https://public.api.bsky.app/xrpc/app.bsky.feed.getPosts?{}'",
    note: "What was deleted, or whose author is gone, does not come back, and the older the list, the more is gone. Say in \
           your work when you asked, and how much came.",
    covers: "a post was created or updated in it, as its revision tells (one that an instance of Jetstream saw more than a minute \
             before or after that fills no gap),",
    assumes: "It compares instances of Jetstream, those to which the servers listened, and not only the servers: an event that \
              one of them lost is one that the other may have. It assumes that they lose events independently of each other. \
              What never reached an instance, or what both servers got from one, is not in it: it is a lower bound.",
    no_window: "",
    cited_as: "Bluesky",
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
