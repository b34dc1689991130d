//! The sessions of a root, seen and changed through a login.

use std::time::Duration;

use super::error::{End, SessionError};
use super::model::{Look, Record, Session, State};
use super::pace::Pace;
use crate::cluster::{ClusterError, JOB_COLUMNS, Login, Said, Script};
use crate::site::{Scheduler, Site};

/// A script behind the part that all have.
macro_rules! script {
    ($file:literal) => {
        concat!(include_str!("root.sh"), include_str!($file))
    };
}

/// All of them, for the test that tries them.
#[cfg(test)]
pub(super) const SCRIPTS: [(&str, &str); 7] = [
    ("generation", script!("generation.sh")),
    ("start", script!("start.sh")),
    ("log", script!("log.sh")),
    ("look", script!("look.sh")),
    ("token", script!("token.sh")),
    ("end", script!("end.sh")),
    ("bridge", script!("bridge.sh")),
];

/// How long a look may take: schedulers are busy at times.
const PATIENCE: Duration = Duration::from_mins(1);

/// The sessions of one root.
#[derive(Debug)]
pub struct Sessions<'l> {
    login: &'l Login,
    /// The root as a site writes it, with `~`; empty for the default one.
    root: &'l str,
    scheduler: Scheduling,
}

/// What starts sessions there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// Nothing: they are processes of the login's machine.
    None,
    /// Slurm.
    Slurm,
}

impl Scheduling {
    /// What a site has.
    pub fn of(site: &Site) -> Self {
        match site.scheduler {
            Scheduler::None => Self::None,
            Scheduler::Slurm(_) => Self::Slurm,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slurm => "slurm",
        }
    }
}

/// The current generation of an environment there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder of the user's sessions, absolute.
    pub sessions: String,
    /// The generation's prefix.
    pub prefix: String,
    /// The user's name there.
    pub user: String,
    /// The text of its receipt.
    pub receipt: String,
    /// The text of the spec that it was made from.
    pub spec: String,
    /// The servers that it has: `lab`, `notebook`, `server`.
    pub servers: Vec<String>,
}

/// What was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A job.
    Job(u64),
    /// A process of the login's machine.
    Process(u32),
}

/// An sshd that is ready to be run in a job.
pub(super) struct BridgeThere {
    /// Its host key, as a known-hosts file has it.
    pub(super) host_key: String,
    /// What the job has to run.
    pub(super) run: String,
}

impl<'l> Sessions<'l> {
    /// The sessions of a root.
    pub fn new(login: &'l Login, root: &'l str, scheduler: Scheduling) -> Self {
        Self {
            login,
            root,
            scheduler,
        }
    }

    /// Where commands are given.
    pub fn login(&self) -> &'l Login {
        self.login
    }

    /// Looks at all of them, and cleans up after those that were killed.
    pub async fn look(&self) -> Result<Look, SessionError> {
        Ok(self.look_for("").await?.0)
    }

    /// The same, and whether a process is still there.
    async fn look_for(&self, process: &str) -> Result<(Look, bool), SessionError> {
        let what = "the look for sessions";
        let arguments = [JOB_COLUMNS, process, self.scheduler.as_str()];
        let said = self.run(what, script!("look.sh"), &arguments, "").await?;
        let look = Look::parse(&said).ok_or_else(|| self.senseless(what, &said))?;
        Ok((look, said.one("started") == Some("alive")))
    }

    /// Waits until what was started is ready, and tells what it waits for. If it
    /// ends before, the end of its log says why.
    pub async fn ready(
        &self,
        name: &str,
        started: Started,
        events: &mut dyn FnMut(&Session),
    ) -> Result<Session, SessionError> {
        let process = match started {
            Started::Job(_) => String::new(),
            Started::Process(process) => process.to_string(),
        };
        let mut pace = Pace::default();
        loop {
            let (look, lives) = self.look_for(&process).await?;
            let is_it = |session: &&Session| match started {
                Started::Job(job) => session.job == Some(job),
                Started::Process(pid) => {
                    let record = session.record.as_ref();
                    record.is_some_and(|record| record.pid == pid && record.session == name)
                }
            };
            let found = look.sessions.iter().find(is_it);
            match found {
                Some(session) if session.state == State::Ready => return Ok(session.clone()),
                Some(session) => events(session),
                // A scheduler that says nothing has not said that it ended.
                None if look.trouble.is_some() => {
                    Session::named(name).iter().for_each(&mut *events);
                }
                None if lives => {}
                None => {
                    let log = match started {
                        Started::Job(job) => job.to_string(),
                        Started::Process(_) => name.to_owned(),
                    };
                    return Err(SessionError::EndedEarly {
                        session: name.to_owned(),
                        end: self.ended(&log).await?,
                    });
                }
            }
            let state = match found {
                Some(session) => session.state,
                None if look.trouble.is_some() => State::Unknown,
                None => State::Starting,
            };
            let is_job = matches!(started, Started::Job(_));
            tokio::time::sleep(pace.after_state(state, is_job)).await;
        }
    }

    /// The current generation of an environment.
    pub async fn generation(&self, environment: &str) -> Result<Found, SessionError> {
        let what = "the look for the environment";
        let said = self
            .run(what, script!("generation.sh"), &[environment], "")
            .await?;
        let root = said.one("root").unwrap_or_default().to_owned();
        if said.one("missing").is_some() {
            return Err(SessionError::NotApplied {
                environment: environment.to_owned(),
                host: self.login.host().to_owned(),
                root,
            });
        }
        let sessions = said.one("sessions").unwrap_or_default().to_owned();
        let text = |name| said.all(name).collect::<Vec<_>>().join("\n") + "\n";
        match (said.one("prefix"), said.one("user")) {
            (Some(prefix), Some(user)) => Ok(Found {
                sessions,
                prefix: prefix.to_owned(),
                user: user.to_owned(),
                receipt: text("receipt"),
                spec: text("spec"),
                servers: said.all("server").map(str::to_owned).collect(),
            }),
            _ => Err(self.senseless(what, &said)),
        }
    }

    /// Puts a start script into its place and starts it: as a job, or without a
    /// scheduler as a process of the login's machine. `None` if another launch
    /// took the name since the last look.
    pub async fn start(
        &self,
        session: &str,
        script: &str,
    ) -> Result<Option<Started>, SessionError> {
        let what = "the start of the session";
        let said = self
            .run(
                what,
                script!("start.sh"),
                &[self.scheduler.as_str(), session],
                script,
            )
            .await?;
        if said.one("taken").is_some() {
            return Ok(None);
        }
        let refused: Vec<&str> = said.all("refused").collect();
        if !refused.is_empty() {
            return Err(SessionError::Refused {
                said: refused.join("\n"),
            });
        }
        let number = |name| said.one(name);
        let job = number("job").and_then(|text| text.parse().ok());
        let process = number("process").and_then(|text| text.parse().ok());
        match (job, process) {
            (Some(job), _) => Ok(Some(Started::Job(job))),
            (_, Some(process)) => Ok(Some(Started::Process(process))),
            _ => Err(self.senseless(what, &said)),
        }
    }

    /// The token of a session.
    pub async fn token(&self, record: &Record) -> Result<String, SessionError> {
        let what = "reading the token";
        let said = self
            .run(what, script!("token.sh"), &[&record.key], "")
            .await?;
        // As the start script makes it: it goes into an address.
        let hex = |token: &&str| token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit());
        let token = said.one("token").filter(hex);
        token
            .map(str::to_owned)
            // Without the answer: it may hold the token.
            .ok_or_else(|| self.senseless(what, &Said::default()))
    }

    /// Prepares the sshd of a session's job for a key.
    pub(super) async fn bridge(
        &self,
        record: &Record,
        public_key: &str,
    ) -> Result<BridgeThere, SessionError> {
        let what = "preparing the way through the scheduler";
        let said = self
            .run(what, script!("bridge.sh"), &[&record.key], public_key)
            .await?;
        match (said.one("host_key"), said.one("run")) {
            (Some(host_key), Some(run)) => Ok(BridgeThere {
                host_key: host_key.to_owned(),
                run: run.to_owned(),
            }),
            _ => Err(self.senseless(what, &said)),
        }
    }

    /// What is known of a session that has ended, by the job's number or the
    /// session's name.
    pub(super) async fn ended(&self, name: &str) -> Result<End, SessionError> {
        let arguments = [name, self.scheduler.as_str()];
        let said = self
            .run("reading the log", script!("log.sh"), &arguments, "")
            .await?;
        Ok(End {
            state: said.one("state").map(str::to_owned),
            log: said.one("log").map(str::to_owned),
            said: said.all("line").map(str::to_owned).collect(),
        })
    }

    /// Ends a session: its job, or its process.
    pub async fn end(&self, session: &Session) -> Result<(), SessionError> {
        let (kind, number) = match (session.job, session.process) {
            (Some(job), _) => ("job", job.to_string()),
            (None, Some(process)) => ("process", process.to_string()),
            (None, None) => return Ok(()),
        };
        // That it is gone already is what was wanted; what comes of it is looked at.
        self.run(
            "ending the session",
            script!("end.sh"),
            &[kind, &number],
            "",
        )
        .await?;
        Ok(())
    }

    async fn run(
        &self,
        what: &'static str,
        text: &'static str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Said, SessionError> {
        let mut all = vec![self.root];
        all.extend(arguments);
        let script = Script {
            what,
            text,
            arguments: &all,
            input,
            patience: PATIENCE,
        };
        Ok(self.login.run(script).await?)
    }

    fn senseless(&self, what: &'static str, said: &Said) -> SessionError {
        ClusterError::Answer {
            what,
            host: self.login.host().to_owned(),
            said: said.to_string(),
        }
        .into()
    }
}
