use serde_json::json;

use super::{Bar, Bars, Block, Cell, Lines, Mark, Page, Table, html, markdown};
use crate::text::is_invisible;

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>&\"'|`*\u{1b}[2J\r\n\u{202e}\u{e0041}";

fn hostile() -> Page {
    Page {
        title: HOSTILE.into(),
        lead: vec![HOSTILE.into()],
        facts: vec![(HOSTILE.into(), HOSTILE.into())],
        blocks: vec![
            Block::Heading(HOSTILE.into()),
            Block::Text(HOSTILE.into()),
            Block::Table(Table {
                head: vec![(HOSTILE.into(), false), ("n".into(), true)],
                rows: vec![vec![HOSTILE.into(), Cell::marked("1.5", Mark::Good)]],
            }),
            Block::Bars(Bars {
                title: HOSTILE.into(),
                axis: HOSTILE.into(),
                bars: vec![Bar {
                    label: HOSTILE.into(),
                    value: 3.0,
                    text: HOSTILE.into(),
                    spread: Some((2.0, 4.0)),
                    reference: Some(1.0),
                    group: 0,
                }],
                base: Some(1.0),
                reference: HOSTILE.into(),
            }),
            Block::Lines(Lines {
                title: HOSTILE.into(),
                axes: (HOSTILE.into(), HOSTILE.into()),
                series: vec![(HOSTILE.into(), vec![(1.0, 2.0), (2.0, 300.0)])],
            }),
        ],
        data: json!({ "command": HOSTILE }),
    }
}

#[test]
fn hostile_names_are_inert_in_html() {
    let page = html(&hostile());
    assert!(!page.contains("<img"), "no element comes from a name");
    assert_eq!(page.matches("<script").count(), 1, "the data, which is no program");
    assert_eq!(page.matches("</script").count(), 1);
    assert!(page.matches("<svg").count() == 4, "two charts, each for a wide page and a narrow one");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "they are shown as they are");
}

#[test]
fn nothing_in_a_page_acts_on_a_terminal_or_hides() {
    for text in [html(&hostile()), markdown(&hostile())] {
        let stray = text.chars().find(|c| c.is_control() && *c != '\n' || is_invisible(*c));
        assert_eq!(stray, None);
        assert!(text.contains("␛") && text.contains("u{202e}"), "it is shown as what it is");
    }
}

#[test]
fn the_data_can_be_read_back_from_html() {
    let page = html(&hostile());
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(data).unwrap(), hostile().data);
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let page = html(&hostile());
    for source in [" src=", " href=", "url(", "@import"] {
        let at = page.replace("img src=x", "");
        assert!(!at.contains(source), "{source}");
    }
}

#[test]
fn markdown_keeps_rows_whole() {
    let text = markdown(&hostile());
    let row = text.lines().find(|l| l.ends_with("| **1.5** |")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 3, "{row}");
    assert!(!text.replace("\\<", "").contains('<'), "no element comes from a name");
}

#[test]
fn a_chart_of_nothing_says_so() {
    let page = Page { blocks: vec![Block::Bars(Bars { title: "cost".into(), ..Bars::default() })], ..Page::default() };
    assert!(html(&page).contains("cost: there is nothing to draw"));
}
