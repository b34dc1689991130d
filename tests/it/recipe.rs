//! The recipe (item 7) of real generations: every form for every built-in site,
//! judged by the programs that will read it; and carried out on this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::support::{TestEnv, assert_output, have, lab, soon, tiny_spec};

/// A root with an environment for each built-in site.
fn sites() -> TestEnv {
    let env = TestEnv::new();
    for site in ["local", "slurm", "bih"] {
        let text = tiny_spec(&["executable"])
            + &format!("site: {site}\nlaunch: {{time: \"2:00:00\", memory: 4G, cpus: 2}}\n");
        let path = env.spec(site, &text);
        env.run(&["apply", path.to_str().unwrap()]).success();
    }
    env
}

fn script(env: &TestEnv, site: &str) -> PathBuf {
    env.root().join(format!("sessions/start/envspec-{site}.sh"))
}

#[test]
fn every_form_is_printed_for_every_site() {
    let env = sites();
    for site in ["local", "slurm", "bih"] {
        for form in ["text", "shell", "markdown", "json", "ssh-config"] {
            let output = env.run(&["recipe", site, "--format", form]).success();
            // Nobody needs ssh to reach this machine.
            let nothing_to_say = site == "local" && form == "ssh-config";
            assert_eq!(
                output.stdout.trim().is_empty(),
                nothing_to_say,
                "{site} {form}"
            );
        }
        let json = env
            .run(&["recipe", site, "--format", "json"])
            .success()
            .json();
        assert!(json["version"].is_number(), "{json:#}");
    }
}

#[test]
fn the_recipe_of_the_site_with_most_hops_is_as_reviewed() {
    assert_output!(sites().run(&["recipe", "bih"]).success());
}

#[test]
fn generated_shell_passes_bash_and_shellcheck() {
    let env = sites();
    let shellcheck = have("shellcheck");
    for site in ["local", "slurm", "bih"] {
        let shell = env.run(&["recipe", site, "--format", "shell"]).success();
        let path = env.path(&format!("tmp/{site}.sh"));
        fs_err::write(&path, &shell.stdout).unwrap();
        for file in [path, script(&env, site)] {
            env.output(env.program("bash").arg("-n").arg(&file))
                .success();
            if shellcheck {
                let mut command = env.program("shellcheck");
                env.output(command.args(["--shell", "bash"]).arg(&file))
                    .success();
            }
        }
    }
}

#[test]
fn generated_ssh_config_is_understood_by_ssh() {
    if !have("ssh") {
        return;
    }
    let env = sites();
    for site in ["slurm", "bih"] {
        let config = env
            .run(&["recipe", site, "--format", "ssh-config"])
            .success();
        let path = env.path(&format!("tmp/{site}.config"));
        fs_err::write(&path, &config.stdout).unwrap();
        let hosts: Vec<&str> = config
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("Host "))
            .flat_map(str::split_whitespace)
            .collect();
        assert!(!hosts.is_empty(), "{config}");
        for host in hosts {
            let name = host.replace(['*', '?'], "1");
            env.output(env.program("ssh").arg("-G").arg("-F").arg(&path).arg(&name))
                .success();
        }
    }
}

#[test]
fn the_start_script_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = sites();
    env.run(&["recipe", "slurm"]).success();
    let path = script(&env, "slurm");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

/// The recipe of an environment as JSON.
fn recipe(env: &TestEnv, name: &str) -> serde_json::Value {
    let output = env.run(&["recipe", name, "--format", "json"]);
    output.success().json()
}

#[test]
fn after_a_rollback_it_tells_the_kernels_and_variables_of_that_generation() {
    let env = TestEnv::new();
    let text = "channels: [conda-forge, tiny]\ndependencies: [executable]\n";
    env.spec("lab", &format!("{text}variables: {{WHEN: before}}\n"));
    env.run(&["apply"]).success();
    env.spec(
        "lab",
        &format!("{text}kernels: [deno]\nvariables: {{WHEN: after}}\n"),
    );
    env.run(&["apply"]).success();
    let start = |recipe: &serde_json::Value| recipe["script"]["text"].to_string();
    let now = recipe(&env, "lab");
    assert_eq!(now["kernels"], serde_json::json!(["deno"]));
    assert!(start(&now).contains("WHEN=after"), "{now:#}");
    env.run(&["rollback"]).success();
    let then = recipe(&env, "lab");
    assert_eq!(then["kernels"], serde_json::json!([]));
    assert!(start(&then).contains("WHEN=before"), "{then:#}");
}

#[test]
fn site_and_launch_are_the_specs_or_those_of_the_time_when_it_was_made() {
    let env = TestEnv::new();
    let text = tiny_spec(&["executable"]) + "site: slurm\n";
    let path = env.spec("lab", &(text.clone() + "launch: {memory: 4G}\n"));
    env.run(&["apply"]).success();
    let memory = |wanted: &str| {
        let recipe = env.run(&["recipe", "lab"]).success();
        assert!(recipe.stdout.contains(wanted), "{recipe}");
        recipe
    };
    let quiet = memory("--mem=4G");
    assert!(!quiet.stderr.contains("generation was made"), "{quiet}");
    // To ask for more makes no new generation, and counts at once.
    fs_err::write(&path, text.clone() + "launch: {memory: 9G}\n").unwrap();
    env.run(&["apply"]).success().says("Nothing to do");
    memory("--mem=9G");
    let made = "those of the time when the generation was made";
    fs_err::write(&path, text + "launch: {memory: much}\n").unwrap();
    memory("--mem=4G").says(made);
    fs_err::write(&path, tiny_spec(&["executable"]) + "name: another\n").unwrap();
    memory("--mem=4G").says(made);
    fs_err::remove_file(&path).unwrap();
    memory("--mem=4G").says(made);
}

#[test]
fn where_the_script_cannot_be_written_the_recipe_is_told_with_a_warning() {
    let env = TestEnv::new();
    env.spec("lab", &(tiny_spec(&["executable"]) + "site: slurm\n"));
    env.run(&["apply"]).success();
    fs_err::write(env.root().join("sessions"), "a file where the folder goes").unwrap();
    let recipe = env.run(&["recipe", "lab"]).success();
    assert!(recipe.stdout.contains("sbatch"), "{recipe}");
    recipe.says("the start script could not be written");
}

#[test]
fn a_user_whom_the_environment_does_not_name_is_looked_up() {
    let env = sites();
    let mut command = env.command(&["recipe", "bih"]);
    command.env_remove("USER").env_remove("LOGNAME");
    let recipe = env.output(&mut command).success();
    let known = env.output(env.program("id").arg("-un")).success();
    let line = format!("  User {}", known.stdout);
    assert!(recipe.stdout.contains(&line), "{recipe}");
}

#[test]
fn a_recipe_with_a_password_leaves_the_script_of_one_with_a_token_alone() {
    let env = sites();
    env.run(&["recipe", "slurm"]).success();
    let token = fs_err::read_to_string(script(&env, "slurm")).unwrap();
    let other = env.run(&["recipe", "slurm", "--password"]).success();
    assert!(
        other.stdout.contains("/envspec-slurm+password.sh"),
        "{other}"
    );
    assert_eq!(
        fs_err::read_to_string(script(&env, "slurm")).unwrap(),
        token
    );
}

/// A server started by the script; ended when dropped.
struct Session {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The status of a GET.
fn status(address: &str, path: &str, token: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let authorization = token.map_or(String::new(), |token| {
        format!("Authorization: token {token}\r\n")
    });
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{authorization}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

/// Starts a kernel and gives its id.
fn start_kernel(address: &str, token: &str, name: &str) -> String {
    let body = format!("{{\"name\": \"{name}\"}}");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /api/kernels HTTP/1.0\r\nHost: {address}\r\nAuthorization: token {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let kernel: serde_json::Value = serde_json::from_str(body).unwrap();
    kernel["id"].as_str().unwrap().to_owned()
}

/// Whether a process has a kernel's id in its arguments: the name of its
/// connection file.
fn runs(kernel: &str) -> bool {
    fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(kernel)
    })
}

#[test]
fn on_this_machine_the_script_starts_a_private_server_and_ends_without_a_trace() {
    let lab = lab();
    let recipe = lab.run(&["recipe", "lab"]).success();
    let path = lab.root().join("sessions/start/envspec-lab.sh");
    assert!(recipe.stdout.contains(path.to_str().unwrap()), "{recipe}");
    // Whoever runs the tests in the background has Ctrl-C ignored, and bash then
    // can't hear it.
    let mut child = lab
        .program("env")
        .args(["--default-signal=INT", "bash"])
        .arg(&path)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        // Its own group: what a terminal's Ctrl-C is sent to.
        .process_group(0)
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let mut session = Session { child, said };

    // It says where it listens once it is ready.
    let mut heard = String::new();
    let address = loop {
        let mut line = String::new();
        let read = session.said.read_line(&mut line).unwrap();
        heard += &line;
        assert!(read > 0, "it ended without being ready:\n{heard}");
        if let Some((_, rest)) = line.split_once("envspec: open   http://") {
            break rest.split(['/', ' ', '\n']).next().unwrap().to_owned();
        }
    };
    // Other tests have servers of this name too.
    let mut line = String::new();
    session.said.read_line(&mut line).unwrap();
    let (_, token_file) = line.trim_end().split_once("envspec: token  cat ").unwrap();
    let private = PathBuf::from(token_file).parent().unwrap().to_owned();
    let token = fs_err::read_to_string(token_file).unwrap();
    assert_eq!(token.len(), 64);
    assert!(!heard.contains(&token), "the token was printed");
    assert_eq!(status(&address, "/api/contents", None), 403);
    assert_eq!(status(&address, "/api/contents", Some("wrong")), 403);
    assert_eq!(status(&address, "/api/contents", Some(&token)), 200);
    assert_eq!(status(&address, "/api/kernelspecs", Some(&token)), 200);
    assert_eq!(status(&address, "/lab", Some(&token)), 200);

    // No process has the token in its arguments or its environment.
    for entry in fs_err::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&bytes).contains(&token),
                "{}/{file} holds the token",
                entry.path().display()
            );
        }
    }

    let kernels = ["python3", "ir", "bash"].map(|name| start_kernel(&address, &token, name));
    soon("all kernels run", || {
        let all = kernels.iter().all(|kernel| runs(kernel));
        all.then_some(())
    });
    let group = rustix::process::Pid::from_child(&session.child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    soon("the script has ended", || session.child.try_wait().unwrap());
    // Another test's server may have the port by now: it does not know this token.
    assert!(
        TcpStream::connect(&address).is_err()
            || status(&address, "/api/contents", Some(&token)) != 200,
        "it still listens"
    );
    soon("no kernel is left", || {
        let any = kernels.iter().any(|kernel| runs(kernel));
        (!any).then_some(())
    });
    // Of this server: it is told where its token is.
    soon("no process of the server is left", || {
        let left = fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(private.to_str().unwrap())
        });
        (!left).then_some(())
    });
    let left = fs_err::read_dir(lab.root().join("sessions")).unwrap();
    let key = private.file_name().unwrap().to_str().unwrap();
    let left: Vec<_> = left
        .flatten()
        .filter(|entry| {
            let leads = fs_err::read_link(entry.path()).unwrap_or_default();
            entry.file_name().to_string_lossy().starts_with(key) || leads.ends_with(key)
        })
        .collect();
    assert!(left.is_empty(), "files are left: {left:?}");
}

#[test]
fn servers_that_start_at_once_all_get_a_port() {
    let lab = lab();
    drop(lab.run(&["recipe", "lab"]).success());
    let path = lab.root().join("sessions/start/envspec-lab.sh");
    let start = || {
        let mut child = lab
            .program("bash")
            .arg(&path)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Session { child, said }
    };
    let mut sessions: Vec<Session> = (0..4).map(|_| start()).collect();
    let mut addresses = std::collections::BTreeSet::new();
    for session in &mut sessions {
        let lines = session.said.by_ref().lines().map(Result::unwrap);
        let mut heard = String::new();
        for line in lines {
            heard += &(line.clone() + "\n");
            if let Some((_, address)) = line.split_once("envspec: open   ") {
                addresses.insert(address.to_owned());
                break;
            }
        }
        assert!(heard.contains("envspec: open"), "{heard}");
    }
    assert_eq!(addresses.len(), 4, "{addresses:?}");
    for session in &mut sessions {
        let pid = rustix::process::Pid::from_child(&session.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        soon("the script has ended", || session.child.try_wait().unwrap());
    }
}
