//! What was understood, as a spec.

use super::Imported;
use crate::lock::interchange::text::{one_line, scalar};
use crate::spec::EnvName;

impl Imported {
    /// The spec: what was not taken over in comments at its head, then what conda reads,
    /// then what envspec adds. `from` is what the source is called.
    pub fn spec_text(&self, from: &str, name: &EnvName) -> String {
        let mut lines = vec![format!("# Imported by envspec from {}.", one_line(from))];
        if !self.left_out.is_empty() {
            lines.push("# Not taken over:".to_owned());
        }
        let left_out = self.left_out.iter();
        lines.extend(left_out.map(|line| format!("# - {}", one_line(line))));
        lines.push(format!("name: {}", scalar(name.as_str())));
        list(
            &mut lines,
            "channels",
            self.channels.iter().map(String::as_str),
        );
        if !self.asked.is_empty() || !self.pip.is_empty() {
            lines.push("dependencies:".to_owned());
        }
        for asked in &self.asked {
            let item = scalar(&asked.text);
            let selector = asked.selector.as_ref().map(|word| format!("[{word}]"));
            // Brackets would be a selector but for the parenthesis behind them.
            let why = asked.comment.as_deref();
            let why = why.map(|why| format!("({})", one_line(why)));
            let remarks: Vec<String> = why.into_iter().chain(selector).collect();
            lines.push(match remarks.as_slice() {
                [] => format!("  - {item}"),
                some => format!("  - {item}  # {}", some.join(" ")),
            });
        }
        if !self.pip.is_empty() {
            lines.push("  - pip:".to_owned());
        }
        let pip = self.pip.iter();
        lines.extend(pip.map(|requirement| format!("      - {}", scalar(requirement))));
        if !self.variables.is_empty() {
            lines.push("variables:".to_owned());
        }
        for (name, value) in &self.variables {
            lines.push(format!("  {}: {}", scalar(name), scalar(value)));
        }
        let platforms = self.platforms.iter().map(|platform| platform.as_str());
        list(&mut lines, "platforms", platforms);
        list(
            &mut lines,
            "kernels",
            self.kernels.iter().map(String::as_str),
        );
        if !self.target.is_empty() {
            lines.push("target:".to_owned());
        }
        let target = self.target.iter();
        // In quotes, so that no reader takes `2.30` for a number.
        lines.extend(
            target.map(|(key, value)| {
                format!("  {key}: {}", serde_json::Value::from(value.as_str()))
            }),
        );
        lines.join("\n") + "\n"
    }
}

/// A list below a key, if there is something in it.
fn list<'t>(lines: &mut Vec<String>, key: &str, items: impl Iterator<Item = &'t str>) {
    for (count, item) in items.enumerate() {
        if count == 0 {
            lines.push(format!("{key}:"));
        }
        lines.push(format!("  - {}", scalar(item)));
    }
}
