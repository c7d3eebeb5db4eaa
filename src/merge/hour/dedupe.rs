//! Reduces copies of posts to one each, and counts what the copies say about the servers.
//!
//! Of several copies of one id, the one that arrived first is kept; if several arrived at the same time, that of the
//! lowest server, then the one with the lowest bytes as received.

use std::collections::{BTreeMap, BTreeSet};

use super::{conflicts::Examples, former::Facts, made::Made, taken_out::Lost};
use crate::{
    cover::{
        account::Seconds,
        backfill::{self, Connection},
    },
    period::UtcMs,
    source::{List, Placed, Records, Source},
    vault::{deleted::LeftOut, manifest::ByWord},
};

/// The time of arrival of a line without a stamp: it counts as the last to arrive.
pub const NO_STAMP: UtcMs = UtcMs(i64::MAX);

/// One line that is a post, or a row of the former revision, which stands for several.
#[derive(Debug)]
pub struct Copy<'a> {
    /// When it arrived, or `NO_STAMP`.
    pub retrieved_at: UtcMs,
    /// How far that stamp is ahead of the posts' clock.
    pub lag_ms: i64,
    /// Which leg it comes from, as a number in their ascending order.
    pub server: usize,
    /// The line as received, in two pieces: before and after the stamp.
    pub received: (&'a [u8], &'a [u8]),
    /// The number of its record; copies with the same bytes share it.
    pub record: usize,
    /// What is known of the copies that a row stands for.
    pub former: Option<Facts>,
}

impl Copy<'_> {
    fn bytes(&self) -> impl Iterator<Item = &u8> {
        self.received.0.iter().chain(self.received.1)
    }

    /// How many copies it stands for.
    pub fn weight(&self) -> u64 {
        self.former.as_ref().map_or(1, |facts| facts.copies)
    }

    /// The legs that it was received by.
    pub fn seen_by(&self) -> &[usize] {
        let facts = self.former.as_ref();
        facts.map_or(std::slice::from_ref(&self.server), |facts| &facts.seen_by)
    }

    /// The place of the connection that brought it by backfill, among those of its server.
    pub fn backfilled_by(&self, connections: &[Connection], at: UtcMs) -> Option<usize> {
        if self.former.is_some() {
            // it was counted when it arrived
            return None;
        }
        let arrived = Some(self.retrieved_at).filter(|at| *at != NO_STAMP);
        let arrived = arrived.map(|at| at.plus_ms(self.lag_ms.saturating_neg()));
        backfill::backfilled_by(connections, arrived, at)
    }

    /// Whether the other was received with the same bytes.
    fn is_same_as(&self, other: &Self) -> bool {
        self.received == other.received || self.bytes().eq(other.bytes())
    }
}

/// What the posts of a unit, or of an hour, say about the servers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The part of the stream that each leg is of.
    part_of: Vec<usize>,
    /// For each leg: different posts, further copies, posts that no other has seen.
    pub servers: Vec<ServerTally>,
    /// Different posts.
    pub posts: u64,
    /// Different records that are in no list of ids.
    pub unlisted: u64,
    /// Further copies of either, from any server.
    pub duplicates: u64,
    /// Records that were deleted, or whose accounts are gone, and what is held back.
    pub deletions: ByWord,
    /// The seconds of these, if they are posts.
    pub lost: Lost,
    /// Posts that were received by all servers that have their part of the stream.
    pub seen_by_all: u64,
    /// For each part of the stream, and each second since 1970 with a post: what was posted in it. A post that came
    /// in several parts counts in the part of the kept copy.
    pub parts: Vec<Seconds>,
    /// What backfill brought: for each server and connection, posts that the server did not have before, and further
    /// copies.
    pub backfilled: BTreeMap<(usize, usize), (u64, u64)>,
    /// For each residue of the millisecond: ids.
    pub residues: BTreeMap<u64, u64>,
    /// Posts whose copies differ, and by which columns.
    pub conflicting: u64,
    /// The columns in which they do.
    pub by_field: ByWord,
    /// Examples of them.
    pub examples: Examples,
}

/// What one server gave.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ServerTally {
    /// Different posts.
    pub posts: u64,
    /// Different records that are in no list of ids.
    pub unlisted: u64,
    /// Further copies of either.
    pub duplicates: u64,
    /// Lines of what was deleted.
    pub deleted: u64,
    /// Posts that no other server has.
    pub only_here: u64,
}

/// Sorts the copies, and passes those of each record to `keep`, in ascending order of records and with the kept copy
/// first, and whether the record is held back. Deleted records are only counted.
pub fn dedupe<'a>(
    mut copies: Vec<Copy<'a>>,
    made: &Made<'_>,
    records: &mut dyn Records<'a>,
    mut keep: impl FnMut(&mut dyn Records<'a>, &Copy<'a>, &[Copy<'a>], bool),
) -> Tally {
    sort(&mut copies, records);
    let mut tally = Tally::new(made.part_of);
    let mut rest = copies.as_slice();
    while let Some(first) = rest.first() {
        let placed = records.placed(first.record);
        let is_it = |copy: &&Copy<'_>| records.placed(copy.record).key == placed.key;
        let copies = rest.iter().take_while(is_it).count();
        let (group, others) = rest.split_at(copies);
        rest = others;
        let why = made.deleted.why(&placed.key);
        if let Some(why) = why {
            *tally.deletions.entry(why.word().to_owned()).or_default() += 1;
        }
        let is_held = why == Some(LeftOut::Held);
        let is_post = made.source.stands_in(&placed.key, List::Ids);
        let is_prompt = |copy: &Copy<'_>| records.placed(copy.record).is_prompt;
        let is_belated = !group.iter().any(is_prompt);
        if why.is_some() && is_post && !is_belated {
            let seen_by = group.iter().flat_map(Copy::seen_by).copied();
            tally.lost.post(seen_by, placed.at.second());
        }
        if why.is_some() && !is_held {
            tally.count_deleted(group);
            continue;
        }
        if !is_held && is_post {
            tally.count(made.source, (placed, is_belated), group);
            tally.count_backfilled(placed, group, made.connections);
        } else {
            tally.count_unlisted(group);
        }
        tally.compare(records, placed, group);
        keep(records, first, group, is_held);
    }
    tally
}

/// Puts copies in the order of their records; of each record in that in which they count.
fn sort(copies: &mut [Copy<'_>], records: &dyn Records<'_>) {
    let arrival = |copy: &Copy<'_>| (copy.retrieved_at, copy.server);
    // what decides nearly always is looked up once for each
    copies.sort_by_cached_key(|copy| {
        let (at, key) = records.placed(copy.record).order();
        (at, key.clone(), arrival(copy))
    });
    let is_tie = |a: &Copy<'_>, b: &Copy<'_>| {
        let order = |copy: &Copy<'_>| records.placed(copy.record).order();
        arrival(a) == arrival(b) && order(a) == order(b)
    };
    for tied in copies.chunk_by_mut(is_tie) {
        if 1 < tied.len() {
            tied.sort_by(|a, b| a.bytes().cmp(b.bytes()));
        }
    }
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(part_of: &[usize]) -> Self {
        let parts = part_of.iter().max().map_or(1, |last| last + 1);
        Self {
            part_of: part_of.to_vec(),
            servers: vec![ServerTally::default(); part_of.len()],
            parts: vec![Seconds::new(); parts],
            ..Self::default()
        }
    }

    fn count(
        &mut self,
        source: &dyn Source,
        (placed, is_belated): (&Placed, bool),
        group: &[Copy<'_>],
    ) {
        let copies = self.copies(group);
        let seen_by = copies.iter().filter(|&&count| 0 < count).count();
        let part = group.first().and_then(|kept| self.part_of.get(kept.server));
        let part = part.copied().unwrap_or(0);
        let of_part = self.part_of.iter().zip(&copies);
        let mut of_part = of_part.filter(|(of, _)| **of == part);
        let by_all = u64::from(of_part.all(|(_, count)| 0 < *count));
        self.posts += 1;
        self.duplicates += group.iter().map(Copy::weight).sum::<u64>() - 1;
        self.seen_by_all += by_all;
        let legs = self.servers.iter_mut().zip(&copies);
        for (server, count) in legs.filter(|(_, count)| 0 < **count) {
            server.posts += 1;
            server.duplicates += count - 1;
            server.only_here += u64::from(seen_by == 1);
        }
        for (number, seconds) in self.parts.iter_mut().enumerate() {
            let legs = self.part_of.iter().zip(&copies);
            let legs = legs.filter(|(of, _)| **of == number);
            let has: Vec<u64> = legs.map(|(_, count)| u64::from(0 < *count)).collect();
            if number != part && !has.contains(&1) {
                continue;
            }
            let in_second = seconds.entry(placed.at.second()).or_default();
            in_second.posts += u64::from(number == part);
            in_second.common += by_all * u64::from(number == part);
            if is_belated {
                add(&mut in_second.belated, &has);
            }
            add(&mut in_second.servers, &has);
        }
        if let Some(residue) = source.residue(&placed.key) {
            *self.residues.entry(residue).or_default() += 1;
        }
    }

    /// How many copies each server has.
    fn copies(&self, group: &[Copy<'_>]) -> Vec<u64> {
        let mut copies = vec![0_u64; self.servers.len()];
        for server in group.iter().flat_map(Copy::seen_by) {
            if let Some(count) = copies.get_mut(*server) {
                *count += 1;
            }
        }
        copies
    }

    /// Counts a record that is in no list of ids. It covers no second and is no post, since nobody could recompute
    /// that from the list.
    fn count_unlisted(&mut self, group: &[Copy<'_>]) {
        self.unlisted += 1;
        self.duplicates += group.iter().map(Copy::weight).sum::<u64>() - 1;
        let copies = self.copies(group);
        for (server, count) in self.servers.iter_mut().zip(copies) {
            server.unlisted += count.min(1);
            server.duplicates += count.saturating_sub(1);
        }
    }

    /// Counts the lines of a record that was deleted.
    fn count_deleted(&mut self, group: &[Copy<'_>]) {
        let copies = self.copies(group);
        for (server, count) in self.servers.iter_mut().zip(copies) {
            server.deleted += count;
        }
    }

    /// Counts rejected lines of a server that belong to something deleted.
    pub fn add_deleted(&mut self, server: usize, lines: u64) {
        if let Some(server) = self.servers.get_mut(server) {
            server.deleted += lines;
        }
    }

    /// Counts what came by backfill. Within a server the copies come in the order of their arrival.
    fn count_backfilled(
        &mut self,
        placed: &Placed,
        group: &[Copy<'_>],
        servers: &[Vec<Connection>],
    ) {
        for (server, connections) in servers.iter().enumerate() {
            let copies = group.iter().filter(|copy| copy.seen_by().contains(&server));
            for (nth, copy) in copies.enumerate() {
                let Some(place) = copy.backfilled_by(connections, placed.at) else {
                    continue;
                };
                let brought = self.backfilled.entry((server, place)).or_default();
                if nth == 0 {
                    brought.0 += 1;
                } else {
                    brought.1 += 1;
                }
            }
        }
    }

    /// Counts in which columns the copies of a post differ from the one that is kept.
    fn compare(&mut self, records: &dyn Records<'_>, placed: &Placed, group: &[Copy<'_>]) {
        let [first, others @ ..] = group else { return };
        let mut fields = BTreeSet::new();
        for other in others.iter().filter(|other| !other.is_same_as(first)) {
            for (name, [a, b]) in records.differences(first.record, other.record) {
                if fields.insert(name) {
                    let copies = [(first.server, a.as_ref()), (other.server, b.as_ref())];
                    self.examples.take(name, &placed.key, copies);
                }
            }
        }
        self.conflicting += u64::from(!fields.is_empty());
        for field in fields {
            *self.by_field.entry(field.to_owned()).or_default() += 1;
        }
    }

    /// Adds what another unit says.
    pub fn add(&mut self, other: Self) {
        for (sum, server) in self.servers.iter_mut().zip(other.servers) {
            sum.posts += server.posts;
            sum.unlisted += server.unlisted;
            sum.duplicates += server.duplicates;
            sum.deleted += server.deleted;
            sum.only_here += server.only_here;
        }
        self.posts += other.posts;
        self.unlisted += other.unlisted;
        self.duplicates += other.duplicates;
        self.seen_by_all += other.seen_by_all;
        self.lost.add(other.lost);
        for (why, records) in other.deletions {
            *self.deletions.entry(why).or_default() += records;
        }
        for (part, other) in self.parts.iter_mut().zip(other.parts) {
            for (second, other) in other {
                let sum = part.entry(second).or_default();
                sum.posts += other.posts;
                sum.common += other.common;
                add(&mut sum.servers, &other.servers);
                add(&mut sum.belated, &other.belated);
            }
        }
        for (connection, (posts, duplicates)) in other.backfilled {
            let sum = self.backfilled.entry(connection).or_default();
            sum.0 += posts;
            sum.1 += duplicates;
        }
        for (residue, count) in other.residues {
            *self.residues.entry(residue).or_default() += count;
        }
        self.examples.add(other.examples);
        self.conflicting += other.conflicting;
        for (field, count) in other.by_field {
            *self.by_field.entry(field).or_default() += count;
        }
    }
}

/// Adds numbers, one a leg, to sums that may be none yet.
fn add(sums: &mut Vec<u64>, numbers: &[u64]) {
    sums.resize(sums.len().max(numbers.len()), 0);
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum += number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        source::{key::Key, x::X},
        vault::deleted::Deleted,
        world::disk::RealDisk,
    };

    /// Copies as (server, time of arrival, name of the author); gives the names that are kept.
    fn kept(copies: &[(usize, i64, &str)]) -> (Vec<String>, Tally) {
        let lines: Vec<String> = copies
            .iter()
            .map(|(_, _, name)| {
                format!(
                    r#"{{"data":{{"id":"1541815603606036480","author_id":"7"}},"includes":{{"users":[{{"id":"7","name":"{name}"}}]}}}}"#
                )
            })
            .collect();
        let mut records = X.records(false);
        let copies: Vec<Copy<'_>> = copies
            .iter()
            .zip(&lines)
            .map(|((server, at, _), line)| Copy {
                retrieved_at: UtcMs(*at),
                lag_ms: 0,
                server: *server,
                received: (line.as_bytes(), b""),
                record: records.read(line.as_bytes(), None).unwrap(),
                former: None,
            })
            .collect();
        let made = Made {
            source: &X,
            names: &[],
            part_of: &[0, 0],
            connections: &[Vec::new(), Vec::new()],
            columns: None,
            deleted: &Deleted::none(&RealDisk),
        };
        let mut names = Vec::new();
        let tally = dedupe(copies, &made, &mut *records, |records, copy, _, _| {
            names.push(records.author_row(copy.record)[4].to_string());
        });
        (names, tally)
    }

    #[test]
    fn the_first_arrival_counts_then_the_lowest_server_then_the_lowest_bytes() {
        assert_eq!(kept(&[(0, 9, "late"), (1, 5, "first")]).0, ["first"]);
        assert_eq!(kept(&[(1, 5, "a"), (0, 5, "b")]).0, ["b"]);
        assert_eq!(kept(&[(0, 5, "b"), (0, 5, "a")]).0, ["a"]);
        let (_, tally) = kept(&[(0, 5, "a"), (0, 6, "a"), (1, 7, "a")]);
        assert_eq!(
            (tally.posts, tally.duplicates, tally.seen_by_all),
            (1, 2, 1)
        );
        assert_eq!(
            (tally.servers[0].posts, tally.servers[0].duplicates),
            (1, 1)
        );
        assert_eq!((tally.conflicting, tally.servers[1].only_here), (0, 0));
        let (_, tally) = kept(&[(0, 5, "a"), (0, 6, "b")]);
        assert_eq!((tally.conflicting, tally.servers[0].only_here), (1, 1));
        assert_eq!(
            tally.by_field,
            ByWord::from([("author.name".to_owned(), 1)])
        );
    }

    /// Three copies of two servers; each may come from an endpoint that has fallen behind. One that has not tells that the
    /// post's time is true, whichever copy came first.
    #[test]
    fn a_post_is_belated_if_no_endpoint_saw_it_in_time() {
        const REV: &str = "3mptbypluud2a";
        let source = crate::source::BLUESKY.source;
        for late in 0..8_u32 {
            let lines: Vec<String> = (0..3)
                .map(|copy| {
                    let posted = crate::source::bluesky::tid::time(REV).unwrap();
                    let behind_ms = if late >> copy & 1 == 1 { 1_200_000 } else { 700 };
                    format!(
                        r#"{{"did":"did:plc:a","time_us":{},"kind":"commit","commit":{{"rev":"{REV}","operation":"create","collection":"app.bsky.feed.post","rkey":"3k","record":{{}},"cid":"c"}}}}"#,
                        1_000 * posted.plus_ms(behind_ms).0
                    )
                })
                .collect();
            let mut records = source.records(false);
            let copies = lines.iter().enumerate().map(|(number, line)| Copy {
                retrieved_at: UtcMs(number.try_into().unwrap()),
                lag_ms: 0,
                server: number % 2,
                received: (line.as_bytes(), b""),
                record: records.read(line.as_bytes(), None).unwrap(),
                former: None,
            });
            let copies: Vec<Copy<'_>> = copies.collect();
            let made = Made {
                source,
                names: &[],
                part_of: &[0, 0],
                connections: &[Vec::new(), Vec::new()],
                columns: None,
                deleted: &Deleted::none(&RealDisk),
            };
            let tally = dedupe(copies, &made, &mut *records, |_, _, _, _| ());
            let in_second = tally.parts[0].values().next().unwrap();
            assert_eq!(in_second.servers, [1, 1], "{late:03b}");
            let belated: &[u64] = if late == 7 { &[1, 1] } else { &[] };
            assert_eq!(in_second.belated, belated, "{late:03b}");
        }
    }

    /// It is gone, but what came of it shows that both servers were listening in its second.
    #[test]
    fn a_deleted_post_shows_its_second_of_every_server_that_had_a_copy() {
        const REV: &str = "3mptbypluud2a";
        let source = crate::source::BLUESKY.source;
        let vault = tempfile::tempdir().unwrap();
        let deleted = Deleted::read(&RealDisk, vault.path(), source.deletions()).unwrap();
        let by = "at://did:plc:a/app.bsky.feed.post/3k\t3mptbypluud3a";
        deleted.add([by.to_owned()].into()).unwrap();
        let posted = crate::source::bluesky::tid::time(REV).unwrap();
        // two endpoints number their events in ways of their own, so the copies differ
        let lines = [700, 800].map(|behind_ms| {
            format!(
                r#"{{"did":"did:plc:a","time_us":{},"kind":"commit","commit":{{"rev":"{REV}","operation":"create","collection":"app.bsky.feed.post","rkey":"3k","record":{{}},"cid":"c"}}}}"#,
                1_000 * posted.plus_ms(behind_ms).0
            )
        });
        let mut records = source.records(false);
        let copies = lines.iter().enumerate().map(|(server, line)| Copy {
            retrieved_at: UtcMs(server.try_into().unwrap()),
            lag_ms: 0,
            server,
            received: (line.as_bytes(), b""),
            record: records.read(line.as_bytes(), None).unwrap(),
            former: None,
        });
        let copies: Vec<Copy<'_>> = copies.collect();
        let made = Made {
            source,
            names: &[],
            part_of: &[0, 0],
            connections: &[Vec::new(), Vec::new()],
            columns: None,
            deleted: &deleted,
        };
        let tally = dedupe(copies, &made, &mut *records, |_, _, _, _| ());
        assert_eq!((tally.posts, tally.servers[1].deleted), (0, 1));
        let second: BTreeSet<i64> = [posted.second()].into();
        assert_eq!(tally.lost.of_servers(2), [second.clone(), second]);
    }

    /// A copy as (which of three posts, server, time of arrival after them, name of the author).
    type Drawn = (usize, usize, i64, usize);

    /// They lie in one second; the last one has no time in its id.
    const IDS: [&str; 3] = ["1541815603606036480", "1541815603610230784", "29699999999"];
    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// What every word of the tally means, put as simply as it can be, for copies in the order in which they count.
    fn model(copies: &[Drawn], servers: &[Vec<Connection>], at: impl Fn(usize) -> UtcMs) -> Tally {
        let mut tally = Tally::new(&vec![0; servers.len()]);
        for (post, id) in IDS.iter().enumerate() {
            let here: Vec<&Drawn> = copies.iter().filter(|copy| copy.0 == post).collect();
            let Some(first) = here.first() else { continue };
            let by =
                |server: usize| here.iter().filter(move |copy| copy.1 == server).count() as u64;
            let having = (0..servers.len()).filter(|server| 0 < by(*server)).count();
            tally.posts += 1;
            tally.duplicates += here.len() as u64 - 1;
            tally.seen_by_all += u64::from(having == servers.len());
            tally.conflicting += u64::from(here.iter().any(|copy| copy.3 != first.3));
            for (server, of_server) in tally.servers.iter_mut().enumerate().filter(|s| 0 < by(s.0))
            {
                of_server.posts += 1;
                of_server.duplicates += by(server) - 1;
                of_server.only_here += u64::from(having == 1);
            }
            let in_second = tally.parts[0].entry(at(post).second()).or_default();
            in_second.servers.resize(servers.len(), 0);
            in_second.posts += 1;
            in_second.common += u64::from(having == servers.len());
            for (server, sum) in in_second.servers.iter_mut().enumerate() {
                *sum += u64::from(0 < by(server));
            }
            for (server, connections) in servers.iter().enumerate() {
                let place = |copy: &Drawn| {
                    let arrived = at(0).plus_ms(copy.2);
                    let before = connections.iter().filter(|one| one.at <= arrived);
                    let (place, last) = before.enumerate().last()?;
                    (0 < last.minutes && at(post) < last.at).then_some(place)
                };
                let of_server = here.iter().filter(|copy| copy.1 == server);
                let places = of_server
                    .enumerate()
                    .filter_map(|(nth, copy)| Some((nth, place(copy)?)));
                for (nth, place) in places {
                    let brought = tally.backfilled.entry((server, place)).or_default();
                    brought.0 += u64::from(nth == 0);
                    brought.1 += u64::from(nth != 0);
                }
            }
            if post < 2 {
                let id: u64 = id.parse().unwrap();
                *tally.residues.entry((id >> 22) % 1_000).or_default() += 1;
            }
        }
        if 0 < tally.conflicting {
            tally
                .by_field
                .insert("author.name".to_owned(), tally.conflicting);
        }
        tally
    }

    proptest::proptest! {
        #[test]
        fn any_copies_of_any_servers_are_counted_as_the_words_say(
            drawn in proptest::collection::vec((0_usize..3, 0_usize..3, 0_i64..6, 0_usize..3), 0..14),
            made in proptest::collection::vec((0_usize..3, 0_i64..6, 0_u32..3), 0..6),
        ) {
            let lines: Vec<String> = drawn.iter().map(|(post, _, _, name)| format!(
                r#"{{"data":{{"id":"{}","author_id":"7","created_at":"2022-06-28T16:00:00.000Z"}},"includes":{{"users":[{{"id":"7","name":"{}"}}]}}}}"#,
                IDS[*post], NAMES[*name],
            )).collect();
            let mut records = X.records(false);
            let old: UtcMs = "2022-06-28T16:00:00.000Z".parse().unwrap();
            let times: Vec<UtcMs> = IDS.iter().map(|id| X.time(&X.key(id).unwrap()).unwrap_or(old)).collect();
            let at = |post: usize| times[post];
            let mut servers: Vec<Vec<Connection>> = vec![Vec::new(); 3];
            for (number, (server, after, minutes)) in made.iter().enumerate() {
                servers[*server].push(Connection {
                    run: crate::segment::name::RunId(1),
                    connection: number as u64,
                    at: at(0).plus_ms(*after),
                    minutes: *minutes,
                    hole: None,
                });
            }
            for of_server in &mut servers {
                of_server.sort_by_key(|one| (one.at, one.connection));
            }
            let copies = drawn.iter().zip(&lines).map(|((post, server, after, _), line)| {
                let record = records.read(line.as_bytes(), None).unwrap();
                assert_eq!(records.placed(record).at, at(*post));
                Copy {
                    retrieved_at: at(0).plus_ms(*after),
                    lag_ms: 0,
                    server: *server,
                    received: line.as_bytes().split_at(line.len() / 2),
                    record,
                    former: None,
                }
            });
            let copies: Vec<Copy<'_>> = copies.collect();
            let made = Made {
                source: &X,
                names: &[],
                part_of: &vec![0; servers.len()],
                connections: &servers,
                columns: None,
                deleted: &Deleted::none(&RealDisk),
            };
            let mut kept = Vec::new();
            let mut tally = dedupe(copies, &made, &mut *records, |records, copy, _, _| {
                let bytes: Vec<u8> = copy.bytes().copied().collect();
                kept.push((records.placed(copy.record).key.clone(), copy.server, copy.retrieved_at, bytes));
            });
            let mut sorted: Vec<(Drawn, &String)> = drawn.iter().copied().zip(&lines).collect();
            sorted.sort_by_key(|((post, server, after, _), line)| (*post, *after, *server, *line));
            let mut first: Vec<(Key, usize, UtcMs, Vec<u8>)> = sorted.chunk_by(|a, b| a.0.0 == b.0.0).map(|of_post| {
                let ((post, server, after, _), line) = of_post[0];
                (X.key(IDS[post]).unwrap(), server, at(0).plus_ms(after), line.clone().into_bytes())
            }).collect();
            first.sort();
            proptest::prop_assert_eq!(kept, first);
            // what the examples are has a test of its own
            tally.examples = Examples::default();
            let sorted: Vec<Drawn> = sorted.into_iter().map(|(drawn, _)| drawn).collect();
            proptest::prop_assert_eq!(tally, model(&sorted, &servers, at));
        }
    }
}
