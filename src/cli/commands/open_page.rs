//! `connect --open`: the page in the browser, without the token in anybody's list
//! of processes.
//!
//! A browser is given a file that only the user can read, and the file leads to
//! the address. It lies in a folder that goes with this process, however it ends.

use std::convert::Infallible;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::cli::app::App;
use crate::cluster::PrivateFolder;

/// A browser that ends with an error within this time has opened nothing; one
/// that runs longer is the page's.
const FAILS_WITHIN: Duration = Duration::from_secs(3);

/// Opens one address after the other, as they are sent. The files of the last one
/// are there until this is dropped: a browser may take its time.
pub(super) async fn each(
    app: &App<'_>,
    folders_in: &Path,
    mut addresses: UnboundedReceiver<String>,
) -> Infallible {
    let mut last = None;
    while let Some(address) = addresses.recv().await {
        drop(last.take());
        match open(app, folders_in, &address).await {
            Ok(folder) => last = Some(folder),
            Err(why) => app.ui.warning(format!(
                "the browser could not be opened: {why}; open the address yourself, or name a \
                 browser in BROWSER"
            )),
        }
    }
    std::future::pending().await
}

async fn open(app: &App<'_>, folders_in: &Path, address: &str) -> Result<PrivateFolder, String> {
    let folder = PrivateFolder::new(folders_in).map_err(|error| error.to_string())?;
    let path = folder.path().join("open.html");
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(page(address).as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let chosen = app.variable("BROWSER");
    let chosen = chosen.as_ref().map(|list| list.to_string_lossy());
    let url = format!("file://{}", path.display());
    let mut failed = Vec::new();
    for words in browsers(chosen.as_deref(), &url) {
        match run(&words).await {
            Ok(()) => return Ok(folder),
            Err(why) => failed.push(format!("{}: {why}", words[0])),
        }
    }
    Err(failed.join("; "))
}

async fn run(words: &[String]) -> Result<(), String> {
    let mut browser = Command::new(&words[0])
        .args(&words[1..])
        // Ctrl-C ends the way and not the browser.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(FAILS_WITHIN, browser.wait()).await {
        Ok(Ok(status)) if !status.success() => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// The commands that may open a url, in their order, as Python's `webbrowser`
/// reads `BROWSER`: a list with colons; an entry with `%s` is a command with the
/// place of the url, one without is a program.
fn browsers(chosen: Option<&str>, url: &str) -> Vec<Vec<String>> {
    let entries = chosen.unwrap_or_default().split(':');
    let mut commands: Vec<_> = entries
        .filter_map(|entry| {
            if !entry.contains("%s") {
                let program = entry.trim();
                return (!program.is_empty()).then(|| vec![program.to_owned(), url.to_owned()]);
            }
            let mut words = split(entry);
            // For a browser that is not waited for; none is, here.
            if words.last().is_some_and(|word| word == "&") {
                words.pop();
            }
            let words: Vec<_> = words.iter().map(|word| word.replace("%s", url)).collect();
            (!words.is_empty()).then_some(words)
        })
        .collect();
    if commands.is_empty() {
        let opener = if cfg!(target_os = "macos") {
            "open"
        } else {
            "xdg-open"
        };
        commands.push(vec![opener.to_owned(), url.to_owned()]);
    }
    commands
}

/// The words of a command with a shell's quotes.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A page that leads to an address at once.
fn page(address: &str) -> String {
    let address = escaped(address);
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={address}\">\n<title>envspec</title>\n\
         <a href=\"{address}\">Jupyter</a>\n"
    )
}

/// Text as it stands in an attribute of HTML.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_is_read_as_python_reads_it() {
        let read = |text: &str| {
            let commands = browsers(Some(text), "file:///x");
            let commands: Vec<_> = commands.iter().map(|words| words.join("|")).collect();
            commands.join(" ; ")
        };
        assert_eq!(read("firefox"), "firefox|file:///x");
        assert_eq!(read("a::b"), "a|file:///x ; b|file:///x");
        assert_eq!(read("/opt/my browser"), "/opt/my browser|file:///x");
        assert_eq!(
            read("/opt/a -n --at=%s:'my browser' \"%s\" \"\" x\\ y &"),
            "/opt/a|-n|--at=file:///x ; my browser|file:///x||x y"
        );
        let default = browsers(None, "file:///x");
        assert_eq!(default, browsers(Some(":"), "file:///x"));
        assert_eq!((default.len(), default[0][1].as_str()), (1, "file:///x"));
    }

    #[test]
    fn nothing_in_an_address_is_more_than_an_address() {
        let page = page("http://127.0.0.1:1/lab?token=\"><script>'&amp;");
        assert!(
            !page.contains("<script>") && !page.contains("=\">"),
            "{page}"
        );
        let address = "http://127.0.0.1:1/lab?token=&quot;&gt;&lt;script&gt;&#39;&amp;amp;";
        assert!(
            page.contains(&format!("content=\"0; url={address}\"")),
            "{page}"
        );
        assert!(page.contains(&format!("href=\"{address}\"")), "{page}");
    }
}
