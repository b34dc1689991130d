//! Ending a session, and proving that nothing of it is left.

use std::time::{Duration, Instant};

use super::connect::Wanted;
use super::error::SessionError;
use super::http::shut_down;
use super::model::Session;
use super::sessions::Sessions;

/// How long a server may take that was asked to shut down: kernels save.
const BY_ITSELF: Duration = Duration::from_secs(20);

/// How long the scheduler may take: Slurm's `KillWait` is half a minute.
const BY_FORCE: Duration = Duration::from_secs(90);

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the way to the server may take.
const WAY: Duration = Duration::from_secs(15);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The server shut itself down when asked, and cleaned up.
    ByItself,
    /// The scheduler, or a signal, ended it. Why asking did not do.
    ByForce(String),
}

/// Ends a session: asks the server through its API, which ends kernels in order;
/// what does not end by that is ended by the scheduler. Comes back when the
/// scheduler knows no such job and no file of it is left in the root.
pub async fn stop(
    wanted: &Wanted,
    sessions: &Sessions<'_>,
    user: &str,
    session: &Session,
) -> Result<Stopped, SessionError> {
    if let Some(elsewhere) = SessionError::elsewhere(session) {
        return Err(elsewhere);
    }
    let why = match ask(wanted, sessions, user, session).await {
        Ok(()) => match gone(sessions, session, BY_ITSELF).await? {
            Some(Gone::CleanedUp) => return Ok(Stopped::ByItself),
            Some(Gone::Killed) => {
                return Ok(Stopped::ByForce("it was killed while it ended".to_owned()));
            }
            None => "it did not end when it was asked to".to_owned(),
        },
        Err(why) => why,
    };
    sessions.end(session).await?;
    if gone(sessions, session, BY_FORCE).await?.is_some() {
        return Ok(Stopped::ByForce(why));
    }
    Err(SessionError::StaysOn {
        session: session.name.clone(),
    })
}

/// Asks the server to shut down; or why that can't be.
async fn ask(
    wanted: &Wanted,
    sessions: &Sessions<'_>,
    user: &str,
    session: &Session,
) -> Result<(), String> {
    let record = session.record.as_ref().ok_or("it was not ready yet")?;
    let token = sessions
        .token(record)
        .await
        .map_err(|error| error.to_string())?;
    let (_direct, tunnel) = wanted
        .tunnel(sessions, user, record, WAY)
        .await
        .map_err(|error| error.to_string())?;
    shut_down(tunnel.target(), &token).await
}

/// What became of a session's files.
enum Gone {
    /// Its script removed them: those of the node first, then those of the root.
    CleanedUp,
    /// It did not come to that; those of the root were removed in its place.
    Killed,
}

/// Waits until a session is gone, and its files with it.
async fn gone(
    sessions: &Sessions<'_>,
    session: &Session,
    patience: Duration,
) -> Result<Option<Gone>, SessionError> {
    let started = Instant::now();
    let key = session.record.as_ref().map(|record| &record.key);
    let mut killed = false;
    loop {
        let look = sessions.look().await?;
        let is_it = |other: &Session| (&other.name, other.job) == (&session.name, session.job);
        killed |= key.is_some_and(|key| look.cleaned.contains(key));
        if look.trouble.is_none() && !look.sessions.iter().any(is_it) {
            return Ok(Some(if killed {
                Gone::Killed
            } else {
                Gone::CleanedUp
            }));
        }
        if started.elapsed() > patience {
            return match look.trouble {
                Some(said) => Err(SessionError::Silent { said }),
                None => Ok(None),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
