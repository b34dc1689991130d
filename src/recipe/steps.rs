//! The steps of a recipe and the commands in them.
//!
//! Few words: the reader is tired, and it is night. A step is one thing, typed
//! in one place; a note says only what the next step needs. Looking for a
//! process and killing it is in none of them: the tunnel is closed by ssh's own
//! handle, the server by Slurm or by itself.

use super::model::{Step, StepKind, Where};
use super::request::{Facts, Login, Place};
use super::shell::{CommandLine, Word, join};
use crate::site::{InteractiveForm, NodeKeys};

/// The commands that the steps and the shell form share.
pub(super) struct Commands {
    pub(super) submit: CommandLine,
    pub(super) interactive: CommandLine,
    pub(super) queue: CommandLine,
    pub(super) where_is_it: CommandLine,
    pub(super) tunnel: CommandLine,
    pub(super) token: CommandLine,
    pub(super) cancel: CommandLine,
}

impl Commands {
    pub(super) fn new(facts: &Facts<'_>) -> Self {
        let session = facts.session.as_str();
        let log = format!("--output={}/%j.log", facts.sessions);
        let mut interactive = vec!["screen".to_owned(), "-S".to_owned(), session.to_owned()];
        if facts.place == Place::Node {
            interactive.extend(["srun".to_owned(), "--pty".to_owned()]);
            interactive.extend(facts.resources());
        }
        interactive.extend(["bash".to_owned(), facts.script.clone()]);
        let mut tunnel = vec![Word::text("ssh"), Word::text("-fN")];
        if facts.place == Place::Node {
            tunnel.push(Word::text("-o"));
            tunnel.push(Word::text("HostName=").and_variable("node"));
        }
        tunnel.push(Word::text("-L"));
        let local = format!("127.0.0.1:{}:", facts.local_port);
        tunnel.push(Word::text(local).and_variable("at"));
        tunnel.push(Word::text(session));
        Self {
            submit: match facts.place {
                Place::Node => CommandLine::run(["sbatch", &log, &facts.script]),
                Place::Here | Place::LastHop => CommandLine::run(["bash", &facts.script]),
            },
            interactive: CommandLine::Run(interactive.into_iter().map(Word::text).collect()),
            queue: CommandLine::run(["squeue", "--me", &format!("--name={session}")]),
            where_is_it: CommandLine::Read {
                into: &["node", "at"],
                from: vec![Word::text("cat"), Word::text(facts.newest("endpoint"))],
            },
            tunnel: CommandLine::Run(tunnel),
            token: CommandLine::run(["cat", &facts.newest("token")]),
            // Without `--me` an operator would end everybody's jobs of this name.
            cancel: CommandLine::run(["scancel", "--me", &format!("--name={session}")]),
        }
    }
}

/// All steps, in the order of doing.
pub(super) fn steps(facts: &Facts<'_>) -> Vec<Step> {
    let commands = Commands::new(facts);
    match facts.login() {
        None => here(facts, &commands),
        Some(login) => {
            let mut steps = prepare(facts, login);
            steps.extend(start(facts, &commands, login));
            steps.extend(connect(facts, &commands, login));
            steps.extend(end(facts, &commands, login));
            steps
        }
    }
}

fn step(kind: StepKind, place: Where, title: &str, commands: Vec<CommandLine>) -> Step {
    Step {
        kind,
        place,
        title: title.to_owned(),
        commands,
        note: None,
    }
}

impl Step {
    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

fn prepare(facts: &Facts<'_>, login: &str) -> Vec<Step> {
    let title = "Once: add the ssh config below to ~/.ssh/config";
    let config = step(StepKind::Prepare, Where::Laptop, title, vec![]);
    let mut steps = vec![match facts.asked.site.ssh.nodes_accept {
        NodeKeys::AsLoginNode => config,
        NodeKeys::HomeAuthorizedKeys => {
            let copy = vec![CommandLine::run(["ssh-copy-id", login])];
            Step {
                commands: copy,
                ..config
            }
            .note(
                "Compute nodes accept only keys from ~/.ssh/authorized_keys of the cluster's \
                 home; this puts yours there",
            )
        }
    }];
    steps.extend(password(facts, Where::LoginNode));
    steps
}

fn start(facts: &Facts<'_>, commands: &Commands, login: &str) -> Vec<Step> {
    let screen = format!(
        "Leave the screen with Ctrl-a d, return with screen -r {}",
        facts.session
    );
    if facts.place != Place::Node {
        let title = "Start the server, inside a screen";
        let run = vec![commands.interactive.clone()];
        return vec![step(StepKind::Start, Where::LoginNode, title, run).note(screen)];
    }
    let title = "Start the server on a compute node";
    let batch = step(
        StepKind::Start,
        Where::LoginNode,
        title,
        vec![commands.submit.clone()],
    )
    .note(format!("From the laptop: ssh {login}"));
    let title = "Or start it in a terminal, inside a screen";
    let kind = StepKind::StartInteractively;
    let interactive = match &facts.asked.launch.interactive {
        InteractiveForm::Allowed => step(
            kind,
            Where::LoginNode,
            title,
            vec![commands.interactive.clone()],
        )
        .note(screen),
        InteractiveForm::Forbidden(reason) => {
            step(kind, Where::LoginNode, title, vec![]).note(format!("Not possible: {reason}"))
        }
    };
    let queue = vec![commands.queue.on(login)];
    let wait = step(StepKind::Wait, Where::Laptop, "Wait until it runs", queue).note(format!(
        "If it ends at once, {}/JOBID.log says why",
        facts.sessions
    ));
    vec![batch, interactive, wait]
}

fn connect(facts: &Facts<'_>, commands: &Commands, login: &str) -> Vec<Step> {
    let tunnel = vec![commands.where_is_it.on(login), commands.tunnel.clone()];
    let tunnel = step(StepKind::Connect, Where::Laptop, "Open the tunnel", tunnel)
        .note("\"No such file\" means: not ready yet, try again in a moment");
    vec![tunnel, open(facts, commands.token.on(login))]
}

fn open(facts: &Facts<'_>, token: CommandLine) -> Step {
    let (commands, asks) = match facts.asked.login {
        Login::Token => (
            vec![token],
            "The page asks for the token, which this prints",
        ),
        Login::Password => (vec![], "The page asks for your password"),
    };
    let title = format!("Open {}", facts.url());
    let personal = match facts.asked.personal {
        None | Some((_, [])) => String::new(),
        Some((folder, by)) => {
            let by = by.join(", ");
            format!(". What you install in it ({by}) goes to {folder}")
        }
    };
    step(StepKind::Open, Where::Laptop, &title, commands).note(format!("{asks}{personal}"))
}

fn end(facts: &Facts<'_>, commands: &Commands, login: &str) -> Vec<Step> {
    let close = CommandLine::run(["ssh", "-O", "exit", &facts.session]);
    let title = "If the connection is lost: close what is left of it";
    let lost = step(
        StepKind::Reconnect,
        Where::Laptop,
        title,
        vec![close.clone()],
    );
    let again = "Then both commands of the tunnel again; the page goes on at the same address";
    let title = "End the tunnel and the server";
    let end = step(StepKind::End, Where::Laptop, title, vec![close]);
    if facts.place == Place::Node {
        let lost = lost.note(format!(
            "{again}, also when Slurm moved the job to another node"
        ));
        let mut end = end;
        end.commands.push(commands.cancel.on(login));
        vec![lost, end]
    } else {
        let server = "The server ends with File > Shut Down, or with Ctrl-C in its screen";
        vec![lost.note(again), end.note(server)]
    }
}

fn here(facts: &Facts<'_>, commands: &Commands) -> Vec<Step> {
    let mut steps = Vec::from_iter(password(facts, Where::Laptop));
    let start = vec![commands.submit.clone()];
    steps.push(
        step(StepKind::Start, Where::Laptop, "Start the server", start)
            .note("It says when it is ready, and its address if another program has this one"),
    );
    steps.push(open(facts, commands.token.clone()));
    let end = "Ctrl-C where it runs, or File > Shut Down in the page";
    steps.push(step(StepKind::End, Where::Laptop, "End the server", vec![]).note(end));
    steps
}

/// Jupyter asks for the password and keeps only its hash.
fn password(facts: &Facts<'_>, place: Where) -> Option<Step> {
    let program = format!(
        "{}/bin/jupyter-server",
        facts.asked.generation.trim_end_matches('/')
    );
    let folder = format!("JUPYTER_CONFIG_DIR={}/password", facts.sessions);
    let set = CommandLine::run(["env", &folder, &program, "password"]);
    (facts.asked.login == Login::Password)
        .then(|| step(StepKind::Prepare, place, "Once: set a password", vec![set]))
}

/// What the site wants its users to know. What it forbids is not repeated: the
/// recipe keeps to it.
pub(super) fn notes(facts: &Facts<'_>) -> Vec<String> {
    facts
        .asked
        .site
        .notes
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The words of a command as one line for the shell form.
pub(super) fn line(command: &CommandLine) -> String {
    match command {
        CommandLine::Run(words) | CommandLine::Read { from: words, .. } => join(words),
    }
}
