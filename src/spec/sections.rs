//! The sections that only envspec has: `kernels`, `target` and `launch`.
//!
//! conda ignores them, so nobody else would notice a mistake here: an unknown
//! key is an error. Whether a kernel, a site or a partition exists is asked in
//! later rooms, which is why every value keeps its place.

use std::collections::BTreeMap;
use std::str::FromStr;

use archspec::cpu::Microarchitecture;
use rattler_conda_types::Version;

use super::errors::Fault;
use super::launch::{Interface, Launch};
use super::model::{At, KernelRequest, Limits, Target};
use super::reader::{Reader, Rule, nearest};
use super::source::shown;
use super::yaml::{Entry, Node, Value};

const KERNEL_OPTIONS: [&str; 8] = [
    "dependencies",
    "packages",
    "display_name",
    "env",
    "limits",
    "isolated",
    "use",
    "installable",
];
const LIMITS_KEYS: [&str; 2] = ["memory", "threads"];
const TARGET_KEYS: [&str; 4] = ["glibc", "cuda", "arch", "linux"];
const LAUNCH_KEYS: [&str; 10] = [
    "time",
    "memory",
    "cpus",
    "gpus",
    "partition",
    "account",
    "qos",
    "interface",
    "root_dir",
    "idle",
];
const KERNELS_EXAMPLE: &str = "kernels: [python, r]";

/// More cores or GPUs than this are a mistake on any node.
const MOST_CPUS: u32 = 4096;
const MOST_GPUS: u32 = 256;

impl Reader<'_> {
    /// The section `kernels`: each entry a name, or a name with options.
    pub(super) fn kernels(&mut self, node: &Node) -> Vec<KernelRequest> {
        let mut kernels: Vec<KernelRequest> = Vec::new();
        for item in self.list("`kernels`", node, KERNELS_EXAMPLE) {
            let Some(kernel) = self.kernel(item) else {
                continue;
            };
            // Jupyter lowercases the names of kernels, so case does not tell two apart.
            let same =
                |known: &&KernelRequest| known.name.value.eq_ignore_ascii_case(&kernel.name.value);
            if let Some(earlier) = kernels.iter().find(same) {
                let name = shown(&kernel.name.value);
                self.faults.push(
                    Fault::new(
                        kernel.name.span,
                        format!("the kernel {name} is listed twice"),
                    )
                    .label("listed again")
                    .also(earlier.name.span, "first listed here")
                    .help(format!(
                        "give one of them another name: `- other: {{use: {}}}`",
                        kernel.definition_id()
                    )),
                );
                continue;
            }
            kernels.push(kernel);
        }
        kernels
    }

    fn kernel(&mut self, node: &Node) -> Option<KernelRequest> {
        let entry = match &node.value {
            Value::Text(_) => {
                let name = self.text("a kernel", node, Rule::Identifier, KERNELS_EXAMPLE)?;
                return Some(request(name));
            }
            Value::Map(entries) if !entries.is_empty() => {
                if let [first, second, ..] = entries.as_slice() {
                    self.several_keys(first, second);
                    return None;
                }
                &entries[0]
            }
            _ => {
                let wanted = "a name, or a name with options";
                self.wrong_kind("an entry of `kernels`", node, wanted, KERNELS_EXAMPLE);
                return None;
            }
        };
        let name_node = Node {
            value: Value::Text(entry.key.clone()),
            span: entry.key_span,
        };
        let name = self.text("a kernel", &name_node, Rule::Identifier, KERNELS_EXAMPLE);
        let what = format!("the kernel {}", shown(&entry.key));
        let placeholder = At {
            value: String::new(),
            span: entry.key_span,
        };
        let mut kernel = request(name.clone().unwrap_or(placeholder));
        for option in self.map(&what, &entry.value, "r: {display_name: \"R (lab)\"}") {
            self.kernel_option(&what, option, &mut kernel);
        }
        name.map(|_| kernel)
    }

    fn kernel_option(&mut self, what: &str, option: &Entry, kernel: &mut KernelRequest) {
        let node = &option.value;
        match option.key.as_str() {
            "dependencies" => {
                (kernel.dependencies, kernel.pip) = self.requirements(node, "[numpy >=2, scipy]");
            }
            "packages" => {
                for item in self.list("`packages`", node, "packages: [DataFrames]") {
                    kernel.packages.extend(self.text(
                        "a package",
                        item,
                        Rule::Argument,
                        "DataFrames",
                    ));
                }
            }
            "display_name" => {
                kernel.display_name = self.text("`display_name`", node, Rule::Title, "R (lab)");
            }
            "env" => kernel.env = self.variables("`env`", node),
            "limits" => kernel.limits = self.limits(node),
            "isolated" => {
                kernel.isolated = self
                    .truth("`isolated`", node)
                    .is_some_and(|truth| truth.value);
            }
            "use" => kernel.definition = self.text("`use`", node, Rule::Identifier, "use: python"),
            "installable" => {
                kernel.installable = self.text(
                    "`installable`",
                    node,
                    Rule::Argument,
                    "path:./kernels-flake#ocaml",
                );
            }
            _ => self.unknown_key(what, option, &KERNEL_OPTIONS),
        }
    }

    /// What a kernel may take.
    fn limits(&mut self, node: &Node) -> Limits {
        let mut limits = Limits::default();
        for entry in self.map("`limits`", node, "limits: {memory: 8G, threads: 4}") {
            let node = &entry.value;
            match entry.key.as_str() {
                "memory" => limits.memory = self.value("`memory`", node, "memory: 8G", read),
                "threads" => {
                    limits.threads = self.count("`threads`", node, "threads: 4", 1..=MOST_CPUS);
                }
                _ => self.unknown_key("`limits`", entry, &LIMITS_KEYS),
            }
        }
        limits
    }

    /// An entry with two keys is nearly always one whose options are not indented.
    fn several_keys(&mut self, first: &Entry, second: &Entry) {
        let help = if KERNEL_OPTIONS.contains(&second.key.as_str()) {
            format!(
                "indent {} below {}, or write `- {}: {{{}: …}}`",
                shown(&second.key),
                shown(&first.key),
                first.key,
                second.key
            )
        } else {
            "begin each kernel with `- ` on a line of its own".to_owned()
        };
        self.faults.push(
            Fault::new(
                second.key_span,
                "an entry of `kernels` is one name with its options",
            )
            .label("a second key")
            .also(first.key_span, "the first")
            .help(help),
        );
    }

    /// The section `target`: the node that the environment will run on.
    pub(super) fn target(&mut self, node: &Node) -> Target {
        let mut target = Target::default();
        for entry in self.map("`target`", node, "target: {glibc: \"2.28\"}") {
            let node = &entry.value;
            match entry.key.as_str() {
                "glibc" => target.glibc = self.system_version("`glibc`", node, "glibc: \"2.28\""),
                "cuda" => target.cuda = self.system_version("`cuda`", node, "cuda: \"12.4\""),
                "linux" => target.linux = self.system_version("`linux`", node, "linux: \"5.14\""),
                "arch" => {
                    target.arch = self.value("`arch`", node, "arch: x86_64_v3", |text| {
                        let known = Microarchitecture::known_targets();
                        let names: Vec<&str> = known.keys().map(String::as_str).collect();
                        match nearest(text, &names) {
                            _ if known.contains_key(text) => Ok(text.to_owned()),
                            Some(near) => Err(format!("did you mean {near}?")),
                            None => Err("archspec knows no processor of this name".to_owned()),
                        }
                    });
                }
                _ => self.unknown_key("`target`", entry, &TARGET_KEYS),
            }
        }
        target
    }

    /// The version of a part of the system: two or three numbers. `2.30` without
    /// quotes is 2.30 and not 2.3, because the text is read and not a number.
    fn system_version(&mut self, what: &str, node: &Node, example: &str) -> Option<At<Version>> {
        self.value(what, node, example, |text| {
            let numbers = text.split('.').collect::<Vec<_>>();
            let is_number = |part: &&str| {
                (1..=6).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit())
            };
            if numbers.len() > 4 || !numbers.iter().all(is_number) {
                return Err("not a version made of numbers".to_owned());
            }
            if numbers.len() == 1 {
                return Err("the part behind the dot is missing".to_owned());
            }
            Version::from_str(text).map_err(|error| error.to_string())
        })
    }

    /// The section `launch`: what a session asks of the scheduler.
    pub(super) fn launch(&mut self, node: &Node) -> Launch {
        let mut launch = Launch::default();
        for entry in self.map("`launch`", node, "launch: {time: 8:00:00, memory: 16G}") {
            let node = &entry.value;
            match entry.key.as_str() {
                "time" => launch.time = self.value("`time`", node, "time: 8:00:00", read),
                "idle" => launch.idle = self.value("`idle`", node, "idle: 60", read),
                "memory" => launch.memory = self.value("`memory`", node, "memory: 16G", read),
                "cpus" => launch.cpus = self.count("`cpus`", node, "cpus: 4", 1..=MOST_CPUS),
                "gpus" => launch.gpus = self.count("`gpus`", node, "gpus: 1", 0..=MOST_GPUS),
                "partition" => {
                    launch.partition = self.text("`partition`", node, Rule::Word, "partition: gpu");
                }
                "account" => {
                    launch.account = self.text("`account`", node, Rule::Word, "account: lab");
                }
                "qos" => launch.qos = self.text("`qos`", node, Rule::Word, "qos: normal"),
                "root_dir" => {
                    launch.root_dir =
                        self.text("`root_dir`", node, Rule::Argument, "root_dir: projects");
                }
                "interface" => {
                    launch.interface = self.value("`interface`", node, "interface: lab", |text| {
                        let named = Interface::ALL
                            .into_iter()
                            .find(|interface| interface.as_str() == text);
                        named.ok_or_else(|| "one of lab, notebook, server".to_owned())
                    });
                }
                _ => self.unknown_key("`launch`", entry, &LAUNCH_KEYS),
            }
        }
        launch
    }

    fn count(
        &mut self,
        what: &str,
        node: &Node,
        example: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<At<u32>> {
        self.value(what, node, example, |text| {
            let digits_only = text.bytes().all(|c| c.is_ascii_digit());
            let number = text
                .parse()
                .ok()
                .filter(|number| digits_only && range.contains(number));
            number
                .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }
}

fn read<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A kernel that is only named.
fn request(name: At<String>) -> KernelRequest {
    KernelRequest {
        name,
        definition: None,
        dependencies: Vec::new(),
        pip: None,
        packages: Vec::new(),
        display_name: None,
        env: BTreeMap::new(),
        limits: Limits::default(),
        isolated: false,
        installable: None,
    }
}
