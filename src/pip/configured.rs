//! Where indexes are, as the user's own files tell uv and pip. Only that is taken from
//! them: what else they say (`resolution`, `exclude-newer`) would choose other packages on
//! each machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use configparser::ini::Ini;
use fs_err as fs;
use toml::{Table, Value};

use super::error::PipError;

/// What of a uv.toml is taken, the section `[pip]` with it.
const PLACES: [&str; 5] = [
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
];
const WAYS: [&str; 7] = [
    "keyring-provider",
    "native-tls",
    "system-certs",
    "allow-insecure-host",
    "http-proxy",
    "https-proxy",
    "no-proxy",
];
/// And of one index in it.
const OF_INDEX: [&str; 7] = [
    "name",
    "url",
    "default",
    "explicit",
    "authenticate",
    "format",
    "ignore-error-codes",
];

/// Where uv reads its configuration: what a file says may be a password.
pub(super) const PLACE: &str = "/dev/stdin";

/// What the user's files say.
#[derive(Debug, Default)]
pub(super) struct Configured {
    /// For uv, as the only configuration that it gets.
    uv: Table,
    /// For where nobody told uv: what pip's files say, as pip's variables.
    pip: Vec<(&'static str, String)>,
}

impl Configured {
    /// The configuration of `uv pip`.
    pub(super) fn uv(&self) -> String {
        self.uv.to_string()
    }

    /// The same for its other commands, which pass the section `[pip]` over.
    pub(super) fn uv_without_section(&self) -> String {
        let mut table = self.uv.clone();
        if let Some(Value::Table(section)) = table.remove("pip") {
            table.extend(section);
        }
        table.to_string()
    }

    /// A user's environment, with what pip's files say.
    pub(super) fn environment(
        &self,
        environment: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = environment.clone();
        let of_pip = self.pip.iter().cloned();
        all.extend(of_pip.map(|(name, value)| (name.to_owned(), value)));
        all
    }
}

/// Reads the files of whoever has this environment.
pub(super) fn read(environment: &BTreeMap<String, String>) -> Result<Configured, PipError> {
    read_with(environment, Path::new("/etc"))
}

/// The same, with the system's own folder of configuration.
fn read_with(environment: &BTreeMap<String, String>, etc: &Path) -> Result<Configured, PipError> {
    let mut of_uv = Table::new();
    for path in uv_files(environment, etc) {
        let Some(text) = text_of(&path)? else {
            continue;
        };
        let table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            PipError::Configuration {
                path: path.clone(),
                // The reader's words may have a piece of a URL with a password.
                why: format!("line {line} is no TOML"),
            }
        })?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        merge(&mut of_uv, kept(table, folder));
    }
    let says_where = |table: &Table| PLACES.iter().any(|key| table.contains_key(*key));
    let of_section = of_uv.get("pip").and_then(Value::as_table);
    let is_told = says_where(&of_uv) || of_section.is_some_and(says_where);
    let pip = if is_told {
        Vec::new()
    } else {
        of_pip(environment, etc)?
    };
    Ok(Configured { uv: of_uv, pip })
}

/// uv's files, the one that counts more first (`uv-dirs` in uv: the user's, then the first
/// there is of the system's).
fn uv_files(environment: &BTreeMap<String, String>, etc: &Path) -> Vec<PathBuf> {
    let of_user = user_folder(environment).map(|folder| folder.join("uv/uv.toml"));
    let of_system = system_folders(environment).map(|folder| folder.join("uv/uv.toml"));
    let of_system = of_system
        .chain([etc.join("uv/uv.toml")])
        .find(|path| path.is_file());
    of_user.into_iter().chain(of_system).collect()
}

/// pip's files, the one that counts more last (`get_configuration_files` in pip's
/// `_internal/configuration.py`).
fn pip_files(environment: &BTreeMap<String, String>, etc: &Path) -> Vec<PathBuf> {
    let named = environment.get("PIP_CONFIG_FILE");
    if named.is_some_and(|named| named == "/dev/null") {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = system_folders(environment)
        .map(|folder| folder.join("pip/pip.conf"))
        .collect();
    files.push(etc.join("pip.conf"));
    files.extend(home(environment).map(|home| home.join(".pip/pip.conf")));
    files.extend(user_folder(environment).map(|folder| folder.join("pip/pip.conf")));
    files.extend(named.map(PathBuf::from));
    files
}

fn home(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    environment.get("HOME").map(PathBuf::from)
}

fn user_folder(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let named = environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
    named
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(home(environment)?.join(".config")))
}

fn system_folders(environment: &BTreeMap<String, String>) -> impl Iterator<Item = PathBuf> {
    let named = environment.get("XDG_CONFIG_DIRS");
    let named = named.filter(|folders| !folders.is_empty());
    let folders = named.map_or("/etc/xdg", String::as_str);
    let folders: Vec<PathBuf> = std::env::split_paths(folders).collect();
    folders.into_iter()
}

/// The text of a file, if it is there.
fn text_of(path: &Path) -> Result<Option<String>, PipError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PipError::Configuration {
            path: path.to_owned(),
            why: error.kind().to_string(),
        }),
    }
}

/// What is taken of a table of uv's, its relative paths counted from the file's folder.
fn kept(table: Table, folder: &Path) -> Table {
    let mut kept_of = Table::new();
    for (key, value) in table {
        let value = match (key.as_str(), value) {
            ("pip", Value::Table(section)) => Value::Table(kept(section, folder)),
            ("index", Value::Array(indexes)) => {
                let of_one = |index: Value| match index {
                    Value::Table(mut index) => {
                        index.retain(|key, _| OF_INDEX.contains(&key));
                        if let Some(url) = index.get_mut("url") {
                            *url = placed(url.clone(), folder);
                        }
                        Value::Table(index)
                    }
                    other => other,
                };
                Value::Array(indexes.into_iter().map(of_one).collect())
            }
            ("index-url" | "extra-index-url" | "find-links", value) => placed(value, folder),
            (key, value) if PLACES.contains(&key) || WAYS.contains(&key) => value,
            _ => continue,
        };
        kept_of.insert(key, value);
    }
    kept_of
}

fn placed(value: Value, folder: &Path) -> Value {
    match value {
        Value::String(text) if !text.contains("://") => {
            Value::String(folder.join(text).to_string_lossy().into_owned())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(|one| placed(one, folder)).collect()),
        other => other,
    }
}

/// Adds what counts less: lists behind the list that there is, the rest where it is not said.
fn merge(to: &mut Table, less: Table) {
    for (key, value) in less {
        match (to.get_mut(&key), value) {
            (None, value) => {
                to.insert(key, value);
            }
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (Some(Value::Table(all)), Value::Table(more)) => merge(all, more),
            (Some(_), _) => {}
        }
    }
}

/// What pip's files say, with the words of the section `[install]` before those of `[global]`.
fn of_pip(
    environment: &BTreeMap<String, String>,
    etc: &Path,
) -> Result<Vec<(&'static str, String)>, PipError> {
    const KEYS: [(&str, &str); 3] = [
        ("index-url", "PIP_INDEX_URL"),
        ("extra-index-url", "PIP_EXTRA_INDEX_URL"),
        ("cert", "PIP_CERT"),
    ];
    let mut said: BTreeMap<(bool, &str), String> = BTreeMap::new();
    for path in pip_files(environment, etc) {
        let Some(text) = text_of(&path)? else {
            continue;
        };
        let mut ini = Ini::new();
        ini.set_multiline(true);
        ini.set_inline_comment_symbols(Some(&[]));
        let sections = ini.read(text).map_err(|_| PipError::Configuration {
            path: path.clone(),
            why: "it has not the form of one".to_owned(),
        })?;
        for (section, is_install) in [("global", false), ("install", true)] {
            for (key, value) in sections.get(section).into_iter().flatten() {
                let own = key.replace('_', "-");
                let known = KEYS.iter().find(|(known, _)| **known == own);
                if let (Some((_, variable)), Some(value)) = (known, value) {
                    let words: Vec<&str> = value.split_whitespace().collect();
                    said.insert((is_install, variable), words.join(" "));
                }
            }
        }
    }
    let value_of = |variable: &'static str| {
        let value = said
            .get(&(true, variable))
            .or_else(|| said.get(&(false, variable)))?;
        (!environment.contains_key(variable)).then(|| (variable, value.clone()))
    };
    Ok(KEYS
        .into_iter()
        .filter_map(|(_, variable)| value_of(variable))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fs_err as fs;

    use super::{Configured, PipError, read_with};

    fn read(environment: &BTreeMap<String, String>) -> Result<Configured, PipError> {
        read_with(environment, std::path::Path::new("/nonexistent"))
    }

    fn files(texts: &[(&str, &str)]) -> (tempfile::TempDir, BTreeMap<String, String>) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in texts {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let of = |name: &str| folder.path().join(name).display().to_string();
        let environment = [
            ("HOME".to_owned(), of("home")),
            ("XDG_CONFIG_DIRS".to_owned(), of("xdg")),
        ];
        (folder, environment.into())
    }

    #[test]
    fn of_uvs_files_only_where_indexes_are_is_taken() {
        let (folder, environment) = files(&[
            (
                "home/.config/uv/uv.toml",
                "resolution = 'lowest'\nexclude-newer = '2020-01-01'\nfind-links = ['w', 'https://h/w']\n\
                 [pip]\nindex-url = 'https://b'\nprerelease = 'allow'\n\
                 [[index]]\nname = 'lab'\nurl = 'https://a'\nexclude-newer = 'x'\n",
            ),
            (
                "xdg/uv/uv.toml",
                "index-strategy = 'unsafe-best-match'\nkeyring-provider = 'subprocess'\n\
                 [[index]]\nurl = 'https://c'\n[pip]\nindex-url = 'https://d'\n",
            ),
            (
                "home/.config/pip/pip.conf",
                "[global]\nindex-url = https://e\n",
            ),
        ]);
        let configured = read(&environment).unwrap();
        let told: toml::Table = toml::from_str(&configured.uv()).unwrap();
        let here = folder
            .path()
            .join("home/.config/uv/w")
            .display()
            .to_string();
        let wanted: toml::Table = toml::from_str(&format!(
            "find-links = ['{here}', 'https://h/w']\nkeyring-provider = 'subprocess'\n\
             index = [{{name = 'lab', url = 'https://a'}}, {{url = 'https://c'}}]\n\
             pip.index-url = 'https://b'\n"
        ))
        .unwrap();
        assert_eq!(told, wanted);
        let told: toml::Table = toml::from_str(&configured.uv_without_section()).unwrap();
        assert_eq!(told["index-url"].as_str(), Some("https://b"));
        assert!(!told.contains_key("pip"), "{told}");
        assert!(configured.pip.is_empty(), "{configured:?}");
    }

    #[test]
    fn of_pips_files_the_nearest_counts_and_a_variable_more() {
        let (_folder, mut environment) = files(&[
            (
                "xdg/pip/pip.conf",
                "[global]\nindex-url = https://a\ncert = /c\n[install]\nextra_index_url = https://x\n   https://y:8080/s#1\n",
            ),
            ("home/.pip/pip.conf", "[global]\nindex-url = https://b\n"),
        ]);
        let told = |environment: &BTreeMap<String, String>| read(environment).unwrap().pip;
        let with = |name: &'static str, value: &str| (name, value.to_owned());
        assert_eq!(
            told(&environment),
            [
                with("PIP_INDEX_URL", "https://b"),
                with("PIP_EXTRA_INDEX_URL", "https://x https://y:8080/s#1"),
                with("PIP_CERT", "/c"),
            ]
        );
        environment.insert("PIP_INDEX_URL".to_owned(), "https://z".to_owned());
        assert_eq!(told(&environment).len(), 2);
        environment.insert("PIP_CONFIG_FILE".to_owned(), "/dev/null".to_owned());
        assert!(told(&environment).is_empty());
    }

    #[test]
    fn a_file_that_can_not_be_read_is_named_and_not_passed_over() {
        let (folder, environment) = files(&[(
            "home/.config/uv/uv.toml",
            "a = 1\nindex-url = 'https://me:sesame@h\n",
        )]);
        let error = read(&environment).unwrap_err();
        assert!(!format!("{error:?}").contains("sesame"));
        let PipError::Configuration { path, why } = error else {
            panic!("{error}")
        };
        assert_eq!(path, folder.path().join("home/.config/uv/uv.toml"));
        assert_eq!(why, "line 2 is no TOML");
    }
}
