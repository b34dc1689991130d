//! Whether a kernelspec starts the kernel that it promises, why not, and what is
//! to be done: from facts that were looked up.
//!
//! What can be mended without guessing is told apart from what its owner has to
//! decide. Nothing of envspec's own is mended here: `apply` and `verify` do that.

use serde::Serialize;

use super::kernelspec::KernelSpec;
use super::wrapper::Wrapper;

/// Why a folder is searched for kernelspecs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The user named it on the command line.
    Given,
    /// `JUPYTER_PATH` names it.
    JupyterPath,
    /// It is in the user's data folder.
    User,
    /// It is in the current generation of this environment of envspec's.
    Generation(String),
    /// It is in this prefix, which envspec did not make.
    Prefix(String),
    /// It is the machine's.
    System,
}

impl Place {
    /// In a word or two, for a table.
    pub fn text(&self) -> String {
        match self {
            Self::Given => "--dir".to_owned(),
            Self::JupyterPath => "JUPYTER_PATH".to_owned(),
            Self::User => "user".to_owned(),
            Self::Generation(name) => format!("env {name}"),
            Self::Prefix(_) => "prefix".to_owned(),
            Self::System => "system".to_owned(),
        }
    }

    /// Whether people put kernelspecs there one by one; what is in a prefix is a
    /// package's, what is the machine's is its administrator's.
    fn is_of_people(&self) -> bool {
        matches!(self, Self::Given | Self::JupyterPath | Self::User)
    }
}

/// What the first word of a command is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// An executable file that lacks nothing that can be seen from outside.
    Runs(String),
    /// There is no such file.
    Missing(String),
    /// It may not be executed.
    NotExecutable(String),
    /// A script whose interpreter is gone.
    NoInterpreter {
        /// The script.
        script: String,
        /// What its first line names.
        interpreter: String,
    },
    /// A Python that does not have the kernel's module.
    NoModule {
        /// The interpreter.
        python: String,
        /// The module.
        module: String,
    },
    /// The system does not let it be looked at.
    Unseen {
        /// The program.
        program: String,
        /// The system's word.
        reason: String,
    },
    /// A word without a folder, or a path that is no absolute one.
    Bare {
        /// The word.
        word: String,
        /// What would run now, if anything would.
        now: Option<String>,
        /// Whether Jupyter takes it for the server's own interpreter.
        is_servers: bool,
    },
}

impl Program {
    /// Why it can't run; `None` if it can, or if that depends on who starts it.
    pub fn dead(&self) -> Option<String> {
        Some(match self {
            Self::Missing(program) => format!("{program} is not there"),
            Self::NotExecutable(program) => format!("{program} can't be executed"),
            Self::NoInterpreter {
                script,
                interpreter,
            } => format!("{script} is a script for {interpreter}, which is not there"),
            Self::NoModule { python, module } => format!("{python} has no module {module}"),
            Self::Unseen { program, reason } => format!("{program} can't be looked at: {reason}"),
            Self::Runs(_) | Self::Bare { .. } => return None,
        })
    }
}

/// A kernelspec and what was looked up about it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its name as Jupyter lists it: the folder's in lower case.
    pub name: String,
    /// Its folder.
    pub path: String,
    /// Why that was searched.
    pub place: Place,
    /// Whether the folder is a link.
    pub is_link: bool,
    /// What its kernel.json says; why it can't be used.
    pub content: Result<KernelSpec, String>,
    /// What its command is; `None` if there is none to be read.
    pub program: Option<Program>,
    /// The program in the prefix that the kernelspec tells, if its own is bare or a
    /// wrapper.
    pub in_prefix: Option<String>,
    /// Folders of an environment that its variables name and that are gone.
    pub lost: Vec<String>,
    /// The kernelspec that is found in its stead, whichever server looks.
    pub shadowed_by: Option<String>,
    /// Those that some server does not find because of this one.
    pub shadows: Vec<String>,
    /// Whether the user may change it.
    pub can_change: bool,
}

impl Seen {
    /// Whether envspec made it.
    pub fn is_envspecs(&self) -> bool {
        let has_mark = self
            .content
            .as_ref()
            .is_ok_and(|spec| spec.mark().is_some());
        has_mark || matches!(self.place, Place::Generation(_))
    }
}

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
    let mended = match mending(seen) {
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
            add(Verdict::Wrapper, found.to_owned(), adopt(seen));
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

/// What can be done about a kernelspec without guessing.
pub fn mending(seen: &Seen) -> Option<Mending> {
    if seen.is_envspecs() || !seen.can_change {
        return None;
    }
    let in_the_way = !seen.shadows.is_empty();
    let is_stale = match (&seen.content, &seen.program) {
        (Ok(_), Some(Program::Missing(_) | Program::NoInterpreter { .. })) => true,
        // Mended by a hand, a package or a permission, if nobody waits for the name.
        (Err(_), _) | (_, Some(Program::NotExecutable(_) | Program::NoModule { .. })) => in_the_way,
        _ => false,
    };
    let wrapped = seen
        .content
        .as_ref()
        .is_ok_and(|spec| spec.wrapped().is_some());
    if wrapped && seen.in_prefix.is_some() {
        // Its conda may be gone; the kernel is there, to be adopted.
        return None;
    }
    if is_stale && seen.place.is_of_people() {
        return Some(Mending::MoveAside);
    }
    match (&seen.program, &seen.in_prefix) {
        // Through a link it would be another folder that is changed.
        (Some(Program::Bare { .. }), Some(program)) if !seen.is_link => {
            Some(Mending::Absolute(program.clone()))
        }
        _ => None,
    }
}

/// What to do about a program that can't run.
fn revive(seen: &Seen, spec: &KernelSpec, program: &Program, mended: Option<&str>) -> String {
    if let Some(mark) = spec.mark() {
        let (name, root) = (&mark.environment, &mark.root);
        return format!(
            "its generation {} in {root} is gone, or not seen from here: apply {name} again, \
             with --root if {root} is not the default one",
            mark.generation
        );
    }
    match (program, mended) {
        (_, Some(mended)) => mended.to_owned(),
        (Program::NoModule { module, .. }, None) => {
            format!("install the package that has {module} there, or remove the kernelspec")
        }
        (Program::Unseen { .. }, None) => "see that the file system is mounted".to_owned(),
        _ => match &seen.place {
            Place::Generation(name) => format!("envspec verify {name} --repair"),
            _ => format!("remove {}, or install what is missing", seen.path),
        },
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
