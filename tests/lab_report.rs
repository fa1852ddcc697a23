//! The talk's figures as scripts and colleagues get them: JSON, a file to go on with, and a page that says what the JSON says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
#[path = "support/loudly.rs"]
mod loudly;

use std::path::Path;
use std::process::{Command, Output};

use concmon::lab::talk::BUSY;
use serde_json::Value;

/// Claims that every machine with any Python at all can try; `fork-grows` needs none.
const CLAIMS: &str = "fork,fork-grows,generator,gil,uvloop";

fn concmon(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_concmon")).args(args).output().unwrap()
}

fn talk(out: &Path, more: &[&str]) -> Output {
    let mut args = vec!["lab", "talk", "--only", CLAIMS, "--repeat", "2", "--no-setup", "--json", "--out", out.to_str().unwrap()];
    args.extend(more);
    concmon(&args)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_talk_is_measured_kept_gone_on_with_and_rendered() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, page) = (dir.path().join("talk.json"), dir.path().join("talk.html"));
    let first = talk(&kept, &["--html", page.to_str().unwrap()]);
    assert_eq!(first.status.code(), Some(0), "{}", words(&first));
    let document: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(document["schema"], "concmon.lab.talk/1");
    let findings = document["findings"].as_array().unwrap();
    let order: Vec<&str> = findings.iter().map(|f| f["claim"].as_str().unwrap()).collect();
    assert_eq!(order.join(","), CLAIMS, "each claim that was asked for, in the talk's order");
    let grows = &findings[1];
    // It tells itself how much of the CPUs others had meanwhile, which a fork of an empty parent feels most.
    if grows["others"].as_f64().is_some_and(|others| others > BUSY) {
        loudly!("SKIPPED the verdict on fork-grows: others had the CPUs meanwhile: {grows}");
    } else {
        assert_eq!(grows["verdict"], "reproduces", "1,000 MB make fork at least 20 times as dear: {grows}");
    }
    assert_eq!(grows["figures"].as_array().unwrap().len(), 2, "a figure for each round");
    for finding in findings.iter().filter(|f| f["verdict"] == "not_available") {
        assert!(!finding["why"].as_str().unwrap().is_empty());
        loudly!("SKIPPED claim {}: {}", finding["claim"], finding["why"]);
    }
    assert_eq!(std::fs::read(&kept).unwrap(), first.stdout, "the file holds the same");

    shows_what_the_json_says(&std::fs::read_to_string(&page).unwrap(), findings);
    in_a_browser(&page, findings);

    let anew = dir.path().join("anew.html");
    let report = concmon(&["lab", "report", kept.to_str().unwrap(), "--html", anew.to_str().unwrap()]);
    assert_eq!(report.status.code(), Some(0), "{}", words(&report));
    assert!(std::fs::read(&anew).unwrap() == std::fs::read(&page).unwrap(), "rendered again it is the same page");
    let shown = concmon(&["lab", "report", kept.to_str().unwrap(), "--html"]);
    assert!(
        shown.status.success() && shown.stdout == std::fs::read(&page).unwrap(),
        "without a file it is written to standard output"
    );
    let markdown = String::from_utf8(concmon(&["lab", "report", kept.to_str().unwrap()]).stdout).unwrap();
    let verdict = grows["verdict"].as_str().unwrap().replace('_', " ");
    let row = format!("| 4 | The cost of fork grows with the memory of the parent | {verdict}");
    assert!(markdown.contains(&row), "{row}: {markdown}");

    // What a busy machine left undecided is tried again, as is what was not available.
    let settled = |finding: &&Value| matches!(finding["verdict"].as_str(), Some("reproduces" | "does_not"));
    let again: Value = serde_json::from_slice(&talk(&kept, &[]).stdout).unwrap();
    for finding in findings.iter().filter(settled) {
        assert!(
            again["findings"].as_array().unwrap().contains(finding),
            "what has been measured is not measured again: {finding}"
        );
    }
}

/// As the page writes a ratio.
fn ratio(figure: f64) -> String {
    match figure {
        f if f >= 100.0 => format!("{f:.0}x"),
        f if f >= 10.0 => format!("{f:.1}x"),
        f => format!("{f:.2}x"),
    }
}

fn shows_what_the_json_says(text: &str, findings: &[Value]) {
    let median = findings[1]["summary"]["median"].as_f64().unwrap();
    assert!(text.contains(&ratio(median)), "the page has no {}", ratio(median));
    for finding in findings {
        let verdict = finding["verdict"].as_str().unwrap().replace('_', " ");
        assert!(text.contains(&verdict), "the page has no {verdict:?}");
    }
}

/// What a browser makes of the page: nothing goes wrong, nothing is loaded, and the numbers are there for a reader.
fn in_a_browser(page: &Path, findings: &[Value]) {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let found = browsers.iter().find(|b| Command::new(b).arg("--version").output().is_ok_and(|o| o.status.success()));
    let Some(browser) = found else {
        loudly!("SKIPPED the page in a browser: none of {} is installed", browsers.join(", "));
        return;
    };
    let profile = tempfile::tempdir().unwrap();
    for width in [1280, 400] {
        let output = Command::new(browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"])
            .arg(format!("--window-size={width},1200"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output));
        let complaints: Vec<String> = words(&output).lines().filter(|l| l.contains("CONSOLE")).map(str::to_owned).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        let dom = String::from_utf8(output.stdout).unwrap();
        let body = dom.split("<script").next().unwrap();
        shows_what_the_json_says(body, findings);
    }
}

#[test]
fn what_cannot_be_gone_on_with_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("talk.json");
    std::fs::write(&file, "{}").unwrap();
    let refused = talk(&file, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(words(&refused).contains("holds no talk to go on with"), "{}", words(&refused));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}", "nothing is lost");

    let unknown = concmon(&["lab", "talk", "--only", "gill"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(words(&unknown).contains("no claim is called \"gill\""), "{}", words(&unknown));

    let other = concmon(&["lab", "report", file.to_str().unwrap()]);
    assert_eq!(other.status.code(), Some(2));
    assert!(words(&other).contains("no document of concmon"), "{}", words(&other));
    let missing = concmon(&["lab", "report", "/nowhere.json"]);
    assert!(missing.status.code() == Some(2) && words(&missing).contains("/nowhere.json"), "{}", words(&missing));
}
