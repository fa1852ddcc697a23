//! A page in a headless browser: its visible text, table cells, sideways scrolling, and reported errors.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde::Deserialize;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser of this machine.
pub static BROWSER: LazyLock<Result<&str, String>> = LazyLock::new(|| {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    BROWSERS.into_iter().find(runs).ok_or_else(|| format!("none of {} is installed", BROWSERS.join(", ")))
});

/// What a reader sees.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// The window's title.
    pub title: String,
    /// The first heading.
    pub heading: String,
    /// All text that is visible.
    pub text: String,
    /// Width of the page with all that is in it, and of the window: CSS pixels.
    pub widths: (f64, f64),
    /// Name of every kind of element.
    pub elements: Vec<String>,
    /// Attributes that would run something.
    pub handlers: Vec<String>,
    /// For each row of each table the titles of its columns and the visible texts of its cells.
    pub rows: Vec<Vec<(String, String)>>,
    /// Texts of the charts that are visible.
    pub drawn: Vec<String>,
    /// Of these, those that reach beyond their chart.
    pub clipped: Vec<String>,
    /// The data in it.
    pub data: String,
    /// What it asked of any host.
    #[serde(skip)]
    pub asked: Vec<String>,
}

/// Runs in a copy of the page. The copy has no policy against scripts: what a name brings in would run, and be seen.
const LOOK: &str = r#"<script id="look">addEventListener("load", () => {
    const own = document.getElementById("look");
    own.remove();
    const all = [...document.querySelectorAll("*")];
    const visible = [...document.querySelectorAll("svg text")].filter(t => t.getClientRects().length > 0);
    const beyond = t => {
        const [a, b] = [t.getBoundingClientRect(), t.ownerSVGElement.getBoundingClientRect()];
        return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
    };
    const page = document.documentElement;
    parent.postMessage({
        title: document.title,
        heading: document.querySelector("h1").innerText,
        text: document.body.innerText,
        widths: [page.scrollWidth, page.clientWidth],
        elements: [...new Set(all.map(e => e.localName))],
        handlers: all.flatMap(e => [...e.attributes]).map(a => a.name).filter(n => n.startsWith("on") || n == "src" || n == "href"),
        rows: [...document.querySelectorAll("tbody tr")].map(r => [...r.cells].map(c => [c.dataset.label, c.innerText])),
        drawn: visible.map(t => t.textContent.trim()),
        clipped: visible.filter(beyond).map(t => t.textContent.trim()),
        data: document.getElementById("data").textContent,
    }, "*");
})</script>"#;

/// A browser's smallest window is wider than a telephone: the page is looked at in a frame of the width.
const FRAME: &str = r#"<!doctype html><pre id="seen"></pre><script>
addEventListener("message", m => document.getElementById("seen").textContent = JSON.stringify(m.data))
</script><iframe src="copy.html" style="border:0;height:900px;width:"#;

/// The page in a window of so many CSS pixels.
pub fn look(browser: &str, page: &Path, width: u32) -> Seen {
    let dir = tempfile::tempdir().unwrap();
    let html = std::fs::read_to_string(page).unwrap();
    let policy = html.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let end = policy + html[policy..].find('>').unwrap() + 1;
    std::fs::write(dir.path().join("copy.html"), format!("{}{LOOK}{}", &html[..policy], &html[end..])).unwrap();
    std::fs::write(dir.path().join("frame.html"), format!("{FRAME}{width}px\"></iframe>")).unwrap();
    let (output, asked) = dump(browser, &dir.path().join("frame.html"));
    let dom = silent(&output);
    let seen = dom.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap();
    let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
    let seen: Seen = serde_json::from_str(&seen).unwrap_or_else(|e| panic!("{e}: the browser told {seen:?}"));
    Seen { asked, ..seen }
}

/// The page as it is, with its policy: opens, complains of nothing and asks for nothing.
pub fn open(browser: &str, page: &Path) {
    let (output, asked) = dump(browser, page);
    assert!(silent(&output).contains("<h1>"));
    assert_eq!(asked, [""; 0]);
}

/// The page once it is loaded, and what it asked of any host.
pub fn dump(browser: &str, page: &Path) -> (Output, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let log = profile.path().join("net.json");
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"])
        // No name of any host means anything to it.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .args(["--enable-logging=stderr", "--v=0", "--window-size=1400,1000", "--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    // The browser has wishes of its own; those of a page that is a file are marked so.
    let of_page = |line: &&str| line.contains("\"network_isolation_key\":\"file:") && line.contains("\"url\":\"http");
    (output, log.lines().filter(of_page).map(str::to_owned).collect())
}

/// What the browser made of it, if it had nothing to say.
fn silent(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let complaints: Vec<&str> = words.lines().filter(|l| l.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
