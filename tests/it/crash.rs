//! Killed at any instant (promise 2): the current generation works, and the
//! next `apply` finishes the job.
//!
//! What is covered. envspec's own work (lease, kernelspecs, receipt, lock,
//! switch, registration) is done by its first thread: there `strace` kills at
//! every single call that changes something below root, home or work, and the
//! log shows that it fell there. A call is not done when it is killed at, so the
//! state after each call is the one before the next. Calls that fail change
//! nothing and are passed over.
//!
//! Packages are fetched and linked by other threads, in an order that differs
//! from run to run. There a sample is killed at: calls for paths that are known
//! before, whichever thread makes them.
//!
//! What is not. A `write` is killed before and after, not in its middle. What a
//! power cut does to a file that is written and not yet flushed can't be seen by
//! a kill; instead the order of flush and rename is read off the recorded calls.
//! What installers and git do as processes of their own is not killed at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::{
    Call, Fault, Server, TestEnv, can_trace, channels, installer_kernel, kill_at, kill_for, record,
    slowly, tree,
};

/// What an installer does before it writes: a kernel of two files.
const STEPS: &str = r#"mkdir -p "$folder";
        cp "$CONDA_PREFIX/share/shared-lib.txt" "$folder/logo-64x64.png";"#;

/// A kernel stays, one comes, one goes.
const OLD: &str =
    "channels: [tiny]\ndependencies: [shared-lib 1.0, symlink]\nkernels: [one, three]\n";
const NEW: &str = "channels: [tiny]\ndependencies: [shared-lib 2.0, symlink, unicode-name]\n\
                   kernels: [one, two]\n";

/// What a generation is when it is whole.
struct Whole {
    /// What its package's file says.
    says: &'static str,
    /// Its files.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Its kernels, as they are registered.
    kernels: BTreeSet<String>,
    /// The lock that it was made from.
    lock: String,
    /// The spec that it was made from.
    spec: &'static str,
}

/// A world in which `lab` is about to change from one generation to another, and
/// can be put back to that again and again.
pub(crate) struct Story {
    pub(crate) env: TestEnv,
    known: BTreeMap<String, Whole>,
    /// The generation that is current before; none before the first `apply`.
    from: Option<String>,
    /// The one after.
    to: String,
    /// The one that the spec asks for.
    wanted: String,
}

impl Story {
    /// `lab` is about to be made for the first time, from `OLD`.
    pub(crate) fn of_a_first_apply() -> Self {
        let env = TestEnv::new();
        let folder = env.path("home/.config/envspec/kernels");
        fs_err::create_dir_all(&folder).unwrap();
        for name in ["one", "two", "three"] {
            let text = installer_kernel(name, STEPS);
            fs_err::write(folder.join(format!("{name}.yaml")), text).unwrap();
        }
        env.spec("lab", OLD);
        keep(&env, "kept");
        let (to, whole) = applied(&env, OLD, "shared-lib 1.0\n");
        put_back(&env, "kept");
        Self {
            env,
            from: None,
            wanted: to.clone(),
            to: to.clone(),
            known: BTreeMap::from([(to, whole)]),
        }
    }

    /// `lab` is at `OLD`, and the spec is `NEW`.
    pub(crate) fn of_an_update() -> Self {
        let mut story = Self::of_a_first_apply();
        let env = &story.env;
        applied(env, OLD, "shared-lib 1.0\n");
        env.spec("lab", NEW);
        keep(env, "kept");
        let (to, whole) = applied(env, NEW, "shared-lib 2.0\n");
        put_back(env, "kept");
        story.known.insert(to.clone(), whole);
        story.from = Some(std::mem::replace(&mut story.to, to.clone()));
        story.wanted = to;
        story
    }

    /// `lab` is at `NEW`, and is to go back to `OLD`.
    fn of_a_rollback() -> Self {
        let mut story = Self::of_an_update();
        story.env.run(&["apply"]).success();
        keep(&story.env, "kept");
        let old = story.from.replace(story.to.clone()).unwrap();
        story.to = old;
        story
    }

    /// Everything as it was before.
    pub(crate) fn again(&self) {
        put_back(&self.env, "kept");
    }

    /// Whatever a kill left, somebody can work with it.
    #[track_caller]
    pub(crate) fn works(&self, at: &str) {
        let env = &self.env;
        let link = env.root().join("envs/lab");
        let current = fs_err::read_link(&link)
            .ok()
            .map(|target| target.file_name().unwrap().to_str().unwrap().to_owned());
        let is_switched = current.as_ref() == Some(&self.to);
        assert!(
            is_switched || current == self.from,
            "{at}: current is {current:?}"
        );
        let generations = self.whole_generations(at);
        if let Some(current) = &current {
            let whole = &self.known[current];
            let file = link.join("share/shared-lib.txt");
            assert_eq!(fs_err::read_to_string(file).unwrap(), whole.says, "{at}");
            assert!(
                generations.contains(&(current.clone(), true)),
                "{at}: `list` does not show {current} as current: {generations:?}"
            );
        }
        assert!(
            generations.iter().filter(|(_, current)| *current).count()
                == usize::from(current.is_some()),
            "{at}: {generations:?}"
        );

        let seen = self.kernelspecs(at);
        // Those of the current generation until it is left, and those that stay.
        let mut expected = self
            .from
            .as_ref()
            .map(|from| self.known[from].kernels.clone())
            .unwrap_or_default();
        if is_switched {
            expected.retain(|name| self.known[&self.to].kernels.contains(name));
        }
        let names: BTreeSet<String> = seen.keys().cloned().collect();
        assert!(
            names.is_superset(&expected),
            "{at}: {names:?} are registered, and {expected:?} should be"
        );
        for generation in seen.values() {
            assert!(
                generations.iter().any(|(id, _)| id == generation),
                "{at}: a kernelspec of {generation}, which is not whole"
            );
            let program = env
                .root()
                .join("gen")
                .join(generation)
                .join("bin/executable");
            let ran = env.program(program).output().unwrap();
            assert_eq!(ran.stdout, b"executable 1.0\n", "{at}");
            assert!(
                is_switched || Some(generation) == self.from.as_ref(),
                "{at}: a kernelspec of {generation} before the switch"
            );
        }

        let wanted = &self.known[&self.wanted];
        let spec = fs_err::read_to_string(env.work().join("envs/lab.yaml")).unwrap();
        assert_eq!(spec, wanted.spec, "{at}");
        let lock = fs_err::read_to_string(env.work().join("envs/lab.lock")).ok();
        let before = self.from.as_ref().map(|from| &self.known[from].lock);
        let is_whole =
            lock.as_ref() == Some(&wanted.lock) || !is_switched && lock.as_ref() == before;
        assert!(
            is_whole,
            "{at}: the lock is neither the old nor the new one:\n{lock:?}"
        );
    }

    /// What `list` shows, each of which is as it was made.
    #[track_caller]
    fn whole_generations(&self, at: &str) -> Vec<(String, bool)> {
        let list = self.env.run(&["list", "--json"]).success().json();
        let mut all = Vec::new();
        for generation in list["generations"].as_array().unwrap() {
            let id = generation["generation"].as_str().unwrap().to_owned();
            let files = contents(&self.env.root().join("gen").join(&id));
            let differing: Vec<_> = differing(&files, &self.known[&id].files);
            assert!(
                differing.is_empty(),
                "{at}: {id} is not whole: {differing:?}"
            );
            all.push((id, generation["current"].as_bool().unwrap()));
        }
        all
    }

    /// The kernelspecs that Jupyter sees, and the generations whose they are.
    #[track_caller]
    fn kernelspecs(&self, at: &str) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        let Ok(entries) = fs_err::read_dir(self.env.user_kernels()) else {
            return seen;
        };
        for entry in entries.map(Result::unwrap) {
            // All that makes a folder a kernelspec to Jupyter, also a hidden one.
            let Ok(text) = fs_err::read_to_string(entry.path().join("kernel.json")) else {
                continue;
            };
            let name = entry.file_name().into_string().unwrap();
            let kernelspec: Value = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{at}: {name} is not whole: {error}\n{text}"));
            let program = kernelspec["argv"][0].as_str().unwrap();
            assert!(Path::new(program).is_file(), "{at}: {name} runs {program}");
            let logo = fs_err::read_to_string(entry.path().join("logo-64x64.png")).unwrap();
            assert!(
                self.known.values().any(|whole| whole.says == logo),
                "{at}: the logo of {name} is {logo:?}"
            );
            let generation = Path::new(program)
                .strip_prefix(self.env.root().join("gen"))
                .unwrap()
                .iter()
                .next()
                .unwrap();
            seen.insert(name, generation.to_str().unwrap().to_owned());
        }
        let known: BTreeSet<&String> = self
            .known
            .values()
            .flat_map(|whole| &whole.kernels)
            .collect();
        assert!(
            seen.keys().all(|name| known.contains(name)),
            "{at}: Jupyter would see {seen:?}"
        );
        seen
    }

    /// The next run finishes, says so, and leaves nothing to do.
    #[track_caller]
    pub(crate) fn finishes(&self, arguments: &[&str], at: &str) {
        let goal = if arguments[0] == "apply" {
            &self.wanted
        } else {
            &self.to
        };
        let is_done = |story: &Self| {
            let kernelspecs = story.kernelspecs(at);
            fs_err::read_link(story.env.root().join("envs/lab"))
                .is_ok_and(|target| target.ends_with(goal))
                && kernelspecs.keys().eq(&story.known[goal].kernels)
                && kernelspecs.values().all(|generation| generation == goal)
        };
        let was_done = is_done(self);
        let output = self.env.run(arguments).success();
        assert!(is_done(self), "{at}: it is not finished:\n{output}");
        self.whole_generations(at);
        if arguments[0] == "apply" {
            assert_eq!(
                output.stderr.contains("Nothing to do"),
                was_done,
                "{at}: it was done before: {was_done}, and it says\n{output}"
            );
            assert_eq!(self.env.lock("lab"), self.known[goal].lock, "{at}");
            self.env.run(arguments).success().says("Nothing to do");
        }
        self.leaves_nothing(!was_done, at);
    }

    /// Nothing of the killed one is left where somebody would meet it.
    #[track_caller]
    fn leaves_nothing(&self, was_needed: bool, at: &str) {
        let env = &self.env;
        for entry in names(&env.root().join("gen")) {
            assert!(
                self.known.contains_key(&entry) || !was_needed,
                "{at}: {entry} is left in gen"
            );
        }
        // In the user's folder there may be what nobody sees and the next registration
        // of that name takes over: our notes, a folder with nothing but them.
        for entry in names(&env.user_kernels()) {
            let files = names(&env.user_kernels().join(&entry));
            let is_ours = |file: &String| file.starts_with(".envspec-");
            let is_kernelspec = files.iter().any(|file| file == "kernel.json");
            let is_unfinished = files.iter().any(|file| file == ".envspec-unfinished");
            assert!(
                is_kernelspec || is_unfinished || files.is_empty(),
                "{at}: {entry} is left, with {files:?}"
            );
            let others = files.iter().filter(|file| !is_ours(file));
            assert!(
                !is_kernelspec || others.count() == 2,
                "{at}: {entry} has {files:?}"
            );
        }
        let links = names(&env.root().join("envs"));
        assert!(!was_needed || links == ["lab"], "{at}: {links:?} are left");
        // A run that has nothing to do takes no lease, and so finds no dead one.
        assert!(
            !was_needed || !env.root().join("leases/lab").exists(),
            "{at}: the lease is left"
        );
    }

    /// Kills at each of the calls, and looks at what is left.
    #[track_caller]
    fn kill_at_each(&self, arguments: &[&str], calls: &[Call], then: impl Fn(&str)) {
        assert!(calls.len() > 10, "too few to be all: {calls:#?}");
        for call in calls {
            self.again();
            kill_at(&self.env, arguments, call, || self.again());
            let at = format!("killed at {call}");
            self.works(&at);
            then(&at);
        }
    }
}

/// Applies the spec, and looks at what it made.
fn applied(env: &TestEnv, spec: &'static str, says: &'static str) -> (String, Whole) {
    env.run(&["apply"]).success();
    let prefix = env.prefix("lab");
    let receipt = env.receipt("lab");
    let kernels = receipt["kernels"].as_array().unwrap().iter();
    let whole = Whole {
        says,
        files: contents(&prefix),
        kernels: kernels
            .map(|kernel| kernel["registered"].as_str().unwrap().to_owned())
            .collect(),
        lock: env.lock("lab"),
        spec,
    };
    let id = prefix.file_name().unwrap().to_str().unwrap().to_owned();
    (id, whole)
}

/// Files and links below a folder and what is in them; of the receipt and conda's
/// history, that they are there: they tell when they were written.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for path in tree(folder).into_keys() {
        let below = path.strip_prefix(folder).unwrap().to_owned();
        if path.is_symlink() {
            let target = fs_err::read_link(&path).unwrap();
            all.insert(below, target.into_os_string().into_encoded_bytes());
        } else if path.is_file() {
            let bytes = fs_err::read(&path).unwrap();
            let is_dated = below.ends_with("receipt.json") || below.ends_with("conda-meta/history");
            let timeless = if is_dated {
                Vec::new()
            } else if below.ends_with("manifest.json") {
                // All but the lines of what is dated.
                let text = String::from_utf8(bytes).unwrap();
                let dated = |line: &&str| {
                    line.contains("/receipt.json") || line.contains("conda-meta/history")
                };
                let lines = text.lines().filter(|line| !dated(line));
                lines.collect::<String>().into_bytes()
            } else {
                bytes
            };
            all.insert(below, timeless);
        }
    }
    all
}

fn differing<'a>(
    one: &'a BTreeMap<PathBuf, Vec<u8>>,
    other: &'a BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<&'a PathBuf> {
    let paths: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    paths
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    fs_err::read_dir(folder).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        },
    )
}

const PLACES: [&str; 3] = ["root", "home", "work"];

/// Keeps root, home and work as they are.
pub(crate) fn keep(env: &TestEnv, name: &str) {
    let kept = env.path(name);
    drop(fs_err::remove_dir_all(&kept));
    fs_err::create_dir(&kept).unwrap();
    copy(env, &PLACES.map(|place| env.path(place)), &kept);
}

/// Makes root, home and work what they were.
pub(crate) fn put_back(env: &TestEnv, name: &str) {
    for place in PLACES {
        drop(fs_err::remove_dir_all(env.path(place)));
    }
    let kept = env.path(name);
    copy(env, &PLACES.map(|place| kept.join(place)), &env.path(""));
}

/// Copies with times and hard links, as nothing in Rust does.
fn copy(env: &TestEnv, from: &[PathBuf; 3], into: &Path) {
    let there = from.iter().filter(|path| path.exists());
    let mut copy = env.program("cp");
    copy.current_dir("/").arg("-a").args(there).arg(into);
    assert!(copy.status().unwrap().success());
}

/// Every so many of them.
pub(crate) fn sample(calls: Vec<Call>, about: usize) -> Vec<Call> {
    let step = calls.len().div_ceil(about).max(1);
    calls.into_iter().step_by(step).collect()
}

pub(crate) fn is_in_a_generation(call: &Call) -> bool {
    call.target().matches('/').count() > 2 && call.target().starts_with("root/gen/")
}

pub(crate) fn of_the_first_thread(story: &Story, arguments: &[&str]) -> Vec<Call> {
    let calls = record(&story.env, arguments, false);
    story.again();
    calls
}

#[test]
fn killed_at_any_call_of_a_first_apply() {
    if !can_trace() {
        return;
    }
    let story = Story::of_a_first_apply();
    // What is done inside a generation is the same in an update.
    let mut calls = of_the_first_thread(&story, &["apply"]);
    calls.retain(|call| !is_in_a_generation(call));
    story.kill_at_each(&["apply"], &calls, |at| story.finishes(&["apply"], at));
}

#[test]
fn killed_at_any_call_that_makes_a_generation() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let mut calls = of_the_first_thread(&story, &["apply"]);
    calls.retain(is_in_a_generation);
    story.kill_at_each(&["apply"], &calls, |at| story.finishes(&["apply"], at));
}

#[test]
fn killed_at_any_call_that_publishes_a_generation() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let mut calls = of_the_first_thread(&story, &["apply"]);
    calls.retain(|call| !is_in_a_generation(call));
    let targets: Vec<&str> = calls.iter().map(Call::target).collect();
    for published in [
        "root/leases/lab",
        "work/envs/lab.lock",
        "root/envs/lab",
        "root/history/lab.jsonl",
        "home/.local/share/jupyter/kernels/lab-one/kernel.json",
        "home/.local/share/jupyter/kernels/lab-two/kernel.json",
        "home/.local/share/jupyter/kernels/lab-three",
    ] {
        assert!(
            targets.contains(&published),
            "{published} is not in {targets:#?}"
        );
    }
    story.kill_at_each(&["apply"], &calls, |at| story.finishes(&["apply"], at));
}

#[test]
fn killed_at_any_call_of_a_rollback() {
    if !can_trace() {
        return;
    }
    let story = Story::of_a_rollback();
    let calls = of_the_first_thread(&story, &["rollback"]);
    let to = story.to.clone();
    // Back to what was named, or forward to what the spec says.
    story.kill_at_each(&["rollback"], &calls, |at| {
        keep(&story.env, "killed");
        story.finishes(&["rollback", "lab", &to], at);
        put_back(&story.env, "killed");
        story.finishes(&["apply"], at);
    });
}

#[test]
fn killed_while_finishing_what_a_killed_one_left() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let calls = of_the_first_thread(&story, &["apply"]);
    let receipt = calls
        .iter()
        .find(|call| call.target().ends_with(".envspec/receipt.json"))
        .unwrap();
    kill_at(&story.env, &["apply"], receipt, || story.again());
    keep(&story.env, "kept");
    // The lease that is taken over, the rubble that is moved aside and deleted.
    let calls = of_the_first_thread(&story, &["apply"]);
    let (rubble, mut others): (Vec<_>, Vec<_>) = calls
        .into_iter()
        // Its files go by other threads, its folders by this one.
        .partition(|call| call.name == "rmdir" && call.target().contains("/.rubble-"));
    others.retain(|call| {
        call.target().starts_with("root/leases") || call.target().contains("/.rubble-")
    });
    assert!(
        rubble.len() > 3 && others.len() > 5,
        "{rubble:#?} {others:#?}"
    );
    others.extend(sample(rubble, 6));
    story.kill_at_each(&["apply"], &others, |at| story.finishes(&["apply"], at));
}

#[test]
fn killed_at_a_sample_of_the_calls_that_fetch_and_link_packages() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let mut calls = record(&story.env, &["apply"], true);
    calls.retain(|call| {
        !call.first_thread && call.is_known_before() && call.target().starts_with("root/")
    });
    let linked = format!("root/gen/.building-{}/share/shared-lib.txt", story.to);
    assert!(
        calls.iter().any(|call| call.target() == linked),
        "{calls:#?}"
    );
    let mut missed = Vec::new();
    let calls = sample(calls, 20);
    for call in &calls {
        story.again();
        if !kill_for(&story.env, &["apply"], call) {
            // Two threads make a folder: the one that does it is not always the same.
            missed.push(call.to_string());
            continue;
        }
        let at = format!("killed at {call}");
        story.works(&at);
        story.finishes(&["apply"], &at);
    }
    assert!(
        missed.len() * 4 < calls.len(),
        "too many were missed: {missed:#?}"
    );
}

#[test]
fn a_switch_that_was_killed_before_it_was_recorded_is_one_to_go_back_to() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let env = &story.env;
    let calls = of_the_first_thread(&story, &["apply"]);
    let recorded = calls
        .iter()
        .find(|call| call.target() == "root/history/lab.jsonl")
        .unwrap();
    kill_at(env, &["apply"], recorded, || story.again());
    let second = env.prefix("lab");
    assert!(second.ends_with(&story.to));
    env.run(&["apply"]).success();
    env.spec("lab", "channels: [tiny]\ndependencies: [shared-lib 1.1]\n");
    env.run(&["apply"]).success();
    assert_ne!(env.prefix("lab"), second);
    env.run(&["rollback"]).success();
    assert_eq!(env.prefix("lab"), second);
    env.run(&["rollback"]).success();
    assert!(env.prefix("lab").ends_with(story.from.as_ref().unwrap()));
}

/// What a kill can't show: a file that is renamed into its place is on the disk
/// by then, also if the power goes.
#[test]
fn what_is_renamed_into_its_place_was_flushed_before_and_the_receipt_comes_last() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let calls = record(&story.env, &["apply"], true);
    let mut flushed: Vec<&str> = Vec::new();
    let mut renamed = BTreeSet::new();
    for call in &calls {
        let [from, .., to] = call.paths.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            match call.name.as_str() {
                "fsync" => flushed.push(call.target()),
                "write" | "openat" => flushed.retain(|path| *path != call.target()),
                _ => {}
            }
            continue;
        };
        let temporary = from.rsplit('/').next().unwrap();
        let is_ours = temporary.starts_with(".envspec") && temporary.ends_with('*');
        if call.name.starts_with("rename") && is_ours {
            assert!(flushed.contains(&from), "{call} was not flushed");
            renamed.insert(to);
        }
    }
    let receipt = format!("root/gen/{}/.envspec/receipt.json", story.to);
    for file in [
        receipt.as_str(),
        "work/envs/lab.lock",
        "home/.local/share/jupyter/kernels/lab-two/kernel.json",
        "home/.local/share/jupyter/kernels/lab-two/logo-64x64.png",
    ] {
        assert!(renamed.contains(file), "{file} is not in {renamed:#?}");
    }
    let inside: Vec<_> = calls
        .iter()
        .filter(|call| is_in_a_generation(call))
        .collect();
    assert_eq!(
        inside.last().unwrap().target(),
        receipt,
        "the receipt is not the last"
    );
}

/// One who reads all the while, through the link and in Jupyter's folder.
#[test]
fn a_reader_never_sees_a_half_updated_tree() {
    if !can_trace() {
        return;
    }
    let story = Story::of_an_update();
    let old = story.env.prefix("lab");
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                // Once, as a notebook does: it keeps the generation that it found.
                let prefix = story.env.prefix("lab");
                let id = prefix.file_name().unwrap().to_str().unwrap().to_owned();
                let files = contents(&prefix);
                let differing = differing(&files, &story.known[&id].files);
                assert!(differing.is_empty(), "{id} is half: {differing:?}");
                // The file that both have, through the link itself.
                let text =
                    fs_err::read_to_string(story.env.root().join("envs/lab/share/shared-lib.txt"));
                assert!(text.unwrap().starts_with("shared-lib "));
                let kernel = story.env.user_kernels().join("lab-one/kernel.json");
                let kernel: Value = serde_json::from_slice(&fs_err::read(kernel).unwrap()).unwrap();
                assert!(Path::new(kernel["argv"][0].as_str().unwrap()).is_file());
                seen.insert(id);
                rounds += 1;
            }
            (seen, rounds)
        });
        // Told also if a run fails, so that the reader ends.
        let runs = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for arguments in [["apply"], ["rollback"], ["apply"]] {
                slowly(&story.env, &arguments, 4000);
            }
        }));
        done.store(true, Ordering::Relaxed);
        runs.unwrap();
        reader.join().unwrap()
    });
    let (ids, rounds) = seen;
    assert_eq!(ids.len(), 2, "the reader saw {ids:?}");
    assert!(rounds > 50, "the reader looked {rounds} times");
    // Who is still in the old one finds it as it was.
    let files = contents(&old);
    assert!(
        differing(
            &files,
            &story.known[old.file_name().unwrap().to_str().unwrap()].files
        )
        .is_empty()
    );
}

/// What the package of the current generation says.
#[track_caller]
fn says(env: &TestEnv) -> String {
    fs_err::read_to_string(env.root().join("envs/lab/share/shared-lib.txt")).unwrap()
}

/// The same without `strace`, at a download that never ends; and half-built ones of
/// before, where packages are linked and where they belong.
#[test]
fn killed_while_it_fetches_it_leaves_the_current_generation_and_the_next_apply_finishes() {
    let server = Server::start(channels());
    let env = TestEnv::with_alias(server.url());
    env.tiny(&["shared-lib 1.0"]);
    env.run(&["apply"]).success();
    let old = env.prefix("lab");
    let before = tree(&old);

    env.tiny(&["shared-lib 2.0", "symlink", "executable", "many-versions"]);
    let plan = env.run(&["plan", "--json"]).success().json();
    let to = plan["to"].as_str().unwrap();
    let generations = env.root().join("gen");
    let half = [to.to_owned(), format!(".building-{to}")].map(|name| generations.join(name));
    for folder in &half {
        fs_err::create_dir_all(folder.join(".envspec")).unwrap();
        fs_err::write(folder.join("half-written"), "").unwrap();
    }
    server.fault("many-versions", Fault::Held);
    let apply = env.start(&["apply"]);
    server.wait_for("many-versions");
    assert!(apply.kill(), "it was done before it was killed");
    server.release();

    assert_eq!(env.prefix("lab"), old);
    assert_eq!(says(&env), "shared-lib 1.0\n");
    assert!(tree(&old) == before, "the current generation was changed");
    let list = env.run(&["list", "--json"]).success().json();
    assert_eq!(
        list["generations"].as_array().unwrap().len(),
        1,
        "rubble counts as a generation"
    );
    env.run(&["apply"]).success();
    assert_eq!(says(&env), "shared-lib 2.0\n");
    env.run(&["apply"]).success().says("Nothing to do");
    assert_eq!(env.prefix("lab"), half[0]);
    assert!(!half[0].join("half-written").exists(), "built upon rubble");
    assert_eq!(fs_err::read_dir(&generations).unwrap().count(), 2);
}
