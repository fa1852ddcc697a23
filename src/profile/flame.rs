//! A profile as one HTML file with a flame graph in SVG. It needs nothing else: no script of others, no network.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Place, Profile, percent, text};
use crate::text::is_invisible;

/// The width of the graph and the height of a row, in pixels of the drawing.
const WIDTH: f64 = 1200.0;
const ROW: f64 = 18.0;
/// Narrower boxes are left out: they cannot be seen.
const NARROWEST: f64 = 0.4;
/// Cells of a character of the labels, in pixels.
const CHARACTER: f64 = 6.6;

/// A box of the graph: all stacks that have the same places up to here, lines apart.
#[derive(Debug, Default)]
struct Block {
    ns: u64,
    kind: &'static str,
    below: BTreeMap<String, Block>,
}

/// The file's text.
#[must_use]
pub fn page(profile: &Profile, title: &str) -> String {
    let mut root = Block { kind: "task", ..Block::default() };
    for (at, node) in profile.nodes.iter().enumerate().filter(|(_, node)| node.self_ns > 0) {
        root.ns += node.self_ns;
        let mut block = &mut root;
        for place in profile.stack(at) {
            let (label, kind) = label(place);
            block = block.below.entry(label).or_default();
            block.kind = kind;
            block.ns += node.self_ns;
        }
    }
    let depth = depth(&root);
    let height = (depth as f64 + 1.0) * ROW;
    let mut boxes = String::new();
    draw(&root, "all", 0.0, 0, (root.ns, height), &mut boxes);
    let lines: String = text::lines(profile).iter().map(|line| escaped(line) + "\n").collect();
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<p class=\"hint\">Width is time. The outermost function is at the bottom; click a box to zoom, the lowest box to zoom out.</p>\n\
         <svg id=\"flame\" viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" font-family=\"monospace\" font-size=\"11\">\n{boxes}</svg>\n\
         <pre>{lines}</pre>\n<script>{SCRIPT}</script></body></html>\n"
    )
}

fn label(place: &Place) -> (String, &'static str) {
    match place {
        Place::Function { function, file, own, .. } => (format!("{function} ({file})"), if *own { "own" } else { "other" }),
        Place::Task(_) => (place.label(), "task"),
        Place::Program(_) => (place.label(), "program"),
        Place::Wait(_) => (place.label(), "wait"),
    }
}

fn depth(block: &Block) -> usize {
    // A stack of its own: stacks of the processes may be deep.
    let mut deepest = 0;
    let mut open = vec![(block, 0)];
    while let Some((block, depth)) = open.pop() {
        deepest = deepest.max(depth);
        open.extend(block.below.values().map(|below| (below, depth + 1)));
    }
    deepest
}

fn draw(root: &Block, name: &str, left: f64, level: usize, (all, height): (u64, f64), out: &mut String) {
    let mut open = vec![(root, name.to_owned(), left, level)];
    while let Some((block, name, left, level)) = open.pop() {
        let width = WIDTH * block.ns as f64 / all.max(1) as f64;
        if width < NARROWEST {
            continue;
        }
        let top = height - (level as f64 + 1.0) * ROW;
        let fits = (width / CHARACTER) as usize;
        let short: String = match name.chars().count() {
            n if n <= fits => name.clone(),
            _ if fits >= 4 => name.chars().take(fits - 2).chain("..".chars()).collect(),
            _ => String::new(),
        };
        let (ms, share) = (block.ns as f64 / 1e6, percent(block.ns, all));
        let _ = writeln!(
            out,
            "<g class=\"{}\" data-x=\"{left:.2}\" data-w=\"{width:.2}\" data-l=\"{level}\"><title>{}\n{ms:.1} ms, {share:.1} %</title>\
             <rect x=\"{left:.2}\" y=\"{top:.1}\" width=\"{width:.2}\" height=\"{:.1}\"/>\
             <text x=\"{:.2}\" y=\"{:.1}\" data-n=\"{}\">{}</text></g>",
            block.kind,
            escaped(&name),
            ROW - 1.0,
            left + 3.0,
            top + 13.0,
            escaped(&name),
            escaped(&short),
        );
        let mut at = left;
        for (name, below) in &block.below {
            open.push((below, name.clone(), at, level + 1));
            at += WIDTH * below.ns as f64 / all.max(1) as f64;
        }
    }
}

/// Text that cannot be taken for markup, without control characters.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if (c.is_control() && c != '\n') || is_invisible(c) => safe.push(char::REPLACEMENT_CHARACTER),
            c => safe.push(c),
        }
    }
    safe
}

const STYLE: &str = "body{font-family:sans-serif;margin:1.5em;color:#1b1b1b;background:#fff}.hint{color:#555}pre{overflow-x:auto}\
g{cursor:pointer}rect{stroke:#fff;stroke-width:.5}.own rect{fill:#e8a33d}.other rect{fill:#f0cf8e}.wait rect{fill:#8fb7e0}\
.program rect{fill:#b9d3a0}.task rect{fill:#d4d4d4}g:hover rect{stroke:#000}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}.hint{color:#999}rect{stroke:#161616}}text{pointer-events:none;fill:#1b1b1b}";

/// Zooms to the box that was clicked: boxes beside it go, those below it fill the width.
const SCRIPT: &str = "const W=1200,gs=[...document.querySelectorAll('#flame g')];\
const num=(g,k)=>+g.dataset[k];function zoom(z){const zx=num(z,'x'),zw=num(z,'w'),zl=num(z,'l');for(const g of gs){\
const x=num(g,'x'),w=num(g,'w'),l=num(g,'l');let nx=(x-zx)/zw*W,nw=w/zw*W;const above=l<=zl&&x<=zx+.01&&x+w>=zx+zw-.01;\
if(above){nx=0;nw=W}const show=above||(l>zl&&x>=zx-.01&&x+w<=zx+zw+.01);g.style.display=show?'':'none';if(!show)continue;\
const r=g.querySelector('rect'),t=g.querySelector('text');r.setAttribute('x',nx);r.setAttribute('width',nw);t.setAttribute('x',nx+3);\
const n=t.dataset.n,f=Math.floor(nw/6.6);t.textContent=n.length<=f?n:f>=4?n.slice(0,f-2)+'..':''}}\
for(const g of gs)g.addEventListener('click',()=>zoom(g));";

#[cfg(test)]
mod tests {
    use super::super::tests::function;
    use super::*;
    use crate::profile::Mode;

    #[test]
    fn names_cannot_become_markup_and_widths_are_shares() {
        let mut profile = Profile::new(Mode::Wall);
        profile.add(&[function("<script>alert('x')</script>", 1)], 750);
        profile.add(&[function("plain", 1), Place::Wait("epoll & more".into())], 250);
        let page = page(&profile, "a <title>");
        assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;"));
        assert!(page.contains("width=\"900.00\"") && page.contains("width=\"300.00\""), "{page}");
        assert!(page.contains("epoll &amp; more") && page.contains("a &lt;title&gt;"));
    }
}
