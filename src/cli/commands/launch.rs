//! `envspec launch`: a server of an environment, started where the site says.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crate::apply::{self, ApplyError, Served, SpecFile};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::reach::{SiteFlags, Target};
use crate::cli::say::{NAME, age, ago, styled};
use crate::cli::select;
use crate::conda::Network;
use crate::recipe::{Login as LoginWith, OuterHops, Recipe, Request, SshVersion};
use crate::session::{Place, Session, SessionError, Sessions, Started, Wanted};
use crate::site::Transport;
use crate::spec::{At, Launch, MemorySize, SourceText, Span, WallTime};
use crate::store::Receipt;

use super::{recipe, walk};

/// Start a server, and wait until it is ready
///
/// On a site with a scheduler it is submitted as a job; without one it runs in
/// the background of the machine. What is not said here is the spec's. Works on
/// the login node and, through ssh, from a laptop.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    #[command(flatten)]
    pub(super) asks: Asks,

    #[command(flatten)]
    site: SiteFlags,
}

/// What a launch asks for, over the spec.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Launch")]
pub(super) struct Asks {
    /// The time limit, as Slurm writes it: 8:00:00, 2-00
    #[arg(long, value_name = "TIME")]
    time: Option<WallTime>,

    /// Memory of the job: 16G
    #[arg(long, value_name = "SIZE")]
    memory: Option<MemorySize>,

    /// Cores
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,

    /// GPUs
    #[arg(long, value_name = "N")]
    gpus: Option<u32>,

    /// The partition
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,

    /// The account that pays
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// The quality of service
    #[arg(long, value_name = "NAME")]
    qos: Option<String>,

    /// What leads from the laptop to the server [default: the site's]
    #[arg(long, value_enum, value_name = "WHAT")]
    transport: Option<TransportChoice>,

    /// Protect the server with the password that was set, instead of a token
    #[arg(long)]
    password: bool,
}

/// What may lead from the laptop to a server.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TransportChoice {
    /// A unix socket in a folder that nobody else may enter
    Socket,
    /// A TCP port of the loopback, where sshd forwards no sockets
    Port,
}

impl From<TransportChoice> for Transport {
    fn from(choice: TransportChoice) -> Self {
        match choice {
            TransportChoice::Socket => Self::Socket,
            TransportChoice::Port => Self::Port,
        }
    }
}

impl Asks {
    /// What is asked of a scheduler, as flags.
    fn of_a_scheduler(&self) -> Option<String> {
        let flags = [
            ("--time", self.time.is_some()),
            ("--memory", self.memory.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--gpus", self.gpus.is_some()),
            ("--partition", self.partition.is_some()),
            ("--account", self.account.is_some()),
            ("--qos", self.qos.is_some()),
        ];
        let given: Vec<&str> = flags
            .iter()
            .filter_map(|&(name, given)| given.then_some(name))
            .collect();
        (!given.is_empty()).then(|| given.join(", "))
    }

    /// The spec's launch with what is asked here over it.
    fn over(&self, mut launch: Launch) -> Launch {
        fn put<T: Clone>(to: &mut Option<At<T>>, given: Option<&T>) {
            if let Some(value) = given {
                let span = Span { offset: 0, len: 0 };
                *to = Some(At {
                    value: value.clone(),
                    span,
                });
            }
        }
        put(&mut launch.time, self.time.as_ref());
        put(&mut launch.memory, self.memory.as_ref());
        put(&mut launch.cpus, self.cpus.as_ref());
        put(&mut launch.gpus, self.gpus.as_ref());
        put(&mut launch.partition, self.partition.as_ref());
        put(&mut launch.account, self.account.as_ref());
        put(&mut launch.qos, self.qos.as_ref());
        launch
    }
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let target = args.site.target(app, args.spec.as_deref())?;
    let way = args.site.way(app, &target.site)?;
    let environment = target.environment.to_string();
    let submitted = Submitted::default();
    let outcome = walk::block_on(async {
        let login = walk::login(app, &way).await?;
        let sessions = way.sessions(&login);
        let launched = start(app, &way, &sessions, target, &args.asks, &submitted).await?;
        let session = ready(app, &sessions, &launched, &submitted).await?;
        app.ui.answer(how_to_connect(&session, &way))?;
        Ok(Exit::Done)
    });
    outcome.map_err(|failure| not_waited_for(failure, &environment, submitted))
}

/// The session that was given to the scheduler, once there is one.
pub(super) type Submitted = std::cell::Cell<Option<String>>;

/// What ends the waiting (Ctrl-C, a lost network) does not end the session, and
/// that is said: who runs the command again has two.
pub(super) fn not_waited_for(failure: Failure, environment: &str, submitted: Submitted) -> Failure {
    match submitted.into_inner() {
        Some(session) => failure.not_waited_for(environment, &session),
        None => failure,
    }
}

/// A server that was started, and may not be ready.
pub(super) struct Launched {
    /// The session's name.
    pub(super) name: String,
    /// What it is.
    pub(super) started: Started,
}

/// Waits until a server is ready.
pub(super) async fn ready(
    app: &App<'_>,
    sessions: &Sessions<'_>,
    launched: &Launched,
    submitted: &Submitted,
) -> Result<Session, Failure> {
    let mut said = String::new();
    let mut say = |session: &Session| walk::say_state(app, session, &mut said);
    let ready = sessions
        .ready(&launched.name, launched.started, &mut say)
        .await;
    if !ready.as_ref().is_err_and(SessionError::is_of_the_way) {
        submitted.set(None);
    }
    Ok(ready?)
}

/// Starts one more server of an environment.
pub(super) async fn start(
    app: &App<'_>,
    way: &Wanted,
    sessions: &Sessions<'_>,
    target: Target,
    asks: &Asks,
    submitted: &Submitted,
) -> Result<Launched, Failure> {
    let environment = target.environment.clone();
    let (folder, user, served) = match &way.hops {
        None => here(app, &target)?,
        Some(_) => there(app, sessions, target).await?,
    };
    recipe::warn_if_outdated(app, &served);
    warn_if_changed(app, &served);
    if let (None, Some(flags)) = (served.site.slurm(), asks.of_a_scheduler()) {
        app.ui.warning(format!(
            "the site {} has no scheduler: {flags} means nothing there",
            served.site.name
        ));
    }
    let launch = served
        .site
        .judge(&asks.over(served.asked.clone()))
        .map_err(|fault| Failure::usage(fault.reason, fault.help))?;
    let look = sessions.look().await?;
    let mut number = look.free_server(environment.as_str(), 1);
    if number > 1 {
        app.ui.status(format!(
            "{environment} has a server already (envspec sessions); this is one more"
        ));
    }
    let mut users = BTreeMap::new();
    if let (Some(hop), Some(user)) = (
        served.site.login(),
        user.as_deref().and_then(crate::site::UserName::new),
    ) {
        users.insert(hop.host().clone(), user);
    }
    let (recipe, started) = loop {
        let recipe = Recipe::new(&Request {
            env: &environment,
            generation: &served.prefix.to_string_lossy(),
            sessions: &folder,
            site: &served.site,
            launch: &launch,
            kernels: &served.kernels,
            transport: asks
                .transport
                .map_or(served.site.ssh.transport, Transport::from),
            variables: &served.variables,
            personal: None,
            users: &users,
            ssh: SshVersion::default(),
            outer_hops: OuterHops::default(),
            login: if asks.password {
                LoginWith::Password
            } else {
                LoginWith::Token
            },
            needs: &served.needs,
            server: NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN),
        })?;
        submitted.set(Some(recipe.session.clone()));
        let outcome = sessions.start(&recipe.session, &recipe.script.text).await;
        let may_be_there = match &outcome {
            Ok(started) => started.is_some(),
            // Here there is no way to be lost: what failed did not start.
            Err(error) => way.hops.is_some() && error.is_of_the_way(),
        };
        if !may_be_there {
            submitted.set(None);
        }
        match outcome? {
            Some(started) => break (recipe, started),
            // Another launch was quicker.
            None => number = look.free_server(environment.as_str(), number + 1),
        }
    };
    let name = styled(NAME, &recipe.session);
    match started {
        Started::Job(job) => app.ui.status(format!("Submitted {name} as job {job}")),
        Started::Process(_) => app.ui.status(format!("Started {name}")),
    }
    Ok(Launched {
        name: recipe.session,
        started,
    })
}

/// The environment as this machine has it: the folder of sessions, the user, and
/// what is served.
fn here(app: &App<'_>, target: &Target) -> Result<(String, Option<String>, Served), Failure> {
    let root = app.root(&target.site)?;
    let applied = select::applied_in(root, &target.environment)?;
    let context = app.context(applied.root, Network::Offline)?;
    let served = apply::served(
        &context,
        &applied.name,
        &applied.prefix,
        &applied.receipt,
        Some(&target.site),
    )?;
    if let Some(package) = served.missing_server() {
        return Err(no_server(package, &target.environment.to_string()));
    }
    apply::refuse_unfit(&context, &served.site, &served.needs)?;
    let folder = context.root.sessions().to_string_lossy().into_owned();
    Ok((folder, context.who.user.clone(), served))
}

/// The environment as a cluster has it, asked for through its login node.
async fn there(
    app: &App<'_>,
    sessions: &Sessions<'_>,
    target: Target,
) -> Result<(String, Option<String>, Served), Failure> {
    let found = sessions.generation(target.environment.as_str()).await?;
    let receipt: Receipt = serde_json::from_str(&found.receipt).map_err(|error| {
        Failure::usage(
            format!("the receipt of {} can't be read: {error}", found.prefix),
            "the program there may be of another version",
        )
    })?;
    // A path of the cluster: its stem is the name of a spec that writes none.
    let path = receipt.spec.path.clone();
    let name = format!("{}:{}", sessions.login().host(), path.display());
    let text = SourceText::from_text(name.as_str(), found.spec)?;
    let then = SpecFile::of(&path, text.clone())?;
    let now = match target.file {
        Some(file) => Ok(file),
        None => SpecFile::of(&path, text),
    };
    let context = app.context(app.root(&target.site)?, Network::Offline)?;
    let prefix = std::path::Path::new(&found.prefix);
    let served = Served::new(
        &context,
        &target.environment,
        prefix,
        &receipt,
        Some(&target.site),
        then,
        now,
    )
    .map_err(|error: ApplyError| Failure::from(error))?;
    let interface = served.launch.interface.as_str();
    if !found.servers.iter().any(|there| there == interface) {
        return Err(no_server(
            served.server_package(),
            target.environment.as_str(),
        ));
    }
    Ok((found.sessions, Some(found.user), served))
}

/// Says so when the spec asks for another generation than the one that is started.
fn warn_if_changed(app: &App<'_>, served: &Served) {
    if let Some(spec) = &served.changed {
        let generation = served.prefix.file_name().unwrap_or_default();
        let made = age(&served.created).map(|age| format!(" {}", ago(age)));
        app.ui.warning(format!(
            "{spec} has changed since {} was made{}, which is what starts; \
             to use the change: envspec apply first",
            generation.display(),
            made.unwrap_or_default(),
        ));
    }
}

fn no_server(package: &str, environment: &str) -> Failure {
    Failure::usage(
        format!("there is no Jupyter in {environment} that could be started"),
        format!("add one: envspec add {package} --apply"),
    )
}

/// What to do next.
fn how_to_connect(session: &Session, way: &Wanted) -> String {
    let server = match session.server {
        1 => String::new(),
        number => format!(" --server {number}"),
    };
    let connect = styled(
        NAME,
        format!("envspec connect {}{server}", session.environment),
    );
    let node = session.node.as_deref().unwrap_or("this machine");
    match way.place {
        Place::Here => format!("{} is ready. Open it with: {connect} --open", session.name),
        Place::LoginNode | Place::Node => {
            format!(
                "{} is ready on {node}. From your laptop: {connect}",
                session.name
            )
        }
    }
}
