//! Requests word for word.
//!
//! A file has requests after lines `### title`: a line with method and path, headers, an empty line, the body. In
//! bodies and paths `{{8 x 300}}` is 300 times "8 ". Marks in a title change what is compared: `(status)` the status
//! code only, `(lines)` a text line by line in any order, `(headers)` some headers too.

use super::client::{Request, Response};
use super::contender::Contender;
use super::normal::{normal_json, normal_text};
use super::objects::warnings;
use super::section::Section;

const MARK: &str = "### ";
/// Headers that clients read.
const HEADERS: [&str; 5] = [
    "content-type",
    "cache-control",
    "vary",
    "allow",
    "retry-after",
];

/// Sends each request and makes its answer comparable.
pub async fn send_requests(contender: &Contender, text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    for part in format!("\n{text}").split(&format!("\n{MARK}")).skip(1) {
        let Some((title, request)) = read(part) else {
            continue;
        };
        let text = match contender.client.send(&request).await {
            Ok(response) => shown(&title, &response),
            Err(e) => e,
        };
        sections.push(Section { title, text });
    }
    sections
}

fn shown(title: &str, response: &Response) -> String {
    let mut text = response.status.to_string();
    if title.contains("(status)") {
        return text;
    }
    if title.contains("(headers)") {
        for name in HEADERS {
            let values = response.headers.get_all(name).iter();
            let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
            text.push_str(&format!(" {name}={}", values.join("|")));
        }
    }
    text.push_str(&warnings(&response.headers));
    let mut body = normal_json(&response.body);
    if title.contains("(lines)") {
        let mut lines: Vec<&str> = body.lines().collect();
        lines.sort_unstable();
        body = lines.join("\n");
    } else if title.contains("(stream)") {
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let lines: Vec<String> = text
            .lines()
            .map(|line| normal_json(line.as_bytes()))
            .collect();
        body = normal_text(&lines.join("\n"));
    }
    format!("{text} {body}").trim_end().to_owned()
}

fn read(part: &str) -> Option<(String, Request)> {
    let (title, rest) = part.split_once('\n')?;
    let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let request = Request {
        method: method.to_owned(),
        path: repeated(path.trim()),
        headers: headers.collect(),
        body: repeated(body.trim_end()),
    };
    Some((title.trim().to_owned(), request))
}

/// `{{ab x 3}}` as `ababab`.
fn repeated(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, after)) = after.split_once("}}") else {
            break;
        };
        let Some((what, times)) = inside.rsplit_once(" x ") else {
            break;
        };
        out.push_str(before);
        out.push_str(&what.repeat(times.parse().unwrap_or(0)));
        rest = after;
    }
    out + rest
}
