//! The target of kept documents: what `lab talk` and `lab compare` have written, as somebody else may have changed it.

use concmon::lab::kept::Kept;
use concmon::lab::page::{html, markdown};
use concmon::text::is_invisible;
use serde_json::Value;

/// Real documents that are changed value by value: changed byte by byte, most would be no documents any more.
const REAL: [&str; 4] = [
    include_str!("seeds/report/talk.json"),
    include_str!("seeds/report/workers.json"),
    include_str!("seeds/report/parent.json"),
    include_str!("seeds/report/size.json"),
];

/// Elements and attributes of the program's own pages; anything else would have come from a document.
const ELEMENTS: &str = "!DOCTYPE html head meta title style body main h1 h2 p span dl div dt dd table thead tbody tr th td figure figcaption \
                        script svg rect text line polyline polygon circle path g";
const ATTRIBUTES: &str = "lang charset name content http-equiv class data-label role aria-label type id width height viewBox xmlns x y x1 \
                          x2 y1 y2 cx cy r d points opacity fill stroke stroke-width dx dy text-anchor font-family font-size transform \
                          font-style font-weight html";

/// Bytes of a document; or `+`, the number of a real one, and lines of the place of a value with what it is replaced by.
pub fn report(bytes: &[u8]) {
    match bytes {
        [b'+', which @ b'0'..=b'3', edits @ ..] => {
            let mut document: Value = serde_json::from_str(REAL[usize::from(which - b'0')]).expect("a real document");
            for edit in edits.split(|byte| *byte == b'\n') {
                let Some(blank) = edit.iter().position(|byte| *byte == b' ') else { continue };
                let place = std::str::from_utf8(&edit[..blank]).ok().and_then(|place| place.parse::<usize>().ok());
                let (Some(place), Ok(value)) = (place, serde_json::from_slice(&edit[blank..])) else { continue };
                let _ = replace(&mut document, place, &value);
            }
            kept(document.to_string().as_bytes());
        }
        bytes => kept(bytes),
    }
}

/// Replaces the value that comes after `place` others; `Err` has how many more there would have to be.
fn replace(value: &mut Value, place: usize, by: &Value) -> Result<(), usize> {
    let Some(mut left) = place.checked_sub(1) else {
        value.clone_from(by);
        return Ok(());
    };
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(items) => items.values_mut().collect(),
        _ => Vec::new(),
    };
    for value in inner {
        match replace(value, left, by) {
            Ok(()) => return Ok(()),
            Err(more) => left = more,
        }
    }
    Err(left)
}

/// What was understood is shown whole, by the program's own elements only, and the page carries it to whoever reads it next.
fn kept(bytes: &[u8]) {
    let document = match Kept::parse(bytes) {
        Ok(document) => document,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let page = document.page();
    let page = [html(&page), markdown(&page)];
    let csv = document.csv();
    let most = (1 << 20) + 200 * bytes.len();
    for text in page.iter().chain([&csv]) {
        assert!(text.len() < most, "{} bytes from {}", text.len(), bytes.len());
        let stray = text.chars().find(|c| (c.is_control() && !"\r\n".contains(*c)) || is_invisible(*c));
        assert_eq!(stray, None, "nothing in it acts on a terminal or hides from a reader");
    }
    let [html, markdown] = page;
    assert!(!markdown.contains('\r') && !markdown.replace("\\<", "").contains('<'), "no element in Markdown");
    assert_eq!(csv.matches('\n').count(), csv.matches("\r\n").count(), "a record is a line");
    let data = own_elements(&html);
    match (&document, &Kept::parse(data.as_bytes()).expect("the page's data is a document")) {
        (Kept::Talk(talk), Kept::Talk(again)) => assert_eq!(talk, again),
        (Kept::Comparison { batch, sort }, Kept::Comparison { batch: again, sort: as_well }) => {
            assert_eq!((batch, sort.id), (again, as_well.id));
        }
        _ => panic!("another kind of document"),
    }
}

/// Checks every element of a page; gives the data in it.
fn own_elements(html: &str) -> &str {
    let known = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    for (at, _) in html.match_indices('<') {
        let tag = html[at + 1..].split('>').next().unwrap_or_default();
        let closed = tag.strip_prefix('/').unwrap_or(tag);
        let name = closed.split([' ', '/', '\n']).next().unwrap_or_default();
        assert!(known(ELEMENTS, name), "an element <{name}> that is not the page's own");
        // Outside of the quotes there are only names.
        let names = closed[name.len()..].split('"').step_by(2).flat_map(str::split_whitespace);
        for attribute in names.map(|word| word.trim_end_matches(['=', '/'])).filter(|word| !word.is_empty()) {
            assert!(known(ATTRIBUTES, attribute), "an attribute {attribute} of <{name}> that is not the page's own");
        }
    }
    assert_eq!((html.matches("<script").count(), html.matches("</script").count()), (1, 1), "the data, which is no program");
    let data = html.split("<script type=\"application/json\" id=\"data\">").nth(1).expect("the data");
    data.split("</script>").next().expect("its end")
}
