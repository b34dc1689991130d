//! How a session is launched: the section `launch` of a spec.

use super::model::At;

/// A wall-clock limit as Slurm counts it, in seconds.
///
/// Written as `MM`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`
/// (the forms of `sbatch --time`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub(crate) u64);

/// An amount of memory in bytes; written as Slurm does (`16G`, `500M`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(pub(crate) u64);

/// The front end of Jupyter that a session opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// JupyterLab.
    #[default]
    Lab,
    /// The notebook interface.
    Notebook,
    /// The server alone, for editors that bring their own front end.
    Server,
}

/// What a session asks of the scheduler and of Jupyter; what is `None` is left
/// to the site's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The time limit.
    pub time: Option<At<WallTime>>,
    /// Memory of the whole job on its node.
    pub memory: Option<At<MemorySize>>,
    /// Cores.
    pub cpus: Option<At<u32>>,
    /// GPUs.
    pub gpus: Option<At<u32>>,
    /// The partition.
    pub partition: Option<At<String>>,
    /// The account that pays.
    pub account: Option<At<String>>,
    /// The quality of service.
    pub qos: Option<At<String>>,
    /// The front end.
    pub interface: Option<At<Interface>>,
    /// The folder that the server shows, relative to the home on the cluster.
    pub root_dir: Option<At<String>>,
    /// Minutes without activity after which the server ends itself.
    pub idle: Option<At<WallTime>>,
}
