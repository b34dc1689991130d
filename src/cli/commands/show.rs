//! `envspec show`: the spec explained.

use serde::Serialize;

use crate::apply::Subject;
use crate::cli::app::App;
use crate::cli::failure::{Exit, Failure};
use crate::cli::say::{BOLD, FAINT, NAME, counted, styled};
use crate::cli::select;
use crate::conda::{Network, Shown};
use crate::store;

use super::walk;

/// Explain a spec: what it asks for, where it goes, what is there
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A spec, or the name of an applied environment [default: the only spec in envs/]
    spec: Option<String>,

    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    version: u32,
    environment: String,
    spec: std::path::PathBuf,
    lock: LockState,
    channels: Vec<String>,
    platforms: Vec<String>,
    dependencies: Vec<String>,
    pip: Vec<String>,
    kernels: Vec<Kernel>,
    /// Conda's and rattler's configuration, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<Shown>,
    site: String,
    root: std::path::PathBuf,
    current: Option<String>,
}

#[derive(Serialize)]
struct Kernel {
    name: String,
    registered: String,
    adds: Vec<String>,
    asks: Vec<String>,
    /// The installable of a kernel from Nix.
    #[serde(skip_serializing_if = "Option::is_none")]
    installable: Option<String>,
}

/// Whether the lock is there. Whether it is stale needs no network either, but
/// is `lock --check`'s to say.
#[derive(Serialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum LockState {
    There,
    Missing,
}

pub(super) fn run(app: &App<'_>, args: &Args) -> Result<Exit, Failure> {
    let file = select::spec(app, args.spec.as_deref())?;
    let context = walk::context(app, &file, Network::Offline)?;
    let subject = file.judge(&context)?;
    let current = store::current(&context.root, &subject.file.spec.name)?.map(|generation| {
        let prefix = context.root.generations().join(&generation);
        if store::Receipt::exists(&prefix) {
            generation
        } else {
            format!("{generation}, which is gone: envspec apply")
        }
    });
    let mut answer = answer(&subject, context.root.path(), current, context.platform);
    let settings = context.settings()?;
    if let Some(said) = settings
        .channels
        .as_ref()
        .filter(|_| !subject.file.spec.names_channels)
    {
        answer.channels.clone_from(&said.value);
    }
    answer.configuration = settings.shown();
    if args.json {
        app.ui.json(&answer)?;
    } else {
        app.ui.answer(text(&answer))?;
    }
    Ok(Exit::Done)
}

fn answer(
    subject: &Subject,
    root: &std::path::Path,
    current: Option<String>,
    here: rattler_conda_types::Subdir,
) -> Answer {
    let spec = &subject.file.spec;
    let platforms = if spec.platforms.is_empty() {
        vec![here.to_string()]
    } else {
        spec.platforms
            .iter()
            .map(|platform| platform.value.to_string())
            .collect()
    };
    Answer {
        version: 1,
        environment: spec.name.to_string(),
        spec: subject.file.path.clone(),
        lock: if subject.lock_there().is_some() {
            LockState::There
        } else {
            LockState::Missing
        },
        channels: spec
            .channels
            .iter()
            .map(|channel| channel.value.clone())
            .collect(),
        platforms,
        dependencies: spec.dependencies.iter().map(ToString::to_string).collect(),
        pip: spec
            .pip_sections()
            .flat_map(|pip| &pip.requirements)
            .map(ToString::to_string)
            .collect(),
        kernels: subject
            .kernels
            .iter()
            .map(|kernel| Kernel {
                name: kernel.request.name.value.clone(),
                registered: kernel.registered.to_string(),
                adds: kernel
                    .definition()
                    .into_iter()
                    .flat_map(|definition| &definition.packages)
                    .map(|package| package.text.clone())
                    .collect(),
                asks: kernel
                    .request
                    .dependencies
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                installable: kernel
                    .request
                    .installable
                    .as_ref()
                    .map(|at| at.value.clone()),
            })
            .collect(),
        configuration: None,
        site: subject.site.name.to_string(),
        root: root.to_owned(),
        current,
    }
}

fn text(answer: &Answer) -> String {
    let row = |label: &str, value: &str| format!("{label:>12}  {value}");
    let lock = match answer.lock {
        LockState::There => "beside the spec".to_owned(),
        LockState::Missing => "not made yet: envspec lock".to_owned(),
    };
    let current = answer
        .current
        .clone()
        .unwrap_or_else(|| "not applied yet: envspec apply".to_owned());
    let mut lines = vec![
        styled(BOLD, &answer.environment),
        row("spec", &answer.spec.to_string_lossy()),
        row("lock", &lock),
        row("channels", &answer.channels.join(", ")),
        row("platforms", &answer.platforms.join(", ")),
        row("packages", &answer.dependencies.join(", ")),
        row("site", &answer.site),
        row("root", &answer.root.to_string_lossy()),
        row("generation", &current),
    ];
    if !answer.pip.is_empty() {
        let packages = lines.len() - 3;
        lines.insert(packages, row("by pip", &answer.pip.join(", ")));
    }
    for (index, kernel) in answer.kernels.iter().enumerate() {
        let label = if index == 0 { "kernels" } else { "" };
        let from_nix = kernel.installable.iter();
        let from_nix = from_nix.map(|installable| format!("{installable} from Nix"));
        let packages: Vec<String> = from_nix
            .chain(kernel.adds.iter().chain(&kernel.asks).cloned())
            .collect();
        let value = format!(
            "{} {} {}",
            styled(NAME, &kernel.name),
            styled(FAINT, format!("as {}, with", kernel.registered)),
            packages.join(", ")
        );
        lines.push(row(label, &value));
    }
    if let Some(shown) = &answer.configuration {
        let told = configuration(shown);
        lines.extend(told.iter().map(|(label, value)| row(label, value)));
    }
    lines.join("\n")
}

/// Which files counted and what they change.
fn configuration(shown: &Shown) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut label = "config";
    for file in &shown.files {
        let keys = match file.keys.as_slice() {
            [] => "nothing that is followed".to_owned(),
            keys => keys.join(", "),
        };
        let faint = styled(FAINT, format!("says {keys}"));
        rows.push((label, format!("{} {faint}", file.name)));
        label = "";
    }
    for place in &shown.places {
        let at: Vec<&str> = place.asked_at.iter().map(url::Url::as_str).collect();
        let text = format!("{} is fetched from {}", place.channel, at.join(" or "));
        rows.push(("", text));
    }
    let proxies: Vec<String> = shown
        .proxies
        .iter()
        .map(|(key, host)| format!("{host} for {key}"))
        .collect();
    if !proxies.is_empty() {
        rows.push(("", format!("proxy {}", proxies.join(", "))));
    }
    if let Some(certificates) = &shown.certificates {
        rows.push(("", format!("servers' certificates: {certificates}")));
    }
    if let Some(path) = &shown.client_certificate {
        rows.push(("", format!("client certificate: {}", path.display())));
    }
    if shown.secrets > 0 {
        let text = format!("passwords and tokens for {}", counted(shown.secrets, "URL"));
        rows.push(("", text));
    }
    if shown.offline {
        rows.push(("", "no network is used".to_owned()));
    }
    for ignored in &shown.not_followed {
        let text = format!(
            "{} of {} is not followed: {}",
            ignored.key, ignored.by, ignored.why
        );
        rows.push(("", text));
    }
    rows
}
