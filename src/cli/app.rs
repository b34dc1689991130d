//! The surroundings of a command, read once from the process: this is the one
//! place that looks at environment variables and the working directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::{Args, ValueEnum};
use fs_err as fs;
use rattler_conda_types::Subdir;
use url::Url;

use super::configured::configured_network;
use super::failure::Failure;
use super::progress;
use super::say::{Manner, Ui, Verbosity};
use crate::apply::{Context, SpecFile, Who, definitions_beside};
use crate::conda::{Configuration, Network, Progress, Silent, Surroundings};
use crate::jupyter;
use crate::kernel::Catalogue;
use crate::recipe;
use crate::site::{Site, Sites};
use crate::store::Root;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// The flags that every command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Where generations and packages are kept [default: the site's place, else the data folder of the user] [env: `ENVSPEC_ROOT`]
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,

    /// The URL that channel names are put behind, as conda's `channel_alias` [env: `ENVSPEC_CHANNEL_ALIAS`]
    #[arg(long, global = true, value_name = "URL")]
    channel_alias: Option<Url>,

    /// A folder of kernel definitions that add to the built-in ones or replace them [env: `ENVSPEC_KERNELS`]
    #[arg(long, global = true, value_name = "DIR")]
    kernels_dir: Option<PathBuf>,

    /// A folder of sites that add to the built-in ones or replace them [env: `ENVSPEC_SITES`]
    #[arg(long, global = true, value_name = "DIR")]
    sites_dir: Option<PathBuf>,

    /// Say nothing but errors, warnings and the answer
    #[arg(short, long, global = true)]
    quiet: bool,

    /// Say what the parts note for themselves
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

impl Global {
    pub(super) fn manner(&self) -> Manner {
        Manner {
            verbosity: match (self.quiet, self.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            color: match self.color {
                Color::Auto => anstream::ColorChoice::Auto,
                Color::Always => anstream::ColorChoice::Always,
                Color::Never => anstream::ColorChoice::Never,
            },
        }
    }
}

/// The program at work.
pub(super) struct App<'u> {
    pub(super) ui: &'u Ui,
    global: Global,
    /// Whether the root was named by the flag, which speaks of the site's machine
    /// too. `ENVSPEC_ROOT` speaks of this one.
    root_given: bool,
    variables: BTreeMap<OsString, OsString>,
    configuration: OnceLock<Arc<Configuration>>,
}

impl<'u> App<'u> {
    /// Reads the process's environment. What a flag says counts more.
    pub(super) fn new(ui: &'u Ui, global: Global) -> Result<Self, Failure> {
        let mut app = Self {
            ui,
            root_given: global.root.is_some(),
            global,
            variables: std::env::vars_os().collect(),
            configuration: OnceLock::new(),
        };
        let folder = |name| app.variable(name).map(PathBuf::from);
        let (root, kernels, sites) = (
            folder("ENVSPEC_ROOT"),
            folder("ENVSPEC_KERNELS"),
            folder("ENVSPEC_SITES"),
        );
        let alias = match app.variable("ENVSPEC_CHANNEL_ALIAS") {
            Some(text) => Some(Url::parse(&text.to_string_lossy()).map_err(|error| {
                Failure::usage(
                    format!("ENVSPEC_CHANNEL_ALIAS is no URL: {error}"),
                    "write https://…, or file:///… for a folder",
                )
            })?),
            None => None,
        };
        let global = &mut app.global;
        global.root = global.root.take().or(root);
        global.kernels_dir = global.kernels_dir.take().or(kernels);
        global.sites_dir = global.sites_dir.take().or(sites);
        global.channel_alias = global.channel_alias.take().or(alias);
        Ok(app)
    }

    /// The environment variables that are texts.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let text = |value: &OsString| value.to_str().map(str::to_owned);
        self.variables
            .iter()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect()
    }

    /// An environment variable; an empty one counts as none.
    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        self.variables
            .get(std::ffi::OsStr::new(name))
            .filter(|value| !value.is_empty())
            .cloned()
    }

    /// An environment variable as it is; Jupyter tells an empty one from none.
    pub(super) fn variable_as_set(&self, name: &str) -> Option<OsString> {
        self.variables.get(std::ffi::OsStr::new(name)).cloned()
    }

    pub(super) fn home(&self) -> Result<PathBuf, Failure> {
        self.variable("HOME").map(PathBuf::from).ok_or_else(|| {
            Failure::usage("HOME is not set", "set it, or name a root with --root DIR")
        })
    }

    fn xdg(&self, variable: &str, below_home: &str) -> Result<PathBuf, Failure> {
        match self.variable(variable).map(PathBuf::from) {
            Some(path) if path.is_absolute() => Ok(path),
            _ => Ok(self.home()?.join(below_home)),
        }
    }

    /// The files of a folder of the user's: the one given by flag, which must
    /// exist, else the one in the configuration folder, which need not.
    fn user_files(
        &self,
        given: Option<&Path>,
        folder: &str,
    ) -> Result<Vec<(String, String)>, Failure> {
        let (path, must_exist) = match given {
            Some(path) => (path.to_owned(), true),
            None => match self.xdg("XDG_CONFIG_HOME", ".config") {
                Ok(config) => (config.join("envspec").join(folder), false),
                Err(_) => return Ok(Vec::new()),
            },
        };
        let unreadable = |error: std::io::Error| {
            Failure::usage(
                format!("the folder {} can't be read: {error}", path.display()),
                "check the path and its permissions",
            )
        };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(unreadable(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            if matches!(path.extension(), Some(e) if e == "yaml" || e == "yml") {
                let text = fs::read_to_string(&path).map_err(unreadable)?;
                files.push((path.to_string_lossy().into_owned(), text));
            }
        }
        files.sort();
        Ok(files)
    }

    /// The kernels: built-in ones and the user's.
    pub(super) fn catalogue(&self) -> Result<Catalogue, Failure> {
        let files = self.user_files(self.global.kernels_dir.as_deref(), "kernels")?;
        Ok(Catalogue::with_overrides(files)?)
    }

    /// The same with those that lie beside the specs of a folder, which go first.
    pub(super) fn catalogue_beside(&self, specs: &Path) -> Result<Catalogue, Failure> {
        let mut files = self.user_files(self.global.kernels_dir.as_deref(), "kernels")?;
        files.extend(definitions_beside(specs)?);
        Ok(Catalogue::with_overrides(files)?)
    }

    /// How many columns an answer may have: `COLUMNS`, else the terminal's; `None` where
    /// it goes into a file or a pipe.
    pub(super) fn columns(&self) -> Option<usize> {
        let told = self.variable("COLUMNS");
        let told = told.and_then(|text| text.to_str()?.parse().ok());
        told.or_else(|| {
            let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
            Some(usize::from(size.ws_col))
        })
        .filter(|&columns| columns > 0)
    }

    /// The sites: built-in ones and the user's.
    pub(super) fn sites(&self) -> Result<Sites, Failure> {
        let files = self.user_files(self.global.sites_dir.as_deref(), "sites")?;
        Ok(Sites::builtin().with_overrides(files))
    }

    /// The root for a site: the flag's, else the site's, else the user's data
    /// folder.
    pub(super) fn root(&self, site: &Site) -> Result<Root, Failure> {
        let path = match (&self.global.root, &site.storage.root) {
            (Some(given), _) => given.clone(),
            (None, Some(line)) => self.expand(line.as_str())?,
            (None, None) => self.xdg("XDG_DATA_HOME", ".local/share")?.join("envspec"),
        };
        let path = Self::absolute(&path)?;
        // Said before anything is made there, not when the recipe is written.
        match path.to_str().map(recipe::unusable) {
            Some(None) => Ok(Root::new(path)),
            unusable => Err(Failure::usage(
                format!(
                    "the root {} can't be used: {}",
                    path.display().to_string().escape_debug(),
                    unusable.flatten().unwrap_or("it is not UTF-8")
                ),
                "choose another one: --root DIR or ENVSPEC_ROOT",
            )),
        }
    }

    /// The root of a spec, by its site.
    pub(super) fn root_of(&self, file: &SpecFile) -> Result<Root, Failure> {
        let sites = self.sites()?;
        let name = file.spec.site.as_ref().map(|at| at.value.as_str());
        // An unknown site is reported later, with its place in the spec.
        let site = sites.find(name).or_else(|_| sites.find(None))?;
        self.root(&site)
    }

    /// The root that was named for a machine behind ssh. `ENVSPEC_ROOT` speaks of
    /// this one.
    pub(super) fn root_there(&self) -> Option<String> {
        let given = self.global.root.as_ref().filter(|_| self.root_given)?;
        Some(given.to_string_lossy().into_owned())
    }

    /// Whether this machine takes jobs: has Slurm's programs and knows a cluster.
    pub(super) fn has_slurm(&self) -> bool {
        const CONFIGURATIONS: [&str; 3] = [
            "/etc/slurm/slurm.conf",
            "/etc/slurm-llnl/slurm.conf",
            "/run/slurm/conf/slurm.conf",
        ];
        let path = self.variable("PATH").unwrap_or_default();
        let has_programs =
            std::env::split_paths(&path).any(|folder| folder.join("sbatch").is_file());
        has_programs
            && (self.variable("SLURM_CONF").is_some()
                || CONFIGURATIONS.iter().any(|file| Path::new(file).is_file()))
    }

    /// This machine's name.
    pub(super) fn host() -> String {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    }

    /// All roots that there may be: the flag's alone, else those of all sites
    /// that exist on this machine. The first is the default one.
    pub(super) fn roots(&self, sites: &Sites) -> Result<Vec<Root>, Failure> {
        let mut roots = vec![self.root(&sites.find(None)?)?];
        if self.global.root.is_some() {
            return Ok(roots);
        }
        for name in sites.names() {
            // A user's broken site file must not keep `list` from listing.
            let Ok(site) = sites.find(Some(name)) else {
                continue;
            };
            let root = self.root(&site)?;
            if root.path().is_dir() && !roots.contains(&root) {
                roots.push(root);
            }
        }
        Ok(roots)
    }

    /// `~` and `~/…` are the user's home; nothing else is expanded.
    fn expand(&self, path: &str) -> Result<PathBuf, Failure> {
        match path.strip_prefix('~') {
            Some("") => self.home(),
            Some(rest) if rest.starts_with('/') => Ok(self.home()?.join(&rest[1..])),
            _ => Ok(PathBuf::from(path)),
        }
    }

    fn absolute(path: &Path) -> Result<PathBuf, Failure> {
        std::path::absolute(path).map_err(|error| {
            Failure::usage(
                format!("{} is no path: {error}", path.display()),
                "name a path",
            )
        })
    }

    /// Conda's and rattler's configuration, which is read when it is needed.
    pub(super) fn configuration(&self) -> Result<&Arc<Configuration>, Failure> {
        let surroundings = Surroundings {
            home: self.home()?,
            variables: self.variables.clone(),
            base: std::env::current_dir().unwrap_or_default(),
            alias: self.global.channel_alias.clone(),
        };
        let new = || Arc::new(Configuration::new(surroundings));
        Ok(self.configuration.get_or_init(new))
    }

    /// Everything that a walk needs, with the given root.
    pub(super) fn context(&self, root: Root, network: Network) -> Result<Context, Failure> {
        let platform = Subdir::current().ok_or_else(|| {
            Failure::usage(
                "this machine is of a kind that conda does not know",
                "envspec runs on Linux and macOS",
            )
        })?;
        let kernels_dir =
            jupyter::user_kernels_dir(|name| self.variable(name)).ok_or_else(|| {
                Failure::usage(
                    "the folder of the user's kernelspecs is unknown: HOME is not set",
                    "set HOME or JUPYTER_DATA_DIR",
                )
            })?;
        let configuration = self.configuration()?;
        let network = configured_network(self.ui, configuration, network);
        Ok(Context {
            root,
            environment: self.texts(),
            home: self.home()?,
            network,
            configuration: Arc::clone(configuration),
            platform,
            catalogue: self.catalogue()?,
            sites: self.sites()?,
            kernels_dir,
            who: self.who(),
            progress: self.progress(),
        })
    }

    /// Who listens to long work: bars, or nobody.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        if self.ui.draws() {
            progress::listener(self.ui)
        } else {
            Arc::new(Silent)
        }
    }

    fn who(&self) -> Who {
        let text = |name| {
            self.variable(name)
                .map(|value| value.to_string_lossy().into_owned())
        };
        let uid = rustix::process::getuid().as_raw();
        let known = || crate::store::user_name(uid);
        Who {
            user: text("USER").or_else(|| text("LOGNAME")).or_else(known),
            uid,
            host: Self::host(),
            job: text("SLURM_JOB_ID"),
        }
    }
}
