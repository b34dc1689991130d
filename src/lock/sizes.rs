//! How large wheels are, in a lock.
//!
//! A pixi.lock has no place for it. It stands behind the inputs in a comment of its own,
//! for those wheels whose index says so (PEP 700).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rattler_lock::PypiDistributionData;

use super::file::{INPUT, LockText};

/// The line that opens the sizes; the number is their format's.
const SIZES: &str = "# envspec-wheels: 1";

/// The sizes of wheels in bytes, by their SHA-256 in hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WheelSizes(BTreeMap<String, u64>);

impl WheelSizes {
    /// Reads the lines of a lock; what is none is passed over, so that the size counts as
    /// unknown.
    fn read(lines: &[&str]) -> Self {
        let of_line = |line: &&str| {
            let (digest, bytes) = line.split_once(' ')?;
            Some((digest.to_owned(), bytes.parse().ok()?))
        };
        Self(lines.iter().filter_map(of_line).collect())
    }

    /// Adds the size of a wheel.
    pub fn add(&mut self, sha256: &str, bytes: u64) {
        self.0.insert(sha256.to_owned(), bytes);
    }

    /// Adds all of others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The size of a wheel in bytes; `None` if nobody told it.
    pub fn of(&self, package: &PypiDistributionData) -> Option<u64> {
        self.0.get(&digest(package)?).copied()
    }

    /// A lock's text with the sizes of its wheels at the end of its head.
    #[must_use]
    pub fn told_in<'p>(
        &self,
        lock: &str,
        wheels: impl Iterator<Item = &'p PypiDistributionData>,
    ) -> String {
        let known = wheels.filter_map(|wheel| Some((digest(wheel)?, self.of(wheel)?)));
        let known: BTreeMap<String, u64> = known.collect();
        if known.is_empty() {
            return lock.to_owned();
        }
        let mut said = format!("{SIZES}\n");
        for (digest, bytes) in known {
            writeln!(said, "{INPUT}{digest} {bytes}").expect("a text takes it");
        }
        let of_head = lock.split_inclusive('\n');
        let head: usize = of_head
            .take_while(|line| line.starts_with('#'))
            .map(str::len)
            .sum();
        let (head, body) = lock.split_at(head);
        [head, &said, body].concat()
    }
}

impl LockText {
    /// How large its wheels are, as far as that is known.
    pub fn wheel_sizes(&self) -> WheelSizes {
        WheelSizes::read(&self.lines_of(SIZES).unwrap_or_default())
    }
}

fn digest(package: &PypiDistributionData) -> Option<String> {
    Some(hex::encode(package.hash.as_ref()?.sha256()?))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use rattler_lock::{PackageHashes, PypiDistributionData, UrlOrPath, Verbatim};

    use super::WheelSizes;
    use crate::lock::LockText;

    fn wheel(byte: u8) -> PypiDistributionData {
        PypiDistributionData {
            name: "tool".parse().unwrap(),
            version: "1.0".parse().unwrap(),
            location: Verbatim::new(
                UrlOrPath::from_str("https://h/tool-1.0-py3-none-any.whl").unwrap(),
            ),
            index_url: None,
            hash: Some(PackageHashes::Sha256([byte; 32].into())),
            requires_dist: Vec::new(),
            requires_python: None,
        }
    }

    #[test]
    fn sizes_stand_behind_the_inputs_and_are_read_as_they_were_written() {
        let lock = "# words\n# envspec-inputs: 1\n#   a\nversion: 7\n#   no head\n";
        let mut sizes = WheelSizes::default();
        sizes.add(&"ab".repeat(32), 431);
        sizes.add(&"cd".repeat(32), 1);
        let (known, unknown) = (wheel(0xab), wheel(0xef));
        let text = sizes.told_in(lock, [&known, &unknown].into_iter());
        let read = LockText::new("x.lock".to_owned(), text.clone());
        assert_eq!(read.inputs().unwrap(), ["a"]);
        assert_eq!(read.wheel_sizes().of(&known), Some(431));
        assert_eq!(read.wheel_sizes().of(&unknown), None);
        assert_eq!(
            read.wheel_sizes().of(&wheel(0xcd)),
            None,
            "it is in no lock"
        );
        assert!(text.ends_with("version: 7\n#   no head\n"), "{text}");
        assert_eq!(sizes.told_in(lock, [&unknown].into_iter()), lock);
    }
}
