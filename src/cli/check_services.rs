//! The parts of `check` that test other services: the primary, the mail server, OSF. Those of a platform are separate.

use super::{
    exit::Failure,
    finding::{Finding, FindingState, fail, failed, ok, warn},
    setup::{self, Setup},
    store, witness,
};
use crate::{
    config::{
        address::{SshTarget, Target},
        proxy::Proxies,
        settings::{Role, Server, Settings},
    },
    deliver::{
        over_ssh,
        rsync::{self, Closed, Remote, RsyncError},
        run::DeliverError,
    },
    monitor::send,
    place::{
        decide::Asks,
        open::{OfMirror, OfStore, OfTarget, PlaceKind},
        s3::{address::Address, probe::WRITERS},
    },
    publish::{address::Site, answer::Trouble, osf::Osf},
    text::plural,
    witness::run::WitnessJob,
    world::disk::RealDisk,
};

pub(super) fn primary(setup: &Setup, this: &Server) -> Vec<Finding> {
    let settings = &setup.settings;
    match (&this.role, &this.deliver_to) {
        (Role::Secondary, Some(Target::Folder(folder))) => {
            let shown = folder.name().display();
            let opened = setup.opener().spool::<OfTarget>(folder, Asks::Look);
            vec![match opened {
                Ok(target) => match target.id() {
                    Some(id) => ok("primary", format!("{shown} is the spool {id}")),
                    None if folder.name().is_dir() => ok(
                        "primary",
                        format!("{shown} is empty: the first delivery makes a spool of it"),
                    ),
                    None => Finding {
                        unreachable: true,
                        ..fail(
                            "primary",
                            format!("{shown} is not there"),
                            "mount its disk, or make the folder",
                        )
                    },
                },
                Err(why) => failed("primary", Failure::place(&why)),
            }]
        }
        (Role::Secondary, Some(Target::Ssh(target))) => {
            let here = rsync_here();
            if here.state == FindingState::Fail {
                return vec![here];
            }
            let looked = look_at(setup, this, target);
            vec![
                here,
                looked.map_or_else(
                    |why| no_way(&why, target),
                    |looked| reached(&looked, target),
                ),
            ]
        }
        (Role::Secondary, Some(Target::Store(address))) => {
            vec![object_store::<OfMirror>(setup, address)]
        }
        _ if settings.vault_store.is_some() => {
            let vault = settings.vault_store.iter();
            let spool = settings.spool_store.iter();
            spool
                .map(|address| object_store::<OfStore>(setup, address))
                .chain(vault.map(|address| vault_store(setup, address)))
                .collect()
        }
        _ => settings
            .spool_store
            .iter()
            .map(|address| object_store::<OfStore>(setup, address))
            .chain(ssh_here(settings))
            .collect(),
    }
}

fn ssh_here(settings: &Settings) -> Option<Finding> {
    settings
        .servers
        .iter()
        .filter(|server| matches!(server.deliver_to, Some(Target::Ssh(_))))
        .map(|_| rsync_here())
        .next()
}

/// The same of the vault.
fn vault_store(setup: &Setup, address: &Address) -> Finding {
    let tried = || {
        let store = store::open(setup, address)?;
        store::probe(&store, store::failure)?;
        store::vault_id(setup, &store, Asks::Look)
    };
    match tried() {
        Ok(id) => {
            let is = id.map_or_else(
                || "it is empty: the first merge makes a vault of it".to_owned(),
                |id| format!("it is the vault {id}"),
            );
            let what = format!(
                "{address} supports create-only writes: of {WRITERS} writers, one succeeded; {is}"
            );
            ok("store", what)
        }
        Err(why) => failed("store", why),
    }
}

/// Whether the store lets this server in and keeps the condition, and which spool is in it.
fn object_store<K: PlaceKind>(setup: &Setup, address: &Address) -> Finding {
    let scratch = std::env::temp_dir().join(format!("twinstream-check-{}", std::process::id()));
    let tried = || {
        let store = store::open(setup, address)?;
        store::probe(&store, store::failure)?;
        store::spool::<K>(setup, &store, &scratch, Asks::Look)
    };
    let found = tried();
    if let Err(why) = std::fs::remove_dir_all(&scratch) {
        tracing::debug!("{}: {why}", scratch.display());
    }
    match found {
        Ok(place) => {
            let is = place.id().map_or_else(
                || "it is empty: the first delivery makes a spool of it".to_owned(),
                |id| format!("it is the spool {id}"),
            );
            ok(
                "store",
                format!(
                    "{address} supports create-only writes: of {WRITERS} writers, one succeeded; {is}"
                ),
            )
        }
        Err(why) => failed("store", why),
    }
}

/// Does what a delivery does first, with a separate folder: its files would belong to the user who runs `check`.
fn look_at(
    setup: &Setup,
    this: &Server,
    target: &SshTarget,
) -> Result<over_ssh::Looked, DeliverError> {
    let settings = &setup.settings;
    let servers = settings.ids_of(|_| true);
    let scratch = std::env::temp_dir().join(format!("twinstream-check-{}", std::process::id()));
    let spool = setup.opener().spool(&settings.spool_dir, Asks::Look)?;
    let mirror = over_ssh::mirror_dir(&scratch).into();
    let job = over_ssh::SshJob {
        server: &this.id,
        servers: &servers,
        spool: &spool,
        data_dir: &scratch,
        remote: Remote {
            target,
            ssh_options: &settings.deliver.ssh_options,
        },
        keep_delivered: settings.deliver.keep_delivered,
        recognize: &|| {
            let mirror = setup.opener().spool(&mirror, Asks::Look);
            mirror.map_err(|why| why.of(&target.to_string()))
        },
    };
    let looked = job.look(&RealDisk, setup.clock.now());
    if let Err(why) = std::fs::remove_dir_all(&scratch) {
        tracing::debug!("{}: {why}", scratch.display());
    }
    looked
}

fn rsync_here() -> Finding {
    match rsync::version() {
        Ok(version) => {
            let (major, minor, patch) = version;
            let durable = if rsync::can_sync(version) {
                ""
            } else {
                ", without --fsync: the primary syncs by itself"
            };
            ok("rsync", format!("{major}.{minor}.{patch}{durable}"))
        }
        Err(why) => fail("rsync", why.to_string(), "apt install rsync"),
    }
}

fn reached(looked: &over_ssh::Looked, target: &dyn std::fmt::Display) -> Finding {
    let waiting = looked.plan.send.len() as u64;
    match looked.hold() {
        Some(why) => warn(
            "primary",
            format!("{target} accepts nothing at present: {why}"),
            "free space on the primary",
        ),
        None => ok(
            "primary",
            format!(
                "{target} accepts this server{}; {} not acknowledged yet",
                looked
                    .id()
                    .map_or_else(String::new, |id| format!(", it is the spool {id}")),
                plural(waiting, "segment is", "segments are")
            ),
        ),
    }
}

fn no_way(why: &DeliverError, target: &dyn std::fmt::Display) -> Finding {
    if let DeliverError::Place(why) = why {
        return failed("primary", Failure::place(why));
    }
    let closed = match why {
        DeliverError::Rsync(RsyncError::Unreachable { says, .. }) => says.closed(),
        _ => None,
    };
    let hint = match (closed, why) {
        (Some(Closed::UnknownHost), _) => format!(
            "log in once as the service's user and compare the host's fingerprint: sudo -u twinstream ssh … ({target})"
        ),
        (Some(Closed::ChangedHost), _) => format!(
            "if the primary was set up again, have the service's user forget its former key (ssh-keygen -R) and log in once \
             to compare the new fingerprint; if not, somebody may intercept the connection ({target})"
        ),
        (Some(Closed::Login), _) => {
            "put this server's public key into the primary's ~twinstream/.ssh/authorized_keys (guide for two servers)".to_owned()
        }
        (None, DeliverError::NoSpool { .. }) => {
            "run `twinstream merge` on the primary once: it makes the folder".to_owned()
        }
        (None, _) => "is the primary up, and may this machine reach its ssh port?".to_owned(),
    };
    let unreachable = matches!(
        why,
        DeliverError::Rsync(RsyncError::Unreachable { .. }) | DeliverError::NoSpool { .. }
    );
    Finding {
        unreachable,
        ..fail("primary", why.to_string(), hint)
    }
}

/// Goes as far as a mail does before it is written, and says of each recipient whether it would be taken.
pub(super) fn mail(setup: &Setup) -> Vec<Finding> {
    let mail = match setup::mail(&setup.path, &setup.settings) {
        Ok(None) => return Vec::new(),
        Ok(Some(mail)) => mail,
        Err(why) => return vec![failed("mail", why)],
    };
    let file = mail
        .password_file
        .as_deref()
        .filter(|_| mail.user.is_some());
    let password = match setup::mail_password(file) {
        Ok(password) => password,
        Err(why) => return vec![failed("mail", why)],
    };
    let server = format!("{}:{}", mail.host, mail.port);
    let recipients = match send::try_recipients(mail, password.as_ref()) {
        Ok(recipients) => recipients,
        Err(why) => {
            return vec![Finding {
                unreachable: true,
                ..fail(
                    "mail",
                    format!("{server}: {why}"),
                    "are mail.host, mail.port, mail.tls, mail.user, mail.from, mail.helo and the password right?",
                )
            }];
        }
    };
    let of = |(address, asked): send::Asked| match asked {
        Ok(()) => ok(
            "mail",
            format!("{server} accepts mail for {address}; none was sent"),
        ),
        Err(why) => fail(
            "mail",
            format!("{server} refuses mail for {address}: {why}"),
            "is the address in mail.to right? The other recipients still get their mail",
        ),
    };
    recipients.into_iter().map(of).collect()
}

/// The proxy on the way to the API, to OSF and to the authority, or why it cannot be used.
pub(super) fn proxy(setup: &Setup, this: &Server) -> Result<(Proxies, Vec<Finding>), Finding> {
    let proxies = setup::proxies().map_err(|why| failed("proxy", why))?;
    let publish = setup.settings.publish.as_ref();
    let witness = setup.settings.witness.as_ref();
    let of_primary = [
        publish.map(|osf| &osf.base_url),
        witness.map(|witness| &witness.tsa),
    ];
    let of_primary =
        of_primary.map(|address| address.filter(|_| setup.settings.is_publisher(this)));
    let of_stream = if this.is_merger() {
        Vec::new()
    } else {
        setup.settings.endpoints()
    };
    let addresses = of_stream.iter().chain(of_primary.into_iter().flatten());
    let found = addresses.filter_map(|address| {
        let proxy = proxies.of_address(address)?;
        let variable = proxy.variable;
        Some(ok(
            "proxy",
            format!("{address} is reached through {proxy} ({variable})"),
        ))
    });
    let found = found.collect();
    Ok((proxies, found))
}

/// The authority stamps a random number; nothing of it is kept.
pub(super) fn witness(setup: &Setup, this: &Server, proxies: &Proxies) -> Option<Finding> {
    let settings = setup.settings.witness.as_ref();
    let settings = settings.filter(|_| setup.settings.is_publisher(this))?;
    let trust = match witness::trust(&settings.tsa_ca_file) {
        Ok(trust) => trust,
        Err(why) => return Some(failed("witness", why)),
    };
    let job = WitnessJob {
        disk: &RealDisk,
        vault: setup.settings.vault_dir.name(),
        settings,
        trust: &trust,
        proxies,
        clock: &setup.clock,
        keep_free: 0,
    };
    let (mut number, mut nonce) = ([0; 32], [0; 8]);
    if let Err(why) = getrandom::fill(&mut number).and_then(|()| getrandom::fill(&mut nonce)) {
        return Some(failed("witness", why.into()));
    }
    Some(match job.ask(&number, nonce) {
        Ok((token, _)) => ok("witness", format!("{} stamps", token.authority)),
        Err(why) => failed("witness", witness::failure(why)),
    })
}

pub(super) fn osf(setup: &Setup, this: &Server, proxies: &Proxies) -> Option<Finding> {
    if let Some(forbid) = setup.settings.forbid {
        let what = format!("nothing is published: {}", forbid.why());
        return Some(ok("osf", what));
    }
    let publish = setup
        .settings
        .publish
        .as_ref()
        .filter(|_| setup.settings.is_publisher(this))?;
    let token = match setup::secret("OSF's token", "osf-token", Some(&publish.token_file)) {
        Ok(Some(token)) => token,
        Ok(None) => return None,
        Err(why) => return Some(failed("osf", why)),
    };
    let project = &publish.project;
    let asked = Site::new(&publish.base_url)
        .map_err(|why| fail("osf", why.to_string(), "is publish.osf.base_url right?"))
        .and_then(|site| {
            let url = site.api(&["v2", "nodes", project]);
            let osf = Osf::new(site, &token, proxies, &setup.clock)
                .map_err(|why| fail("osf", why.to_string(), "apt install ca-certificates"))?;
            osf.get(&url).map_err(|why| osf_trouble(project, &why))
        });
    Some(match asked {
        Err(finding) => finding,
        Ok(answer) if may_write(&answer) => ok("osf", format!("project {project} can be written")),
        Ok(_) => fail(
            "osf",
            format!("project {project} can be read, not written"),
            "the token needs the scope osf.full_write, and its owner the right to write to the project",
        ),
    })
}

/// OSF's word on what the token's owner may do with a project.
fn may_write(answer: &serde_json::Value) -> bool {
    let given = answer.pointer("/data/attributes/current_user_permissions");
    let mut words = given.and_then(|list| list.as_array()).into_iter().flatten();
    words.any(|word| word == "write")
}

fn osf_trouble(project: &str, trouble: &Trouble) -> Finding {
    match trouble {
        Trouble::Unauthorized(_) => fail(
            "osf",
            trouble.to_string(),
            "make a new personal access token with the scope osf.full_write",
        ),
        Trouble::Refused { .. } => fail(
            "osf",
            format!("project {project}: {trouble}"),
            "is publish.osf.project right, and may the token's owner see it?",
        ),
        Trouble::Address(why) => fail("osf", why.to_string(), "is publish.osf.base_url right?"),
        Trouble::Passing { why, .. } => Finding {
            unreachable: true,
            ..fail(
                "osf",
                format!("no answer: {why}"),
                "is the network up? Try again later",
            )
        },
    }
}
