//! Passwords, tokens, certificates, proxies: what opens a server is used, and is
//! neither printed nor written.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    Ask, Certificates, CommandOutput, Fault, Ran, Server, TestEnv, TlsServer, channels, have,
    no_trace, soon,
};

const SECRET: &str = "hunter2-is-the-word";

/// A world that takes its channels from where the configuration says, and asks for one
/// package.
fn world() -> TestEnv {
    let env = TestEnv::with_alias("");
    env.tiny(&["symlink", "shared-lib"]);
    env
}

/// Writes a file that is its owner's alone.
fn put(env: &TestEnv, below_home: &str, text: &str) -> PathBuf {
    let path = env.path("home").join(below_home);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    path
}

fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Applies, looks for traces, and applies again from nothing but the lock.
#[track_caller]
fn applies(env: &TestEnv, kept_in: &[PathBuf]) -> CommandOutput {
    let said = env.run(&["apply", "--verbose"]).success();
    no_trace(env, &said, &[SECRET], kept_in);
    assert!(env.lock("lab").contains("https://conda.anaconda.org/tiny/"));
    fs_err::remove_dir_all(env.root()).unwrap();
    let again = env.run(&["apply", "--locked", "--verbose"]).success();
    no_trace(env, &again, &[SECRET], kept_in);
    let shown = env.run(&["show", "--json", "--verbose"]).success();
    no_trace(env, &shown, &[SECRET], kept_in);
    said
}

/// Locks as if nothing was ever asked: an index that is kept is not asked for again.
#[track_caller]
fn locks_anew(env: &TestEnv) -> Ran {
    for path in [env.root(), env.work().join("envs/lab.lock")] {
        if path.is_dir() {
            fs_err::remove_dir_all(path).unwrap();
        } else if path.is_file() {
            fs_err::remove_file(path).unwrap();
        }
    }
    env.run(&["lock", "--verbose"])
}

#[test]
fn a_password_in_an_alias_is_used_and_leaves_no_trace() {
    let server = Server::start(channels());
    server.ask(Ask::basic("us er", SECRET));
    let env = world();
    let alias = server.url_of(&format!("us%20er:{SECRET}@"));
    let condarc = put(&env, ".condarc", &format!("channel_alias: {alias}\n"));
    applies(&env, &[condarc]);
}

#[test]
fn a_token_in_a_channels_url_is_used_and_leaves_no_trace() {
    let server = Server::start(channels());
    server.ask(Ask::Token(SECRET.to_owned()));
    let env = world();
    let place = format!("{}/t/{SECRET}", server.url());
    let condarc = put(
        &env,
        ".condarc",
        &format!("custom_channels: {{tiny: \"{place}\"}}\n"),
    );
    applies(&env, &[condarc]);

    // A channel with a token in the configuration's own list: the lock has the URL
    // without it.
    let env = world();
    env.spec("lab", "dependencies: [symlink]\n");
    let condarc = put(&env, ".condarc", &format!("channels: [\"{place}/tiny\"]\n"));
    let said = env.run(&["apply", "--verbose"]).success();
    no_trace(&env, &said, &[SECRET], &[condarc]);
    let clean = format!("{}/tiny/linux-64/symlink-1.0-0.conda", server.url());
    assert!(env.lock("lab").contains(&clean), "{}", env.lock("lab"));
}

#[test]
fn what_netrc_and_rattlers_files_and_anacondas_login_have_is_used_and_leaves_no_trace() {
    let basic = || Ask::basic("anna", SECRET);
    let bearer = || Ask::Header(format!("Bearer {SECRET}"));
    let token = || Ask::Token(SECRET.to_owned());
    let netrc = format!("machine 127.0.0.1\nlogin anna\npassword {SECRET}\n");
    let of_rattler = |kind: &str| format!("{{\"127.0.0.1\": {{\"{kind}\": \"{SECRET}\"}}}}");
    for (ask, file, text, variable) in [
        (basic(), ".netrc", netrc.clone(), None),
        (basic(), "elsewhere", netrc, Some("NETRC")),
        (
            bearer(),
            "auth.json",
            of_rattler("BearerToken"),
            Some("RATTLER_AUTH_FILE"),
        ),
        (
            token(),
            ".rattler/credentials.json",
            of_rattler("CondaToken"),
            None,
        ),
        (
            token(),
            ".config/binstar/http%3A%2F%2F127.0.0.1.token",
            SECRET.to_owned(),
            None,
        ),
    ] {
        let server = Server::start(channels());
        server.ask(ask);
        let mut env = world();
        put(
            &env,
            ".condarc",
            &format!("channel_alias: {}\n", server.url()),
        );
        let file = put(&env, file, &text);
        if let Some(variable) = variable {
            env.set(variable, file.display().to_string());
        }
        applies(&env, &[file]);
    }
}

#[test]
fn a_stranger_is_told_why_and_a_file_that_others_may_read_is_not_used() {
    let server = Server::start(channels());
    server.ask(Ask::basic("anna", SECRET));
    let env = world();
    put(
        &env,
        ".condarc",
        &format!("channel_alias: {}\n", server.url()),
    );
    env.run(&["lock"])
        .fails_with(5)
        .says("127.0.0.1 asks for a password or a token");
    // The same words without the file's when the password is wrong.
    let text = format!("machine 127.0.0.1 login anna password {SECRET}x\n");
    let netrc = put(&env, ".netrc", &text);
    let said = env.run(&["lock", "--verbose"]).fails_with(5);
    let said = said.says("or does not take the one it was given (401)");
    no_trace(&env, &said, &[SECRET], std::slice::from_ref(&netrc));

    let text = format!("machine 127.0.0.1 login anna password {SECRET}\n");
    put(&env, ".netrc", &text);
    set_mode(&netrc, 0o640);
    let said = env.run(&["lock", "--verbose"]).fails_with(5);
    let said = said.says("home/.netrc are not used: others may read it (chmod 600)");
    no_trace(&env, &said, &[SECRET], std::slice::from_ref(&netrc));
    set_mode(&netrc, 0o600);
    env.run(&["lock"]).success();

    // What is no such file is passed over, and nothing of it told.
    let good = format!("machine 127.0.0.1 login anna password {SECRET}\n");
    for (file, text, is_found) in [
        (
            ".rattler/credentials.json",
            format!("{{\"127.0.0.1\": \"{SECRET}\"}}"),
            true,
        ),
        (
            ".netrc",
            format!("machine 127.0.0.1 login anna {SECRET} {SECRET}\n"),
            false,
        ),
    ] {
        put(&env, ".netrc", &good);
        let file = put(&env, file, &text);
        let said = locks_anew(&env);
        assert_eq!(said.succeeded(), is_found);
        let said = said.either();
        let said = said.says(&format!(
            "{} are not used: it can't be read",
            file.display()
        ));
        no_trace(&env, &said, &[SECRET], &[file.clone(), netrc.clone()]);
        fs_err::remove_file(file).unwrap();
    }
}

#[test]
fn a_token_does_not_go_on_to_where_a_server_sends_us() {
    let server = Server::start(channels());
    let to = server.url();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            drop(send_on(client, &to));
        }
    });
    let env = world();
    let text = format!("channel_alias: \"{first}/t/{SECRET}\"\n");
    let condarc = put(&env, ".condarc", &text);
    applies(&env, &[condarc]);
    let headers = server.headers();
    assert!(!headers.is_empty());
    for header in headers {
        assert!(!header.contains(SECRET), "{header}");
    }
}

/// Sends a request with the token in its path to another server, without the token.
fn send_on(client: std::io::Result<TcpStream>, to: &str) -> std::io::Result<()> {
    let mut client = client?;
    let mut bytes = [0; 8192];
    let length = client.read(&mut bytes)?;
    let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let path = path.replace(&format!("/t/{SECRET}"), "");
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    client.write_all(answer.as_bytes())
}

#[test]
fn whatever_goes_wrong_no_secret_is_told() {
    for (part, fault) in [
        ("repodata", Fault::NotFound),
        ("repodata", Fault::Html),
        ("repodata", Fault::Truncated),
        ("symlink-1.0", Fault::NotFound),
        ("symlink-1.0", Fault::Truncated),
        ("symlink-1.0", Fault::WrongBytes),
        ("symlink-1.0", Fault::Unavailable),
    ] {
        let server = Server::start(channels());
        server.ask(Ask::Token(SECRET.to_owned()));
        let env = world();
        let text = format!(
            "channel_alias: \"{}/t/{SECRET}\"\nremote_max_retries: 0\n",
            server.url()
        );
        let condarc = put(&env, ".condarc", &text);
        server.fault(part, fault);
        let said = env.run(&["apply", "--verbose"]);
        assert!(!said.succeeded(), "{part} {fault:?}");
        let said = said.either();
        no_trace(&env, &said, &[SECRET], &[condarc]);
        // What is told is what the lock has, and not where it was looked for.
        let host = server.url().replace("http://", "");
        assert!(!said.stderr.contains(&host), "{part} {fault:?}\n{said}");
        assert!(said.stderr.contains("conda.anaconda.org/tiny"), "{said}");
    }
    // A server that is gone.
    let mut server = Server::start(channels());
    let url = server.url();
    server.stop();
    let env = world();
    let text = format!("channel_alias: \"{url}/t/{SECRET}\"\nremote_max_retries: 0\n");
    let condarc = put(&env, ".condarc", &text);
    let said = env.run(&["lock", "--verbose"]).fails_with(5);
    no_trace(&env, &said, &[SECRET], &[condarc]);
}

/// URLs with a secret, each in another of its places.
fn with_a_secret() -> Vec<String> {
    vec![
        format!("https://u:{SECRET}@h.invalid/tiny"),
        format!("https://{SECRET}@h.invalid/tiny"),
        format!("https://u:p%40{SECRET}@h.invalid/tiny"),
        format!("https://u:p'{SECRET}@h.invalid/tiny"),
        format!("https://u%3A{SECRET}@h.invalid/tiny"),
        format!("https:///u:{SECRET}@h.invalid/tiny"),
        format!("https://h.invalid/t/{SECRET}/tiny"),
        format!("https://h.invalid/api/t/{SECRET}/tiny"),
        format!("https://h.invalid/tiny?token={SECRET}"),
        format!("https://h.invalid/tiny?a=b&access_token={SECRET}"),
        format!("https://h.invalid/tiny?X-Amz-Signature={SECRET}"),
        format!("https://h.invalid/tiny?sig={SECRET}"),
    ]
}

#[test]
fn a_secret_in_a_spec_is_refused_wherever_it_stands_and_never_told() {
    let env = world();
    put(
        &env,
        ".condarc",
        &format!("channel_alias: https://u:{SECRET}@h.invalid\n"),
    );
    let condarc = env.path("home/.condarc");
    fs_err::write(env.path("work/README"), "something to look through\n").unwrap();
    for url in with_a_secret() {
        let quoted = format!("\"{url}\"");
        for text in [
            format!("channels: [{quoted}]\ndependencies: [symlink]\n"),
            format!("channels: [tiny]\ndependencies: [\"{url}::symlink\"]\n"),
            format!("channels: [tiny]\ndependencies: [\"{url}/noarch/a-1-0.conda\"]\n"),
            format!(
                "channels: [tiny]\ndependencies: [python, {{pip: [\"tool @ {url}/a-1-py3-none-any.whl\"]}}]\n"
            ),
            format!("channels: [tiny]\ndependencies: [a]\nvariables: {{INDEX: {quoted}}}\n"),
            format!(
                "channels: [tiny]\ndependencies: [a]\nkernels: [x: {{installable: {quoted}}}]\n"
            ),
        ] {
            let spec = env.spec("lab", &text);
            let commands: [&[&str]; 6] = [
                &["check"],
                &["show"],
                &["show", "--json"],
                &["plan"],
                &["apply", "--verbose"],
                &["add", "executable"],
            ];
            // What is in a token's place in a URL of the path is one for all commands;
            // one of them is enough but for the first text.
            let few = if text.starts_with("channels: [\"") {
                6
            } else {
                1
            };
            for command in &commands[..few] {
                let said = env.run(command).fails_with(2);
                let said = said.says("carries a password or a token");
                no_trace(&env, &said, &[SECRET], &[spec.clone(), condarc.clone()]);
            }
        }
    }
}

#[test]
fn a_secret_that_somebody_wrote_into_a_lock_is_not_asked_for_and_not_told() {
    let env = TestEnv::new();
    env.tiny(&["symlink"]);
    env.run(&["lock"]).success();
    let lock = env.work().join("envs/lab.lock");
    let good = env.lock("lab");
    let line = good
        .lines()
        .find(|line| line.contains("- conda: "))
        .unwrap();
    let (_, now) = line.split_once("- conda: ").unwrap();
    for url in with_a_secret() {
        let file = "noarch/symlink-1.0-0.conda";
        let url = match url.split_once('?') {
            Some((path, query)) => format!("{path}/{file}?{query}"),
            None => format!("{url}/{file}"),
        };
        fs_err::write(&lock, good.replace(now, &url)).unwrap();
        for command in ["apply", "plan"] {
            let said = env.run(&[command, "--frozen", "--verbose"]).fails_with(2);
            let said = said.says("carries a password or a token");
            no_trace(&env, &said, &[SECRET], std::slice::from_ref(&lock));
        }
        assert!(!env.root().join("gen").exists(), "{url}");
    }
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_the_configuration_names_it() {
    if !have("openssl") || !have("python3") {
        return;
    }
    let mut env = world();
    let certificates = Certificates::new(env.path("tls"));
    let server = TlsServer::start(channels(), &certificates);
    let alias = format!("channel_alias: {}\n", server.url());
    let ca = certificates.path("ca.pem").display().to_string();
    put(&env, ".condarc", &alias);
    env.run(&["lock"]).fails_with(5);

    let cases = [
        (format!("{alias}ssl_verify: {ca}\n"), None),
        (alias.clone(), Some("CONDA_SSL_VERIFY")),
        (alias.clone(), Some("REQUESTS_CA_BUNDLE")),
        (alias.clone(), Some("SSL_CERT_FILE")),
    ];
    for (text, variable) in cases {
        put(&env, ".condarc", &text);
        if let Some(variable) = variable {
            env.set(variable, &ca);
        }
        let said = locks_anew(&env).success();
        assert!(!said.stderr.contains("not checked"), "{said}");
        if let Some(variable) = variable {
            env.set(variable, "");
        }
    }
    // Who trusts nobody at all can ask no server, and a folder as ever.
    let nobody = put(&env, "nobody.pem", "");
    env.set("SSL_CERT_FILE", nobody.display().to_string());
    put(&env, ".condarc", &alias);
    locks_anew(&env).fails_with(5);
    let folder = format!("channel_alias: file://{}\n", channels().display());
    put(&env, ".condarc", &folder);
    locks_anew(&env).success();
    env.set("SSL_CERT_FILE", "");

    // Another authority is none.
    let other = Certificates::new(env.path("other"));
    let path = other.path("ca.pem").display().to_string();
    put(&env, ".condarc", &format!("{alias}ssl_verify: {path}\n"));
    locks_anew(&env).fails_with(5);
    let key = certificates.path("ca.key").display().to_string();
    put(&env, ".condarc", &format!("{alias}ssl_verify: {key}\n"));
    let said = locks_anew(&env).fails_with(5);
    said.says("there is no certificate in PEM form");

    put(&env, ".condarc", &format!("{alias}ssl_verify: false\n"));
    for _ in 0..2 {
        let said = locks_anew(&env).success();
        said.says("warning: servers' certificates are not checked, as ");
    }
}

#[test]
fn a_certificate_of_the_client_is_shown_to_a_server_that_asks_for_it() {
    if !have("openssl") || !have("python3") {
        return;
    }
    let env = world();
    let certificates = Certificates::new(env.path("tls"));
    let server = TlsServer::for_clients(channels(), &certificates);
    let path = |name: &str| certificates.path(name).display().to_string();
    let common = format!(
        "channel_alias: {}\nssl_verify: {}\n",
        server.url(),
        path("ca.pem")
    );
    put(&env, ".condarc", &common);
    env.run(&["lock"]).fails_with(5);
    let two = format!(
        "{common}client_ssl_cert: {}\nclient_ssl_cert_key: {}\n",
        path("client.pem"),
        path("client.key")
    );
    put(&env, ".condarc", &two);
    env.run(&["apply"]).success();

    let both = [path("client.pem"), path("client.key")];
    let both = both
        .map(|path| fs_err::read_to_string(path).unwrap())
        .concat();
    let one = put(&env, "client.pem", &both);
    let text = format!("{common}client_cert: {}\n", one.display());
    put(&env, ".condarc", &text);
    locks_anew(&env).success();

    // One without its key is told, and nothing of it.
    let text = format!("{common}client_cert: {}\n", path("client.pem"));
    put(&env, ".condarc", &text);
    let said = locks_anew(&env).fails_with(5);
    said.says("it has no certificate with an unencrypted key");
}

/// tinyproxy, which asks for a password; it ends when dropped.
struct Proxy {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Proxy {
    fn start(folder: &Path) -> Self {
        fs_err::create_dir_all(folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = folder.join("log");
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nLogFile \"{}\"\nLogLevel Connect\n\
             BasicAuth anna {SECRET}\nMaxClients 50\n",
            log.display()
        );
        let file = folder.join("tinyproxy.conf");
        fs_err::write(&file, config).unwrap();
        let child = Command::new("tinyproxy")
            .args(["-d", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        soon("the proxy", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port, log }
    }

    /// What it was asked for since the last look.
    fn asked(&self) -> usize {
        let text = fs_err::read_to_string(&self.log).unwrap_or_default();
        fs_err::write(&self.log, "").unwrap();
        text.lines()
            .filter(|line| line.contains("Request ("))
            .count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_proxy_is_asked_with_its_password_and_not_for_hosts_without_one() {
    if !have("tinyproxy") || !have("openssl") {
        return;
    }
    let mut env = world();
    // Outside the world, whose files are looked through.
    let beside = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(beside.path());
    let server = Server::start(channels());
    let certificates = Certificates::new(env.path("tls"));
    let tls = TlsServer::start(channels(), &certificates);
    let ca = certificates.path("ca.pem").display().to_string();
    let url = |who: &str| format!("http://{who}127.0.0.1:{}", proxy.port);
    let with = url(&format!("anna:{SECRET}@"));
    let asks = |env: &TestEnv, text: &str, config: &str| {
        let file = put(env, config, text);
        let said = locks_anew(env).success();
        no_trace(env, &said, &[SECRET], &[file]);
        proxy.asked()
    };
    let (plain, secure) = (server.url(), tls.url());
    for alias in [&plain, &secure] {
        let common = format!("channel_alias: {alias}\nssl_verify: {ca}\n");
        let text = format!("{common}proxy_servers: {{http: \"{with}\", https: \"{with}\"}}\n");
        assert!(asks(&env, &text, ".condarc") > 0, "{alias}");
        let bare = with.trim_start_matches("http://");
        let text = format!("{common}proxy_servers: {{all: \"{bare}\"}}\n");
        assert!(asks(&env, &text, ".condarc") > 0, "{alias}");
        let text = format!("{common}proxy_servers: {{\"https://other.org\": \"{with}\"}}\n");
        assert_eq!(asks(&env, &text, ".condarc"), 0, "{alias}");
        assert_eq!(asks(&env, &common, ".condarc"), 0, "{alias}");
        let text = format!("[proxy-config]\nhttp = \"{with}\"\nhttps = \"{with}\"\n");
        assert!(
            asks(&env, &text, ".config/rattler/config.toml") > 0,
            "{alias}"
        );
        let text = format!("{text}non-proxy-hosts = [\"127.0.0.1\"]\n");
        assert_eq!(
            asks(&env, &text, ".config/rattler/config.toml"),
            0,
            "{alias}"
        );
        fs_err::remove_file(env.path("home/.config/rattler/config.toml")).unwrap();
    }
    // The environment's count too, and `NO_PROXY` for all.
    let common = format!("channel_alias: {plain}\n");
    env.set("http_proxy", &with);
    assert!(asks(&env, &common, ".condarc") > 0);
    env.set("NO_PROXY", "127.0.0.1");
    assert_eq!(asks(&env, &common, ".condarc"), 0);
    env.set("http_proxy", "");
    let text = format!("{common}proxy_servers: {{http: \"{with}\"}}\n");
    assert_eq!(asks(&env, &text, ".condarc"), 0);
    // Without the password it refuses, and says so.
    env.set("NO_PROXY", "");
    put(
        &env,
        ".condarc",
        &format!("{common}proxy_servers: {{http: \"{}\"}}\n", url("")),
    );
    locks_anew(&env).fails_with(5);
}

#[test]
fn a_keyring_that_never_answers_is_not_waited_for() {
    let server = Server::start(channels());
    let mut env = world();
    put(
        &env,
        ".condarc",
        &format!("channel_alias: {}\n", server.url()),
    );
    let socket = env.path("bus");
    let bus = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        // Taken and kept, without a word.
        let mut taken = Vec::new();
        for client in bus.incoming() {
            taken.push(client);
        }
    });
    env.set(
        "DBUS_SESSION_BUS_ADDRESS",
        format!("unix:path={}", socket.display()),
    );
    let running = env.start(&["lock", "--verbose"]);
    let said = running.wait_within(Duration::from_secs(30)).success();
    said.says("the keyring does not answer; it is asked no more");
}

#[test]
fn what_the_keyring_has_is_used_and_leaves_no_trace() {
    for program in ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"] {
        if !have(program) {
            return;
        }
    }
    let server = Server::start(channels());
    server.ask(Ask::Header(format!("Bearer {SECRET}")));
    let env = world();
    put(
        &env,
        ".condarc",
        &format!("channel_alias: {}\n", server.url()),
    );
    // A session with a keyring that is open and has the entry as rattler writes it.
    let session = r#"
        printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        printf '{"BearerToken":"%s"}' "$WORD" |
          secret-tool store --label=x service rattler username 127.0.0.1 target default
        unset WORD
        exec "$ENVSPEC" apply --verbose
    "#;
    let mut command = env.program("dbus-run-session");
    let ours = env.command(&[]);
    command.envs(
        ours.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .args(["--", "/bin/sh", "-c", session])
        .env("WORD", SECRET)
        .env("ENVSPEC", env!("CARGO_BIN_EXE_envspec"))
        .env("XDG_RUNTIME_DIR", env.path("tmp"));
    let started = Instant::now();
    let said = env.output(&mut command).success();
    assert!(started.elapsed() < Duration::from_mins(1));
    no_trace(&env, &said, &[SECRET], &[]);
    assert!(env.prefix("lab").is_dir());
}

#[test]
fn no_program_is_started_and_no_network_asked_before_it_is_needed() {
    let env = world();
    put(
        &env,
        ".condarc",
        "channel_alias: http://h.invalid\nssl_verify: true\n",
    );
    put(&env, ".netrc", "machine h.invalid login a password b\n");
    let trace = env.path("trace");
    if !have("strace") {
        return;
    }
    let mut command = env.program("strace");
    let ours = env.command(&[]);
    command.envs(
        ours.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .args(["-f", "-e", "trace=openat,execve,connect", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_envspec"))
        .arg("check");
    env.output(&mut command).success();
    let trace = BufReader::new(fs_err::File::open(&trace).unwrap());
    let lines: Vec<String> = trace.lines().map(Result::unwrap).collect();
    let named = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!(named("/.condarc\", O_RDONLY"), 1, "{lines:#?}");
    assert_eq!(named("execve("), 1, "{lines:#?}");
    for part in ["connect(", ".netrc", "ca-certificates", "/ssl/"] {
        assert_eq!(named(part), 0, "{part}: {lines:#?}");
    }
}
