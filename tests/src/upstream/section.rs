//! Answers under titles, and files of them.

use std::fmt::Write as _;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What was asked; unique within a file.
    pub title: String,
    /// What was answered, made comparable.
    pub text: String,
}

const MARK: &str = "=== ";

/// All sections as one text.
pub fn write_sections(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let _infallible = writeln!(text, "{MARK}{}\n{}", section.title, section.text.trim_end());
    }
    text
}

/// The inverse.
pub fn parse_sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix(MARK) {
            sections.push(Section {
                title: title.to_owned(),
                text: String::new(),
            });
        } else if let Some(last) = sections.last_mut() {
            last.text.push_str(line);
            last.text.push('\n');
        }
    }
    for section in &mut sections {
        section.text.truncate(section.text.trim_end().len());
    }
    sections
}
