//! Ending a session, and proving that nothing of it is left.

use std::time::{Duration, Instant};

use super::connect::Wanted;
use super::error::SessionError;
use super::http::shut_down;
use super::model::{Session, State};
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
    if let (State::Unknown, Some(record), None) = (session.state, &session.record, session.job) {
        return Err(SessionError::elsewhere(record));
    }
    let why = match ask(wanted, sessions, user, session).await {
        Ok(()) => {
            if gone(sessions, session, BY_ITSELF).await? {
                return Ok(Stopped::ByItself);
            }
            "it did not end when it was asked to".to_owned()
        }
        Err(why) => why,
    };
    sessions.end(session).await?;
    if gone(sessions, session, BY_FORCE).await? {
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

/// Waits until a session is gone, and its files with it.
async fn gone(
    sessions: &Sessions<'_>,
    session: &Session,
    patience: Duration,
) -> Result<bool, SessionError> {
    let started = Instant::now();
    loop {
        let look = sessions.look().await?;
        let is_it = |other: &Session| (&other.name, other.job) == (&session.name, session.job);
        if look.trouble.is_none() && !look.sessions.iter().any(is_it) {
            return Ok(true);
        }
        if started.elapsed() > patience {
            return match look.trouble {
                Some(said) => Err(SessionError::Silent { said }),
                None => Ok(false),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
