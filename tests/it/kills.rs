//! Killed at any instant, with a real Python and a real R (promise 2): both go on
//! running code, one more `apply` brings what the spec asks for, and `gc` leaves
//! nothing that no receipt tells of.
//!
//! `crash` kills at every call of the first thread, with tiny packages. Here the
//! instants are spread evenly over the time that the same command takes when nobody
//! kills it, whichever thread or process is at work by then. SIGKILL goes to the
//! whole process group.
//!
//! How many instants: `ENVSPEC_TEST_KILLS`, all in all, 12 if it is not set. By
//! hand, which takes about a quarter of an hour:
//!
//!     ENVSPEC_TEST_KILLS=300 cargo test --test it kills:: -- --nocapture
//!
use std::any::Any;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::gc::has_no_orphans;
use crate::support::TestEnv;

/// A package of Python's in which two generations differ.
const PACKAGES: [&str; 2] = ["six", "jinja2"];

/// Collects all but what is current.
const ALL: [&str; 5] = ["gc", "--keep", "0", "--older-than", "0d"];

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// One package goes, some come.
    Apply,
    /// Nothing is there but unpacked packages.
    FirstApply,
    /// Nothing is there at all.
    ApplyFromNothing,
    Rollback,
    Gc,
    Repair,
}

/// Of all instants, a part in a hundred each.
const APPLYING: &[(Act, usize)] = &[(Act::Apply, 30)];
const FROM_NOTHING: &[(Act, usize)] = &[(Act::FirstApply, 8), (Act::ApplyFromNothing, 2)];
const OTHERS: &[(Act, usize)] = &[(Act::Rollback, 36), (Act::Gc, 16), (Act::Repair, 8)];

/// The world of `lab`.
struct Lab {
    env: TestEnv,
    /// Which of the two packages the spec asks for.
    package: usize,
}

impl Lab {
    fn new() -> Self {
        Self {
            env: TestEnv::new(),
            package: 0,
        }
    }

    /// The spec asks for the other package from now on.
    fn turn(&mut self) {
        self.package = 1 - self.package;
        let package = PACKAGES[self.package];
        self.env.spec(
            "lab",
            &format!(
                "channels: [conda-forge]\ndependencies: [python, {package}]\nkernels: [python, r]\n"
            ),
        );
    }

    fn apply(&self) {
        self.env.run(&["apply"]).success();
    }

    /// Brings about what the act begins with, and tells its command.
    fn prepare(&mut self, act: Act) -> &'static [&'static str] {
        if self.current().is_none() && act != Act::ApplyFromNothing {
            self.turn();
            self.apply();
        }
        match act {
            Act::Apply => {
                self.turn();
                &["apply"]
            }
            Act::FirstApply => {
                self.turn();
                for folder in [
                    "root/gen",
                    "root/envs",
                    "root/history",
                    "root/leases",
                    "home",
                ] {
                    self.remove(folder);
                }
                &["apply"]
            }
            Act::ApplyFromNothing => {
                self.turn();
                self.remove("root");
                self.remove("home");
                &["apply"]
            }
            Act::Rollback => {
                let generations = self.env.root().join("gen");
                while fs_err::read_dir(&generations).map_or(0, Iterator::count) < 2 {
                    self.turn();
                    self.apply();
                }
                &["rollback"]
            }
            Act::Gc => {
                self.turn();
                self.apply();
                &ALL
            }
            Act::Repair => {
                // A file that is the cache's too, and one that is only its own.
                let packages = self.env.prefix("lab").join("lib/python3.11/site-packages");
                let shared = packages.join("traitlets/log.py");
                fs_err::set_permissions(&shared, PermissionsExt::from_mode(0o644)).unwrap();
                let mut file = fs_err::OpenOptions::new()
                    .append(true)
                    .open(shared)
                    .unwrap();
                file.write_all(b"# damaged\n").unwrap();
                self.open(&packages.join("traitlets"));
                fs_err::remove_file(packages.join("traitlets/py.typed")).unwrap();
                &["verify", "--repair"]
            }
        }
    }

    /// Removes a folder of the world, finished generations too.
    fn remove(&self, folder: &str) {
        let path = self.env.path(folder);
        if path.exists() {
            self.open(&path);
            fs_err::remove_dir_all(&path).unwrap();
        }
        if folder == "home" {
            fs_err::create_dir(path).unwrap();
        }
    }

    /// Makes folders writable again, which those of finished generations are not.
    fn open(&self, folder: &Path) {
        let mut find = self.env.program("find");
        find.arg(folder)
            .args(["-type", "d", "-exec", "chmod", "u+rwx", "{}", "+"]);
        self.env.output(&mut find).success();
    }

    /// The prefix of the current generation, if one was switched to.
    fn current(&self) -> Option<PathBuf> {
        let link = self.env.root().join("envs/lab");
        let target = fs_err::read_link(&link).ok()?;
        Some(link.with_file_name(target))
    }

    /// Python and R of a prefix run code of their packages.
    #[track_caller]
    fn runs(&self, prefix: &Path, package: Option<usize>) {
        let python = match package {
            Some(package) => format!("import traitlets, {}; print(6 * 7)", PACKAGES[package]),
            None => format!(
                "import traitlets, importlib.util as i; \
                 assert i.find_spec({:?}) or i.find_spec({:?}); print(6 * 7)",
                PACKAGES[0], PACKAGES[1]
            ),
        };
        for (program, flag, code) in [
            ("bin/python", "-c", python.as_str()),
            (
                "bin/Rscript",
                "-e",
                "cat(jsonlite::fromJSON('[42]'), '\\n')",
            ),
        ] {
            let mut run = self.env.program(prefix.join(program));
            let said = self.env.output(run.args([flag, code])).success();
            assert_eq!(
                said.stdout.trim(),
                "42",
                "{program} of {}",
                prefix.display()
            );
        }
    }

    /// What Jupyter sees belongs to whole generations.
    #[track_caller]
    fn kernelspecs_are_whole(&self) -> usize {
        let entries = fs_err::read_dir(self.env.user_kernels());
        let folders = entries.into_iter().flatten().flatten();
        let mut seen = 0;
        for file in folders.map(|folder| folder.path().join("kernel.json")) {
            let Ok(text) = fs_err::read_to_string(&file) else {
                continue;
            };
            let kernelspec: Value = serde_json::from_str(&text).unwrap();
            let program = PathBuf::from(kernelspec["argv"][0].as_str().unwrap());
            let generation = program.ancestors().nth(2).unwrap();
            assert!(
                program.exists() && generation.join(".envspec/receipt.json").exists(),
                "{} leads to {}, which is not whole",
                file.display(),
                program.display()
            );
            seen += 1;
        }
        seen
    }

    /// What is there right after the kill.
    #[track_caller]
    fn works(&self, act: Act, had_one: bool) {
        let Some(current) = self.current() else {
            assert!(!had_one, "no generation is current any more");
            self.kernelspecs_are_whole();
            return;
        };
        self.runs(&current, None);
        // A repair writes the receipt last, as an apply does, of what is current.
        if act != Act::Repair {
            self.kernelspecs_are_whole();
        }
    }

    /// One more `apply`, and `gc`.
    #[track_caller]
    fn finishes(&self, act: Act) {
        self.apply();
        let current = self.current().expect("an apply makes one current");
        self.runs(&current, Some(self.package));
        assert_eq!(self.kernelspecs_are_whole(), 2, "kernelspecs");
        if act == Act::Repair {
            self.env.run(&["verify", "--repair"]).success();
        }
        // What an update links is compared file by file in `crash`.
        if !matches!(act, Act::Apply | Act::Rollback | Act::Gc) {
            self.env.run(&["verify"]).success();
        }
        self.env.run(&["apply"]).success().says("Nothing to do");
        let keep = if act == Act::Rollback { "1" } else { "0" };
        self.env
            .run(&["gc", "--keep", keep, "--older-than", "0d"])
            .success();
        has_no_orphans(&self.env, "after gc");
    }

    /// Runs a command for so long at most. Tells how long it ran, whether it was
    /// killed, and its last words.
    fn run_for(&self, arguments: &[&str], longest: Option<Duration>) -> (Duration, bool, String) {
        let said = self.env.path("said");
        let file = fs_err::File::create(&said).unwrap();
        let mut command = self.env.command(arguments);
        command.process_group(0).stderr(file.into_parts().0);
        command.stdout(std::process::Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        if let Some(longest) = longest {
            std::thread::sleep(longest);
            // It may be done.
            let _gone = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        let status = child.wait().unwrap();
        let took = started.elapsed();
        let words = fs_err::read_to_string(said).unwrap();
        let killed = status.signal() == Some(9);
        assert!(
            killed || status.success(),
            "{arguments:?}: {status}\n{words}"
        );
        let last = words
            .lines()
            .last()
            .unwrap_or("nothing was said")
            .to_owned();
        (took, killed, last)
    }
}

/// What came of some kills.
#[derive(Default)]
struct Outcome {
    instants: usize,
    late: usize,
    failures: Vec<String>,
}

/// How often an instant is tried that came after the end: the machine is quicker by
/// then than when the act was measured.
const TRIES: usize = 5;

/// Kills an act at so many instants.
fn kill(lab: &mut Lab, act: Act, instants: usize, outcome: &mut Outcome) {
    let arguments = lab.prepare(act);
    let (mut takes, _, _) = lab.run_for(arguments, None);
    lab.finishes(act);
    for number in 0..instants {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let part = (number as f64 + 0.5) / instants as f64;
        outcome.instants += 1;
        let fell_before_the_end = (0..TRIES).any(|_| {
            let (took, killed) = kill_once(lab, act, takes.mul_f64(part), outcome);
            if !killed {
                takes = takes.min(took);
            }
            killed
        });
        outcome.late += usize::from(!fell_before_the_end);
    }
}

/// Kills an act after so long, and looks at what is left. Tells how long it ran and
/// whether it was killed.
#[expect(clippy::print_stderr, reason = "a long run tells a failure at once")]
fn kill_once(
    lab: &mut Lab,
    act: Act,
    instant: Duration,
    outcome: &mut Outcome,
) -> (Duration, bool) {
    let arguments = lab.prepare(act);
    let had_one = lab.current().is_some();
    let (took, killed, said) = lab.run_for(arguments, Some(instant));
    let at = format!(
        "{act:?}, killed after {instant:?}, after {said:?}, with {:?}",
        traces(&lab.env.root())
    );
    let looked = catch_unwind(AssertUnwindSafe(|| {
        lab.works(act, had_one);
        lab.finishes(act);
    }));
    if let Err(why) = looked {
        let failure = format!("{at}: {}", words(&*why));
        eprintln!("FAILED: {failure}");
        outcome.failures.push(failure);
        *lab = Lab::new();
    }
    (took, killed)
}

/// What of a root tells how far a run came.
fn traces(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for folder in ["gen", "envs", "leases", "pkgs/leases"] {
        let entries = fs_err::read_dir(root.join(folder));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_whole = entry.path().join(".envspec/receipt.json").exists();
            let whole = if is_whole { " (whole)" } else { "" };
            all.push(format!("{folder}/{name}{whole}"));
        }
    }
    all.sort();
    all
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap_or(&"?")).to_owned())
}

#[expect(clippy::print_stderr, reason = "the count is what is asked for")]
fn kill_at_instants_of(acts: &[(Act, usize)]) {
    let all = std::env::var("ENVSPEC_TEST_KILLS").map_or(12, |text| text.parse().unwrap());
    let mut lab = Lab::new();
    let mut outcome = Outcome::default();
    for &(act, percent) in acts {
        let before = outcome.instants;
        let started = Instant::now();
        kill(&mut lab, act, (all * percent).div_ceil(100), &mut outcome);
        let instants = outcome.instants - before;
        eprintln!("{act:?}: {instants} instants in {:.0?}", started.elapsed());
    }
    eprintln!(
        "{} instants, {} failures ({} came after the end)",
        outcome.instants,
        outcome.failures.len(),
        outcome.late
    );
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
    assert!(
        outcome.late * 3 <= outcome.instants,
        "too few fell before the end"
    );
}

#[test]
fn killed_at_instants_spread_over_apply() {
    kill_at_instants_of(APPLYING);
}

#[test]
fn killed_at_instants_spread_over_a_first_apply() {
    kill_at_instants_of(FROM_NOTHING);
}

#[test]
fn killed_at_instants_spread_over_rollback_gc_and_repair() {
    kill_at_instants_of(OTHERS);
}
