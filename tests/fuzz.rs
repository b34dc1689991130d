//! Whatever a file holds, its reader answers: no panic, no hang, no memory without bound.
//!
//! The texts of the repository are cut, joined and bent at random. A few seconds of it are
//! part of all tests; `ENVSPEC_FUZZ_SECONDS=3600 cargo test --release --test fuzz --
//! --nocapture` goes on for longer and prints how many texts were read. What was ever found
//! lies in `tests/fuzz/`, and is read first.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use envspec::kernel::{Catalogue, KernelSpec};
use envspec::lock::LockText;
use envspec::lock::interchange::{
    DistInfo, Manifest, PrefixContents, conda_lock_file, explicit_list, lock_file_of_pixi,
    manifest_of_pixi, prefix,
};
use envspec::spec::{EnvName, SourceText, parse};
use rattler_conda_types::Subdir;

/// How long one text may take, on a machine that does something else too.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much memory all of it may take.
const MOST_MEMORY: u64 = 1 << 30;

/// A small lock, of conda's packages and pip's.
const LOCK: &str = "\
# envspec-inputs: 1
#   channel https://example.org/c/
#   request python
version: 7
platforms:
- name: linux-64
environments:
  default:
    channels:
    - url: https://example.org/c/
    packages:
      linux-64:
      - conda: https://example.org/c/linux-64/python-3.12.0-h0_0.conda
      - pypi: https://example.org/f/tool-1.0-py3-none-any.whl
packages:
- conda: https://example.org/c/linux-64/python-3.12.0-h0_0.conda
  sha256: 1111111111111111111111111111111111111111111111111111111111111111
  depends:
  - __glibc >=2.17
- pypi: https://example.org/f/tool-1.0-py3-none-any.whl
  name: tool
  version: '1.0'
  sha256: 2222222222222222222222222222222222222222222222222222222222222222
  requires_dist:
  - other>=1 ; python_version >= '3.8'
  requires_python: '>=3.8'
";

/// Words that mean something to one of the readers.
const WORDS: [&str; 40] = [
    "kernels:",
    "dependencies:",
    "  - ",
    "pip:",
    "sel(linux): ",
    "# [linux]",
    "&a ",
    "*a",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|\n",
    ">-\n",
    ": ",
    "\n",
    "\t",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "!!binary ",
    "---\n",
    "...\n",
    ">=",
    "==",
    "::",
    "https://u:p@h/",
    "file:///",
    "@EXPLICIT\n",
    "#sha256:",
    "version: 7\n",
    "\u{1b}[2J",
    "\u{0}",
    "99999999999999999999",
    "-",
    "_",
    "\u{1f980}",
];

/// Reads a text as everything that envspec reads.
fn read(text: &str) {
    if let Ok(source) = SourceText::from_bytes("spec.yaml", text.as_bytes().to_vec()) {
        drop(parse(&source, EnvName::new("spec")));
    }
    let lock = LockText::new("spec.lock".to_owned(), text.to_owned());
    drop(lock.inputs());
    if let Ok(read) = lock.read() {
        drop(read.packages(Subdir::Linux64));
    }
    drop(KernelSpec::parse(text));
    drop(Catalogue::with_overrides([(
        "k.yaml".to_owned(),
        text.to_owned(),
    )]));
    drop(explicit_list("x", text, Subdir::Linux64));
    drop(conda_lock_file("x", text));
    drop(lock_file_of_pixi("x", text));
    drop(manifest_of_pixi("x", text, Manifest::Pixi));
    drop(manifest_of_pixi("x", text, Manifest::Pyproject));
    let contents = PrefixContents {
        records: vec![("a.json".to_owned(), text.as_bytes().to_vec())],
        history: Some(text.to_owned()),
        state: Some(text.to_owned()),
        dist_infos: vec![DistInfo {
            path: "lib/python3.11/site-packages/a.dist-info".to_owned(),
            metadata: format!("Name: a\nVersion: 1\n{text}"),
            direct_url: Some(text.to_owned()),
            installer: Some(text.to_owned()),
        }],
        pinned: Some(text.to_owned()),
        pixi: Some(text.to_owned()),
    };
    drop(prefix("x", &contents, Subdir::Linux64));
}

/// All texts of a folder and those below it, the large ones cut.
fn texts(folder: &Path, into: &mut Vec<String>) {
    const LONGEST: usize = 4000;
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            texts(&path, into);
        } else if let Ok(mut text) = fs_err::read_to_string(&path) {
            text.truncate(text.floor_char_boundary(LONGEST));
            into.push(text);
        }
    }
}

/// Numbers that look random and are the same for the same seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end.max(1)
    }
}

/// A text, bent in some places.
fn bent(corpus: &[String], dice: &mut Dice) -> String {
    let mut text = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = text.floor_char_boundary(dice.below(text.len() + 1));
        let end = text
            .floor_char_boundary(at + dice.below(40))
            .max(at)
            .min(text.len());
        match dice.below(6) {
            0 => text.replace_range(at..end, ""),
            1 => text.insert_str(at, WORDS[dice.below(WORDS.len())]),
            2 => text.truncate(at),
            3 => {
                let piece = text[at..end].repeat(1 + dice.below(20));
                text.insert_str(at, &piece);
            }
            4 => {
                let other = &corpus[dice.below(corpus.len())];
                let from = other.floor_char_boundary(dice.below(other.len() + 1));
                text.replace_range(at.., &other[from..]);
            }
            _ => {
                let any = char::from_u32(u32::try_from(dice.below(0x300)).unwrap());
                text.insert(at, any.unwrap_or('x'));
            }
        }
    }
    text
}

/// Reads a text, and says which one it was if that goes wrong.
fn try_one(text: &str) {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| read(text)));
    assert!(
        outcome.is_ok(),
        "a reader panicked: put this into tests/fuzz/:\n{text:?}"
    );
    let took = started.elapsed();
    assert!(
        took < PATIENCE,
        "it took {took:?}: put this into tests/fuzz/:\n{text:?}"
    );
}

/// The most memory that this process ever had.
fn peak_memory() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

#[test]
fn what_was_found_once_is_read() {
    let mut found = Vec::new();
    texts(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz"),
        &mut found,
    );
    assert!(!found.is_empty());
    for text in found {
        try_one(&text);
    }
}

#[test]
fn no_text_makes_a_reader_panic_hang_or_grow() {
    let told = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seconds = told("ENVSPEC_FUZZ_SECONDS").unwrap_or(5);
    let seed = told("ENVSPEC_FUZZ_SEED").unwrap_or(0x5eed);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus = vec![LOCK.to_owned()];
    for folder in [
        "tests/specs",
        "tests/interchange",
        "tests/fuzz",
        "kernels",
        "envs",
    ] {
        texts(&root.join(folder), &mut corpus);
    }
    assert!(corpus.len() > 100);
    // A stack that overflows ends the process: what was being read is in this folder then.
    let kept = std::env::var_os("ENVSPEC_FUZZ_KEEP").map(std::path::PathBuf::from);
    std::panic::set_hook(Box::new(|_| {}));
    let until = Instant::now() + Duration::from_secs(seconds);
    let count = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (corpus, count, kept) = (&corpus, &count, kept.as_deref());
            let with_the_stack_of_main = std::thread::Builder::new().stack_size(8 << 20);
            let work = move || {
                let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (thread + 1));
                while Instant::now() < until {
                    let text = bent(corpus, &mut dice);
                    if let Some(folder) = kept {
                        fs_err::write(folder.join(thread.to_string()), &text).unwrap();
                    }
                    try_one(&text);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            };
            drop(with_the_stack_of_main.spawn_scoped(scope, work).unwrap());
        }
    });
    let (count, peak) = (count.into_inner(), peak_memory() >> 20);
    println!("{count} texts read in {seconds} s, each by 11 readers; {peak} MiB at most");
    assert!(count > 100, "{count}");
    assert!(peak_memory() < MOST_MEMORY);
}
