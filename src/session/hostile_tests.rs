//! The scripts that are sent to a login node, with roots and texts that try to
//! become syntax, through the real shells that may be `sh` there. In the place of
//! Slurm's programs stand ones that write down their words.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::error::SessionError;
use super::model::{Look, Session, State};
use super::sessions::{SCRIPTS, Scheduling, Sessions};
use crate::cluster::{Login, Said};
use crate::recipe::hostile::hostile;
use crate::recipe::unusable;

/// A root with an environment and a session, and programs that stand for Slurm's.
struct There {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl There {
    /// With a root of that name, without what no root can be called.
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let usable = |c: &char| *c != '/' && unusable(&format!("/{c}")).is_none();
        // A file's name has 255 bytes at most.
        let name: String = name.chars().filter(usable).take(60).collect();
        let root = folder.path().join(format!("-{name}"));
        fs_err::create_dir_all(&root).unwrap();
        let programs = folder.path().join("bin");
        fs_err::create_dir(&programs).unwrap();
        for (name, answer) in [
            ("sbatch", "echo 17"),
            ("scancel", ""),
            (
                "squeue",
                "case \"$*\" in *--name=*) ;; *) echo '17|RUNNING|0:01|9:59|med0101|None|lab-1|(null)|envspec-lab' ;; esac",
            ),
        ] {
            let path = programs.join(name);
            let text = format!("#!/bin/sh\nprintf '%s\\0' \"$0\" \"$@\" >>\"$CAME\"\n{answer}\n");
            fs_err::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder, root }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// Runs a script and gives its marked lines, and the words that Slurm got.
    fn run(
        &self,
        shell: &str,
        text: &str,
        arguments: &[&str],
        input: &str,
    ) -> (Vec<String>, String) {
        let came = self.folder.path().join("came");
        drop(std::fs::remove_file(&came));
        let bin = self.folder.path().join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut child = Command::new(shell)
            .args(["-c", text, "sh", self.root.to_str().unwrap()])
            .args(arguments)
            .envs([("PATH", path.as_str()), ("CAME", came.to_str().unwrap())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        drop(std::io::Write::write_all(&mut stdin, input.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{text}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.ends_with("@end\n"), "{said}");
        let came = std::fs::read_to_string(&came).unwrap_or_default();
        let came = came.replace(&format!("{}/", bin.display()), "");
        (said.lines().map(str::to_owned).collect(), came)
    }
}

/// The text of a script, by its name.
fn script(name: &str) -> &'static str {
    let (_, text) = SCRIPTS.iter().find(|(of, _)| *of == name).unwrap();
    text
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_script_of_a_session_takes_its_root_and_its_input_as_text(name in hostile(), text in hostile()) {
        let there = There::new(&name);
        let root = path(&there.root);
        for shell in ["dash", "bash"] {
            there.write("gen/lab-1/.envspec/receipt.json", &text);
            there.write("gen/lab-1/.envspec/spec.yaml", "name: lab");
            fs_err::create_dir_all(there.root.join("envs")).unwrap();
            drop(std::os::unix::fs::symlink("../gen/lab-1", there.root.join("envs/lab")));
            let (said, _) = there.run(shell, script("generation"), &["lab"], "");
            let roots = [format!("@root {root}"), format!("@sessions {root}/sessions")];
            prop_assert_eq!(&said[..2], &roots);
            prop_assert_eq!(&said[2], &format!("@prefix {root}/gen/lab-1"));
            let marked = |said: &[String], mark: &str| -> Vec<String> {
                said.iter().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
            };
            let lines: Vec<&str> = text.lines().collect();
            prop_assert_eq!(marked(&said, "@receipt "), lines.clone());
            prop_assert_eq!(marked(&said, "@spec "), ["name: lab"]);

            let (said, came) = there.run(shell, script("start"), &["slurm", "envspec-lab"], &text);
            prop_assert!(said.contains(&"@job 17".to_owned()), "{said:?}");
            let started = format!("{root}/sessions/start/envspec-lab.sh");
            let (asked, came) = came.split_once("sbatch\0").unwrap();
            prop_assert_eq!(asked, "squeue\0--me\0--noheader\0--name=envspec-lab\0--format=%A\0");
            prop_assert_eq!(came, format!("--parsable\0--output={root}/sessions/%j.log\0{started}\0"));
            prop_assert_eq!(fs_err::read_to_string(&started).unwrap(), text.as_str());

            there.write("sessions/17.log", &text);
            let (said, _) = there.run(shell, script("log"), &["17", "none"], "");
            let log: &[String] = if text.is_empty() { &[] } else { &[format!("{root}/sessions/17.log")] };
            prop_assert_eq!(&marked(&said, "@log "), log);
            prop_assert_eq!(marked(&said, "@line "), &lines[lines.len().saturating_sub(15)..]);

            // Two folders of jobs, of which Slurm knows one; and something else.
            for key in ["17-0", "18-0"] {
                there.write(&format!("sessions/{key}/token"), "0123");
                there.write(&format!("sessions/{key}/session.json"), "{}\n");
            }
            there.write("kept/token", "");
            let (said, came) = there.run(shell, script("look"), &["%i;$(id)", "", "slurm"], "");
            prop_assert_eq!(came, "squeue\0--me\0--noheader\0--format=%i;$(id)\0");
            prop_assert!(said.contains(&"@record alive {}".to_owned()), "{said:?}");
            prop_assert!(said.contains(&"@cleaned 18-0".to_owned()), "{said:?}");
            prop_assert!(there.root.join("sessions/17-0").exists() && there.root.join("kept/token").exists());
            prop_assert!(!there.root.join("sessions/18-0").exists());

            let (said, _) = there.run(shell, script("token"), &["17-0"], "");
            prop_assert_eq!(&said[2], "@token 0123");
            let (_, came) = there.run(shell, script("end"), &["job", "17"], "");
            prop_assert_eq!(came, "scancel\0--\x0017\0");

            let (said, _) = there.run(shell, include_str!("../cluster/examine/examine.sh"), &["none"], "");
            prop_assert_eq!(&said[0], &format!("@path root {root}"));
            prop_assert!(said.contains(&"@writable root".to_owned()), "{said:?}");
        }
        prop_assert!(!Path::new("/tmp/envspec-was-here").exists());
    }

    #[test]
    fn the_sshd_of_a_job_reads_any_root_as_it_is(name in hostile()) {
        let there = There::new(&name);
        there.write("sessions/17-0/token", "0123");
        let (said, _) = there.run("dash", script("bridge"), &["17-0"], "ssh-ed25519 AAAA\n");
        let run = said.iter().find_map(|line| line.strip_prefix("@run "));
        let bridge = run.and_then(|run| run.strip_suffix("/run")).unwrap();
        let of_it = format!("{}/sessions/17-0/bridge.", path(&there.root));
        prop_assert!(bridge.starts_with(&of_it), "{said:?}");
        let sshd = Command::new("/usr/sbin/sshd")
            .args(["-T", "-f", &format!("{bridge}/sshd_config")])
            .output()
            .unwrap();
        let read = String::from_utf8(sshd.stdout).unwrap();
        for line in [format!("hostkey {bridge}/host_key"), format!("authorizedkeysfile {bridge}/authorized_keys")] {
            prop_assert!(read.contains(&format!("{line}\n")), "{line}\n{}", String::from_utf8_lossy(&sshd.stderr));
        }
        prop_assert!(read.contains("allowtcpforwarding local\n") && read.contains("forcecommand false\n"));
    }
}

#[test]
fn a_job_of_another_cluster_is_shown_and_never_cleaned_nor_taken_for_one_of_this() {
    let there = There::new("r");
    let scontrol = |answer: &str| {
        let path = there.folder.path().join("bin/scontrol");
        let text = format!("#!/bin/sh\nprintf 'scontrol %s\\n' \"$*\" >>\"$CAME\"\n{answer}\n");
        fs_err::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let look = || {
        let (said, came) = there.run("dash", script("look"), &["%i", "", "slurm"], "");
        let look = Look::parse(&Said::new(said.join("\n").as_bytes())).unwrap();
        (look, came.matches("scontrol show config\n").count())
    };
    let settle = |cluster: Option<&str>| {
        for (key, job) in [("18-0", "18"), ("19-0", "19")] {
            let record = RECORD
                .replace("17-0", key)
                .replace("17,", &format!("{job},"));
            there.write(&format!("sessions/{key}/token"), "0123");
            there.write(&format!("sessions/{key}/session.json"), &record);
            if let Some(cluster) = cluster {
                there.write(&format!("sessions/{key}/cluster"), &format!("{cluster}\n"));
            }
        }
    };
    let states = |look: &Look| -> Vec<(State, Option<u64>, Option<String>)> {
        let tell = |session: &Session| (session.state, session.job, session.cluster.clone());
        look.sessions.iter().map(tell).collect()
    };
    let here = (State::Starting, Some(17), None);
    let there_of = |cluster: &str| (State::Unknown, None, Some(cluster.to_owned()));

    settle(Some("far"));
    scontrol("echo 'ClusterName             = near'");
    let (seen, asked) = look();
    assert_eq!(
        states(&seen),
        [there_of("far"), there_of("far"), here.clone()]
    );
    assert_eq!((seen.cleaned.len(), asked), (0, 1), "asked once");
    let of_far = SessionError::elsewhere(&seen.sessions[0]).unwrap();
    assert_eq!(
        of_far.to_string(),
        "envspec-lab runs on the cluster far, and not on this one"
    );

    // A cluster that does not say its name does not say that it is not the one.
    scontrol("exit 1");
    let (seen, asked) = look();
    assert!(seen.trouble.is_some());
    assert_eq!((seen.cleaned.len(), seen.sessions.len(), asked), (0, 3, 1));
    assert!(
        seen.sessions
            .iter()
            .all(|session| session.cluster.is_none())
    );

    scontrol("echo 'ClusterName             = far'");
    assert_eq!(look().0.cleaned, ["18-0", "19-0"]);

    // Of before clusters were written down: nobody is asked.
    settle(None);
    let (seen, asked) = look();
    assert_eq!(
        (seen.cleaned.len(), states(&seen), asked),
        (2, vec![here], 0)
    );
}

/// An answer of `look.sh`, with one job and what its record says.
fn look(job: &str, record: &str) -> Look {
    let answer = format!(
        "@root /r\n@sessions /r/sessions\n@host login\n@user ada\n@now 100\n@job {job}\n@record alive {record}\n@end\n"
    );
    Look::parse(&Said::new(answer.as_bytes())).unwrap()
}

const RECORD: &str = r#"{"version": 1, "key": "17-0", "session": "envspec-lab", "environment": "lab", "generation": "lab-1", "job": 17, "restart": 0, "node": "med0101", "pid": 1, "at": "/tmp/envspec.x/server.sock", "url_path": "/lab", "login": "token", "ready": 90}"#;

#[test]
fn a_record_is_believed_only_if_each_part_can_be_what_the_script_wrote() {
    let job =
        "17|RUNNING|0:01|9:59|med0101|None|lab-1|/r/sessions/start/envspec-lab.sh|envspec-lab";
    let ready = |record: &str| look(job, record).sessions[0].record.is_some();
    assert!(ready(RECORD));
    for (from, to) in [
        ("\"17-0\"", "\"../17-0\""),
        ("\"envspec-lab\"", "\"lab\""),
        (
            "\"environment\": \"lab\"",
            "\"environment\": \"\\u001b[2J\"",
        ),
        ("\"lab-1\"", "\"$(id)\""),
        ("\"med0101\"", "\"-oProxyCommand=id\""),
        ("/tmp/envspec.x/server.sock", "/tmp/`id`"),
        ("\"/lab\"", "\"/lab?x=\\\"><script>\""),
        ("\"token\"", "\"\\u0007\""),
        ("\"version\": 1", "\"version\": 2"),
    ] {
        let record = RECORD.replacen(from, to, 1);
        assert_ne!(record, RECORD, "{from}");
        assert!(!ready(&record), "{record}");
    }
}

#[test]
fn a_session_of_another_root_says_so_and_does_not_only_start_for_ever() {
    let job = |root: &str| {
        format!(
            "17|RUNNING|0:01|9:59|med0101|None|lab-1|{root}/sessions/start/envspec-lab.sh|envspec-lab"
        )
    };
    assert_eq!(look(&job("/r"), "{}").sessions[0].reason, None);
    let elsewhere = look(&job("/other/root"), "{}");
    let reason = elsewhere.sessions[0].reason.clone();
    assert_eq!(
        reason.as_deref(),
        Some("its root is /other/root, and this one /r")
    );
}

#[tokio::test]
async fn a_token_is_64_hexadecimal_digits_or_none() {
    let there = There::new("r");
    let root = path(&there.root).to_owned();
    let sessions = Sessions::new(&Login::Here, &root, Scheduling::None);
    let job =
        "17|RUNNING|0:01|9:59|med0101|None|lab-1|/r/sessions/start/envspec-lab.sh|envspec-lab";
    let record = look(job, RECORD).sessions[0].record.clone().unwrap();
    let good = "0123456789abcdef".repeat(4);
    there.write("sessions/17-0/token", &good);
    assert_eq!(sessions.token(&record).await.unwrap(), good);
    let page = "\"><script>alert(document.location)</script>";
    for bad in [
        "",
        page,
        &good[1..],
        &format!("{good}0"),
        &good.replace('0', "g"),
    ] {
        there.write("sessions/17-0/token", bad);
        let refused = sessions.token(&record).await.unwrap_err().to_string();
        assert!(bad.is_empty() || !refused.contains(bad), "{refused}");
    }
}
