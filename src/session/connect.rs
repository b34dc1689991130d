//! The way from this machine to a server, kept open: whatever breaks it is found
//! and mended, and the address stays the same.
//!
//! An attempt is the whole way: to the login node, a look at the sessions, the
//! tunnel, the proof. Healing is a new attempt, with nothing kept of the broken
//! one, so a server that moved to another node is found like any other.

use std::path::PathBuf;
use std::time::Duration;

use super::bridge::bridge;
use super::error::{End, SessionError};
use super::front::{Front, Target};
use super::http::{answers, prove};
use super::model::{Record, Session, State};
use super::pace::Pace;
use super::sessions::{Scheduling, Sessions};
use super::tunnel::{Place, Tunnel};
use crate::cluster::{ClusterError, Connection, Hops, Login, Questions};

/// How long the first connection may take: somebody may be typing a password.
const FIRST: Duration = Duration::from_mins(2);

/// How long one may take that mends a broken one.
const AGAIN: Duration = Duration::from_secs(10);

/// The first pause between two attempts to mend, and the longest: a hop that is
/// down is back at some moment, and then nobody should wait long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(3));

/// The same where ssh was refused: what does not help at once may never, and who
/// knocks too often is locked out.
const REFUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(2));

/// How often an open way is tried.
const TRY_EVERY: Duration = Duration::from_secs(3);

/// What to connect to, and how.
#[derive(Debug)]
pub struct Wanted {
    /// The hosts on the way; `None` if commands are given on this machine.
    pub hops: Option<Hops>,
    /// The user's own ssh config.
    pub user_config: Option<PathBuf>,
    /// Where ssh's sockets go.
    pub sockets_in: PathBuf,
    /// Whether ssh may ask.
    pub questions: Questions,
    /// The root there, as a site writes it.
    pub root: String,
    /// The environment.
    pub environment: String,
    /// Which of its servers; `None` takes the only one.
    pub server: Option<u16>,
    /// What starts sessions there.
    pub scheduler: Scheduling,
    /// Where servers of the site run.
    pub place: Place,
    /// By which way a node is reached first.
    pub through: Through,
    /// The port of this machine, by the number of the server.
    pub port: fn(&str, u16) -> u16,
    /// A port that the user chose.
    pub chosen_port: Option<u16>,
}

/// The ways to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// By ssh; where that is refused, through the scheduler.
    Ssh,
    /// Through the scheduler.
    Scheduler,
}

/// What happens on the way.
#[derive(Debug)]
pub enum Event<'e> {
    /// The login node is being reached.
    Connecting(&'e str),
    /// The session is not ready yet.
    Waiting(&'e Session),
    /// The server answers at a port of this machine.
    Ready {
        /// The session.
        record: &'e Record,
        /// The port.
        port: u16,
        /// Its token.
        token: &'e str,
    },
    /// The way broke and is being mended.
    Lost(&'e SessionError),
}

/// The session that is meant, once one was seen.
struct Seen {
    session: Session,
    /// Its record, once it was reached.
    reached: Option<Record>,
}

/// How long to wait before the next attempt to mend.
fn pause(error: &SessionError, attempt: u32) -> Duration {
    let (first, longest) = if is_refusal(error) { REFUSED } else { PAUSES };
    let pause = first.saturating_mul(2_u32.saturating_pow(attempt / 3));
    pause.min(longest)
}

/// Whether ssh reached a host that would not have it.
fn is_refusal(error: &SessionError) -> bool {
    let SessionError::Cluster(ClusterError::Unreachable { said, .. }) = error else {
        return false;
    };
    ["Permission denied", "Host key", "Too many authentication"]
        .iter()
        .any(|words| said.contains(words))
}

impl Wanted {
    /// Reaches the place where commands are given.
    pub async fn login(&self, patience: Duration) -> Result<Login, ClusterError> {
        match &self.hops {
            None => Ok(Login::Here),
            Some(hops) => {
                let connection = Connection::open(
                    hops,
                    self.user_config.as_deref(),
                    &self.sockets_in,
                    self.questions,
                    patience,
                );
                Ok(Login::There(Box::new(connection.await?)))
            }
        }
    }

    /// The sessions there.
    pub fn sessions<'l>(&'l self, login: &'l Login) -> Sessions<'l> {
        Sessions::new(login, &self.root, self.scheduler)
    }

    /// Opens the way to one server: by ssh to its node, and where that is refused
    /// through the scheduler.
    pub async fn tunnel(
        &self,
        sessions: &Sessions<'_>,
        user: &str,
        record: &Record,
        patience: Duration,
    ) -> Result<(Option<Connection>, Tunnel), SessionError> {
        if self.place == Place::Here {
            return Ok((None, Tunnel::here(record)));
        }
        // From a login node to a compute node there is no connection yet.
        let direct = match sessions.login() {
            Login::There(_) => None,
            Login::Here => Some(Connection::direct(
                self.user_config.as_deref(),
                &self.sockets_in,
                self.questions,
            )?),
        };
        let connection = match (sessions.login(), &direct) {
            (Login::There(connection), _) => &**connection,
            (Login::Here, Some(direct)) => direct,
            (Login::Here, None) => unreachable!("it was just made"),
        };
        let socket = |name: &str| connection.sockets().join(name);
        let host = match self.place {
            Place::Node => record.node.clone(),
            Place::Here | Place::LoginNode => connection.host().to_owned(),
        };
        if self.through == Through::Ssh || record.job.is_none() {
            let mut ssh = connection.command();
            if self.place == Place::Node {
                // A node that refuses the key would ask for a password that nobody has.
                ssh.args(["-o", "PasswordAuthentication=no"]);
                ssh.args(["-o", "KbdInteractiveAuthentication=no"]);
            }
            let opened = Tunnel::open(ssh, host.clone(), record, socket("direct"), patience).await;
            match opened {
                Err(SessionError::Cluster(ClusterError::Unreachable { .. }))
                    if record.job.is_some() => {}
                opened => return Ok((direct, opened?)),
            }
        }
        let Some(job) = record.job else {
            unreachable!("without a job there is only ssh");
        };
        let ssh = bridge(sessions, connection, record, job, user).await?;
        let tunnel = Tunnel::open(ssh, host, record, socket("bridge"), patience).await?;
        Ok((direct, tunnel))
    }

    fn local_port(&self, session: &Session) -> u16 {
        self.chosen_port
            .unwrap_or_else(|| (self.port)(&session.environment, session.server))
    }
}

/// Connects, and stays connected until the session ends. The first way to a
/// server that is ready has to succeed; one that breaks later is mended. `meant`
/// is a session that was started just now.
pub async fn connect(
    wanted: &mut Wanted,
    meant: Option<Session>,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<End, SessionError> {
    let mut front = None;
    let mut seen = meant.map(|session| Seen {
        session,
        reached: None,
    });
    let mut first = true;
    let mut attempts = 0;
    loop {
        let mut stands = false;
        let patience = if first { FIRST } else { AGAIN };
        if let (Some(hops), true) = (&wanted.hops, first) {
            events(Event::Connecting(hops.login().as_str()));
        }
        first = false;
        let mut noted = |event: Event<'_>| {
            stands |= matches!(event, Event::Ready { .. });
            events(event);
        };
        let outcome = attempt(wanted, patience, &mut noted, &mut seen, &mut front).await;
        if let Some(front) = &front {
            front.lead_to(None);
        }
        let error = match outcome {
            Ok(end) => return Ok(end),
            Err(error) => error,
        };
        let goes_on = match (&seen, &error) {
            // A server that is open to strangers is nothing to go back to.
            (None, _) | (_, SessionError::Open { .. }) => false,
            (Some(it), _) if it.reached.is_some() => true,
            // It is still waited for; one that is ready has to be reached.
            (Some(it), error) => {
                let waits = matches!(it.session.state, State::Pending | State::Starting);
                waits && error.is_of_the_way()
            }
        };
        if !goes_on {
            return Err(error);
        }
        // Whoever was asked once is not asked again and again.
        wanted.questions = Questions::NotAsked;
        attempts = if stands { 0 } else { attempts + 1 };
        // A session that ends breaks its way first: what came of it is known a
        // moment later.
        if attempts > 0 {
            events(Event::Lost(&error));
        }
        tokio::time::sleep(pause(&error, attempts)).await;
    }
}

async fn attempt(
    wanted: &Wanted,
    patience: Duration,
    events: &mut dyn FnMut(Event<'_>),
    seen: &mut Option<Seen>,
    front: &mut Option<Front>,
) -> Result<End, SessionError> {
    let login = wanted.login(patience).await?;
    let sessions = wanted.sessions(&login);
    let environment = || wanted.environment.clone();
    // One that was found stays the one that is meant, whatever is started later.
    let mut server = wanted.server.or(seen.as_ref().map(|it| it.session.server));
    let mut pace = Pace::default();
    let (session, record, user) = loop {
        let look = sessions.look().await?;
        let of_it = look.sessions.iter().filter(|session| {
            session.environment == wanted.environment
                && server.is_none_or(|server| session.server == server)
        });
        let found: Vec<&Session> = of_it.collect();
        let session = match (found.as_slice(), &seen) {
            ([only], _) => *only,
            // A scheduler that says nothing has not said that there is none.
            ([], _) if look.trouble.is_some() => return Err(silent(look.trouble)),
            ([], Some(it)) => {
                let end = sessions.ended(&it.session.log_name()).await?;
                return match &it.reached {
                    Some(_) => Ok(end),
                    None => Err(SessionError::EndedEarly {
                        session: it.session.name.clone(),
                        end,
                    }),
                };
            }
            ([], None) => {
                let named = &wanted.environment;
                return Err(SessionError::none_of(named, server, &look));
            }
            (several, _) => {
                return Err(SessionError::Several {
                    environment: environment(),
                    servers: several.iter().map(|session| session.server).collect(),
                });
            }
        };
        server = Some(session.server);
        let before = seen.take().and_then(|it| it.reached);
        let reached = before.clone();
        *seen = Some(Seen {
            session: session.clone(),
            reached,
        });
        match (session.state, &session.record) {
            (State::Ready, Some(record)) => {
                break (session.clone(), record.clone(), look.user);
            }
            // The scheduler is silent: what was reached before is tried, and proves itself.
            (State::Unknown, Some(record)) if before.as_ref() == Some(record) => {
                break (session.clone(), record.clone(), look.user);
            }
            (State::Unknown, _) => {
                let elsewhere = SessionError::elsewhere(session);
                return Err(elsewhere.unwrap_or_else(|| silent(look.trouble)));
            }
            _ => {}
        }
        events(Event::Waiting(session));
        tokio::time::sleep(pace.after(session)).await;
    };
    let port = wanted.local_port(&session);
    let (token, tunnel) = tokio::join!(
        sessions.token(&record),
        wanted.tunnel(&sessions, &user, &record, patience)
    );
    let (token, (_direct, mut tunnel)) = (token?, tunnel?);
    if let Err(error) = prove(&record.session, tunnel.target(), &token).await {
        return Err(tunnel.explain(error, &record).await);
    }
    let port = match tunnel.target() {
        Target::Port(port) if wanted.chosen_port.is_none() => *port,
        target => {
            if front.is_none() {
                *front = Some(Front::bind(port).await?);
            }
            if let Some(front) = front {
                front.lead_to(Some(target.clone()));
            }
            port
        }
    };
    events(Event::Ready {
        record: &record,
        port,
        token: &token,
    });
    let error = broken(&record, &mut tunnel).await;
    *seen = Some(Seen {
        session,
        reached: Some(record),
    });
    Err(error)
}

fn silent(trouble: Option<String>) -> SessionError {
    let said = trouble.unwrap_or_default();
    SessionError::Silent { said }
}

/// Waits until an open way is broken, and tells why.
async fn broken(record: &Record, tunnel: &mut Tunnel) -> SessionError {
    // One answer may be late: the server has one thread, and the machine may
    // have slept.
    const MISSES: u32 = 2;
    let mut misses = 0;
    loop {
        let target = tunnel.target().clone();
        let host = tunnel.host().to_owned();
        tokio::select! {
            said = tunnel.closed() => return ClusterError::Lost { host, said }.into(),
            () = tokio::time::sleep(TRY_EVERY) => {}
        }
        match answers(&target).await {
            Ok(()) => misses = 0,
            Err(why) => {
                misses += 1;
                if misses >= MISSES {
                    return SessionError::NoAnswer {
                        session: record.session.clone(),
                        why,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_that_is_down_is_tried_again_soon_and_one_that_refuses_is_not_pestered() {
        let error = |said: &str| {
            SessionError::from(ClusterError::Unreachable {
                host: "jump".to_owned(),
                said: said.to_owned(),
            })
        };
        let down = error("ssh: connect to host jump port 22: Connection refused");
        let all = (0..1_000).map(|attempt| pause(&down, attempt));
        assert!(all.max().unwrap() <= Duration::from_secs(3));
        assert!(pause(&down, 0) < Duration::from_secs(1));

        let refused = error("ada@jump: Permission denied (publickey).");
        let in_a_night = std::iter::successors(Some((0, Duration::ZERO)), |&(attempt, waited)| {
            Some((attempt + 1, waited + pause(&refused, attempt)))
        });
        let tries = in_a_night.take_while(|(_, waited)| *waited < Duration::from_hours(8));
        assert!((200..300).contains(&tries.count()));
    }
}
