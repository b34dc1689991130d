//! A server of channels behind TLS, with an authority of its own, which may ask for the
//! client's certificate: Python's `ssl`, with certificates that openssl makes.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An authority, a server's certificate for 127.0.0.1, and a client's.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in a folder, which is made.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs_err::create_dir_all(&folder).unwrap();
        let made = Self { folder };
        made.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=lab's CA",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        for (name, extension) in [
            ("server", "subjectAltName=IP:127.0.0.1\n"),
            ("client", "extendedKeyUsage=clientAuth\n"),
        ] {
            fs_err::write(made.path(&format!("{name}.ext")), extension).unwrap();
            let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
            let subject = format!("/CN={name}");
            made.openssl(&[
                "req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject, "-keyout", &key, "-out",
                &request,
            ]);
            made.openssl(&[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &request,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                &format!("{name}.ext"),
                "-out",
                &format!("{name}.pem"),
            ]);
        }
        made
    }

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {said}");
    }
}

const SERVER: &str = r#"
import functools, http.server, ssl, sys

folder, certificates, client = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificates + "/server.pem", certificates + "/server.key")
if client == "client":
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates + "/ca.pem")
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// The server; it ends when dropped.
pub(crate) struct TlsServer {
    child: Child,
    port: String,
}

impl TlsServer {
    /// Serves a folder of channels to everybody.
    pub(crate) fn start(folder: &Path, certificates: &Certificates) -> Self {
        Self::serve(folder, certificates, "anybody")
    }

    /// Serves it to those who show a certificate of the authority.
    pub(crate) fn for_clients(folder: &Path, certificates: &Certificates) -> Self {
        Self::serve(folder, certificates, "client")
    }

    fn serve(folder: &Path, certificates: &Certificates, whom: &str) -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", SERVER])
            .arg(folder)
            .arg(&certificates.folder)
            .arg(whom)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut port).unwrap();
        Self {
            child,
            port: port.trim().to_owned(),
        }
    }

    /// The channel alias.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
