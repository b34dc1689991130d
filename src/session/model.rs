//! What a session is, from what the scheduler and the records say.

use serde::{Deserialize, Serialize};

use crate::cluster::{Job, JobState, Said};
use crate::recipe::unusable;
use crate::site::HostName;
use crate::spec::EnvName;

/// The record of a server that is ready, as its start script wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The form of the record.
    pub version: u32,
    /// The name of its folder: job and restart, or host and process.
    pub key: String,
    /// The session's name, which is the job's.
    pub session: String,
    /// The environment.
    pub environment: String,
    /// The generation that it runs from.
    pub generation: String,
    /// Slurm's number; `None` without a scheduler.
    pub job: Option<u64>,
    /// How often the job was restarted.
    pub restart: u32,
    /// The node, as the node calls itself.
    pub node: String,
    /// The process of the start script there.
    pub pid: u32,
    /// Where it listens: the path of a socket, or an address with a port.
    pub at: String,
    /// The path of the page to open.
    pub url_path: String,
    /// `token` or `password`.
    pub login: String,
    /// When it was ready, in seconds since 1970.
    pub ready: u64,
}

/// The form of a record that this version reads.
const RECORD_VERSION: u32 = 1;

impl Record {
    /// Reads a record; `None` if a part of it can't be what the script wrote: it
    /// goes into an ssh's arguments, and to a terminal.
    fn parse(text: &str) -> Option<Self> {
        let record: Self = serde_json::from_str(text).ok()?;
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with(['-', '.'])
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
        };
        let fits = record.version == RECORD_VERSION
            && plain(&record.key)
            && plain(&record.environment)
            && plain(&record.generation)
            && plain(&record.login)
            && Session::named(&record.session).is_some()
            && HostName::new(&record.node).is_some()
            && (record.port().is_some() || unusable(&record.at).is_none())
            && record.url_path.starts_with('/')
            && (record.url_path == "/" || plain(&record.url_path[1..]));
        fits.then_some(record)
    }

    /// Whether it listens on a socket.
    pub fn is_socket(&self) -> bool {
        self.at.starts_with('/')
    }

    /// The port, if it listens on one.
    pub fn port(&self) -> Option<u16> {
        self.at.strip_prefix("127.0.0.1:")?.parse().ok()
    }
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Waits for its turn.
    Pending,
    /// Its job runs, the server does not answer yet.
    Starting,
    /// The server answers its owner and nobody else.
    Ready,
    /// It ends.
    Ending,
    /// The scheduler does not answer, so nobody knows.
    Unknown,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its name: `envspec-<environment>`, for a second server `…+2`.
    pub name: String,
    /// The environment.
    pub environment: String,
    /// Which of several servers of the environment it is.
    pub server: u16,
    /// How far it is.
    pub state: State,
    /// Slurm's number.
    pub job: Option<u64>,
    /// The cluster whose Slurm it is, if that is another one with the same root.
    pub cluster: Option<String>,
    /// Why it waits, in Slurm's word.
    pub reason: Option<String>,
    /// What to do if waiting may not help.
    pub advice: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// How long it has run.
    pub age: Option<String>,
    /// The time that is left.
    pub left: Option<String>,
    /// The generation.
    pub generation: Option<String>,
    /// How to reach it, once it is ready.
    #[serde(skip)]
    pub record: Option<Record>,
    /// The process of its start script, without a scheduler.
    #[serde(skip)]
    pub process: Option<u32>,
}

/// What the names of all sessions begin with.
const PREFIX: &str = "envspec-";

impl Session {
    /// One that was given to the scheduler just now; `None` if no session is
    /// called that.
    pub fn of_job(name: &str, job: u64) -> Option<Self> {
        let session = Self::named(name)?;
        Some(Self {
            job: Some(job),
            state: State::Pending,
            ..session
        })
    }

    /// By what its log is named.
    pub(super) fn log_name(&self) -> String {
        self.job
            .map_or_else(|| self.name.clone(), |job| job.to_string())
    }

    /// A session of a name; `None` if no session is called that.
    pub(super) fn named(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        let (environment, server) = match rest.split_once('+') {
            Some((environment, number)) => (environment, number.parse().ok()?),
            None => (rest, 1),
        };
        // A job of the user's own may be called anything.
        EnvName::new(environment)?;
        Some(Self {
            name: name.to_owned(),
            environment: environment.to_owned(),
            server,
            state: State::Unknown,
            job: None,
            cluster: None,
            reason: None,
            advice: None,
            node: None,
            age: None,
            left: None,
            generation: None,
            record: None,
            process: None,
        })
    }
}

/// What a look at a root's sessions found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The root there, absolute.
    pub root: String,
    /// The user's name there.
    pub user: String,
    /// What the scheduler said instead of an answer.
    pub trouble: Option<String>,
    /// Folders of servers that were killed, which are removed now.
    pub cleaned: Vec<String>,
    /// The sessions, the oldest first.
    pub sessions: Vec<Session>,
}

impl Look {
    /// Reads the answer of `look.sh`.
    pub(super) fn parse(said: &Said) -> Option<Self> {
        let now: u64 = said.one("now")?.parse().ok()?;
        let records: Vec<(&str, Record)> = said
            .all("record")
            .filter_map(|line| {
                let (state, json) = line.split_once(' ')?;
                Some((state, Record::parse(json)?))
            })
            .collect();
        let root = said.one("root")?;
        let trouble: Vec<&str> = said.all("trouble").collect();
        let mut sessions = Vec::new();
        for job in said.all("job").filter_map(Job::parse) {
            let Some(mut session) = Session::named(&job.name) else {
                continue;
            };
            // Of several restarts the last; a record of another node is of an
            // earlier one, whatever its number.
            let record = records
                .iter()
                .map(|(_, record)| record)
                .filter(|record| record.job == Some(job.id) && record.node == job.node)
                .max_by_key(|record| record.restart);
            session.state = match (job.state, record) {
                (JobState::Pending, _) => State::Pending,
                (JobState::Ending, _) => State::Ending,
                (JobState::Running, None) => State::Starting,
                (JobState::Running, Some(_)) => State::Ready,
            };
            session.job = Some(job.id);
            let waits = job.state == JobState::Pending && job.reason != "None";
            session.advice = job.advice().filter(|_| waits);
            session.reason = waits.then_some(job.reason);
            session.node = Some(job.node).filter(|node| !node.is_empty());
            session.age = Some(job.age);
            session.left = Some(job.left);
            let ready = record.map(|record| record.generation.clone());
            session.generation = ready.or(job.comment);
            session.record = record.cloned();
            // The script of another root's session is there: it never gets ready here.
            let here = format!("{}/", said.one("sessions").unwrap_or_default());
            let elsewhere = job.command.filter(|path| !path.starts_with(&here));
            if let (State::Starting, Some(path)) = (session.state, elsewhere) {
                let its = path
                    .split_once("/sessions/")
                    .map_or(&*path, |(root, _)| root);
                session.reason = Some(format!("its root is {its}, and this one {root}"));
            }
            sessions.push(session);
        }
        // Without a job: no scheduler, another cluster's, or one that does not answer.
        for (state, record) in records {
            let cluster = state.strip_prefix("cluster:");
            let told = record.job.is_some() && trouble.is_empty() && cluster.is_none();
            let Some(mut session) = Session::named(&record.session).filter(|_| !told) else {
                continue;
            };
            session.state = if state == "alive" {
                State::Ready
            } else {
                State::Unknown
            };
            // A number of another Slurm's is a stranger's job here.
            session.job = record.job.filter(|_| cluster.is_none());
            session.cluster = cluster.map(str::to_owned);
            session.node = Some(record.node.clone());
            session.age = Some(duration(now.saturating_sub(record.ready)));
            session.generation = Some(record.generation.clone());
            session.process = record.job.is_none().then_some(record.pid);
            session.record = Some(record);
            sessions.push(session);
        }
        for line in said.all("starting") {
            let (process, name) = line.split_once(' ').unwrap_or((line, ""));
            if let (Ok(process), Some(session)) = (process.parse(), Session::named(name)) {
                sessions.push(Session {
                    state: State::Starting,
                    node: said.one("host").map(str::to_owned),
                    process: Some(process),
                    ..session
                });
            }
        }
        sessions.sort_by(|one, other| {
            (&one.environment, one.server, one.job).cmp(&(
                &other.environment,
                other.server,
                other.job,
            ))
        });
        Some(Self {
            root: root.to_owned(),
            user: said.one("user")?.to_owned(),
            trouble: (!trouble.is_empty()).then(|| trouble.join("\n")),
            cleaned: said.all("cleaned").map(str::to_owned).collect(),
            sessions,
        })
    }

    /// The number for one more server of an environment: the lowest that is free,
    /// from one on.
    pub fn free_server(&self, environment: &str, from: u16) -> u16 {
        let taken = |number: &u16| {
            self.sessions
                .iter()
                .any(|session| session.environment == environment && session.server == *number)
        };
        (from..u16::MAX)
            .find(|number| !taken(number))
            .unwrap_or(from)
    }
}

/// Seconds as Slurm writes a time.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}
