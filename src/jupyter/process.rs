//! A kernel's process: started as Jupyter starts one, and gone, with all of its
//! group and its files, when its value is dropped.
//!
//! Jupyter's launcher (`jupyter_client/launcher.py`) starts a kernel in a
//! session of its own; here it is a [`ProcessGroup`].

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use jupyter_protocol::ConnectionInfo;
use rustix::process::Signal;
use tempfile::TempDir;

use super::channels::Channels;
use super::place::Home;
use super::process_group::ProcessGroup;
use crate::kernel::{KernelSpec, substitute};

/// The end of what a kernel wrote to its standard streams that is kept, in bytes.
const LOG_TAIL: u64 = 4096;

/// How often the private folder's removal is tried, and how long it is waited between.
const REMOVALS: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// A running kernel and the private folder (0700) that holds its connection
/// file, its log and, if asked for, its home. It goes after the kernel: fields are
/// dropped in their order.
pub(super) struct KernelProcess {
    group: ProcessGroup,
    folder: Folder,
    channels: Channels,
}

impl KernelProcess {
    /// Starts a kernel. `environment` is the server's, which the templates of
    /// the kernelspec's `env` are filled in from.
    pub(super) fn start(
        kernelspec: &KernelSpec,
        resource_dir: &Path,
        environment: &BTreeMap<String, String>,
        home: &Home,
    ) -> io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .prefix("envspec-kernel-")
            .permissions(private)
            .tempdir()?;
        let channels = Channels::of(kernelspec, folder.path())?;
        let connection_file = folder.path().join("connection.json");
        create_private(&connection_file)?.write_all(&serde_json::to_vec(channels.info())?)?;
        let log = create_private(&folder.path().join("log"))?;

        let mut environment = environment.clone();
        let home = match home {
            Home::Private => folder.path().join("home"),
            Home::At(path) => path.clone(),
        };
        // A server has its connection files there, so kernels take it to be there.
        fs_err::create_dir_all(home.join(".local/share/jupyter/runtime"))?;
        environment.insert("HOME".to_owned(), home.display().to_string());
        // R and Julia leave folders in TMPDIR when they are killed.
        let scratch = folder.path().join("tmp");
        fs_err::create_dir(&scratch)?;
        environment.insert("TMPDIR".to_owned(), scratch.display().to_string());
        let filled: Vec<(String, String)> = kernelspec
            .env()
            .into_iter()
            .map(|(name, template)| {
                let value = substitute(&template, |n| environment.get(n).map(String::as_str));
                (name, value)
            })
            .collect();
        environment.extend(filled);

        let placeholders = [
            ("{connection_file}", connection_file.display().to_string()),
            ("{resource_dir}", resource_dir.display().to_string()),
        ];
        let fill = |word: &str| {
            placeholders
                .iter()
                .fold(word.to_owned(), |word, (name, path)| {
                    word.replace(name, path)
                })
        };
        let argv: Vec<String> = kernelspec.argv().into_iter().map(fill).collect();
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&environment)
            // Kernels that know it end themselves when this process is killed.
            .env("JPY_PARENT_PID", std::process::id().to_string())
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?.into_parts().0)
            .stderr(log.into_parts().0);
        let channels = channels.released();
        let group = ProcessGroup::start(&mut command)
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        Ok(Self {
            group,
            folder: Folder(folder),
            channels,
        })
    }

    /// Where the kernel listens.
    pub(super) fn connection(&self) -> &ConnectionInfo {
        self.channels.info()
    }

    /// Waits until the process has ended; says how it did.
    pub(super) async fn ended(&self) -> String {
        self.group.ended().await.to_string()
    }

    /// Interrupts the kernel by signal, as Jupyter does: SIGINT to its group.
    pub(super) fn interrupt(&self) -> io::Result<()> {
        self.group.signal(Signal::INT)
    }

    /// Asks the kernel by signal to end: SIGTERM to its group.
    pub(super) fn terminate(&self) -> io::Result<()> {
        self.group.signal(Signal::TERM)
    }

    /// The end of what the kernel wrote to its standard streams.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut log = fs_err::File::open(self.folder.0.path().join("log"))?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut bytes = Vec::new();
            log.take(LOG_TAIL).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let text = read().unwrap_or_default();
        anstream::adapter::strip_str(&String::from_utf8_lossy(&text)).to_string()
    }
}

/// What goes after all of the group has ended.
struct Folder(TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        // A shell that the kernel had on a terminal of its own outlives it for
        // a moment, to save its history: it may write while its home goes.
        for _ in 0..REMOVALS {
            if fs_err::remove_dir_all(self.0.path()).is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn create_private(path: &Path) -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
