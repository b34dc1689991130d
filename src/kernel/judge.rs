//! Whether a kernelspec starts the kernel that it promises, why not, and what is
//! to be done: from facts that were looked up.
//!
//! What can be mended without guessing is told apart from what its owner has to
//! decide. Of envspec's own only what a root left behind that is gone is mended
//! here: `apply` and `verify` do the rest.
//!
//! What is not on this machine is not gone for that: a home is often shared by
//! several machines, and software is on compute nodes that a login node does not
//! have. So nothing is taken for gone whose prefix is not there either.

use serde::Serialize;

use super::kernelspec::KernelSpec;
use super::mark::Mark;
use super::seen::{MarkedRoot, Place, Program, Seen};
use super::wrapper::Wrapper;
use crate::spec::EnvName;

/// What a kernelspec is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It starts its kernel, as far as can be seen.
    Good,
    /// Its kernel.json can't be used.
    Broken,
    /// Its program can't run.
    Dead,
    /// Another program stands between Jupyter and the kernel.
    Wrapper,
    /// Which program it runs depends on who starts it.
    Bare,
    /// Its variables name an environment that is gone.
    Env,
    /// Its folder's name is none that Jupyter accepts.
    Name,
    /// Another one of its name is found first.
    Shadowed,
}

impl Verdict {
    /// The word for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Broken => "broken",
            Self::Dead => "dead",
            Self::Wrapper => "wrapper",
            Self::Bare => "bare",
            Self::Env => "env",
            Self::Name => "name",
            Self::Shadowed => "shadowed",
        }
    }
}

/// Something that is wrong with a kernelspec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What it makes of it.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// What `--repair` does with a kernelspec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mending {
    /// It is put where Jupyter does not look.
    MoveAside,
    /// This absolute program takes the place of its bare one.
    Absolute(String),
}

/// Everything that is wrong with a kernelspec, the worst first.
pub fn judge(seen: &Seen) -> Vec<Fault> {
    let mended = match mending(seen, false) {
        Some(Mending::MoveAside) => Some("`envspec kernels doctor --repair` moves it aside"),
        Some(Mending::Absolute(_)) => Some("`envspec kernels doctor --repair` writes it"),
        None => None,
    };
    let mut faults = Vec::new();
    let mut add = |verdict, found: String, remedy: String| {
        // Whose it is decides who can do something about it.
        let remedy = match (&seen.place, seen.can_change) {
            (_, false) if !seen.is_envspecs() => {
                format!("you can't change {}; its owner can: {remedy}", seen.path)
            }
            _ => remedy,
        };
        faults.push(Fault {
            verdict,
            found,
            remedy,
        });
    };

    let spec = match &seen.content {
        Ok(spec) => Some(spec),
        Err(reason) => {
            let remedy = match (mended, &seen.place) {
                (Some(mended), _) => mended.to_owned(),
                (None, Place::Generation(name)) => format!("envspec verify {name} --repair"),
                (None, _) => format!("correct {}/kernel.json, or remove the folder", seen.path),
            };
            add(Verdict::Broken, reason.clone(), remedy);
            None
        }
    };
    if let Some((spec, program)) = spec.zip(seen.program.as_ref()) {
        if let Some(found) = program.dead() {
            let remedy = revive(seen, spec, program, mended);
            add(Verdict::Dead, found, remedy);
        } else if let Some(mark) = spec.mark().filter(|_| seen.root == MarkedRoot::Unseen) {
            // From a Nix store, with what the root had for it gone.
            let found = format!("its root {} is not there", mark.root);
            add(Verdict::Dead, found, again(seen, &mark, mended));
        }
        if let Some(wrapped) = spec.wrapped() {
            let found = match wrapped.by {
                Wrapper::CondaRun => {
                    "conda run stands between Jupyter and the kernel: interrupts do not arrive"
                }
                Wrapper::NbCondaKernels => {
                    "it needs the conda that nb_conda_kernels wrote it for, and activates at every start"
                }
            };
            let remedy = if seen.in_prefix.is_some() || matches!(seen.place, Place::Generation(_)) {
                adopt(seen)
            } else {
                format!(
                    "its environment, or the program in it, is not there: make it again, or remove {}",
                    seen.path
                )
            };
            add(Verdict::Wrapper, found.to_owned(), remedy);
        } else if let Program::Bare {
            word,
            now,
            is_servers,
        } = program
        {
            let found = bare(word, now.as_deref(), *is_servers);
            add(Verdict::Bare, found, absolute(seen, mended));
        }
    }
    if let [lost, ..] = seen.lost.as_slice() {
        let found = format!("its env names {lost}, which is gone");
        add(Verdict::Env, found, adopt(seen));
    }
    if !is_accepted(&seen.name) {
        let found = "Jupyter accepts letters, digits, `-`, `.` and `_` in a name only".to_owned();
        add(Verdict::Name, found, format!("rename {}", seen.path));
    }
    if let Some(other) = &seen.shadowed_by {
        let found = format!("{other} is found first");
        let remedy = match &seen.place {
            Place::Generation(_) | Place::Prefix(_) => {
                "remove that one or rename its folder; a server with JUPYTER_PREFER_ENV_PATH=1, \
                 as `envspec launch` starts it, finds its own first"
            }
            _ => "remove one of the two, or rename its folder",
        };
        add(Verdict::Shadowed, found, remedy.to_owned());
    }
    faults.sort_by_key(|fault| fault.verdict);
    faults
}

/// What can be done about a kernelspec without guessing; if somebody named it, who
/// knows that it is of no use anywhere, also what only that tells.
pub fn mending(seen: &Seen, is_named: bool) -> Option<Mending> {
    if !seen.can_change || matches!(seen.place, Place::Generation(_)) {
        return None;
    }
    let aside = seen.place.is_of_people().then_some(Mending::MoveAside);
    if seen.is_envspecs() {
        return match seen.root {
            MarkedRoot::There => None,
            MarkedRoot::Unseen => aside.filter(|_| is_named),
        };
    }
    let wrapped = seen
        .content
        .as_ref()
        .is_ok_and(|spec| spec.wrapped().is_some());
    if wrapped && seen.in_prefix.is_some() {
        // Its conda may be gone; the kernel is there, to be adopted.
        return None;
    }
    let in_the_way = !seen.shadows.is_empty();
    let is_stale = match (&seen.content, &seen.program) {
        // It may be there tomorrow.
        (Ok(_), Some(Program::Unseen { .. })) => is_named,
        (Ok(_), Some(program)) if program.lacks().is_some() => {
            in_the_way || seen.prefix_lacks_it || is_named
        }
        // Mended by a hand, a package or a permission, if nobody waits for the name.
        (Ok(_), Some(program)) if program.dead().is_some() => in_the_way || is_named,
        (Ok(_), _) => false,
        (Err(_), _) => in_the_way || is_named,
    };
    if is_stale && aside.is_some() {
        return aside;
    }
    match (&seen.program, &seen.in_prefix) {
        // Through a link it would be another folder that is changed.
        (Some(Program::Bare { .. }), Some(program)) if !seen.is_link => {
            Some(Mending::Absolute(program.clone()))
        }
        _ => None,
    }
}

/// How somebody says that a kernelspec is of no use on any machine.
fn by_name(seen: &Seen) -> String {
    let name = if is_accepted(&seen.name) {
        &seen.name
    } else {
        "NAME"
    };
    format!(
        "if it is of no use on any machine, `envspec kernels doctor --repair {name}` moves it aside"
    )
}

/// What to do about a program that can't run.
fn revive(seen: &Seen, spec: &KernelSpec, program: &Program, mended: Option<&str>) -> String {
    if let Some(mark) = spec.mark() {
        return again(seen, &mark, mended);
    }
    let can_be_named = matches!(mending(seen, true), Some(Mending::MoveAside));
    match (program, mended) {
        (_, Some(mended)) => mended.to_owned(),
        (Program::NoModule { module, .. }, None) => {
            format!("install the package that has {module} there, or remove the kernelspec")
        }
        (Program::Unseen { .. }, None) => "see that the file system is mounted".to_owned(),
        _ => match &seen.place {
            Place::Generation(name) => format!("envspec verify {name} --repair"),
            _ if program.lacks().is_some() && can_be_named => format!(
                "it may be there on another machine that sees this folder, a compute node or \
                 another cluster; {}",
                by_name(seen)
            ),
            _ => format!("remove {}, or install what is missing", seen.path),
        },
    }
}

/// What to do about one of envspec's own whose program is not there.
fn again(seen: &Seen, mark: &Mark, mended: Option<&str>) -> String {
    let (name, root) = (&mark.environment, &mark.root);
    match (seen.root, mended) {
        (MarkedRoot::Unseen, Some(mended)) => format!("its root {root} is gone: {mended}"),
        (MarkedRoot::Unseen, None) => format!(
            "its root {root} is gone, or not seen from here: see that the file system is mounted, \
             or apply {name} again with --root {root}; {}",
            by_name(seen)
        ),
        _ => {
            // What a mark says may be any text.
            let deletes = match EnvName::new(name) {
                Some(name) => format!(", or envspec delete {name}"),
                None => String::new(),
            };
            format!(
                "its generation {} in {root} is gone, or not seen from here: apply {name} again\
                 {deletes}, with --root if {root} is not the default one",
                mark.generation
            )
        }
    }
}

/// What a bare word leads to.
fn bare(word: &str, now: Option<&str>, is_servers: bool) -> String {
    let now = match now {
        Some(now) => format!("now {now}"),
        None => "now nothing that is there".to_owned(),
    };
    if is_servers {
        format!("{word} is the server's own, whichever that is: {now}")
    } else if word.contains('/') {
        format!("{word} is looked for from the notebook's folder")
    } else {
        format!("{word} is looked for on the server's PATH: {now}")
    }
}

/// How a bare command becomes an absolute one.
fn absolute(seen: &Seen, mended: Option<&str>) -> String {
    match (&seen.place, &seen.in_prefix, mended) {
        (Place::Generation(name), ..) => {
            format!("a generation stays as it is: name the kernel in the spec of {name} and apply")
        }
        (_, Some(program), Some(mended)) => format!("it means {program}: {mended}"),
        (_, Some(program), None) => format!("it means {program}: write that"),
        (_, None, _) => format!(
            "write the whole path of the program into {}/kernel.json",
            seen.path
        ),
    }
}

/// How a kernelspec gets the right environment.
fn adopt(seen: &Seen) -> String {
    match &seen.content {
        Ok(spec) if spec.mark().is_some() => "apply its environment again".to_owned(),
        _ if matches!(seen.place, Place::Generation(_)) => {
            "a generation stays as it is: name the kernel in the spec and apply".to_owned()
        }
        _ => format!(
            "`envspec kernels doctor --adopt {}` starts the kernel itself, with what activation gives",
            seen.name
        ),
    }
}

/// Whether `jupyter_client` accepts a name: `^[a-z0-9._\-]+$`, whatever its case.
fn is_accepted(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.chars().all(is_allowed)
}
