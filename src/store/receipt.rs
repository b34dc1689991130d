//! The receipt: what a generation is, written when it is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::layout::Root;
use super::manifest::Manifest;
use super::seal::close_folder;
use super::write::write_whole;
use crate::lock::{Need, PackageId};

/// The file that says where a generation was made: a line of its own, because it
/// is asked for at every start.
const PLACE: &str = ".envspec/prefix";

/// The folder of a prefix that is envspec's own.
pub(super) const OWN: &str = ".envspec";

/// The folder beside a spec that has definitions of kernels; a prefix keeps those of
/// its own beside the copy of its spec.
pub const DEFINITIONS: &str = "kernels";

/// Where a spec came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecOrigin {
    /// The spec's path, absolute.
    pub path: PathBuf,
    /// The commit that was checked out, if the spec is in git.
    pub commit: Option<String>,
    /// Whether spec or lock differed from that commit.
    pub dirty: bool,
}

/// A kernel of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelReceipt {
    /// Its name in the spec.
    pub name: String,
    /// The kernel definition.
    pub definition: String,
    /// Its folder below `share/jupyter/kernels` of the generation.
    pub directory: String,
    /// The name under which it is registered for the user.
    pub registered: String,
    /// What a launcher shows.
    pub display_name: String,
    /// The Nix store that it is from, if it is from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nix: Option<NixReceipt>,
}

/// A kernel out of a Nix store. The definition is that whose cells test it then, or
/// empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NixReceipt {
    /// The installable as the spec writes it.
    pub installable: String,
    /// The store path that it was.
    pub store_path: String,
}

/// What a generation is and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The form of this file.
    pub version: u32,
    /// The environment.
    pub environment: String,
    /// The generation: the name of its folder.
    pub generation: String,
    /// The conda platform.
    pub platform: String,
    /// When it was finished, RFC 3339, UTC.
    pub created: String,
    /// Who made it: `user@host`.
    pub by: String,
    /// The program that made it: `envspec 0.1.0`.
    pub made_with: String,
    /// The spec.
    pub spec: SpecOrigin,
    /// The SHA-256 of the spec's bytes; empty if it was made before that was kept.
    #[serde(default)]
    pub spec_sha256: String,
    /// The SHA-256 of the lock's bytes.
    pub lock_sha256: String,
    /// The packages, by name.
    pub packages: Vec<PackageId>,
    /// Packages that were built from source, each with where that was from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built: BTreeMap<String, String>,
    /// The kernels, in the spec's order.
    pub kernels: Vec<KernelReceipt>,
    /// The variables that activation sets, as captured when it was made.
    pub activation: BTreeMap<String, String>,
    /// What the packages need of the machine; unknown (empty) if it was made before that
    /// was kept.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Paths that more than one package brings.
    #[serde(default)]
    pub clobbered: Vec<PathBuf>,
    /// Packages whose post-link script was not run: nobody vouches for it.
    #[serde(default)]
    pub scripts_not_run: Vec<String>,
}

/// What a receipt is written with: the texts that a generation is made from
/// again, and what is in it.
#[derive(Debug, Clone, Copy)]
pub struct Papers<'a> {
    /// The spec.
    pub spec: &'a str,
    /// The lock.
    pub lock: &'a str,
    /// The definitions of its kernels, by their identifiers.
    pub definitions: &'a BTreeMap<String, String>,
    /// What no package tells of.
    pub manifest: &'a Manifest,
}

impl Receipt {
    /// The form that this program writes.
    pub const VERSION: u32 = 1;

    /// Where the receipt of a prefix is. Not in `conda-meta`: conda takes every
    /// JSON file there for a package.
    pub fn path(prefix: &Path) -> PathBuf {
        prefix.join(OWN).join("receipt.json")
    }

    /// Where a prefix keeps the text of the spec that it was made from.
    pub fn spec_path(prefix: &Path) -> PathBuf {
        prefix.join(OWN).join("spec.yaml")
    }

    /// Where a prefix keeps the definition of one of its kernels.
    pub fn definition_path(prefix: &Path, id: &str) -> PathBuf {
        let folder = Self::spec_path(prefix).with_file_name(DEFINITIONS);
        folder.join(format!("{id}.yaml"))
    }

    /// Whether the prefix is a whole generation, at the place that it was made
    /// for: its files name that place, so one that was moved is of no use.
    pub fn exists(prefix: &Path) -> bool {
        Self::path(prefix).is_file()
            && fs::read_to_string(prefix.join(PLACE)).is_ok_and(|place| {
                let place = Path::new(place.trim_end_matches('\n'));
                place == prefix
                    || matches!(
                        (place.canonicalize(), prefix.canonicalize()),
                        (Ok(one), Ok(other)) if one == other
                    )
            })
    }

    /// Reads the receipt of a prefix; `None` if there is none.
    pub fn read(prefix: &Path) -> Result<Option<Self>, StoreError> {
        Self::read_file(Self::path(prefix))
    }

    /// Reads the receipt of a generation that may have been collected.
    pub fn read_kept(root: &Root, generation: &str) -> Result<Option<Self>, StoreError> {
        match Self::read(&root.generations().join(generation))? {
            Some(receipt) => Ok(Some(receipt)),
            None => Self::read_file(root.kept_receipt(generation)),
        }
    }

    /// Keeps the receipt of a generation that is to be collected.
    pub fn keep(root: &Root, generation: &str) -> Result<(), StoreError> {
        let path = Self::path(&root.generations().join(generation));
        let kept = root.kept_receipt(generation);
        let folder = kept.parent().expect("it is in a folder");
        fs::create_dir_all(folder).map_err(StoreError::io("could not make", folder))?;
        // One of the same generation, built before.
        drop(fs::remove_file(&kept));
        // A link takes no space, of which there may be none.
        if fs::hard_link(&path, &kept).is_ok() {
            return Ok(());
        }
        match fs::read(&path) {
            Ok(bytes) => write_whole(&kept, &bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("could not read", &path)(error)),
        }
    }

    fn read_file(path: PathBuf) -> Result<Option<Self>, StoreError> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("could not read", &path)(error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StoreError::BadReceipt { path, source })
    }

    /// Writes the receipt, with its papers beside it, which makes the prefix a
    /// generation: it is on disk, whole, or not there. The last act is to close
    /// their folder.
    pub fn write(&self, prefix: &Path, papers: Papers<'_>) -> Result<(), StoreError> {
        let folder = Self::folder(prefix)?;
        let mut receipt = serde_json::to_vec_pretty(self)
            .expect("a receipt is plain text and lists, which JSON can always hold");
        receipt.push(b'\n');
        let place = format!("{}\n", prefix.display());
        let receipt_path = Self::path(prefix);
        let spec_path = Self::spec_path(prefix);
        let definitions = spec_path.with_file_name(DEFINITIONS);
        let mut all = vec![
            (spec_path.with_extension("lock"), papers.lock.as_bytes()),
            (spec_path, papers.spec.as_bytes()),
            (prefix.join(PLACE), place.as_bytes()),
        ];
        fs::create_dir_all(&definitions).map_err(StoreError::io("could not make", &definitions))?;
        for (id, text) in papers.definitions {
            all.push((Self::definition_path(prefix, id), text.as_bytes()));
        }
        all.push((receipt_path, &receipt));
        let mut manifest = papers.manifest.clone();
        for (path, bytes) in &all {
            let below = path.strip_prefix(prefix).unwrap_or(path).to_owned();
            manifest.add(below, hex::encode(Sha256::digest(bytes)));
        }
        write_whole(&Manifest::path(prefix), manifest.text().as_bytes())?;
        for (path, bytes) in &all {
            write_whole(path, bytes)?;
        }
        close_folder(&definitions)?;
        close_folder(&folder)
    }

    /// Makes the folder of the receipt and its papers.
    pub fn folder(prefix: &Path) -> Result<PathBuf, StoreError> {
        let folder = prefix.join(OWN);
        fs::create_dir_all(&folder).map_err(StoreError::io("could not make", &folder))?;
        Ok(folder)
    }
}
