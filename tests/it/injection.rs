//! Values of a spec, a site and a user's ssh config that try to become syntax,
//! through the whole program and real hosts: they arrive as text, and nothing of
//! them is run.

use std::time::Duration;

use crate::support::{Envspec as _, TestEnv, There, program, soon};

/// A root's name of all that a shell, ssh and Slurm give a meaning to and that a
/// conda prefix can have.
///
/// (R is not among the kernels then: its own program does not quote its path.)
const ROOT: &str = "odd \u{fc}!! #*~ -oA=b";

/// A value for a place that takes any text.
const TEXT: &str = "it's \"x\" $(touch ~/ran) `touch ~/ran`; touch ~/ran #\u{2191} %h \\ -oA=b";

/// What a variable may hold, which other tools put into a script.
const VARIABLE: &str = "it's; touch ~/ran # \u{2191} %h && touch ~/ran -oA=b";

fn spec(variable: &str) -> String {
    let text = serde_json::to_string(TEXT).unwrap();
    let variable = serde_json::to_string(variable).unwrap();
    format!(
        "name: lab\nchannels: [conda-forge]\ndependencies: [python, jupyterlab]\nkernels:\n\
         - python: {{display_name: {text}}}\n- bash\nsite: world\n\
         variables: {{LAB_TEXT: {variable}}}\nlaunch: {{memory: 500M}}\n"
    )
}

/// Gives `ada` the spec and the site, forwardings of her own in her ssh config,
/// and a login shell on the cluster that is no `sh`.
fn settle(there: &There) {
    let cluster = &there.cluster;
    let text = serde_json::to_string(TEXT).unwrap();
    for home in [cluster.home("ada"), there.workstation()] {
        fs_err::write(home.join("envs/lab.yaml"), spec(VARIABLE)).unwrap();
        let path = home.join(".config/envspec/sites/world.yaml");
        let site = fs_err::read_to_string(&path).unwrap();
        let title = format!("title: {text}\nnotes: [{text}]");
        let site = site
            .replace("title: the hosts of the tests", &title)
            .replace(
                "only_when: you come from the workstation",
                &format!("only_when: {text}"),
            );
        fs_err::write(path, site).unwrap();
    }
    // What a user forwards for himself is not for envspec to open, and least of
    // all backwards.
    let config = there.workstation().join(".ssh/config");
    let own = fs_err::read_to_string(&config).unwrap();
    let forwards = "Host *\n  RemoteForward 7777 localhost:22\n  LocalForward 7778 localhost:22\n";
    fs_err::write(&config, format!("{own}\n{forwards}")).unwrap();
    for host in ["login", "med0101", "med0102"] {
        let shell = "sed 's,^\\(ada:.*:\\)[^:]*$,\\1/usr/bin/tcsh,' /etc/passwd >/tmp/passwd && \
                     cat /tmp/passwd >/etc/passwd && grep -q '^ada:.*/tcsh$' /etc/passwd";
        drop(cluster.host(host).user("root").sh(shell).success());
    }
}

#[test]
fn hostile_values_reach_the_server_as_text_through_a_login_shell_that_is_no_sh() {
    let Some(there) = There::up(ROOT) else {
        return;
    };
    settle(&there);
    let cluster = &there.cluster;
    let alias = format!(
        "ENVSPEC_CHANNEL_ALIAS=file://{}/",
        crate::support::channels().display()
    );
    let login = cluster.login();
    drop(
        login
            .run(["env", &alias, &program(), "apply", "envs/lab.yaml"])
            .success(),
    );
    for format in ["text", "markdown", "json", "ssh-config", "shell"] {
        let recipe = login
            .envspec(["recipe", "--format", format])
            .success()
            .stdout;
        login.write("recipe", &recipe);
    }
    // Read by a shell, and asked for nothing.
    let shown = login.run(["bash", "recipe", "where"]).fails_with(1);
    assert!(shown.stderr.contains("not ready yet"), "{shown}");

    let ws = cluster.ws();
    let mut connects = vec![ws.start_envspec(["connect", "lab", "--launch"])];
    for through in [false, true] {
        if through {
            connects.push(ws.start_envspec([
                "connect",
                "lab",
                "--through-scheduler",
                "--port",
                "23001",
            ]));
        }
        let connect = connects.last_mut().unwrap();
        soon("connected", || {
            assert!(connect.ended().is_none(), "{}", connect.stderr());
            connect
                .stderr()
                .contains("Connected to envspec-lab")
                .then_some(())
        });
        for (host, port) in [("jump", 7777), ("login", 7777), ("ws", 7778)] {
            let listens = cluster
                .host(host)
                .user("root")
                .sh("ss -Hltn")
                .success()
                .stdout;
            assert!(!listens.contains(&format!(":{port}")), "{host}: {listens}");
        }
    }
    let listed = ws.envspec(["sessions", "--json", "lab"]).success().json();
    let node = listed["sessions"][0]["node"].as_str().unwrap().to_owned();
    let listens = cluster
        .host(&node)
        .user("root")
        .sh("ss -Hltn")
        .success()
        .stdout;
    assert!(!listens.contains(":7777"), "{listens}");
    // The value in the server's environment, as the kernel of its node shows it.
    let environment =
        "tr '\\0' '\\n' </proc/$(pgrep -u ada -f bin/jupyter-lab | head -n 1)/environ";
    let environment = cluster
        .host(&node)
        .user("root")
        .sh(environment)
        .success()
        .stdout;
    assert!(
        environment
            .lines()
            .any(|line| line == format!("LAB_TEXT={VARIABLE}")),
        "{environment}"
    );
    let checks = ws.envspec(["doctor", "lab", "--json"]).success().json();
    let bad = checks["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["verdict"] == "bad");
    assert_eq!(bad.count(), 0, "{checks:#}");

    ws.envspec(["stop", "lab"])
        .success()
        .says("nothing of it is left");
    for connect in connects {
        drop(connect.wait(Duration::from_mins(1)).success());
    }
    assert_eq!(there.sessions(), Vec::<String>::new());
    for home in [cluster.home("ada"), there.workstation()] {
        assert!(!home.join("ran").exists(), "something was run");
    }
}

#[test]
fn a_root_that_some_program_would_misread_is_refused_before_anything_is_made() {
    let env = TestEnv::new();
    env.tiny(&["left"]);
    for root in [
        "a'b", "a\"b", "a`id`b", "a$(id)b", "a%hb", "a:b", "a\\b", "a\nb", "a;b", "a&b",
    ] {
        let root = env.work().join(root);
        let refused = env
            .run(&["apply", "--root", root.to_str().unwrap()])
            .fails_with(2)
            .says("can't be used: ");
        assert!(
            refused.stderr.contains("--root DIR or ENVSPEC_ROOT"),
            "{refused}"
        );
        assert!(!root.exists());
    }
}

#[test]
fn a_variable_that_other_tools_would_run_is_refused_at_its_place() {
    let env = TestEnv::new();
    env.spec("lab", &spec(TEXT).replace("site: world\n", ""));
    env.run(&["apply"])
        .fails_with(2)
        .says("the variable `LAB_TEXT` holds what a shell would run")
        .says("lab.yaml:");
}
