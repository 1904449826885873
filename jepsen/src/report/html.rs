//! The frame of a page: no outside resources, readable without scripts.

use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1180px;padding:0 1em}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;margin:.5em 0}\
td,th{padding:.2em .7em;border-bottom:1px solid #8884;text-align:left;vertical-align:top}td.n,th.n{text-align:right}\
code,pre{font:12px/1.4 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}\
pre{background:#8881;padding:.7em;border-radius:4px}.grade{padding:.1em .6em;border-radius:4px;color:#fff}\
.valid{background:#237a3b}.INVALID{background:#b3261e}.unknown,.insufficient{background:#96690a}\
.harness-fault{background:#5b5b66}.wide{overflow-x:auto}svg text{fill:currentColor}";

/// A whole page.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n",
        title = escape(title)
    )
}

/// Text that means nothing to a browser.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A table; columns from the second on are numbers if `numbers`.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>], numbers: bool) -> String {
    let class = |column: usize| {
        if numbers && column > 0 {
            " class=\"n\""
        } else {
            ""
        }
    };
    let mut html = String::from("<div class=\"wide\"><table><tr>");
    for (column, title) in head.iter().enumerate() {
        let _ = write!(html, "<th{}>{}</th>", class(column), escape(title));
    }
    html.push_str("</tr>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{cell}</td>", class(column));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

/// The mark of a verdict.
pub(crate) fn grade(grade: crate::verdict::Grade) -> String {
    format!("<span class=\"grade {grade}\">{grade}</span>")
}

#[cfg(test)]
mod tests {
    use super::{escape, table};

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
        assert!(table(&["<x>"], &[], false).contains("&lt;x&gt;"));
    }
}
