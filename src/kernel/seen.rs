//! A kernelspec with the facts that were looked up about it.

use super::kernelspec::KernelSpec;

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
    pub(super) fn is_of_people(&self) -> bool {
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

    /// Whether something runs, as far as can be seen.
    pub fn runs(&self) -> bool {
        matches!(self, Self::Runs(_) | Self::Bare { now: Some(_), .. })
    }

    /// The file that is not there.
    pub fn lacks(&self) -> Option<&str> {
        match self {
            Self::Missing(file)
            | Self::NoInterpreter {
                interpreter: file, ..
            } => Some(file),
            _ => None,
        }
    }
}

/// Whether the root that a mark of envspec's names is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkedRoot {
    /// It is, or there is no mark.
    There,
    /// It is not, or is an empty folder: it is gone, or on a disk that is not mounted
    /// here, or on another machine that shares the home. Nothing here tells which.
    Unseen,
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
    /// Whether the prefix of the file that its program lacks is there, without it.
    pub prefix_lacks_it: bool,
    /// Whether the root that its mark names is there.
    pub root: MarkedRoot,
    /// The kernelspec that is found in its stead, whichever server looks.
    pub shadowed_by: Option<String>,
    /// Those that would run, and that some server does not find because of this one.
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
