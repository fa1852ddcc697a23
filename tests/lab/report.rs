//! Saved results and their reports: JSON, CSV and Markdown, continuation from a file, and a page with the same figures as the JSON.

use std::path::Path;
use std::process::{Command, Output};

use concmon::lab::talk::BUSY;
use serde_json::Value;

use crate::support::browser::{self, BROWSER, Seen};

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

fn compare(out: &Path, more: &[&str]) -> Output {
    let mut args = vec!["lab", "compare", "native/fork", "native/thread", "--workers", "1,2", "--tasks", "2", "--repeat", "3"];
    args.extend(["--out", out.to_str().unwrap()]);
    args.extend(more);
    concmon(&args)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// `lab report` makes the same page of the kept file, into a file and to standard output.
fn rendered_again(kept: &Path, page: &Path) {
    let anew = page.with_extension("anew.html");
    text(concmon(&["lab", "report", kept.to_str().unwrap(), "--html", anew.to_str().unwrap()]));
    assert!(std::fs::read(&anew).unwrap() == std::fs::read(page).unwrap(), "rendered again it is the same page");
    let shown = text(concmon(&["lab", "report", kept.to_str().unwrap(), "--html"]));
    assert!(shown == std::fs::read_to_string(page).unwrap(), "without a file it is written to standard output");
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
    // The finding says how much of the CPUs other programs had meanwhile, which a fork of an empty parent feels most.
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
    let arm = &grows["arms"][1];
    assert!(arm["spec"]["parent_mb"] == 1000 && arm["spec"]["seed"].is_u64() && arm["lang"] == "native", "{arm}");

    rendered_again(&kept, &page);
    let verdict = grows["verdict"].as_str().unwrap().replace('_', " ");
    let markdown = text(concmon(&["lab", "report", kept.to_str().unwrap()]));
    let row = format!("| 4 | The cost of fork grows with the memory of the parent | {verdict}");
    // What is as hoped stands out.
    assert!(markdown.replace("**", "").contains(&row), "{row}: {markdown}");
    let csv = text(concmon(&["lab", "report", kept.to_str().unwrap(), "--csv"]));
    assert_eq!(csv.lines().count(), 1 + findings.len(), "a header, and a line for each claim: {csv}");
    let line = csv.lines().find(|l| l.starts_with("fork-grows,4,")).unwrap();
    assert!(line.contains(&format!(",{verdict},")) && line.contains(&grows["summary"]["median"].to_string()), "{line}");

    // What a busy machine left undecided is tried again, as is what was not available.
    let settled = |finding: &&Value| matches!(finding["verdict"].as_str(), Some("reproduces" | "does_not"));
    let again: Value = serde_json::from_slice(&talk(&kept, &[]).stdout).unwrap();
    for finding in findings.iter().filter(settled) {
        assert!(
            again["findings"].as_array().unwrap().contains(finding),
            "what has been measured is not measured again: {finding}"
        );
    }
    in_a_browser(&page, &document, talk_says_what_the_json_says);
}

#[test]
fn a_comparison_is_kept_and_rendered() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, page) = (dir.path().join("compare.json"), dir.path().join("compare.html"));
    let json = text(compare(&kept, &["--json", "--html", page.to_str().unwrap()]));
    assert_eq!(json, std::fs::read_to_string(&kept).unwrap(), "the file holds the same");
    let document: Value = serde_json::from_str(&json).unwrap();
    rendered_again(&kept, &page);
    let report = |more: &[&str]| text(concmon(&[&["lab", "report", kept.to_str().unwrap()], more].concat()));
    // All that was asked for has run: the same command measures nothing more, and shows it in every format.
    assert_eq!(report(&[]), text(compare(&kept, &["--md"])));
    assert_eq!(report(&["--csv"]), text(compare(&kept, &["--csv"])));
    for row in document["rows"].as_array().unwrap() {
        let label = row["label"].as_str().unwrap();
        assert!(report(&[]).contains(&format!("| {label} |")), "{label}");
        let median = figure(row, "wall_ns")["spread"]["median"].as_f64().unwrap();
        let record = report(&["--csv"]).lines().find(|l| l.starts_with(&format!("{label},"))).unwrap().to_owned();
        assert!(record.contains(&format!(",{median},")), "{median}: {record}");
    }
    in_a_browser(&page, &document, comparison_says_what_the_json_says);
}

fn figure<'a>(row: &'a Value, id: &str) -> &'a Value {
    row["figures"].as_array().unwrap().iter().find(|f| f["measure"] == id).unwrap()
}

/// What a browser makes of the page, wide and narrow: nothing goes wrong, nothing is loaded, and the numbers are there for a reader.
fn in_a_browser(page: &Path, document: &Value, says_what_the_json_says: fn(&Seen, &Value)) {
    let html = std::fs::read_to_string(page).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "the page names no host");
    let browser = match *BROWSER {
        Ok(browser) => browser,
        Err(ref why) => {
            loudly!("SKIPPED the page in a browser: {why}");
            return;
        }
    };
    browser::open(browser, page);
    for width in [1280, 400] {
        let seen = browser::look(browser, page, width);
        stays_within(&seen, width);
        assert_eq!(seen.asked, [""; 0], "nothing is loaded");
        assert_eq!(serde_json::from_str::<Value>(&seen.data).unwrap(), *document, "the data in the page is what was written");
        says_what_the_json_says(&seen, document);
    }
}

/// Wide tables scroll in their own place; the page does not, and no name in a chart is cut off by its edge.
fn stays_within(seen: &Seen, width: u32) {
    let (all, window) = seen.widths;
    assert!(window <= f64::from(width) && window > f64::from(width) - 20.0, "{window} of {width}");
    assert!(all <= window, "{all} pixels in a window of {window}");
    assert_eq!(seen.clipped, [""; 0], "texts that reach beyond their chart at {width}");
}

/// The number that a text begins with, in the unit that JSON has it in, and how far off it may be: half of its last digit.
fn number(text: &str) -> (f64, f64) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[end..].split([' ', '±', '(']).find(|unit| !unit.is_empty()).unwrap_or("");
    let scale = match unit {
        "s" => 1e9,
        "ms" => 1e6,
        "us" => 1e3,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => 1.0,
    };
    let digits = text[..end].split_once('.').map_or(0, |(_, digits)| digits.len());
    let said: f64 = text[..end].parse().unwrap_or_else(|e| panic!("{e}: {text:?}"));
    (said * scale, 0.5001 * scale / 10_f64.powi(i32::try_from(digits).unwrap()))
}

fn says(text: &str, value: f64) {
    let (said, off) = number(text);
    assert!((said - value).abs() <= off, "the page says {text:?}, which is {said}, of {value}");
}

fn cell<'a>(row: &'a [(String, String)], title: &str) -> &'a str {
    row.iter().find(|(column, _)| column == title).map_or_else(|| panic!("no {title:?} in {row:?}"), |(_, text)| text)
}

fn talk_says_what_the_json_says(seen: &Seen, document: &Value) {
    let findings = document["findings"].as_array().unwrap();
    let claims: Vec<_> = seen.rows.iter().filter(|r| r[0].0 == "part").collect();
    assert_eq!(claims.len(), findings.len(), "a row for each claim");
    for (row, finding) in claims.into_iter().zip(findings) {
        assert_eq!(cell(row, "verdict"), finding["verdict"].as_str().unwrap().replace('_', " "));
        let (here, median) = (cell(row, "here"), finding["summary"]["median"].as_f64());
        match median {
            Some(_) if here.starts_with("seen") => assert_eq!(here == "seen as expected", finding["verdict"] == "reproduces"),
            // Microseconds are the unit of the talk's own figure, and of the document's.
            Some(median) => says(here.split(' ').next().unwrap(), median),
            None => assert_eq!(here, "-"),
        }
        assert!(row.iter().all(|(_, text)| seen.text.contains(text.as_str())), "{row:?}");
    }
    let arms = findings.iter().flat_map(|f| f["arms"].as_array().unwrap());
    for (arm, row) in arms.zip(seen.rows.iter().filter(|r| r[0].0 == "claim")) {
        let points: Vec<f64> = arm["points"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        let shown: Vec<f64> = cell(row, "points, round by round").split(", ").map(|p| p.parse().unwrap()).collect();
        let alike = shown.len() == points.len() && shown.iter().zip(&points).all(|(s, p)| (s - p).abs() <= 0.5);
        assert!(alike, "{shown:?} of {points:?}");
    }
    for fact in [&document["machine"]["kernel"], &document["machine"]["cpu_model"], &document["concmon"]] {
        assert!(fact.as_str().is_none_or(|fact| seen.text.contains(fact)), "{fact}");
    }
}

fn comparison_says_what_the_json_says(seen: &Seen, document: &Value) {
    let columns = [
        ("create", "creation_ns"),
        ("first task", "first_task_ns"),
        ("wall", "wall_ns"),
        ("cpu", "cpu_ns"),
        ("speed-up", "speed_up"),
        ("PSS/worker", "worker_pss_bytes"),
        ("vol. sw.", "voluntary_switches"),
        ("faults", "minor_faults"),
    ];
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(seen.rows.len(), rows.len());
    for (row, shown) in rows.iter().zip(&seen.rows) {
        assert_eq!(cell(shown, ""), row["label"].as_str().unwrap());
        assert_eq!(shown.len(), 1 + columns.len());
        for (title, id) in columns {
            match figure(row, id)["spread"]["median"].as_f64() {
                Some(median) => says(cell(shown, title), median),
                None => assert_eq!(cell(shown, title), "-"),
            }
        }
        assert!(shown.iter().all(|(_, text)| seen.text.contains(text.as_str())), "{shown:?}");
        let wall = cell(shown, "wall").split(" ±").next().unwrap();
        assert!(seen.drawn.iter().any(|text| text == wall), "{wall} stands beside its bar: {:?}", seen.drawn);
    }
    let batch = &document["batch"];
    for fact in [&batch["host"]["kernel"], &batch["host"]["cpu_model"], &batch["concmon"]] {
        assert!(fact.as_str().is_none_or(|fact| seen.text.contains(fact)), "{fact}");
    }
    assert!(seen.text.contains(&format!("seed {}", batch["plan"]["seed"])));
}

/// A page that does what ours must not is seen to do it.
#[test]
fn what_would_run_load_or_scroll_is_seen() {
    let Ok(browser) = *BROWSER else {
        loudly!("SKIPPED what is seen in a browser: there is none");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let policy = r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'">"#;
    let body = r#"<h1>one</h1><b onclick="1">b</b><div style="width:450px">wide</div><script>document.title='x'</script>"#;
    let rest = r#"<a href="here">a</a><svg width="20" height="9"><text x="9" y="9">long</text></svg>"#;
    let data = r#"<script type="application/json" id="data">1</script>"#;
    std::fs::write(&page, format!("<!doctype html>{policy}<title>one</title>{body}{rest}{data}")).unwrap();
    let seen = browser::look(browser, &page, 400);
    assert_eq!((seen.title.as_str(), seen.heading.as_str(), seen.data.as_str()), ("x", "one", "1"));
    assert!(seen.widths.0 > seen.widths.1 && seen.text.contains("wide"), "{seen:?}");
    assert!(seen.handlers == ["onclick", "href"] && seen.clipped == ["long"], "{seen:?}");
    assert!(seen.elements.iter().any(|e| e == "b"), "{seen:?}");
    // A request to a host is seen too, even if it fails; no server listens on the discard port.
    let asks = r#"<link rel="stylesheet" href="http://127.0.0.1:9/style.css"><h1>one</h1>"#;
    std::fs::write(&page, format!("<!doctype html>{asks}")).unwrap();
    let (_, asked) = browser::dump(browser, &page);
    assert!(asked.iter().any(|asked| asked.contains("http://127.0.0.1:9/style.css")), "{asked:?}");
}

/// What a name may be, and what a reader sees of it.
const HOSTILE: [(&str, &str); 7] = [
    ("<script>document.title='x'</script>", "<script>document.title='x'</script>"),
    ("\"><img src=x onerror=\"document.title='x'\">", "\"><img src=x onerror=\"document.title='x'\">"),
    ("</script><script>document.title='x'</script>", "</script><script>document.title='x'</script>"),
    ("</title><svg onload=document.title='x'>", "</title><svg onload=document.title='x'>"),
    ("&lt;b&gt;&#60;i&#62;", "&lt;b&gt;&#60;i&#62;"),
    ("safe\u{202e}gnp.exe\u{2066}", "safe\\u{202e}gnp.exe\\u{2066}"),
    ("\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{9b}31m", "␛]0;owned␇␛[2J␍␊\\u{9b}31m"),
];

/// A document whose strings of others are hostile, and the program's page of it.
fn hostile_page(
    mut document: Value,
    change: impl Fn(&mut Value, &dyn Fn() -> String),
) -> (tempfile::TempDir, std::path::PathBuf) {
    let next = std::cell::Cell::new(0);
    let name = || {
        next.set(next.get() + 1);
        HOSTILE[next.get() % HOSTILE.len()].0.to_owned()
    };
    change(&mut document, &name);
    let dir = tempfile::tempdir().unwrap();
    let (file, page) = (dir.path().join("hostile.json"), dir.path().join("hostile.html"));
    std::fs::write(&file, document.to_string()).unwrap();
    text(concmon(&["lab", "report", file.to_str().unwrap(), "--html", page.to_str().unwrap()]));
    for more in [&[][..], &["--csv"]] {
        let shown = text(concmon(&[&["lab", "report", file.to_str().unwrap()], more].concat()));
        assert!(!shown.chars().any(|c| c.is_control() && !"\r\n".contains(c)), "a terminal shows it as it is: {shown:?}");
    }
    (dir, page)
}

fn is_inert(page: &Path, elements: &[&str]) {
    let browser = match *BROWSER {
        Ok(browser) => browser,
        Err(ref why) => {
            loudly!("SKIPPED hostile names in a browser: {why}");
            return;
        }
    };
    browser::open(browser, page);
    for width in [1280, 400] {
        let seen = browser::look(browser, page, width);
        stays_within(&seen, width);
        assert!(seen.title != "x" && seen.title.split_whitespace().eq(seen.heading.split_whitespace()), "{:?}", seen.title);
        let strange: Vec<&String> = seen.elements.iter().filter(|e| !elements.contains(&e.as_str())).collect();
        assert!(strange.is_empty() && seen.handlers.is_empty(), "made of names: {strange:?} {:?}", seen.handlers);
        assert_eq!(seen.asked, [""; 0]);
        for (_, shown) in HOSTILE {
            assert!(seen.text.contains(shown), "{shown:?} is not to be read at {width}: {}", seen.text);
        }
    }
}

/// The elements of the program's own pages.
const ELEMENTS: [&str; 33] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "p",
    "span",
    "dl",
    "div",
    "dt",
    "dd",
    "figure",
    "figcaption",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "script",
    "svg",
    "rect",
    "line",
    "polyline",
    "polygon",
    "circle",
    "path",
    "text",
    "g",
];

#[test]
fn hostile_names_in_a_comparison_are_inert() {
    let dir = tempfile::tempdir().unwrap();
    let document = serde_json::from_str(&text(compare(&dir.path().join("compare.json"), &["--json"]))).unwrap();
    let (_dir, page) = hostile_page(document, |document, name| {
        let batch = &mut document["batch"];
        batch["concmon"] = name().into();
        for field in ["kernel", "architecture", "cpu_model"] {
            batch["host"][field] = name().into();
        }
        // A system that no version knows, of a length that no page has.
        for cell in batch["plan"]["cells"].as_array_mut().unwrap() {
            if cell["spec"]["system"] == "native/thread" {
                cell["spec"]["system"] = format!("{}/{}", HOSTILE[0].0, "A".repeat(300)).into();
            }
        }
        for point in batch["points"].as_array_mut().unwrap() {
            point["lang"] = name().into();
            point["warnings"] = vec![name()].into();
            if point["repetition"] == 2 && point["cell"] == 1 {
                point["failed"] = HOSTILE.map(|(name, _)| name).concat().into();
            }
        }
    });
    is_inert(&page, &ELEMENTS);
}

#[test]
fn hostile_names_in_a_talk_are_inert() {
    let document = serde_json::from_str(include_str!("../../fuzz/seeds/report/talk.json")).unwrap();
    let (_dir, page) = hostile_page(document, |document, name| {
        document["concmon"] = name().into();
        for field in ["kernel", "architecture", "cpu_model", "cpus"] {
            document["machine"][field] = name().into();
        }
        for finding in document["findings"].as_array_mut().unwrap() {
            if finding["verdict"] == "not_available" {
                finding["why"] = HOSTILE.map(|(name, _)| name).concat().into();
            }
            for arm in finding["arms"].as_array_mut().unwrap() {
                for field in ["label", "system", "python", "lang"] {
                    arm[field] = format!("{}{}", name(), "A".repeat(100)).into();
                }
            }
        }
        document["findings"][0]["claim"] = name().into();
    });
    is_inert(&page, &ELEMENTS);
}

#[test]
fn what_cannot_be_gone_on_with_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("talk.json");
    std::fs::write(&file, "{}").unwrap();
    let refused = talk(&file, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(words(&refused).contains("has no talk to continue"), "{}", words(&refused));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}", "nothing is lost");

    let unknown = concmon(&["lab", "talk", "--only", "gill"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(words(&unknown).contains("there is no claim \"gill\""), "{}", words(&unknown));

    for (holds, says) in [
        ("{}", "not a concmon document"),
        ("[1, 2]", "not a concmon document"),
        ("once upon a time", "the file is not JSON"),
        ("", "the file is not JSON"),
        (r#"{"schema":"concmon.lab.run/1"}"#, "no page for schema \"concmon.lab.run/1\""),
        (r#"{"schema":"concmon.lab.talk/1"}"#, "does not match its schema concmon.lab.talk/1: missing field"),
        (r#"{"schema":"concmon.lab.compare/1"}"#, "does not match its schema concmon.lab.compare/1: missing field"),
    ] {
        std::fs::write(&file, holds).unwrap();
        let other = concmon(&["lab", "report", file.to_str().unwrap(), "--html"]);
        let said = words(&other);
        assert!(other.status.code() == Some(2) && other.stdout.is_empty(), "{holds}: {said}");
        assert!(said.contains(says) && said.contains("talk.json") && said.lines().count() == 1, "{holds}: {said}");
    }
    let missing = concmon(&["lab", "report", "/nowhere.json"]);
    assert!(missing.status.code() == Some(2) && words(&missing).contains("/nowhere.json"), "{}", words(&missing));
}
