//! The recipe: one model, from which every form is written.
//!
//! It holds steps with commands, the start script and the ssh config, all of it
//! final: the writers choose a layout and no content. What only the world knows
//! (the job's number, its node) is looked up by the commands themselves.

use serde::{Serialize, Serializer};

use super::batch;
use super::request::{Endpoint, Facts, Login, RecipeError, Request};
use super::shell::CommandLine;
use super::ssh::{self, ConfigFile};
use super::steps;
use super::write;

/// The forms of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// For a terminal.
    Text,
    /// For a wiki.
    Markdown,
    /// A script that carries the recipe out.
    Shell,
    /// For programs.
    Json,
    /// The ssh config alone.
    SshConfig,
}

/// How to start a server, reach it and end it.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    /// The version of this document's shape.
    pub version: u32,
    /// The environment's name.
    pub env: String,
    /// The prefix that the server runs from.
    pub generation: String,
    /// The kernels that it offers.
    pub kernels: Vec<String>,
    /// The site's name.
    pub site: String,
    /// The site's name for people.
    pub site_title: String,
    /// The session's name: the job's, and the ssh alias of the node.
    pub session: String,
    /// Where the server listens.
    pub endpoint: Endpoint,
    /// The file that says, once the server is ready, on which node and at which
    /// socket or port it listens: one line, two fields.
    pub endpoint_file: String,
    /// How the browser proves that it is the user's.
    pub login: Login,
    /// The file with the token; of the mode 0600 and without a newline.
    pub token_file: String,
    /// The port on the laptop.
    pub local_port: u16,
    /// What to open in the browser.
    pub url: String,
    /// The start script; whoever prints the recipe on the cluster writes it.
    pub script: ScriptFile,
    /// The ssh config; empty when the server runs on the machine itself.
    pub ssh_config: String,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// The site's remarks.
    pub notes: Vec<String>,
    /// The form as a script of its own.
    #[serde(skip)]
    shell: String,
}

/// A file that a recipe needs on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptFile {
    /// Where it belongs: an absolute path in folders of the mode 0700.
    pub path: String,
    /// Its text. It is to be replaced in one step (a rename): a running shell
    /// may be reading it.
    pub text: String,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What the step is for.
    pub kind: StepKind,
    /// Where the commands are typed.
    pub place: Where,
    /// What it does, for people.
    pub title: String,
    /// The commands, one a line.
    #[serde(serialize_with = "as_shell")]
    pub commands: Vec<CommandLine>,
    /// What to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Done once, for all sessions.
    Prepare,
    /// Starts the server.
    Start,
    /// Starts it in a terminal instead.
    StartInteractively,
    /// Waits for it.
    Wait,
    /// Connects the laptop to it.
    Connect,
    /// Opens it.
    Open,
    /// Connects again.
    Reconnect,
    /// Ends the tunnel and the server.
    End,
}

/// Where a command is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// On the machine in front of the user.
    Laptop,
    /// On the last hop.
    LoginNode,
}

fn as_shell<S: Serializer>(commands: &[CommandLine], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(commands.iter().map(CommandLine::quoted))
}

impl Recipe {
    /// Makes the recipe.
    ///
    /// Fails if a path or a variable can't stand in a script.
    pub fn new(request: &Request<'_>) -> Result<Self, RecipeError> {
        let facts = Facts::new(request)?;
        let script = ScriptFile {
            path: facts.script.clone(),
            text: batch::script(&facts),
        };
        Ok(Self {
            version: 1,
            env: request.env.to_string(),
            generation: request.generation.to_owned(),
            kernels: request.kernels.to_vec(),
            site: request.site.name.to_string(),
            site_title: request.site.title.to_string(),
            session: facts.session.clone(),
            endpoint: facts.endpoint,
            endpoint_file: facts.newest("endpoint"),
            login: request.login,
            token_file: facts.newest("token"),
            local_port: facts.local_port,
            url: facts.url(),
            ssh_config: ssh::config(&facts, ConfigFile::OfTheUser),
            steps: steps::steps(&facts),
            notes: steps::notes(&facts),
            shell: write::shell::script(&facts, &script),
            script,
        })
    }

    /// Writes the recipe in a form.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text => write::text(self),
            Format::Markdown => write::markdown(self),
            Format::Shell => self.shell.clone(),
            Format::Json => write::json(self),
            Format::SshConfig => self.ssh_config.clone(),
        }
    }
}
