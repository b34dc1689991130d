//! What leads from the laptop to a server, and from a server to its kernels:
//! sockets, and ports where there is no other way.

use std::time::Duration;

use crate::session::{connected, status};
use crate::support::{Browser, Envspec as _, There, soon};

const PATIENCE: Duration = Duration::from_mins(2);

/// As a notebook does it: starts a kernel through the server and runs a cell
/// again and again for a few seconds. Prints what it gave.
const NOTEBOOK: &str = r#"
import asyncio, json, sys, time, uuid
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

url, token_file, kernel, code = sys.argv[1:]
headers = {"Authorization": "token " + open(token_file).read()}

def message(kind, content):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": "s", "username": "ada", "version": "5.3"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}

async def main():
    client = AsyncHTTPClient()
    ask = lambda method, path, body=None: client.fetch(
        HTTPRequest(url + path, method, headers, body, request_timeout=60))
    model = json.loads((await ask("POST", "/api/kernels", json.dumps({"name": kernel}))).body)
    path = "/api/kernels/" + model["id"]
    socket = await websocket_connect(HTTPRequest(url.replace("http", "ws") + path + "/channels", headers=headers))
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        asked = message("execute_request", {"code": code, "silent": False, "store_history": False,
            "user_expressions": {}, "allow_stdin": False, "stop_on_error": True})
        await socket.write_message(json.dumps(asked))
        while True:
            said = json.loads(await asyncio.wait_for(socket.read_message(), 60))
            if said["parent_header"].get("msg_id") != asked["header"]["msg_id"]:
                continue
            if said["msg_type"] == "stream":
                print(said["content"]["text"])
            if said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
                break
        await asyncio.sleep(0.3)
    await ask("DELETE", path)

asyncio.run(main())
"#;

/// An eavesdropper: for some seconds subscribes to whatever listens on a port of
/// the node, and prints all that it gets.
const EAR: &str = r#"
import subprocess, sys, time, zmq

ear = zmq.Context().socket(zmq.SUB)
ear.subscribe(b"")
known = set()
print("listening", flush=True)
ends = time.monotonic() + float(sys.argv[1])
while time.monotonic() < ends:
    rows = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    for port in {row.split()[3].rpartition(":")[2] for row in rows.splitlines()} - known:
        known.add(port)
        ear.connect("tcp://127.0.0.1:" + port)
    while ear.poll(100):
        print(b" ".join(ear.recv_multipart()).decode(errors="replace"), flush=True)
"#;

/// Runs a cell in a kernel of a server while `mallory` listens on its node;
/// gives what the cell printed and what was overheard.
fn overheard(
    there: &There,
    (host, url, token): (&str, &str, &str),
    node: &str,
    kernel: &str,
    code: &str,
) -> (String, String) {
    let python = there.root().join("envs/lab/bin/python");
    let python = python.to_str().unwrap();
    let mallory = there.cluster.host(node).user("mallory");
    let mut ear = mallory.start([python, "-c", EAR, "12"]);
    soon("the ear", || {
        assert!(ear.ended().is_none(), "{}", ear.stderr());
        ear.stdout().contains("listening").then_some(())
    });
    let user = there.cluster.host(host).user("ada");
    user.write("notebook-token", token);
    let cell = user
        .within(PATIENCE)
        .run([python, "-c", NOTEBOOK, url, "notebook-token", kernel, code])
        .success();
    (cell.stdout, ear.wait(PATIENCE).success().stdout)
}

#[test]
fn what_a_kernel_says_is_read_by_no_other_user_of_its_node() {
    let Some(there) = There::up("private_channels") else {
        return;
    };
    let cluster = &there.cluster;
    // So that this can fail: Jupyter by itself, and an ear that hears.
    let jupyter = there.root().join("envs/lab/bin/jupyter-lab");
    let job = cluster.login().sbatch(&format!(
        "#!/bin/bash\nexec {} --no-browser --ip=127.0.0.1 --port=28888 --ServerApp.token=known\n",
        jupyter.display()
    ));
    let node = soon("the plain server's node", || {
        let shown = cluster.login().job(&job);
        shown.strip_prefix("R ").map(str::to_owned)
    });
    let ask = "curl -s -m 2 http://127.0.0.1:28888/api || true";
    soon("the plain server", || {
        let asked = cluster.host(&node).user("ada").sh(ask).success();
        asked.stdout.contains("version").then_some(())
    });
    let plain = (node.as_str(), "http://127.0.0.1:28888", "known");
    let code = "print('secret', 6 * 7)";
    let (said, heard) = overheard(&there, plain, &node, "python3", code);
    assert!(said.contains("secret 42"), "{said}");
    assert!(heard.contains("secret 42"), "the ear is deaf: {heard}");
    drop(cluster.login().run(["scancel", &job]).success());

    cluster.login().envspec(["launch"]).success();
    let mut connect = cluster.ws().start_envspec(["connect", "lab"]);
    let url = format!("http://127.0.0.1:{}", connected(&mut connect));
    let listed = cluster.login().envspec(["sessions", "--json"]);
    let node = listed.success().json()["sessions"][0]["node"].clone();
    let node = node.as_str().unwrap();
    let token = there.token();
    for (kernel, code) in [
        ("python3", "print('secret', 6 * 7)"),
        ("ir", "cat('secret', 6 * 7)"),
        ("bash", "echo secret $((6 * 7))"),
    ] {
        let (said, heard) = overheard(&there, ("ws", &url, &token), node, kernel, code);
        assert!(said.contains("secret 42"), "{kernel}: {said}");
        assert!(!heard.contains("secret"), "{kernel}: {heard}");
        // Nothing of hers listens there at all.
        let ports = cluster.host(node).user("root").sh("ss -Hltne").success();
        assert!(!ports.stdout.contains("uid:52001"), "{kernel}: {ports}");
    }
    cluster.ws().envspec(["stop", "lab"]).success();
}

#[test]
fn where_sshd_forwards_no_sockets_a_port_leads_to_the_server_also_in_a_real_browser() {
    let Some(there) = There::up("transport_port") else {
        return;
    };
    let cluster = &there.cluster;
    let Some(command) = Browser::of(cluster.ws()) else {
        return;
    };
    for node in ["med0101", "med0102"] {
        let host = cluster.host(node);
        let forbid = "echo 'AllowStreamLocalForwarding no' >>/etc/ssh/sshd_config";
        drop(host.user("root").sh(forbid).success());
        host.sshd_stop();
        host.sshd_start();
    }
    cluster.login().envspec(["launch"]).success();
    cluster
        .ws()
        .envspec(["connect", "lab"])
        .fails_with(6)
        .says("does not lead to the socket")
        .says("--transport port");
    cluster.ws().envspec(["stop", "lab"]).success();

    // Said once, in the site.
    for home in [cluster.home("ada"), there.workstation()] {
        let site = home.join(".config/envspec/sites/world.yaml");
        let text = fs_err::read_to_string(&site).unwrap();
        let with = text.replace("\nssh:\n", "\nssh:\n  transport: port\n");
        assert_ne!(text, with);
        fs_err::write(&site, with).unwrap();
    }
    let arguments = ["connect", "lab", "--launch"];
    let mut connect = cluster.ws().start_envspec(arguments);
    let port = connected(&mut connect);
    let token = there.token();
    assert_eq!(status(&there, port, None), 403);
    assert_eq!(status(&there, port, Some(&token)), 200);
    let record = there.root().join("sessions/envspec-lab/session.json");
    let record = fs_err::read_to_string(record).unwrap();
    assert!(record.contains(r#""at": "127.0.0.1:"#), "{record}");
    let mut browser = Browser::open(command, &format!("http://127.0.0.1:{port}"), &token);
    assert_eq!(browser.run_cell("python3", "print(6 * 7)").text(), "42\n");
    assert_eq!(browser.run_cell("ir", "cat(6 * 7)").text(), "42");
    let bash = browser.run_cell("bash", "echo $((6 * 7))");
    assert_eq!(bash.text(), "42\n");
    drop(browser);
    cluster
        .ws()
        .envspec(["stop", "lab"])
        .success()
        .says("nothing of it is left");
    drop(connect.wait(PATIENCE));

    // And said for one launch.
    let one = ["launch", "--transport", "socket"];
    cluster.login().envspec(one).success();
    let record = there.root().join("sessions/envspec-lab/session.json");
    let record = fs_err::read_to_string(record).unwrap();
    assert!(record.contains("/server.sock"), "{record}");
    cluster.login().envspec(["stop", "lab"]).success();
}
