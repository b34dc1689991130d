# Waits until the server answers, proves that it refuses a stranger, and publishes
# where it is.
import glob, http.client, json, os, socket, sys, time

server, runtime, token_file, node, private = sys.argv[1:6]
key, session, environment, generation, job, restart, pid, url_path, login = sys.argv[6:15]
port_was_taken = int(sys.argv[15])


class Connection(http.client.HTTPConnection):
    def __init__(self, info):
        super().__init__("127.0.0.1", info["port"] or None, timeout=30)
        self.path = info.get("sock")

    def connect(self):
        if not self.path:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def status(info, headers):
    connection = Connection(info)
    try:
        connection.request("GET", info["base_url"] + "api/status", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def alive():
    try:
        os.kill(int(server), 0)
    except OSError:
        return False
    return True


def listens(port):
    """Whether it is the server that listens. It writes its info file before it takes the port,
    which another user's program may have taken meanwhile: that must not get the token."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                rows += [line.split() for line in file][1:]
        except OSError:
            pass
    if not rows:
        return True  # no Linux
    listening = {row[9] for row in rows if row[3] == "0A" and row[1].endswith(":%04X" % port)}
    folder = f"/proc/{server}/fd"
    held = {os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)}
    return any(f"socket:[{inode}]" in held for inode in listening)


def answer():
    waits_for_its_port = False
    while alive():
        for path in glob.glob(os.path.join(glob.escape(runtime), "jpserver-*.json")):
            try:
                with open(path) as file:
                    info = json.load(file)
                if info.get("sock") or listens(info["port"]):
                    return info, status(info, {})
                waits_for_its_port = True
            except (OSError, ValueError):
                pass
        time.sleep(0.1)
    if waits_for_its_port:
        sys.exit(port_was_taken)
    sys.exit("envspec: the server ended before it answered")


info, anonymous = answer()
if anonymous not in (401, 403):
    sys.exit(f"envspec: a request without token got {anonymous}: this server is open to everybody")
with open(token_file) as file:
    owner = status(info, {"Authorization": "token " + file.read()})
if owner != 200:
    sys.exit(f"envspec: the server answered its owner with {owner}")
where = info.get("sock") or "127.0.0.1:%d" % info["port"]


def publish(name, text):
    path = os.path.join(private, name)
    try:
        with open(path + ".new", "w") as file:
            file.write(text + "\n")
        os.rename(path + ".new", path)
    except OSError as error:
        sys.exit(f"envspec: {path} could not be written: {error.strerror}")


# For programs; on one line, and without the token.
record = {
    "version": 1,
    "key": key,
    "session": session,
    "environment": environment,
    "generation": generation,
    "job": int(job) if job else None,
    "restart": int(restart),
    "node": node,
    "pid": int(pid),
    "at": where,
    "url_path": url_path,
    "login": login,
    "ready": int(time.time()),
}
publish("endpoint", f"{node} {where}")
# The last: by this the session counts as ready.
publish("session.json", json.dumps(record))
