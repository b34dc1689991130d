//! What a place is like, from the answer of `examine.sh`; pure text.

use super::check::Check;
use crate::cluster::Said;
use crate::kernel::KernelSpec;
use crate::site::Quota;

/// What an environment needs at least: kibibytes and files. One of Python and R
/// with a notebook has some 1.5 GB and 20,000 files.
const ROOT_NEEDS: (u64, u64) = (2 * 1024 * 1024, 20_000);

/// What kernelspecs and the files of a running kernel need of a home.
const HOME_NEEDS: (u64, u64) = (50 * 1024, 500);

/// Whether the scheduler answers.
pub(super) fn scheduler(said: &Said, place: &str) -> Check {
    if said.one("answers").is_some() {
        return Check::good("scheduler", place, "Slurm answers");
    }
    if said.one("missing").is_some() {
        return Check::bad(
            "scheduler",
            place,
            "squeue is not in the PATH",
            format!("{place} may be no login node; else ask the site how Slurm is found"),
        );
    }
    let trouble: Vec<&str> = said.all("trouble").collect();
    Check::bad(
        "scheduler",
        place,
        trouble.join("; "),
        "its controller is down or busy: look at the site's news, try again later",
    )
}

/// A node to try: one where the user has a session, else one that is up.
pub(super) fn node(said: &Said) -> Option<&str> {
    let plain = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    };
    said.all("mine").chain(said.all("up")).find(plain)
}

/// The root and the home: file system, the right to write, space, quotas.
pub(super) fn storage(said: &Said, place: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    for (which, name, room, needs) in [
        ("root", "root", "space of the root", ROOT_NEEDS),
        ("home", "home", "space of the home", HOME_NEEDS),
    ] {
        let of = |what: &'static str| {
            said.all(what).find_map(move |line| {
                let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                (key == which).then_some(value)
            })
        };
        let path = of("path").unwrap_or("?");
        let kind = of("kind")
            .filter(|kind| !kind.is_empty())
            .unwrap_or("an unknown file system");
        if of("writable").is_some() {
            checks.push(Check::good(name, place, format!("{path} on {kind}")));
        } else {
            checks.push(Check::bad(
                name,
                place,
                format!("{path} on {kind} can't be written to"),
                "take another root with --root DIR, or ask the site for the right to write",
            ));
        }
        let space: Option<u64> = of("space").and_then(|text| text.parse().ok());
        let files = of("files").and_then(|text| {
            let (all, free) = text.split_once(' ')?;
            // Some file systems have no limit, and say 0 or `-`.
            let all: u64 = all.parse().ok()?;
            free.parse::<u64>().ok().filter(|_| all > 0)
        });
        checks.push(left(room, place, path, space, files, needs));
    }
    checks.extend(said.all("limits").filter_map(|line| quota(line, place)));
    checks
}

/// A check of what is left.
fn left(
    name: &'static str,
    place: &str,
    path: &str,
    space: Option<u64>,
    files: Option<u64>,
    needs: (u64, u64),
) -> Check {
    let Some(space) = space else {
        let found = format!("df does not tell of {path}");
        return Check::unknown(name, place, found, format!("try it there: df {path}"));
    };
    let of_files = files.map_or(String::new(), |files| format!(", {files} files"));
    let found = format!("{} left{of_files}", kibibytes(space));
    if space < needs.0 || files.is_some_and(|files| files < needs.1) {
        let remedy = format!(
            "make room: {} and {} files at least; or take another place",
            kibibytes(needs.0),
            needs.1
        );
        Check::bad(name, place, found, remedy)
    } else {
        Check::good(name, place, found)
    }
}

/// A check of a line of `quota -wp` or `lfs quota -q`.
fn quota(line: &str, place: &str) -> Option<Check> {
    let quota = Quota::parse(line)?;
    let (system, space, files) = (quota.system, quota.kibibytes, quota.files);
    let parts = [
        space.map(|space| format!("{} left", kibibytes(space))),
        files.map(|files| format!("{files} files left")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let found = format!("{system}: {}", parts.join(", "));
    let is_short = space.is_some_and(|space| space < HOME_NEEDS.0)
        || files.is_some_and(|files| files < HOME_NEEDS.1);
    Some(if is_short {
        Check::bad("quota", place, found, "remove what you don't need there")
    } else {
        Check::good("quota", place, found)
    })
}

/// A size as people read it.
fn kibibytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} KiB"),
        1024..1_048_576 => format!("{} MiB", count / 1024),
        _ => format!("{} GiB", count / 1_048_576),
    }
}

/// A kernelspec that envspec registered, and what has to be there for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    name: String,
    environment: String,
    generation: String,
    program: String,
}

/// The kernelspecs of envspec's.
pub(super) fn kernels(said: &Said) -> Vec<Kernel> {
    said.all("kernel")
        .filter_map(|line| {
            let (name, json) = line.split_once(' ')?;
            let spec = KernelSpec::parse(json).ok()?;
            let mark = spec.mark()?;
            Some(Kernel {
                name: name.to_owned(),
                environment: mark.environment,
                generation: format!("{}/gen/{}/", mark.root, mark.generation),
                program: spec.command().first().map(|&word| word.to_owned())?,
            })
        })
        .collect()
}

impl Kernel {
    /// What has to be there.
    pub(super) fn needs(&self) -> [&str; 2] {
        [&self.generation, &self.program]
    }
}

/// The check of kernelspecs; `there` says whether something is.
pub(super) fn kernels_check(
    kernels: &[Kernel],
    place: &str,
    there: &dyn Fn(&str) -> bool,
) -> Check {
    let name = "kernels";
    let mut dead = Vec::new();
    let mut environments: Vec<&str> = Vec::new();
    for kernel in kernels {
        if let Some(lacks) = kernel.needs().into_iter().find(|path| !there(path)) {
            dead.push(format!(
                "{} lacks {}",
                kernel.name,
                lacks.trim_end_matches('/')
            ));
            if !environments.contains(&kernel.environment.as_str()) {
                environments.push(&kernel.environment);
            }
        }
    }
    if dead.is_empty() {
        return match kernels {
            [] => Check::good(name, place, "none of envspec's is registered"),
            kernels => {
                let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
                Check::good(name, place, names.join(", "))
            }
        };
    }
    let applies: Vec<String> = environments
        .iter()
        .map(|environment| format!("envspec apply {environment}"))
        .collect();
    let remedy = format!("register anew on the cluster: {}", applies.join(", "));
    Check::bad(name, place, dead.join("; "), remedy)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn verdicts(answer: &str) -> Vec<(&'static str, Verdict)> {
        let said = Said::new(answer.as_bytes());
        let checks = storage(&said, "login");
        checks
            .iter()
            .map(|check| (check.name, check.verdict))
            .collect()
    }

    #[test]
    fn a_place_is_judged_by_what_is_left_of_it() {
        let roomy = "@path root /data/cephfs-1/work/users/ada\n@space root 900000000\n\
                     @files root 0 0\n@kind root lustre\n@writable root\n\
                     @path home /home/ada\n@space home 40000\n@files home 65536 40000\n\
                     @kind home nfs\n@end\n";
        assert_eq!(
            verdicts(roomy),
            [
                ("root", Verdict::Good),
                ("space of the root", Verdict::Good),
                ("home", Verdict::Bad),
                ("space of the home", Verdict::Bad),
            ]
        );
        let silent = verdicts("@end\n");
        assert!(silent.contains(&("space of the root", Verdict::Unknown)));
        let few_files = roomy.replace("root 0 0", "root 100000 300");
        assert_eq!(verdicts(&few_files)[1].1, Verdict::Bad);
    }

    #[test]
    fn a_quota_is_read_as_quota_and_lfs_print_it() {
        let verdict = |line| quota(line, "login").map(|check| (check.verdict, check.found));
        let (good, bad) = (Verdict::Good, Verdict::Bad);
        assert_eq!(
            verdict("fs:/home  204800  1048576  1153434  0  4000  10000  12000  0"),
            Some((good, "fs:/home: 926 MiB left, 8000 files left".to_owned()))
        );
        assert_eq!(
            verdict("fs:/home  204800  1048576  1153434  0  12000*  10000  12000  1700000000"),
            Some((bad, "fs:/home: 926 MiB left, 0 files left".to_owned()))
        );
        assert_eq!(
            verdict("/fast/users/ada 1000000* 1000000 1000100 6d23h 99 0 0 -"),
            Some((bad, "/fast/users/ada: 100 KiB left".to_owned()))
        );
        // Nothing is limited; and a line that is none.
        assert_eq!(verdict("/dev/vda 20 0 0 0 1 0 0 0"), None);
        assert_eq!(verdict("Disk quotas for user ada (uid 52001): none"), None);
    }

    #[test]
    fn the_node_of_a_session_goes_before_others_and_no_option_is_taken_for_a_node() {
        let said = Said::new(b"@up med0101\n@mine -oProxyCommand=x\n@mine med0102\n");
        assert_eq!(node(&said), Some("med0102"));
        assert_eq!(node(&Said::new(b"@up med0101\n")), Some("med0101"));
        assert_eq!(node(&Said::default()), None);
    }

    #[test]
    fn a_kernelspec_of_others_is_no_concern_and_a_dead_one_of_ours_is() {
        let ours = r#"@kernel lab-r {"argv": ["/r/gen/lab-1/bin/R"], "display_name": "R", "language": "R", "metadata": {"envspec": {"version": 1, "environment": "lab", "kernel": "r", "generation": "lab-1", "root": "/r"}}}"#;
        let foreign = r#"@kernel ir {"argv": ["R"], "display_name": "R", "language": "R"}"#;
        let said = Said::new(format!("{ours}\n{foreign}\n@kernel x not json\n").as_bytes());
        let kernels = kernels(&said);
        assert_eq!(kernels.len(), 1);
        let check = |there: &dyn Fn(&str) -> bool| kernels_check(&kernels, "login", there);
        assert_eq!(check(&|_| true).verdict, Verdict::Good);
        let gone = check(&|path| path != "/r/gen/lab-1/");
        assert_eq!(gone.verdict, Verdict::Bad);
        assert_eq!(gone.found, "lab-r lacks /r/gen/lab-1");
        let program = check(&|path| path == "/r/gen/lab-1/");
        assert_eq!(program.found, "lab-r lacks /r/gen/lab-1/bin/R");
    }
}
