//! The object store in the configuration: the key, the endpoints, and whether the store can be trusted.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use url::Url;

use super::{
    exit::{Exit, Failure},
    setup::{self, Setup},
};
use crate::{
    alarm,
    config::settings::{S3 as Settings, Secret},
    place::{
        decide::{Asks, Found},
        id::PlaceId,
        mirror::{self, MirrorError},
        open::{self, OfVault, Place, PlaceKind, Vault},
        s3::{
            address::Address,
            probe::{ProbeError, Probed},
            request::{self, Access, Requests, StoreEndpoint},
            store::S3,
        },
        store::{Store, StoreError, Timed},
    },
    text,
    vault::{
        commit_error::InStoreError,
        identity::Identity,
        in_store::{self, InStore},
        ledger,
        moved::Move,
        publisher_records::PublisherRecords,
    },
    world::{
        agent::AT_ONCE_MAX,
        disk::{self, Disk as _, RealDisk},
        users_file,
    },
};

/// A file of certificates has some hundred kilobytes.
const CA_BYTES_MAX: u64 = 16 << 20;

/// The variables that other programs use too.
const VARIABLES: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// A place in the store. Nothing is asked yet.
pub(crate) fn open(setup: &Setup, address: &Address) -> Result<S3, Failure> {
    let settings = setup.settings.s3.as_ref();
    let settings = settings.ok_or_else(|| Failure::new(Exit::Configuration, "there is no [s3]"))?;
    let proxies = setup::proxies()?;
    let endpoint = |text: &String| {
        let url = Url::parse(text).map_err(|why| {
            Failure::new(Exit::Configuration, format!("s3.endpoint: {text:?}: {why}"))
        })?;
        let proxy = proxies.way_to(text);
        Ok(StoreEndpoint { url, proxy })
    };
    let endpoints = settings.endpoints.iter().map(endpoint);
    let endpoints = endpoints.collect::<Result<Vec<_>, Failure>>()?;
    let roots = settings.ca_file.as_deref().map(roots).transpose()?;
    let cannot = |why: String| Failure::new(Exit::Configuration, why);
    let agent = request::agent(&endpoints, roots, &setup.clock);
    let agent = agent.map_err(|why| cannot(why.to_string()))?;
    let (address, region) = (address.clone(), &settings.region);
    let requests = Requests::new(address, &endpoints, region, access(settings)?, agent);
    let requests = requests.map_err(|why| cannot(why.to_string()))?;
    Ok(S3::new(requests, setup.clock.clone()))
}

/// The same, found to keep the condition within a day: a store that does not is not worked with.
pub(crate) fn trusted(setup: &Setup, address: &Address) -> Result<S3, Failure> {
    let store = open(setup, address)?;
    let settings = &setup.settings;
    let ways = settings.s3.as_ref().map_or(&[][..], |s3| &s3.endpoints);
    let what = format!("{address} {}", ways.join(" "));
    let probed = Probed::read(&RealDisk, &settings.data_dir);
    let now = setup.clock.now();
    if !probed.holds(&what, now) {
        probe(&store, told)?;
        probed.remember(&RealDisk, &settings.data_dir, &what, now)?;
    }
    Ok(store)
}

/// Finds out whether a store can be trusted.
pub(crate) fn probe(store: &S3, failure: fn(&StoreError) -> Failure) -> Result<(), Failure> {
    let draw = || PlaceId::draw().map(|id| id.to_string());
    store.probe(&draw).map_err(|why| match why {
        ProbeError::Store(why) => failure(&why),
        why => Failure::new(Exit::Configuration, why.to_string()).hint(
            "nothing was delivered or fetched: with such a store one writer can overwrite another's work unnoticed; \
             use one that keeps the condition (docs/scale.md)",
        ),
    })
}

/// The spool in a store, by the mark that is fetched into a folder of this server's own.
pub(crate) fn spool<K: PlaceKind>(
    setup: &Setup,
    store: &dyn Store,
    folder: &Path,
    asks: Asks,
) -> Result<Place<K>, Failure> {
    let fetched = mirror::fetch(store, &RealDisk, folder, &[]);
    fetched.map_err(|why| match why {
        MirrorError::Store(why) if asks != Asks::Look => told(&why),
        why => mirror_failure(&why),
    })?;
    let opened = setup.opener().spool(&folder.into(), asks);
    opened.map_err(|why| setup::told(&why.of(&store.name())))
}

/// Which vault is in a store; `None` if there is none yet.
pub(crate) fn vault_id(
    setup: &Setup,
    store: &dyn Store,
    asks: Asks,
) -> Result<Option<PlaceId>, Failure> {
    let found = in_store::look(store).map_err(|why| told(&why))?;
    let judged = setup.opener().judge::<OfVault>(&store.name(), found, asks);
    judged.map_err(|why| setup::told(&why))
}

/// This machine's copy of the vault in a store, which is marked here and there if there is none anywhere.
pub(crate) fn vault_copy(setup: &Setup, store: &dyn Timed) -> Result<Vault, Failure> {
    let settings = &setup.settings;
    let folder = settings.vault_dir.name();
    let there = in_store::identity(store).map_err(|why| told(&why))?;
    let here = setup.adopt && there.is_none() && ledger::path(folder).exists();
    if here {
        let moved = Move {
            store,
            disk: &RealDisk,
            vault: folder,
        };
        let hours = moved.put().map_err(|why| vault_failure(&why))?;
        let hours = text::plural(hours, "hour", "hours");
        tracing::info!(
            "the vault of {} is in {} now: {hours}",
            folder.display(),
            store.name()
        );
    } else if there.is_none() {
        vault_id(setup, store, Asks::MakeInEmpty)?;
        let zone = settings.merge.timezone.name();
        let mark = Identity::mark(&PlaceId::draw()?, zone, setup.stream().word);
        let mark = mark.map_err(std::io::Error::from)?;
        in_store::begin(store, &mark).map_err(|why| told(&why))?;
    }
    mark_copy(store, folder)?;
    setup.vault(Asks::Use)
}

/// Marks a folder as a copy of the vault in a store; one of another vault is left alone.
pub(crate) fn mark_copy(store: &dyn Store, folder: &Path) -> Result<(), Failure> {
    let there = in_store::identity(store).map_err(|why| told(&why))?;
    let there = there.ok_or_else(|| {
        let what = format!("{} is no vault: it has no {}", store.name(), OfVault::MARK);
        Failure::new(Exit::Unreachable, what)
            .hint("name the folder of the bucket in which the vault is")
    })?;
    let cannot = |why: String| {
        Failure::new(Exit::Unreachable, format!("{}: {why}", folder.display()))
            .hint("name an empty folder, or one that was copied from there")
    };
    match open::look::<OfVault>(&RealDisk, folder) {
        Found::Id(id) if Identity::id_of(&there).is_some_and(|other| other == id) => Ok(()),
        Found::Missing | Found::Empty => {
            RealDisk.make_folder(folder)?;
            Ok(disk::put(&RealDisk, &folder.join(OfVault::MARK), &there)?)
        }
        Found::Id(id) => Err(cannot(format!(
            "it is the vault {id}, and another one is in {}",
            store.name()
        ))),
        Found::Unmarked => Err(cannot("it is not empty".to_owned())),
        Found::Unreadable(why) => Err(cannot(why)),
    }
}

/// Where the primary keeps the mark of the spool in the store.
pub(crate) fn mirror_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

/// The vault that a stage works on; of one in an object store the copy here, which is marked if it is new.
pub(crate) fn vault(setup: &Setup) -> Result<Vault, Failure> {
    let Some(address) = &setup.settings.vault_store else {
        return setup.vault(Asks::Use);
    };
    let store = trusted(setup, address)?;
    let there = in_store::identity(&store).map_err(|why| told(&why))?;
    if there.is_none() {
        // the first merge begins it
        return setup.vault(Asks::Use);
    }
    vault_copy(setup, &store)
}

/// The copy here of a vault in an object store, for commands that only read it.
pub(crate) fn read_vault(setup: &Setup) -> Result<Vault, Failure> {
    let vault = setup.vault(Asks::Look)?;
    match &setup.settings.vault_store {
        Some(address) if vault.id().is_none() => {
            let what = format!("there is no copy of {address} here");
            Err(Failure::new(Exit::Unreachable, what).hint(
                "`twinstream merge` makes one and keeps it up to date; `twinstream checkout` copies it to any folder",
            ))
        }
        _ => Ok(vault),
    }
}

/// Brings the copy here of a vault in an object store up to date.
pub(crate) fn follow(setup: &Setup, vault: &Vault) -> Result<(), Failure> {
    let (Some(address), Some(_)) = (&setup.settings.vault_store, vault.id()) else {
        return Ok(());
    };
    let store = trusted(setup, address)?;
    mark_copy(&store, vault)?;
    let draw = || Err(std::io::Error::other("nothing is committed here"));
    let copy = InStore::new(&store, &RealDisk, vault, &draw);
    let followed = copy.and_then(|copy| copy.at_once(AT_ONCE_MAX).follow(&|_| true));
    followed.map(drop).map_err(|why| vault_failure(&why))
}

/// Shares with other machines what the publisher keeps of a vault in a store beside its hours. Does nothing for a
/// vault in a folder.
pub(crate) fn share_records(setup: &Setup, vault: &Vault) -> Result<(), Failure> {
    let settings = &setup.settings;
    let Some(address) = &settings.vault_store else {
        return Ok(());
    };
    let store = trusted(setup, address)?;
    let there = in_store::identity(&store).map_err(|why| told(&why))?;
    if there.is_none() && vault.id().is_none() {
        // the first merge begins it
        return Ok(());
    }
    mark_copy(&store, vault)?;
    let records = PublisherRecords {
        store: &store,
        disk: &RealDisk,
        vault,
    };
    let shared = records.share();
    let shared = shared.and_then(|()| records.share_diary(&settings.data_dir));
    shared.map_err(|why| vault_failure(&why))
}

/// The same after a stage has done its work: what cannot be shared now is shared by the next one.
pub(crate) fn share_records_later(setup: &Setup, vault: &Vault) {
    if let Err(why) = share_records(setup, vault) {
        tracing::warn!(
            "what other machines need to publish from here on is not in the store yet: {}",
            why.what
        );
    }
}

/// The failure of a stage whose store does not answer, which is an alarm, or misbehaves.
pub(crate) fn told(why: &StoreError) -> Failure {
    if why.is_passing() {
        alarm!(alarm::AlarmKind::PlaceAway, "object store", "{why}");
    }
    failure(why)
}

/// The failure of a stage whose store misbehaves.
pub(crate) fn failure(why: &StoreError) -> Failure {
    let (exit, hint) = match why {
        StoreError::Unreachable { .. } => (
            Exit::Unreachable,
            "nothing is lost: the next turn resumes where this one stopped; `twinstream check` tests the connection",
        ),
        StoreError::Refused { .. } => (
            Exit::Configuration,
            "does the bucket exist, and may this access key read, write and list in it? Were the files there written with keys of the same account? Are s3.region and the clock right?",
        ),
        _ => (Exit::Failed, "the next turn resumes where this one stopped"),
    };
    Failure::new(exit, why.to_string()).hint(hint)
}

/// The same for a place that is read through its mark.
pub(crate) fn mirror_failure(why: &MirrorError) -> Failure {
    match why {
        MirrorError::Store(why) => failure(why),
        MirrorError::NoPlace { .. } => Failure::new(Exit::Unreachable, why.to_string())
            .hint("name an empty folder of the bucket, or the one in which the spool is"),
        MirrorError::Io(_) => Failure::new(Exit::Failed, why.to_string()),
    }
}

/// The key: from the environment, from a systemd credential, or from its file.
fn access(settings: &Settings) -> Result<Access, Failure> {
    let [id, secret, token] = VARIABLES.map(|name| std::env::var(name).ok());
    if let (Some(id), Some(secret)) = (id, secret) {
        return Ok(Access::new(&id, &secret, token.as_deref()));
    }
    let key = setup::access_key(settings.access_key_file.as_deref())?;
    let missing = || {
        Failure::new(
            Exit::Configuration,
            "there is no access key for the object store",
        )
        .hint("write s3.access_key_file: two lines, the key's id and its secret")
    };
    let (id, secret): (Secret, Secret) = key.ok_or_else(missing)?;
    Ok(Access::new(id.reveal(), secret.reveal(), None))
}

fn roots(path: &Path) -> Result<RootCerts, Failure> {
    let cannot = |why: &dyn std::fmt::Display| {
        let what = format!("cannot use s3.ca_file: {}: {why}", path.display());
        Failure::new(Exit::Configuration, what).hint("it takes certificates in PEM")
    };
    let pem = users_file::read(path, CA_BYTES_MAX).map_err(|why| cannot(&why))?;
    let mut found: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(one) = item.map_err(|why| cannot(&why))? {
            found.push(one);
        }
    }
    if found.is_empty() {
        return Err(cannot(&"there is no certificate in it"));
    }
    Ok(RootCerts::from(found))
}

/// What a machine needs for merging: the raw data that it has fetched, its index, scratch.
pub(super) fn merger_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("merger")
}

/// The failure of a stage that cannot work with the vault in the store.
pub(super) fn vault_failure(why: &InStoreError) -> Failure {
    match why {
        InStoreError::Store(why) => told(why),
        InStoreError::Wrong { .. } => Failure::new(Exit::Failed, why.to_string()).hint(
            "nothing was changed; compare it with another machine's copy, or with what was published",
        ),
        _ => Failure::new(Exit::Failed, why.to_string()),
    }
}
