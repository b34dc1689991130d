//! `envspec stop`: a session ended, and proof that nothing is left of it.

use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::reach::SiteFlags;
use crate::cli::say::{NAME, styled};
use crate::session::{self, Session, SessionError, Stopped};

use super::walk;

/// End a session, and see that nothing of it is left
///
/// Asks the server to shut down, which ends its kernels in order; what does not
/// end by that is ended by the scheduler.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an environment [default: the only spec in envs/]
    spec: Option<String>,

    /// Which of several servers of the environment
    #[arg(long, value_name = "N")]
    server: Option<u16>,

    /// All servers of the environment
    #[arg(long, conflicts_with = "server")]
    all: bool,

    #[command(flatten)]
    site: SiteFlags,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let target = args.site.target(app, args.spec.as_deref())?;
    let way = args.site.way(app, &target.site)?;
    let environment = target.environment.to_string();
    let outcome = walk::block_on(async {
        let login = walk::login(app, &way).await?;
        let sessions = way.sessions(&login);
        let look = sessions.look().await?;
        let chosen: Vec<&Session> = look
            .sessions
            .iter()
            .filter(|session| session.environment == environment)
            .filter(|session| args.server.is_none_or(|server| session.server == server))
            .collect();
        match chosen.as_slice() {
            [] if look.trouble.is_some() => {
                let said = look.trouble.unwrap_or_default();
                return Err(SessionError::Silent { said }.into());
            }
            [] => return Err(SessionError::none_of(&environment, args.server, &look).into()),
            [_] => {}
            several if !args.all => {
                return Err(SessionError::Several {
                    environment,
                    servers: several.iter().map(|session| session.server).collect(),
                }
                .into());
            }
            _ => {}
        }
        for session in chosen {
            let name = styled(NAME, &session.name);
            let job = match session.job {
                Some(job) => format!(" (job {job})"),
                None => String::new(),
            };
            match session::stop(&way, &sessions, &look.user, session).await? {
                Stopped::ByItself => app
                    .ui
                    .status(format!("{name}{job} has shut down; nothing of it is left")),
                Stopped::ByForce(why) => app.ui.status(format!(
                    "{name}{job} was ended by force, because {why}; nothing of it is left in {}",
                    look.root
                )),
            }
        }
        Ok(Exit::Done)
    });
    outcome.map_err(|failure| match failure.exit {
        Exit::Interrupted => Failure::not_seen_to_end(&target.environment.to_string()),
        _ => failure,
    })
}
