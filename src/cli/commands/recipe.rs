//! `envspec recipe`: how to start the server, reach it and end it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use clap::ValueEnum;

use crate::apply::{self, Context, Served};
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{causes, first_line};
use crate::cli::select;
use crate::conda::Network;
use crate::kernel::below_home;
use crate::recipe::{Format, Login, OuterHops, Recipe, Request, SshVersion};
use crate::site::UserName;

/// How to start the server on a compute node, reach it and end it
///
/// Prints the recipe of an applied environment, and puts the start script that
/// it speaks of into the root.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    /// The form
    #[arg(long, value_enum, default_value = "text")]
    format: Form,

    /// Which of several servers of the environment this is
    #[arg(long, value_name = "N", default_value = "1")]
    server: NonZeroU16,

    /// Protect the server with a password that you set once, instead of a token
    #[arg(long)]
    password: bool,

    /// Leave out the hops that are needed only from outside the site's network
    #[arg(long)]
    inside: bool,

    /// For a laptop whose OpenSSH is older than 7.3
    #[arg(long)]
    old_ssh: bool,
}

/// The forms of a recipe.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Shell,
    Markdown,
    Json,
    SshConfig,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Text => Self::Text,
            Form::Shell => Self::Shell,
            Form::Markdown => Self::Markdown,
            Form::Json => Self::Json,
            Form::SshConfig => Self::SshConfig,
        }
    }
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let applied = select::applied(app, args.spec.as_deref())?;
    let context = app.context(applied.root, Network::Offline)?;
    let served = apply::served(
        &context,
        &applied.name,
        &applied.prefix,
        &applied.receipt,
        None,
    )?;
    let wishes = Wishes {
        server: args.server,
        login: if args.password {
            Login::Password
        } else {
            Login::Token
        },
        outer_hops: if args.inside {
            OuterHops::LeftOut
        } else {
            OuterHops::Taken
        },
        ssh: if args.old_ssh {
            SshVersion::Older
        } else {
            SshVersion::Since7_3
        },
    };
    let recipe = make(app, &context, &served, wishes)?;
    if let Some(package) = served.missing_server() {
        app.ui.warning(format!(
            "this recipe can't start yet, {} is missing: envspec add {package} --apply",
            served.server().display()
        ));
    }
    if matches!(args.format, Form::SshConfig) && recipe.ssh_config.is_empty() {
        app.ui
            .status("The server runs on this machine: there is nothing to configure");
    }
    app.ui
        .answer(recipe.render(args.format.into()).trim_end())?;
    Ok(Exit::Done)
}

/// What the user chose of the recipe.
#[derive(Debug, Clone, Copy)]
struct Wishes {
    server: NonZeroU16,
    login: Login,
    outer_hops: OuterHops,
    ssh: SshVersion,
}

/// The recipe of a generation as terminal text, its script in place.
pub(super) fn text(app: &App<'_>, context: &Context, served: &Served) -> Result<String, Failure> {
    let wishes = Wishes {
        server: NonZeroU16::MIN,
        login: Login::default(),
        outer_hops: OuterHops::default(),
        ssh: SshVersion::default(),
    };
    let recipe = make(app, context, served, wishes)?;
    Ok(recipe.render(Format::Text).trim_end().to_owned())
}

/// Says so when the spec of now can't be read, and that of then is taken.
pub(super) fn warn_if_outdated(app: &App<'_>, served: &Served) {
    if let Some(error) = &served.outdated {
        app.ui.warning(format!(
            "site and launch are those of the time when the generation was made: {}",
            first_line(&error.to_string())
        ));
    }
}

fn make(
    app: &App<'_>,
    context: &Context,
    served: &Served,
    wishes: Wishes,
) -> Result<Recipe, Failure> {
    warn_if_outdated(app, served);
    // Whoever prints the recipe is on the cluster: the account is this one.
    let mut users = BTreeMap::new();
    let user = context.who.user.as_deref().and_then(UserName::new);
    if let (Some(login), Some(user)) = (served.site.login(), user) {
        for host in &login.hosts {
            users.insert(host.clone(), user.clone());
        }
    }
    let personal = below_home(
        &context.root.path().to_string_lossy(),
        &context.home.to_string_lossy(),
        served.environment.as_str(),
    );
    let personal = format!("~/{personal}");
    let recipe = Recipe::new(&Request {
        env: &served.environment,
        generation: &served.prefix.to_string_lossy(),
        sessions: &context.root.sessions().to_string_lossy(),
        site: &served.site,
        launch: &served.launch,
        kernels: &served.kernels,
        transport: served.site.ssh.transport,
        variables: &served.variables,
        personal: Some((&personal, &served.installers)),
        users: &users,
        ssh: wishes.ssh,
        outer_hops: wishes.outer_hops,
        login: wishes.login,
        needs: &served.needs,
        server: wishes.server,
    })?;
    // A root that can only be read, such as a group's, has a recipe too.
    let path = std::path::Path::new(&recipe.script.path);
    if let Err(error) = context.root.write_start_script(path, &recipe.script.text) {
        app.ui.warning(format!(
            "the start script could not be written, so the recipe can't be followed here yet: {}",
            causes(&error)
        ));
    }
    Ok(recipe)
}
